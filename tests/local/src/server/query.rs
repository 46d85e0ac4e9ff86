//! The query protocol: a form in, XML out; the service is told by the signature.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use axum::body::Body;
use http::{HeaderMap, Request, Response, StatusCode, header};

use super::{Services, body, respond, status, text};
use crate::{AwsError, sts};

/// A form's members.
pub(crate) type Form = BTreeMap<String, String>;

/// Answers `POST /` with `Action=...`.
pub(super) async fn answer(
    services: &Services,
    id: &str,
    request: Request<Body>,
) -> Response<Body> {
    let scope = scope(request.headers()).unwrap_or_default().to_owned();
    match call(services, &scope, request).await {
        Ok(xml) => {
            let metadata =
                format!("<ResponseMetadata><RequestId>{id}</RequestId></ResponseMetadata>");
            let xml = xml.replacen(METADATA, &metadata, 1);
            respond(StatusCode::OK, "text/xml", xml)
        }
        Err(error) => refusal(id, &error),
    }
}

/// An error in this protocol's form.
pub(super) fn refusal(id: &str, error: &AwsError) -> Response<Body> {
    let fault = if error.status < 500 {
        "Sender"
    } else {
        "Receiver"
    };
    let mut xml = format!("<ErrorResponse><Error><Type>{fault}</Type>");
    element(&mut xml, "Code", error.code);
    element(&mut xml, "Message", &error.message);
    let _ = write!(xml, "</Error><RequestId>{id}</RequestId></ErrorResponse>");
    respond(status(error), "text/xml", xml)
}

/// Where the request's id goes: a byte that XML cannot carry.
const METADATA: &str = "\0";

async fn call(
    services: &Services,
    scope: &str,
    request: Request<Body>,
) -> Result<String, AwsError> {
    let bytes = body(request).await?;
    let form: Form = serde_urlencoded::from_bytes(&bytes)
        .map_err(|error| AwsError::validation(format!("the form: {error}")))?;
    let action = form.get("Action").cloned().unwrap_or_default();
    let (namespace, result) = match scope {
        "sns" => (
            "http://sns.amazonaws.com/doc/2010-03-31/",
            services.sns.call(&action, form)?,
        ),
        "monitoring" => (
            "http://monitoring.amazonaws.com/doc/2010-08-01/",
            services.cloudwatch.call_form(&action, &form)?,
        ),
        "sts" => (
            "https://sts.amazonaws.com/doc/2011-06-15/",
            sts::call(&services.context, &action)?,
        ),
        "" => {
            return Err(AwsError::new(
                "MissingAuthenticationToken",
                "no service is named: sign the request (any key will do)",
            ));
        }
        other => {
            return Err(AwsError::new(
                "UnsupportedProtocol",
                format!("stepfleet-local has no {other} over the query protocol ({action})"),
            ));
        }
    };
    Ok(format!(
        "<{action}Response xmlns=\"{namespace}\"><{action}Result>{result}</{action}Result>\
         {METADATA}</{action}Response>"
    ))
}

/// The service of `Credential=<key>/<date>/<region>/<service>/aws4_request`.
pub(crate) fn scope(headers: &HeaderMap) -> Option<&str> {
    let authorization = text(headers, header::AUTHORIZATION.as_str())?;
    let (_, credential) = authorization.split_once("Credential=")?;
    let credential = credential.split([',', ' ']).next()?;
    credential.rsplit('/').nth(1)
}

/// Appends `<name>text</name>`, escaped.
pub(crate) fn element(xml: &mut String, name: &str, text: &str) {
    let _ = write!(xml, "<{name}>{}</{name}>", escape(text));
}

fn escape(text: &str) -> String {
    text.chars().fold(String::new(), |mut xml, char| {
        match char {
            '&' => xml.push_str("&amp;"),
            '<' => xml.push_str("&lt;"),
            '>' => xml.push_str("&gt;"),
            '"' => xml.push_str("&quot;"),
            '\r' => xml.push_str("&#xD;"),
            char => xml.push(char),
        }
        xml
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scope_is_the_last_but_one_part_of_the_credential() {
        let mut headers = HeaderMap::new();
        assert_eq!(scope(&headers), None);
        headers.insert(
            header::AUTHORIZATION,
            "AWS4-HMAC-SHA256 Credential=k/e/y/20261121/eu-west-1/sns/aws4_request, SignedHeaders=host"
                .parse()
                .unwrap(),
        );
        assert_eq!(scope(&headers), Some("sns"));
    }

    #[test]
    fn text_is_escaped() {
        let mut xml = String::new();
        element(&mut xml, "Message", "a<b>&\"c\"");
        assert_eq!(xml, "<Message>a&lt;b&gt;&amp;&quot;c&quot;</Message>");
    }
}
