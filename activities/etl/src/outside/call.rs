//! How a call to the outside fails, the same for every service.

use std::error::Error;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
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

/// What a call answers with.
pub(crate) type Answer<T> = Result<T, CallError>;

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

/// Codes that say "never": what is not there today is not there at the next try.
const NEVER: [&str; 4] = [
    "MethodNotAllowed",
    "NotImplemented",
    "UnsupportedOperation",
    "UnsupportedOperationException",
];

/// Whether a service said that it has no such thing, by its code or its status.
pub(crate) fn is_not_there<E>(error: &SdkError<E, HttpResponse>) -> bool
where
    E: ProvideErrorMetadata,
{
    let SdkError::ServiceError(service) = error else {
        return false;
    };
    let code = service.err().code().unwrap_or_default();
    NEVER.contains(&code) || matches!(service.raw().status().as_u16(), 405 | 501 | 505)
}

/// What an SDK's error means: no answer, throttling and 5xx are transient,
/// but for what the service does not have.
pub(crate) fn failed<E>(what: impl Into<String>, error: &SdkError<E, HttpResponse>) -> CallError
where
    E: Error + ProvideErrorMetadata + 'static,
{
    let class = match error {
        _ if is_not_there(error) => Class::Permanent,
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
        reason: said(error),
        class,
    }
}

/// What a service answered, as its documentation names it; else what stood in the way.
fn said<E>(error: &SdkError<E, HttpResponse>) -> String
where
    E: Error + ProvideErrorMetadata + 'static,
{
    let SdkError::ServiceError(service) = error else {
        return chain(error);
    };
    let status = || format!("status {}", service.raw().status().as_u16());
    let error = service.err();
    let mut said = error.code().map_or_else(status, str::to_owned);
    if let Some(message) = error.message() {
        said = format!("{said}: {message}");
    }
    // What AWS's support asks for.
    if let Some(id) = error.meta().extra("aws_request_id") {
        said = format!("{said} (request {id})");
    }
    said
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

#[cfg(test)]
mod tests {
    use aws_smithy_runtime_api::client::result::ConnectorError;
    use aws_smithy_types::body::SdkBody;
    use aws_smithy_types::error::ErrorMetadata;

    use super::*;

    #[test]
    fn what_a_service_says_is_said_in_its_words() {
        let meta = || ErrorMetadata::builder();
        let id = "8C1F";
        for (error, status, want) in [
            (
                meta()
                    .code("AccessDenied")
                    .message("not you")
                    .custom("aws_request_id", id),
                403,
                "AccessDenied: not you (request 8C1F)",
            ),
            (meta().code("SlowDown"), 503, "SlowDown"),
            (meta().message("gone away"), 502, "status 502: gone away"),
            (meta(), 500, "status 500"),
        ] {
            let status = status.try_into().expect("a status");
            let answer = HttpResponse::new(status, SdkBody::empty());
            let error = SdkError::service_error(error.build(), answer);
            assert_eq!(failed("look", &error).to_string(), format!("look: {want}"));
        }
        for (code, status, want) in [
            ("NotImplemented", 501, Class::Permanent),
            ("NotImplemented", 500, Class::Permanent),
            ("UnsupportedOperation", 400, Class::Permanent),
            ("MethodNotAllowed", 405, Class::Permanent),
            ("", 501, Class::Permanent),
            ("", 505, Class::Permanent),
            ("InternalError", 500, Class::Transient),
            ("SlowDown", 503, Class::Transient),
            ("", 502, Class::Transient),
            ("", 504, Class::Transient),
            ("AccessDenied", 403, Class::Permanent),
        ] {
            let status = status.try_into().expect("a status");
            let answer = HttpResponse::new(status, SdkBody::empty());
            let error = SdkError::service_error(meta().code(code).build(), answer);
            assert_eq!(failed("look", &error).class, want, "{code} {status:?}");
        }
        let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let refused = ConnectorError::io(refused.into());
        let error = SdkError::<ErrorMetadata, HttpResponse>::dispatch_failure(refused);
        let said = failed("look", &error).to_string();
        assert!(said.ends_with("connection refused"), "{said}");
    }
}
