//! A task as Step Functions hands it out, and what goes with it while it runs.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::value::RawValue;

use crate::Attempt;

/// How many characters of a token a log may show.
const SHOWN: usize = 8;

/// The token that fences one attempt of a task.
///
/// Whoever holds it may report in the attempt's name, so it has no `Display`
/// and no `Serialize`, and `Debug` shows its first 8 characters only.
///
/// ```
/// let token = stepfleet_activity::TaskToken::new("AQDAAAAKgAAA");
/// assert_eq!(format!("{token:?}"), "TaskToken(AQDAAAAK…)");
/// ```
/// ```compile_fail,E0277
/// let token = stepfleet_activity::TaskToken::new("AQDAAAAKgAAA");
/// println!("{token}");
/// ```
/// ```compile_fail,E0277
/// let token = stepfleet_activity::TaskToken::new("AQDAAAAKgAAA");
/// let _ = serde_json::to_string(&token);
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct TaskToken(Arc<str>);

impl TaskToken {
    /// Wraps a token as `GetActivityTask` returned it.
    pub fn new(token: impl Into<Arc<str>>) -> Self {
        Self(token.into())
    }

    /// The whole token, for a call to Step Functions and for nothing else.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// The first 8 characters: enough to find a task in a log.
    pub fn short(&self) -> &str {
        let end = self
            .0
            .char_indices()
            .nth(SHOWN)
            .map_or(self.0.len(), |(at, _)| at);
        &self.0[..end]
    }
}

impl fmt::Debug for TaskToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "TaskToken({}…)", self.short())
    }
}

/// One attempt of an activity, as it was polled.
#[derive(Debug, Clone)]
pub struct ActivityTask {
    /// The activity's name in the catalogue.
    pub name: Arc<str>,
    /// Fences this attempt.
    pub token: TaskToken,
    /// What the handler gets: the envelope's `input`, or the raw input, as it was
    /// written. A handler that passes parts of it on keeps those as [`RawValue`]
    /// too: a [`serde_json::Value`] holds 64 bits of a number and no more.
    pub input: Box<RawValue>,
    /// What goes with the task while it runs.
    pub context: TaskContext,
}

/// What a handler returns: the text of any JSON value of at most 262,144 bytes
/// (larger ones go to S3 where the activity names a bucket). It is reported as it is.
pub type Output = Box<RawValue>;

/// What goes with a task while it runs. Cancellation is not in it: a task that
/// is closed has its handler's future dropped.
#[derive(Debug, Clone)]
pub struct TaskContext {
    /// Which attempt of which execution's state this is, where the state
    /// machine said so. Idempotency keys come from here, never from the token.
    pub attempt: Option<Attempt>,
    /// When the attempt was received.
    pub received: Timestamp,
    /// When the attempt times out: its receipt plus the activity's timeout.
    pub deadline: Timestamp,
    /// How often a heartbeat is sent: a third of the state's heartbeat.
    pub heartbeat_interval: Duration,
    /// Where the handler says how far it is.
    pub progress: Progress,
}

/// How far a handler is, for logs and metrics. Heartbeats carry no detail in
/// Step Functions, so this never leaves the worker.
#[derive(Debug, Clone, Default)]
pub struct Progress(Arc<Mutex<Option<Arc<str>>>>);

impl Progress {
    /// Says what the handler does now, in a few words without secrets.
    pub fn set(&self, what: impl Into<Arc<str>>) {
        *self
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = Some(what.into());
    }

    /// What the handler said last.
    pub fn get(&self) -> Option<Arc<str>> {
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_eight_characters_of_a_token() {
        let token = TaskToken::new("ÄAAAKgAAAAIAAAAAAAAAAQ");
        assert_eq!(format!("{token:?}"), "TaskToken(ÄAAAKgAA…)");
        assert_eq!(TaskToken::new("abc").short(), "abc");
    }

    proptest::proptest! {
        #[test]
        fn a_task_that_is_logged_never_shows_its_token(start in "[A-Za-z0-9+/]{8}", rest in "[A-Za-z0-9+/]{9,90}") {
            let task = ActivityTask {
                name: "load".into(),
                token: TaskToken::new(format!("{start}{rest}")),
                input: RawValue::NULL.to_owned(),
                context: TaskContext {
                    attempt: None,
                    received: Timestamp::UNIX_EPOCH,
                    deadline: Timestamp::UNIX_EPOCH,
                    heartbeat_interval: Duration::from_secs(1),
                    progress: Progress::default(),
                },
            };
            let shown = format!("{task:?} {:?} {task:#?}", task.token.clone());
            let token = format!("TaskToken({start}…)");
            proptest::prop_assert!(shown.contains(&token), "{shown}");
            proptest::prop_assert!(!shown.contains(&rest), "{shown}");
        }
    }
}
