use std::time::Duration;

use aws_lc_rs::signature::{
    RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY as SHA1, RSA_PKCS1_2048_8192_SHA256,
    UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use stepfleet_activity::VirtualClock;

use super::envelope::{Addressed, Version};
use super::*;

#[test]
fn an_envelope_is_signed_over_what_sns_signs() {
    let context = Context {
        clock: Arc::new(VirtualClock::new(jiff::Timestamp::UNIX_EPOCH)),
        account: "123456789012".to_owned(),
        region: "eu-west-1".to_owned(),
        base_url: "http://here".to_owned(),
        dir: std::path::PathBuf::new(),
        metric_resolution: Duration::from_secs(60),
        metric_delay: Duration::ZERO,
        timers: crate::timers::Timers::default(),
    };
    let signer = Signer::new().unwrap();
    let notification = Notification {
        topic_arn: "arn:t",
        subject: Some("subject"),
        message: "message",
        attributes: &Attributes::default(),
    };
    let signed = "Message\nmessage\nMessageId\nid\nSubject\nsubject\n\
                  Timestamp\n1970-01-01T00:00:00.000Z\nTopicArn\narn:t\nType\nNotification\n";
    for (version, said, algorithm) in [
        (Version::One, "1", &SHA1),
        (Version::Two, "2", &RSA_PKCS1_2048_8192_SHA256),
    ] {
        let addressed = Addressed {
            message_id: "id",
            subscription_arn: "arn:s",
            version,
        };
        let envelope = signer.envelope(&context, addressed, &notification).unwrap();
        let envelope: Value = serde_json::from_str(&envelope).unwrap();
        assert_eq!(envelope["SignatureVersion"], said);
        let signature = envelope["Signature"].as_str().unwrap();
        let signature = STANDARD.decode(signature).unwrap();
        let key = UnparsedPublicKey::new(algorithm, signer.public_key());
        key.verify(signed.as_bytes(), &signature).unwrap();
        assert!(key.verify(b"other", &signature).is_err());
        assert_eq!(envelope["SigningCertURL"], "http://here/_stepfleet/sns.pem");
    }
}
