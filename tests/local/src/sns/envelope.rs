//! The JSON around a notification, signed as SNS signs it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{CertificateParams, DnType, KeyPair, PKCS_RSA_SHA256, RsaKeySize, SigningKey};
use serde_json::{Map, Value, json};

use super::rsa::Sha1Key;
use super::{CERTIFICATE_PATH, Notification, invalid};
use crate::{AwsError, Context};

/// A key and its self-signed certificate, new with each start.
#[derive(Debug)]
pub(super) struct Signer {
    key: KeyPair,
    /// The same key, for signatures of version 1.
    old: Sha1Key,
    certificate: String,
}

/// A topic's `SignatureVersion`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Version {
    /// SHA-1, AWS's default.
    #[default]
    One,
    /// SHA-256.
    Two,
}

impl Version {
    pub(super) fn parse(text: &str) -> Result<Self, AwsError> {
        match text {
            "1" => Ok(Self::One),
            "2" => Ok(Self::Two),
            other => Err(invalid(format!("SignatureVersion: 1 or 2, not {other}"))),
        }
    }

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::One => "1",
            Self::Two => "2",
        }
    }
}

/// Whose envelope it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Addressed<'a> {
    pub(super) message_id: &'a str,
    pub(super) subscription_arn: &'a str,
    pub(super) version: Version,
}

impl Signer {
    pub(super) fn new() -> Result<Self, rcgen::Error> {
        let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)?;
        let mut params = CertificateParams::new(vec!["sns.amazonaws.com".to_owned()])?;
        params
            .distinguished_name
            .push(DnType::CommonName, "stepfleet-local SNS");
        let certificate = params.self_signed(&key)?.pem();
        let old = Sha1Key::read(&key.serialize_der()).ok_or(rcgen::Error::CouldNotParseKeyPair)?;
        Ok(Self {
            key,
            old,
            certificate,
        })
    }

    pub(super) fn certificate(&self) -> &str {
        &self.certificate
    }

    fn sign(&self, version: Version, text: &str) -> Result<Vec<u8>, AwsError> {
        match version {
            Version::One => Ok(self.old.sign(text.as_bytes())),
            Version::Two => self
                .key
                .sign(text.as_bytes())
                .map_err(|error| AwsError::internal(format!("signing a notification: {error}"))),
        }
    }

    /// The envelope, signed as the topic wants it.
    pub(super) fn envelope(
        &self,
        context: &Context,
        addressed: Addressed<'_>,
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
            ("MessageId", Some(addressed.message_id)),
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
        let signature = self.sign(addressed.version, &text)?;
        let base = &context.base_url;
        let more = [
            ("SignatureVersion", addressed.version.as_str().to_owned()),
            ("Signature", STANDARD.encode(signature)),
            ("SigningCertURL", format!("{base}{CERTIFICATE_PATH}")),
            (
                "UnsubscribeURL",
                format!(
                    "{base}/?Action=Unsubscribe&SubscriptionArn={}",
                    addressed.subscription_arn
                ),
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
