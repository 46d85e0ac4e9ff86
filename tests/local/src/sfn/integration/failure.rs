//! The errors of services, by the names that Step Functions gives them.

use super::{Integration, Service};
use crate::AwsError;
use crate::sfn::failure::Failure;

/// As a Task state fails with it.
pub(super) fn failure(integration: &Integration, error: &AwsError) -> Failure {
    let names = Names::of(integration);
    let known = !unmodelled(integration.service, error.code);
    let code = match (known, error.code.strip_suffix("Exception")) {
        (true, Some(bare)) => bare,
        (true, None) => error.code,
        (false, _) => names.base,
    };
    let id = uuid::Uuid::new_v4();
    let AwsError {
        status, message, ..
    } = error;
    let cause = if integration.sdk {
        format!(
            "{message} (Service: {}, Status Code: {status}, Request ID: {id}) (SDK Attempt Count: 1)",
            names.prefix
        )
    } else {
        format!(
            "{message} (Service: {}; Status Code: {status}; Error Code: {}; Request ID: {id}; Proxy: null)",
            names.base, error.code
        )
    };
    Failure::new(&format!("{}.{code}Exception", names.prefix), cause)
}

/// How errors are named.
struct Names {
    prefix: &'static str,
    /// Of what the service's model does not name; also the service in a cause.
    base: &'static str,
}

// === impl Names ===

impl Names {
    fn of(integration: &Integration) -> Self {
        let (prefix, base) = match (integration.sdk, integration.service) {
            (false, Service::Sns) => ("SNS", "AmazonSNS"),
            (false, Service::Sqs) => ("SQS", "AmazonSQS"),
            (false, _) => ("StepFunctions", "AWSStepFunctions"),
            (true, Service::StepFunctions) => ("Sfn", "Sfn"),
            (true, Service::CloudWatch) => ("CloudWatch", "CloudWatch"),
            (true, Service::Sns) => ("Sns", "Sns"),
            (true, Service::Sqs) => ("Sqs", "Sqs"),
            (true, Service::S3) => ("S3", "S3"),
            (true, Service::RedshiftData) => ("RedshiftData", "RedshiftData"),
        };
        Self { prefix, base }
    }
}

/// Errors without a shape of their own in the model come as the service's own.
fn unmodelled(service: Service, code: &str) -> bool {
    const EVERYWHERE: [&str; 4] = [
        "InternalFailure",
        "SerializationException",
        "UnknownOperationException",
        "ValidationError",
    ];
    const S3: [&str; 5] = [
        "BucketAlreadyExists",
        "BucketAlreadyOwnedByYou",
        "NoSuchBucket",
        "NoSuchKey",
        "NoSuchUpload",
    ];
    EVERYWHERE.contains(&code)
        || match service {
            Service::Sqs => matches!(
                code,
                "MissingParameter" | "InvalidParameterValue" | "ValidationException"
            ),
            Service::S3 => !S3.contains(&code),
            _ => false,
        }
}
