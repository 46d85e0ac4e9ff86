//! AWS JSON 1.0 and 1.1: the operation in a header, JSON both ways.

use axum::body::Body;
use http::{HeaderValue, Request, Response, StatusCode};
use serde_json::{Map, Value};

use super::{Services, body, respond, status};
use crate::AwsError;

/// Answers `x-amz-target: <service>.<operation>`.
pub(super) async fn answer(
    services: &Services,
    target: &str,
    request: Request<Body>,
) -> Response<Body> {
    let (service, operation) = target.split_once('.').unwrap_or((target, ""));
    match call(services, (service, operation), request).await {
        Ok(output) => respond(StatusCode::OK, kind(service), output.to_string()),
        Err(error) => refusal(service, error),
    }
}

fn kind(service: &str) -> &'static str {
    match service {
        "RedshiftData" | "secretsmanager" => "application/x-amz-json-1.1",
        _ => "application/x-amz-json-1.0",
    }
}

async fn call(
    services: &Services,
    (service, operation): (&str, &str),
    request: Request<Body>,
) -> Result<Value, AwsError> {
    let bytes = body(request).await?;
    let input = match bytes.as_ref() {
        [] => Value::Object(Map::new()),
        bytes => serde_json::from_slice(bytes).map_err(|error| {
            AwsError::new(
                "SerializationException",
                format!("the body is not JSON: {error}"),
            )
        })?,
    };
    match service {
        "AWSStepFunctions" => services.sfn.call(operation, input).await,
        "RedshiftData" => services.redshift.call(operation, input).await,
        "AmazonSQS" => services.sqs.call(operation, input).await,
        "secretsmanager" => services.secrets.call(operation, input),
        "GraniteServiceVersion20100801" => services.cloudwatch.call(operation, input),
        other => Err(AwsError::unknown_operation(other, operation)),
    }
}

/// An error in this protocol's form.
pub(super) fn refusal(service: &str, error: AwsError) -> Response<Body> {
    let status = status(&error);
    let code = match service {
        "AmazonSQS" => format!("com.amazonaws.sqs#{}", error.code),
        _ => error.code.to_owned(),
    };
    let mut shape = error.fields;
    shape.insert("__type".to_owned(), code.into());
    shape.insert("message".to_owned(), error.message.into());
    let mut response = respond(status, kind(service), Value::Object(shape).to_string());
    let headers = response.headers_mut();
    headers.insert("x-amzn-errortype", HeaderValue::from_static(error.code));
    if service == "AmazonSQS"
        && let Ok(value) = HeaderValue::from_str(&format!("{};Sender", query_code(error.code)))
    {
        headers.insert("x-amzn-query-error", value);
    }
    response
}

/// SQS spoke the query protocol once; the SDKs still match its names.
fn query_code(code: &'static str) -> &'static str {
    match code {
        "QueueDoesNotExist" => "AWS.SimpleQueueService.NonExistentQueue",
        "QueueNameExists" => "QueueAlreadyExists",
        "UnsupportedOperation" => "AWS.SimpleQueueService.UnsupportedOperation",
        "MessageNotInflight" => "AWS.SimpleQueueService.MessageNotInflight",
        "EmptyBatchRequest" => "AWS.SimpleQueueService.EmptyBatchRequest",
        "TooManyEntriesInBatchRequest" => "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
        "BatchEntryIdsNotDistinct" => "AWS.SimpleQueueService.BatchEntryIdsNotDistinct",
        "BatchRequestTooLong" => "AWS.SimpleQueueService.BatchRequestTooLong",
        "InvalidBatchEntryId" => "AWS.SimpleQueueService.InvalidBatchEntryId",
        other => other,
    }
}
