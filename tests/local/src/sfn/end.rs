//! How executions end.

use jiff::Timestamp;
use serde_json::json;

use super::failure::Failure;
use super::history::Event;

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
        match self {
            Self::Succeeded(output) => Event::new(at, "ExecutionSucceeded")
                .with("executionSucceededEventDetails", json!({"output": output})),
            Self::Failed(why) => Event::new(at, "ExecutionFailed").failed(
                "executionFailedEventDetails",
                why.error.as_deref(),
                why.cause.as_deref(),
            ),
            Self::TimedOut => Event::new(at, "ExecutionTimedOut"),
            Self::Aborted(why) => Event::new(at, "ExecutionAborted").failed(
                "executionAbortedEventDetails",
                why.error.as_deref(),
                why.cause.as_deref(),
            ),
        }
    }
}
