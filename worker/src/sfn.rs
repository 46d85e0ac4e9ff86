//! Step Functions as the worker needs it. The only file that names `aws_sdk_sfn`.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_sfn::config::StalledStreamProtectionConfig;
use aws_sdk_sfn::config::retry::RetryConfig;
use aws_sdk_sfn::config::timeout::TimeoutConfig;
use aws_sdk_sfn::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sfn::{Client, config};
use futures::FutureExt;
use futures::future::BoxFuture;
use stepfleet_activity::{ActivityError, TaskToken};

/// A poll is answered within 60 s; one that is not within this is hung.
const POLL_TIMEOUT: Duration = Duration::from_secs(70);
/// Heartbeats and reports are short calls.
const REPORT_TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(4);

/// Any error, boxed.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A task as `GetActivityTask` hands it out.
#[derive(Debug, Clone)]
pub struct RawTask {
    /// Fences this attempt.
    pub token: TaskToken,
    /// The input's text, not yet looked at.
    pub input: String,
}

/// The four calls that a worker makes. Implement it to test an activity
/// against a Step Functions of your own.
pub trait StepFunctions: Send + Sync + 'static {
    /// Waits up to a minute for a task; `None` is normal.
    fn poll<'a>(
        &'a self,
        arn: &'a str,
        worker_name: &'a str,
    ) -> BoxFuture<'a, Result<Option<RawTask>, CallError>>;

    /// Proves that the attempt goes on.
    fn heartbeat<'a>(&'a self, token: &'a TaskToken) -> BoxFuture<'a, Result<(), CallError>>;

    /// Reports an output, as JSON text.
    fn succeed<'a>(
        &'a self,
        token: &'a TaskToken,
        output: &'a str,
    ) -> BoxFuture<'a, Result<(), CallError>>;

    /// Reports a failure.
    fn fail<'a>(
        &'a self,
        token: &'a TaskToken,
        error: &'a ActivityError,
    ) -> BoxFuture<'a, Result<(), CallError>>;
}

/// Why a call to Step Functions failed. Variants are causes; control flow reads
/// [`CallError::recovery`] only.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The token has expired or is unknown: somebody else has the task, or nobody.
    #[error("the attempt is closed: its token has expired or is unknown")]
    Closed,
    /// 1,000 polls are open on the activity already.
    #[error("too many workers poll this activity")]
    WorkerLimit,
    /// Too many calls a second.
    #[error("Step Functions throttles this account")]
    Throttled,
    /// Credentials are missing, expired, or do not allow the call.
    #[error("access was denied")]
    Denied(#[source] BoxError),
    /// No activity has this ARN.
    #[error("the activity does not exist")]
    NoSuchActivity(#[source] BoxError),
    /// Step Functions will never take what was sent.
    #[error("Step Functions refused what was sent")]
    Refused(#[source] BoxError),
    /// No answer in time: the connection hangs.
    #[error("no answer in time")]
    TimedOut,
    /// Step Functions cannot be reached, or is not well.
    #[error("Step Functions is unavailable")]
    Unavailable(#[source] BoxError),
}

/// What the worker does about a failed call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recovery {
    /// Try again, later each time.
    Retry,
    /// Try again slowly: a person must mend it.
    RetrySlowly,
    /// Stop work on this attempt and report nothing.
    AbandonTask,
    /// The same call will fail for ever.
    GiveUp,
}

impl CallError {
    /// What to do about it.
    pub fn recovery(&self) -> Recovery {
        match self {
            Self::Closed => Recovery::AbandonTask,
            Self::WorkerLimit | Self::Throttled | Self::TimedOut | Self::Unavailable(_) => {
                Recovery::Retry
            }
            Self::Denied(_) | Self::NoSuchActivity(_) => Recovery::RetrySlowly,
            Self::Refused(_) => Recovery::GiveUp,
        }
    }

    /// The label in metrics.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::WorkerLimit => "worker_limit",
            Self::Throttled => "throttled",
            Self::Denied(_) => "denied",
            Self::NoSuchActivity(_) => "no_such_activity",
            Self::Refused(_) => "refused",
            Self::TimedOut => "timed_out",
            Self::Unavailable(_) => "unavailable",
        }
    }

    /// The error and its causes on one line.
    pub(crate) fn chain(&self) -> String {
        chain(self)
    }
}

/// An error and its causes on one line, each said once.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let said = error.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        source = error.source();
    }
    text
}

/// AWS Step Functions, by two clients: a poll waits for more than a minute and a
/// report must not.
#[derive(Debug, Clone)]
pub struct AwsStepFunctions {
    polls: Client,
    reports: Client,
}

impl AwsStepFunctions {
    /// Makes the two clients.
    ///
    /// Neither retries inside the SDK: the worker does, and counts it. A long
    /// poll is a stalled stream by design, so that protection is off.
    pub fn new(aws: &SdkConfig) -> Self {
        let client = |timeout| {
            let timeouts = TimeoutConfig::builder()
                .connect_timeout(CONNECT_TIMEOUT)
                .operation_attempt_timeout(timeout)
                .build();
            let config = config::Builder::from(aws)
                .retry_config(RetryConfig::disabled())
                .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
                .timeout_config(timeouts)
                .build();
            Client::from_conf(config)
        };
        Self {
            polls: client(POLL_TIMEOUT),
            reports: client(REPORT_TIMEOUT),
        }
    }
}

