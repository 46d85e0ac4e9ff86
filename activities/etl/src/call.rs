//! How a call to the outside fails, the same for every service.

use std::error::Error;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::display::DisplayErrorContext;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use stepfleet_activity::{ActivityError, Area, Class};

/// A call that failed, and what that means for the load.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{what}: {reason}")]
pub(crate) struct CallError {
    /// The call, like `list s3://bucket/prefix`.
    pub(crate) what: String,
    /// What the service or the way to it said.
    pub(crate) reason: String,
    /// What a caller can do.
    pub(crate) class: Class,
}

impl From<CallError> for ActivityError {
    fn from(error: CallError) -> Self {
        Self::new(Area::LOAD, error.class, &error)
    }
}

/// Codes that say "later": throttling, limits, a warehouse that is waking up.
const LATER: [&str; 9] = [
    "ActiveSessionsExceededException",
    "ActiveStatementsExceededException",
    "DatabaseConnectionException",
    "InternalServerException",
    "RequestTimeout",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
];

/// What an SDK's error means: no answer, throttling and 5xx are transient.
pub(crate) fn failed<E>(what: impl Into<String>, error: &SdkError<E, HttpResponse>) -> CallError
where
    E: Error + ProvideErrorMetadata + 'static,
{
    let class = match error {
        SdkError::ServiceError(service) => {
            let code = service.err().code().unwrap_or_default();
            let later = LATER.contains(&code) || service.raw().status().is_server_error();
            if later {
                Class::Transient
            } else {
                Class::Permanent
            }
        }
        SdkError::ConstructionFailure(_) => Class::Permanent,
        _ => Class::Transient,
    };
    CallError {
        what: what.into(),
        reason: DisplayErrorContext(error).to_string(),
        class,
    }
}

/// An error and what it comes from, in a line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

/// The HTTP status that a service answered with, if it answered.
pub(crate) fn status<E>(error: &SdkError<E, HttpResponse>) -> Option<u16> {
    match error {
        SdkError::ServiceError(service) => Some(service.raw().status().as_u16()),
        _ => None,
    }
}
