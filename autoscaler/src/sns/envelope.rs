//! What SNS signs of an envelope, and whether a certificate's key signed it.

use aws_lc_rs::signature::{
    RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY as SHA1, RSA_PKCS1_2048_8192_SHA256 as SHA256,
    RsaParameters, UnparsedPublicKey,
};
use axum::http::Uri;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::{
    AlgorithmIdentifier, CertificateDer, InvalidSignature, SignatureVerificationAlgorithm, alg_id,
};
use serde_json::Value;
use webpki::EndEntityCert;

use crate::signal::is_envelope;

/// What a notification's signature covers, in this order; the subject only
/// where there is one.
const SIGNED: [&str; 6] = [
    "Message",
    "MessageId",
    "Subject",
    "Timestamp",
    "TopicArn",
    "Type",
];

/// An envelope's signature and what it has to be a signature of.
#[derive(Debug)]
pub(super) struct Signed {
    text: String,
    signature: Vec<u8>,
    algorithm: &'static RsaParameters,
    /// Where the envelope says that the certificate is.
    pub(super) certificate: Uri,
}

/// An envelope that nobody can have signed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unsigned;

impl Signed {
    /// None for a body that is no envelope: it has no signature.
    pub(super) fn read(body: &str) -> Option<Result<Self, Unsigned>> {
        let value: Value = serde_json::from_str(body).ok()?;
        is_envelope(&value).then(|| Self::parts(&value).ok_or(Unsigned))
    }

    fn parts(envelope: &Value) -> Option<Self> {
        let field = |name: &str| envelope.get(name).and_then(Value::as_str);
        if field("Type") != Some("Notification") {
            return None;
        }
        let mut text = String::new();
        for name in SIGNED {
            match field(name) {
                Some(value) => text.extend([name, "\n", value, "\n"]),
                None if name == "Subject" => {}
                None => return None,
            }
        }
        let algorithm = match field("SignatureVersion")? {
            "1" => &SHA1,
            "2" => &SHA256,
            _ => return None,
        };
        Some(Self {
            text,
            signature: STANDARD.decode(field("Signature")?).ok()?,
            algorithm,
            certificate: field("SigningCertURL")?.parse().ok()?,
        })
    }

    /// Whether the certificate's key signed it.
    pub(super) fn holds(&self, certificate: &CertificateDer<'_>) -> bool {
        let Ok(certificate) = EndEntityCert::try_from(certificate) else {
            return false;
        };
        let algorithm = Rsa(self.algorithm);
        let (text, signature) = (self.text.as_bytes(), &self.signature);
        (certificate.verify_signature(&algorithm, text, signature)).is_ok()
    }
}

/// RSA with either hash. The certificate itself is trusted by where it came
/// from, so nothing but envelopes is ever verified with SHA-1.
#[derive(Debug)]
struct Rsa(&'static RsaParameters);

impl SignatureVerificationAlgorithm for Rsa {
    fn verify_signature(
        &self,
        key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        (UnparsedPublicKey::new(self.0, key).verify(message, signature))
            .map_err(|_| InvalidSignature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::RSA_ENCRYPTION
    }

    /// Compared with nothing here: an envelope names its version instead.
    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::RSA_PKCS1_SHA256
    }
}
