//! Certificates over the HTTP client that the SDKs use.

use std::future::Future;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_smithy_http_client::default_connector;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::byte_stream::ByteStream;
use aws_smithy_types::error::display::DisplayErrorContext;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tokio::time::timeout;
use webpki::EndEntityCert;

/// For how long a fetch may last: nobody waits for it so long.
const PATIENCE: Duration = Duration::from_secs(5);
/// A certificate has a few kilobytes.
const LARGEST: usize = 64 * 1024;

/// Why there is no certificate, for now.
pub(crate) type FetchError = String;

/// Where certificates come from.
pub(crate) trait Fetch: Send + Sync {
    /// The certificate at a URL that is trusted.
    fn fetch(
        &self,
        url: &str,
    ) -> impl Future<Output = Result<CertificateDer<'static>, FetchError>> + Send;
}

/// Certificates over HTTP.
pub(crate) struct Http(Option<SharedHttpConnector>);

impl Http {
    pub(crate) fn new(config: &SdkConfig) -> Self {
        let settings = HttpConnectorSettings::builder()
            .connect_timeout(PATIENCE)
            .read_timeout(PATIENCE)
            .build();
        Self(default_connector(&settings, config.sleep_impl()))
    }

    async fn body(&self, url: &str) -> Result<Vec<u8>, FetchError> {
        let connector = self.0.as_ref().ok_or("there is no HTTP client")?;
        let request = HttpRequest::get(url).map_err(|error| error.to_string())?;
        let answer = connector.call(request).await;
        let answer = answer.map_err(|error| DisplayErrorContext(&error).to_string())?;
        if answer.status().as_u16() != 200 {
            return Err(format!("HTTP status {}", answer.status()));
        }
        let (mut body, mut bytes) = (ByteStream::new(answer.into_body()), Vec::new());
        while let Some(chunk) = body.next().await {
            bytes.extend_from_slice(&chunk.map_err(|error| error.to_string())?);
            if bytes.len() > LARGEST {
                return Err("what is there is larger than a certificate".to_owned());
            }
        }
        Ok(bytes)
    }
}

impl Fetch for Http {
    async fn fetch(&self, url: &str) -> Result<CertificateDer<'static>, FetchError> {
        let body = (timeout(PATIENCE, self.body(url)).await)
            .unwrap_or_else(|_| Err("no answer in time".to_owned()))?;
        read(&body).ok_or_else(|| "what is there is no certificate".to_owned())
    }
}

/// A certificate in PEM.
pub(super) fn read(pem: &[u8]) -> Option<CertificateDer<'static>> {
    let der = CertificateDer::from_pem_slice(pem).ok()?;
    EndEntityCert::try_from(&der).ok()?;
    Some(der)
}
