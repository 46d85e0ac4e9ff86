//! TLS to a server: rustls on aws-lc-rs, as for everything else.

use std::error::Error as _;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use stepfleet_activity::catalogue::PostgresTls;
use tokio_postgres_rustls::MakeRustlsConnect;

/// What makes TLS of a connection.
pub(crate) type Tls = MakeRustlsConnect;

/// None where none is to be made.
///
/// # Errors
/// There are no CAs to trust where they should be.
pub(crate) fn connector(tls: &PostgresTls) -> Result<Option<Tls>, String> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS cannot be set up: {error}"))?;
    let config = match tls {
        PostgresTls::Disable => return Ok(None),
        PostgresTls::Require => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anybody(provider))),
        PostgresTls::VerifyFull { ca: None } => builder.with_root_certificates(system()?),
        PostgresTls::VerifyFull { ca: Some(path) } => builder.with_root_certificates(file(path)?),
    };
    Ok(Some(MakeRustlsConnect::new(config.with_no_client_auth())))
}

/// The CAs that the system trusts, as for AWS.
fn system() -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let why: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
        return Err(format!(
            "this system trusts no CA ({}): install its CA certificates, or name a file of them as the warehouse's tls_ca",
            why.join("; ")
        ));
    }
    Ok(roots)
}

/// The CAs of a file, and no others.
fn file(path: &Path) -> Result<RootCertStore, String> {
    let fault = |reason: String| format!("the warehouse's tls_ca, {}: {reason}", path.display());
    let pem = fs::read(path).map_err(|error| fault(error.to_string()))?;
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let certificates = read.map_err(|error| fault(format!("it is not PEM: {error}")))?;
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates);
    if roots.is_empty() {
        return Err(fault("there is no certificate in it".to_owned()));
    }
    Ok(roots)
}

/// Whether the server's certificate was refused.
pub(crate) fn is_distrust(error: &tokio_postgres::Error) -> bool {
    let io = error.source().and_then(|source| source.downcast_ref());
    let inner = io.and_then(io::Error::get_ref);
    let tls = inner.and_then(|inner| inner.downcast_ref());
    matches!(tls, Some(rustls::Error::InvalidCertificate(_)))
}

/// Takes every certificate. Whoever has shown one must have its key all the same.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
