//! Where certificates may come from.

use axum::http::Uri;
use axum::http::uri::Scheme;

/// A path is kept while its certificate is waited for; SNS's have 65 characters.
const LONGEST: usize = 256;

/// SNS of one region, or the endpoint that stands in for all of AWS.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    host: String,
    endpoint: Option<String>,
}

impl Origin {
    /// An endpoint is one that was configured, like `AWS_ENDPOINT_URL`.
    pub(super) fn new(region: &str, endpoint: Option<&str>) -> Self {
        let china = if region.starts_with("cn-") { ".cn" } else { "" };
        Self {
            host: format!("sns.{region}.amazonaws.com{china}"),
            endpoint: endpoint.map(|endpoint| endpoint.trim_end_matches('/').to_owned()),
        }
    }

    /// Where to fetch a certificate that an envelope names; none if we would
    /// not trust what is there. Whoever writes envelopes chooses the path at
    /// most, never the host.
    pub(super) fn locate(&self, named: &Uri) -> Option<String> {
        let path = named.path();
        if named.query().is_some() || !path.ends_with(".pem") || path.len() > LONGEST {
            return None;
        }
        // As SNS names them: what else its host may serve is not our matter.
        let of_sns = path.starts_with("/SimpleNotificationService-");
        if let Some(endpoint) = &self.endpoint {
            // It may know itself by another name than we do, and has S3 on the same
            // port: no bucket's name begins so, or objects would be certificates.
            let of_itself = path.starts_with("/_");
            return (of_sns || of_itself).then(|| format!("{endpoint}{path}"));
        }
        let authority = named.authority()?.as_str();
        let ours = named.scheme() == Some(&Scheme::HTTPS)
            && authority.eq_ignore_ascii_case(&self.host)
            && of_sns;
        ours.then(|| format!("https://{}{path}", self.host))
    }
}
