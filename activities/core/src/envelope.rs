//! The envelope that our state machines put round an activity's input.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Which attempt of which execution's state a task is, from the context object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// `$$.Execution.Id`: the execution's ARN.
    pub execution: String,
    /// `$$.State.Name`.
    pub state: String,
    /// `$$.State.EnteredTime`. A retry does not enter the state again.
    pub entered: Timestamp,
    /// `$$.State.RetryCount`: 0 for the first attempt.
    #[serde(default)]
    pub retry: u32,
}

impl Attempt {
    /// How long the task waited for a worker, if that is known: the time from
    /// the entry of the state to the receipt, for first attempts only, since a
    /// retry does not enter the state anew. Never negative.
    pub fn wait(&self, received: Timestamp) -> Option<std::time::Duration> {
        if self.retry > 0 {
            return None;
        }
        Some(
            received
                .duration_since(self.entered)
                .try_into()
                .unwrap_or_default(),
        )
    }
}

/// A task's input taken apart: who asks, and what for.
#[derive(Debug, Clone, PartialEq)]
pub struct Envelope {
    /// Where the state machine said so.
    pub attempt: Option<Attempt>,
    /// The handler's input.
    pub input: Value,
}

/// Why a task's input is not one.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// Not JSON. The text itself is not shown: inputs may hold secrets.
    #[error("the input is not JSON (line {line}, column {column})")]
    NotJson {
        /// Counted from 1.
        line: usize,
        /// Counted from 1.
        column: usize,
    },
    /// The field `stepfleet` is there and is not ours.
    #[error(
        "the input's `stepfleet` must hold execution, state, entered and retry from the context object: {reason}"
    )]
    BadAttempt {
        /// What serde found wrong with it.
        reason: String,
    },
}

impl Envelope {
    /// Takes apart `{"stepfleet": {...}, "input": ...}`; anything without a
    /// `stepfleet` field is raw input, and its wait is unknown.
    ///
    /// # Errors
    /// If the text is not JSON, or its `stepfleet` field is not an [`Attempt`].
    pub fn parse(text: &str) -> Result<Self, EnvelopeError> {
        let mut value: Value =
            serde_json::from_str(text).map_err(|error| EnvelopeError::NotJson {
                line: error.line(),
                column: error.column(),
            })?;
        let Some(attempt) = value.get_mut("stepfleet").map(Value::take) else {
            return Ok(Self {
                attempt: None,
                input: value,
            });
        };
        let attempt: Attempt =
            serde_json::from_value(attempt).map_err(|error| EnvelopeError::BadAttempt {
                reason: error.to_string(),
            })?;
        let input = value
            .get_mut("input")
            .map(Value::take)
            .unwrap_or(Value::Null);
        Ok(Self {
            attempt: Some(attempt),
            input,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const OURS: &str = r#"{"stepfleet":{"execution":"arn:x","state":"Load","entered":"2026-01-01T00:00:00.5Z","retry":0},"input":{"a":1}}"#;

    #[test]
    fn ours_is_taken_apart_and_raw_input_is_kept() {
        let ours = Envelope::parse(OURS).expect("ours");
        assert_eq!(ours.input, serde_json::json!({"a": 1}));
        assert_eq!(ours.attempt.expect("an attempt").state, "Load");
        let raw = Envelope::parse(r#"{"input": 1}"#).expect("raw");
        assert_eq!(
            raw,
            Envelope {
                attempt: None,
                input: serde_json::json!({"input": 1})
            }
        );
    }

    #[test]
    fn what_is_not_json_or_not_ours_is_named_and_not_shown() {
        let text = Envelope::parse("{secret")
            .expect_err("not JSON")
            .to_string();
        assert!(
            text.contains("line 1") && !text.contains("secret"),
            "{text}"
        );
        let text = Envelope::parse(r#"{"stepfleet": {"state": "x"}}"#)
            .expect_err("not ours")
            .to_string();
        assert!(text.contains("execution"), "{text}");
    }

    #[test]
    fn the_wait_is_known_for_first_attempts_and_never_negative() {
        let mut attempt = Envelope::parse(OURS)
            .expect("ours")
            .attempt
            .expect("an attempt");
        let received: Timestamp = "2026-01-01T00:00:02Z".parse().expect("a time");
        assert_eq!(attempt.wait(received), Some(Duration::from_millis(1500)));
        assert_eq!(attempt.wait(Timestamp::UNIX_EPOCH), Some(Duration::ZERO));
        attempt.retry = 1;
        assert_eq!(attempt.wait(received), None);
    }
}
