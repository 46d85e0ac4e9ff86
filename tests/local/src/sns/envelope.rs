//! The JSON around a notification, signed as SNS signs it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{CertificateParams, DnType, KeyPair, PKCS_RSA_SHA256, RsaKeySize, SigningKey};
use serde_json::{Map, Value, json};

use super::{CERTIFICATE_PATH, Notification};
use crate::{AwsError, Context};

/// A key and its self-signed certificate, new with each start.
#[derive(Debug)]
pub(super) struct Signer {
    key: KeyPair,
    certificate: String,
}

impl Signer {
    pub(super) fn new() -> Result<Self, rcgen::Error> {
        let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)?;
        let mut params = CertificateParams::new(vec!["sns.amazonaws.com".to_owned()])?;
        params
            .distinguished_name
            .push(DnType::CommonName, "stepfleet-local SNS");
        let certificate = params.self_signed(&key)?.pem();
        Ok(Self { key, certificate })
    }

    pub(super) fn certificate(&self) -> &str {
        &self.certificate
    }

    /// The envelope with signature version 2: RSA over SHA-256.
    pub(super) fn envelope(
        &self,
        context: &Context,
        (id, subscription_arn): (&str, &str),
        notification: &Notification<'_>,
    ) -> Result<String, AwsError> {
        let timestamp = context
            .clock
            .now()
            .strftime("%Y-%m-%dT%H:%M:%S%.3fZ")
            .to_string();
        // In the order in which SNS signs them.
        let signed = [
            ("Message", Some(notification.message)),
            ("MessageId", Some(id)),
            ("Subject", notification.subject),
            ("Timestamp", Some(&timestamp)),
            ("TopicArn", Some(notification.topic_arn)),
            ("Type", Some("Notification")),
        ];
        let signed = signed
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)));
        let text: String = signed
            .clone()
            .map(|(name, value)| format!("{name}\n{value}\n"))
            .collect();
        let signature = self
            .key
            .sign(text.as_bytes())
            .map_err(|error| AwsError::internal(format!("signing a notification: {error}")))?;
        let base = &context.base_url;
        let more = [
            ("SignatureVersion", "2".to_owned()),
            ("Signature", STANDARD.encode(signature)),
            ("SigningCertURL", format!("{base}{CERTIFICATE_PATH}")),
            (
                "UnsubscribeURL",
                format!("{base}/?Action=Unsubscribe&SubscriptionArn={subscription_arn}"),
            ),
        ];
        let mut envelope: Map<String, Value> = signed
            .map(|(name, value)| (name.to_owned(), value.into()))
            .chain(
                more.into_iter()
                    .map(|(name, value)| (name.to_owned(), value.into())),
            )
            .collect();
        // Beside what is signed, as on AWS.
        let attributes = notification.attributes.0.iter().map(|(name, one)| {
            let value = one.string_value.as_ref().or(one.binary_value.as_ref());
            (name.clone(), json!({"Type": one.data_type, "Value": value}))
        });
        let attributes: Map<String, Value> = attributes.collect();
        if !attributes.is_empty() {
            envelope.insert("MessageAttributes".to_owned(), attributes.into());
        }
        Ok(Value::Object(envelope).to_string())
    }

    #[cfg(test)]
    pub(super) fn public_key(&self) -> &[u8] {
        use rcgen::PublicKeyData as _;
        self.key.der_bytes()
    }
}
