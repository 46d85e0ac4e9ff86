//! An error as an AWS service answers it; each protocol writes it in its own form.

use serde_json::{Map, Value};

/// What a service refuses, by the name that the SDKs know.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{code}: {message}")]
pub struct AwsError {
    /// Like `ActivityDoesNotExist`.
    pub code: &'static str,
    /// For a person.
    pub message: String,
    /// The HTTP status: 400 for what the caller did, 500 for what we did.
    pub status: u16,
    /// Further members of the error's shape.
    pub fields: Map<String, Value>,
}

impl AwsError {
    /// The caller's fault.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            status: 400,
            fields: Map::new(),
        }
    }

    /// An operation that is not there: said by name.
    pub fn unknown_operation(service: &str, operation: &str) -> Self {
        Self::new(
            "UnknownOperationException",
            format!("stepfleet-local has no {service} operation {operation}"),
        )
    }

    /// The request is not of the operation's shape.
    pub fn validation(message: impl Into<String>) -> Self {
        Self::new("ValidationException", message)
    }

    /// Our own fault.
    pub fn internal(message: impl Into<String>) -> Self {
        Self {
            status: 500,
            ..Self::new("InternalFailure", message)
        }
    }
}
