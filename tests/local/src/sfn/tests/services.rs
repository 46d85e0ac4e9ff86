//! Services that are not there: what they were asked, and what they say.

use std::future::pending;

use async_trait::async_trait;

use super::*;
use crate::sfn::integration::{Integrations, Service};

/// Answers at once, unless a parameter says `slow`, or names an error to refuse with.
#[derive(Debug, Default)]
pub(super) struct Fake(Mutex<Vec<(Service, String, Value)>>);

impl Fake {
    pub(super) fn asked(&self) -> Vec<(Service, String, Value)> {
        self.0.lock().expect("a lock").clone()
    }
}

#[async_trait]
impl Integrations for Fake {
    async fn call(
        &self,
        service: Service,
        operation: &str,
        input: Value,
    ) -> Result<Value, AwsError> {
        let how = input.to_string();
        let asked = (service, operation.to_owned(), input);
        self.0.lock().expect("a lock").push(asked);
        if how.contains("slow") {
            pending::<()>().await;
        }
        let refused = [
            ("ResourceNotFoundException", 400),
            ("NotFound", 404),
            ("InvalidParameter", 400),
            ("MissingParameter", 400),
            ("QueueDoesNotExist", 400),
            ("NoSuchKey", 404),
            ("AccessDenied", 403),
            ("UnknownOperationException", 400),
        ];
        for (code, status) in refused {
            if how.contains(code) {
                let error = AwsError::new(code, "so it is");
                return Err(AwsError { status, ..error });
            }
        }
        Ok(match operation {
            "GetMetricData" => {
                json!({"MetricDataResults": [{"Timestamps": [60.0], "Values": [1.0]}]})
            }
            "Large" | "PutObject" => json!({"Body": "x".repeat(LARGEST)}),
            _ => json!({"MessageId": "m"}),
        })
    }
}