impl StepFunctions for AwsStepFunctions {
    fn poll<'a>(
        &'a self,
        arn: &'a str,
        worker_name: &'a str,
    ) -> BoxFuture<'a, Result<Option<RawTask>, CallError>> {
        async move {
            let answer = self
                .polls
                .get_activity_task()
                .activity_arn(arn)
                .worker_name(worker_name)
                .send()
                .await
                .map_err(classify)?;
            let token = answer.task_token.filter(|token| !token.is_empty());
            Ok(token.map(|token| RawTask {
                token: TaskToken::new(token),
                input: answer.input.unwrap_or_default(),
            }))
        }
        .boxed()
    }

    fn heartbeat<'a>(&'a self, token: &'a TaskToken) -> BoxFuture<'a, Result<(), CallError>> {
        async move {
            let call = self
                .reports
                .send_task_heartbeat()
                .task_token(token.reveal());
            call.send().await.map(drop).map_err(classify)
        }
        .boxed()
    }

    fn succeed<'a>(
        &'a self,
        token: &'a TaskToken,
        output: &'a str,
    ) -> BoxFuture<'a, Result<(), CallError>> {
        async move {
            let call = self
                .reports
                .send_task_success()
                .task_token(token.reveal())
                .output(output);
            call.send().await.map(drop).map_err(classify)
        }
        .boxed()
    }

    fn fail<'a>(
        &'a self,
        token: &'a TaskToken,
        error: &'a ActivityError,
    ) -> BoxFuture<'a, Result<(), CallError>> {
        async move {
            let call = self
                .reports
                .send_task_failure()
                .task_token(token.reveal())
                .error(error.name())
                .cause(error.cause());
            call.send().await.map(drop).map_err(classify)
        }
        .boxed()
    }
}

fn classify<E, R>(error: SdkError<E, R>) -> CallError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    match &error {
        SdkError::TimeoutError(_) => CallError::TimedOut,
        SdkError::DispatchFailure(failure) if failure.is_timeout() => CallError::TimedOut,
        SdkError::ServiceError(service) => match service.err().code() {
            Some(code) => by_code(code, service.err().message()),
            None => CallError::Unavailable(Box::new(error)),
        },
        _ if lacks_credentials(&error) => CallError::Denied(Box::new(error)),
        _ => CallError::Unavailable(Box::new(error)),
    }
}

/// What an error code means. The message is kept only where a person needs it:
/// the one for a closed attempt may repeat the token.
fn by_code(code: &str, message: Option<&str>) -> CallError {
    let said = || -> BoxError { format!("{code}: {}", message.unwrap_or("no message")).into() };
    match code {
        "TaskTimedOut" | "TaskDoesNotExist" | "InvalidToken" => CallError::Closed,
        "ActivityWorkerLimitExceeded" => CallError::WorkerLimit,
        "TooManyRequestsException" | "RequestLimitExceeded" | "SlowDown" => CallError::Throttled,
        _ if code.contains("Throttl") => CallError::Throttled,
        "ActivityDoesNotExist" | "InvalidArn" => CallError::NoSuchActivity(said()),
        "InvalidOutput" | "ValidationException" | "SerializationException" => {
            // The message may quote the output: only the code is safe to show.
            CallError::Refused(code.to_owned().into())
        }
        "AccessDenied"
        | "AccessDeniedException"
        | "ExpiredToken"
        | "ExpiredTokenException"
        | "IncompleteSignature"
        | "InvalidClientTokenId"
        | "InvalidSignatureException"
        | "KmsAccessDeniedException"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "NotAuthorized"
        | "OptInRequired"
        | "SignatureDoesNotMatch"
        | "UnrecognizedClientException" => CallError::Denied(said()),
        _ => CallError::Unavailable(said()),
    }
}

fn lacks_credentials(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut source = Some(error);
    while let Some(error) = source {
        if error.is::<CredentialsError>() {
            return true;
        }
        source = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_has_its_recovery() {
        let cases = [
            ("TaskTimedOut", Recovery::AbandonTask),
            ("TaskDoesNotExist", Recovery::AbandonTask),
            ("InvalidToken", Recovery::AbandonTask),
            ("ActivityWorkerLimitExceeded", Recovery::Retry),
            ("ThrottlingException", Recovery::Retry),
            ("KmsThrottlingException", Recovery::Retry),
            ("InternalServerError", Recovery::Retry),
            ("AccessDeniedException", Recovery::RetrySlowly),
            ("ExpiredTokenException", Recovery::RetrySlowly),
            ("UnrecognizedClientException", Recovery::RetrySlowly),
            ("ActivityDoesNotExist", Recovery::RetrySlowly),
            ("InvalidOutput", Recovery::GiveUp),
        ];
        for (code, want) in cases {
            assert_eq!(by_code(code, Some("x")).recovery(), want, "{code}");
        }
    }

    #[test]
    fn a_message_that_may_hold_a_token_or_an_output_is_not_shown() {
        for code in ["InvalidToken", "InvalidOutput", "ValidationException"] {
            let text = by_code(code, Some("'AAAAsecret'")).chain();
            assert!(!text.contains("AAAAsecret"), "{text}");
        }
        let text = by_code("AccessDeniedException", Some("no states:GetActivityTask")).chain();
        assert!(text.contains("states:GetActivityTask"), "{text}");
    }
}
