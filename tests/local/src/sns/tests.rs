use std::time::Duration;

use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use stepfleet_activity::VirtualClock;

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
    let envelope = signer
        .envelope(&context, ("id", "arn:s"), &notification)
        .unwrap();
    let envelope: Value = serde_json::from_str(&envelope).unwrap();
    let signed = "Message\nmessage\nMessageId\nid\nSubject\nsubject\n\
                  Timestamp\n1970-01-01T00:00:00.000Z\nTopicArn\narn:t\nType\nNotification\n";
    let signature = STANDARD
        .decode(envelope["Signature"].as_str().unwrap())
        .unwrap();
    let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, signer.public_key());
    key.verify(signed.as_bytes(), &signature).unwrap();
    assert!(key.verify(b"other", &signature).is_err());
    assert_eq!(envelope["SigningCertURL"], "http://here/_stepfleet/sns.pem");
}
