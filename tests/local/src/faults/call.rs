//! What a request asks for, in whichever protocol: service, operation and
//! what it is about.

use axum::body::{Body, Bytes};
use http::Request;
use serde_json::Value;

use super::s3;
use crate::server::{Protocol, Services, decoded, query_scope, whole};
use crate::{AwsError, server};

/// What a request asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Call {
    /// By its name in policies.
    pub(super) service: &'static str,
    /// As AWS names it.
    pub(super) operation: String,
    /// Names, ARNs, URLs: whatever it says of what it is about.
    pub(super) resources: Vec<String>,
}

/// Members that carry, and say nothing of what a call is about.
const CARRIED: [&str; 16] = [
    "Action",
    "Message",
    "MessageBody",
    "NextToken",
    "ReceiptHandle",
    "SecretString",
    "Version",
    "cause",
    "definition",
    "error",
    "input",
    "nextToken",
    "output",
    "taskToken",
    "ClientToken",
    "TemplateBody",
];

// === impl Call ===

impl Call {
    pub(super) fn is(&self, service: &str, operation: &str) -> bool {
        self.service == service && self.operation == operation
    }
}

/// Reads what a request asks for, and gives it back whole; nothing for what is
/// no call of a service.
pub(super) async fn identify(
    services: &Services,
    spoken: &Protocol,
    request: Request<Body>,
) -> Result<(Request<Body>, Option<Call>), AwsError> {
    if let Protocol::S3 = spoken {
        let (bucket, key) = s3::place(&request);
        let both = format!("{bucket}/{key}");
        let operation = s3::operation(&request).to_owned();
        let call = Call {
            service: "s3",
            operation,
            resources: vec![both, bucket, key],
        };
        return Ok((request, Some(call)));
    }
    if let Protocol::Page = spoken {
        return Ok((request, None));
    }
    let (request, bytes) = whole(request).await?;
    let call = match spoken {
        Protocol::Json { target } => {
            let (service, operation) = target.split_once('.').unwrap_or((target, ""));
            let body = serde_json::from_slice(&bytes).unwrap_or_default();
            json(services, (of_target(service), operation), &body)
        }
        Protocol::Cbor { operation } => {
            let headers = request.headers().clone();
            let body = decoded(&headers, &bytes).await.unwrap_or_default();
            json(services, (Some("cloudwatch"), operation), &body)
        }
        Protocol::Query => form(&request, &bytes),
        Protocol::Page | Protocol::S3 => None,
    };
    Ok((request, call))
}

fn of_target(service: &str) -> Option<&'static str> {
    match service {
        "AWSStepFunctions" => Some("states"),
        "RedshiftData" => Some("redshift-data"),
        "AmazonSQS" => Some("sqs"),
        "GraniteServiceVersion20100801" => Some("cloudwatch"),
        "secretsmanager" => Some("secretsmanager"),
        _ => None,
    }
}

fn json(
    services: &Services,
    (service, operation): (Option<&'static str>, &str),
    body: &Value,
) -> Option<Call> {
    let mut resources = Vec::new();
    for (name, value) in body.as_object().into_iter().flatten() {
        if CARRIED.contains(&name.as_str()) {
            continue;
        }
        let texts = value.as_array().into_iter().flatten().chain([value]);
        resources.extend(texts.filter_map(Value::as_str).map(str::to_owned));
    }
    // Who reports says a token and nothing else.
    if let Some(token) = body["taskToken"].as_str() {
        let activity = services.sfn.activity_of(token);
        resources.extend(activity.map(|arn| arn.to_string()));
    }
    Some(Call {
        service: service?,
        operation: operation.to_owned(),
        resources,
    })
}

fn form(request: &Request<Body>, bytes: &Bytes) -> Option<Call> {
    let service = match query_scope(request.headers())? {
        "sns" => "sns",
        "sqs" => "sqs",
        "sts" => "sts",
        "monitoring" => "cloudwatch",
        _ => return None,
    };
    let form: server::query::Form = serde_urlencoded::from_bytes(bytes).ok()?;
    let about =
        |(name, _): &(&String, &String)| !name.contains('.') && !CARRIED.contains(&name.as_str());
    Some(Call {
        service,
        operation: form.get("Action").cloned().unwrap_or_default(),
        resources: form
            .iter()
            .filter(about)
            .map(|(_, value)| value.clone())
            .collect(),
    })
}
