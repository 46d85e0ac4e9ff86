//! How executions end.

use jiff::Timestamp;
use serde_json::json;

use super::failure::Failure;
use super::history::{Event, failed};

/// How an execution ended.
#[derive(Debug, Clone)]
pub(super) enum End {
    Succeeded(String),
    Failed(Failure),
    TimedOut,
    Aborted(Failure),
}

// === impl End ===

impl End {
    pub(super) fn event(&self, at: Timestamp) -> Event {
        let failure = |why: &Failure| failed(why.error.as_deref(), why.cause.as_deref());
        match self {
            Self::Succeeded(output) => Event::new(at, "ExecutionSucceeded")
                .with("executionSucceededEventDetails", &json!({"output": output})),
            Self::Failed(why) => {
                Event::new(at, "ExecutionFailed").with("executionFailedEventDetails", &failure(why))
            }
            Self::TimedOut => Event::new(at, "ExecutionTimedOut"),
            Self::Aborted(why) => Event::new(at, "ExecutionAborted")
                .with("executionAbortedEventDetails", &failure(why)),
        }
    }

    pub(super) fn status(&self) -> &'static str {
        match self {
            Self::Succeeded(_) => "SUCCEEDED",
            Self::Failed(_) => "FAILED",
            Self::TimedOut => "TIMED_OUT",
            Self::Aborted(_) => "ABORTED",
        }
    }
}
