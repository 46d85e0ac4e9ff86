//! The envelope that our state machines put round an activity's input.

use jiff::Timestamp;
use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

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
#[derive(Debug, Clone)]
pub struct Envelope {
    /// Where the state machine said so.
    pub attempt: Option<Attempt>,
    /// The handler's input, byte for byte as it was written.
    pub input: Box<RawValue>,
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
    /// Of the input nothing is read, so that nothing of it changes: numbers keep
    /// their digits, objects the order of their keys, texts their escapes.
    ///
    /// # Errors
    /// If the text is not JSON, or its `stepfleet` field is not an [`Attempt`].
    pub fn parse(text: &str) -> Result<Self, EnvelopeError> {
        let whole: &RawValue = serde_json::from_str(text).map_err(|error| not_json(&error))?;
        let Parts { stepfleet, input } = Parts::of(whole).map_err(|error| not_json(&error))?;
        let Some(attempt) = stepfleet else {
            return Ok(Self {
                attempt: None,
                input: whole.to_owned(),
            });
        };
        let attempt: Attempt =
            serde_json::from_str(attempt.get()).map_err(|error| EnvelopeError::BadAttempt {
                reason: error.to_string(),
            })?;
        Ok(Self {
            attempt: Some(attempt),
            input: input.unwrap_or(RawValue::NULL).to_owned(),
        })
    }
}

fn not_json(error: &serde_json::Error) -> EnvelopeError {
    EnvelopeError::NotJson {
        line: error.line(),
        column: error.column(),
    }
}

/// What an envelope is made of; of a key that comes twice the last one counts.
#[derive(Debug, Default)]
struct Parts<'a> {
    stepfleet: Option<&'a RawValue>,
    input: Option<&'a RawValue>,
}

// === impl Parts ===

impl<'a> Parts<'a> {
    /// Nothing, where it is no object.
    fn of(whole: &'a RawValue) -> serde_json::Result<Self> {
        if !whole.get().starts_with('{') {
            return Ok(Self::default());
        }
        serde_json::Deserializer::from_str(whole.get()).deserialize_map(PartsVisitor)
    }
}

struct PartsVisitor;

impl<'de> Visitor<'de> for PartsVisitor {
    type Value = Parts<'de>;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Parts<'de>, A::Error> {
        let mut parts = Parts::default();
        // As it is written: a key that is no Unicode (half a surrogate pair) is
        // somebody's input as well.
        while let Some(key) = map.next_key::<&RawValue>()? {
            let value = map.next_value::<&RawValue>()?;
            let key: Option<String> = serde_json::from_str(key.get()).ok();
            match key.as_deref() {
                Some("stepfleet") => parts.stepfleet = Some(value),
                Some("input") => parts.input = Some(value),
                _ => {}
            }
        }
        Ok(parts)
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
        assert_eq!(ours.input.get(), r#"{"a":1}"#);
        assert_eq!(ours.attempt.expect("an attempt").state, "Load");
        let raw = Envelope::parse(r#"{"input": 1}"#).expect("raw");
        assert!(raw.attempt.is_none());
        assert_eq!(raw.input.get(), r#"{"input": 1}"#);
    }

    #[test]
    fn inputs_pass_byte_for_byte() {
        let deep = format!("{}{}", "[".repeat(120), "]".repeat(120));
        let deeper = format!("{}{}", r#"{"a":"#.repeat(50_000), "}".repeat(50_000));
        let deeper = deeper.replace(r#"{"a":}"#, r#"{"a":1}"#);
        for input in [
            "123456789012345678901234567890",
            "-123456789012345678901234567890.10",
            "1e400",
            "-0.0",
            "-0",
            "1.10",
            "0.1e-7",
            "1E+2",
            r#"{"b": 1, "a": 2, "b": 3.0}"#,
            r#""\u00e9\/é\ud83d\ude00""#,
            r#"{"\ud800": "\udfff", "stepflee": "\ud800"}"#,
            r#"[ 1 ,{ } , null]"#,
            &deep,
            &deeper,
        ] {
            let raw = Envelope::parse(&format!(" {input}\n")).expect("raw");
            assert_eq!(raw.input.get(), input);
            let ours = OURS.replace(r#"{"a":1}"#, input);
            let ours = Envelope::parse(&ours).expect("ours");
            assert!(ours.attempt.is_some() && ours.input.get() == input);
        }
        let bare = OURS.replace(r#","input":{"a":1}"#, "");
        let bare = Envelope::parse(&bare).expect("ours without an input");
        assert_eq!(bare.input.get(), "null");
    }

    #[test]
    fn a_key_is_what_it_says_however_it_is_written_and_the_last_one_counts() {
        let twice = OURS.replacen(r#"{"stepfleet""#, r#"{"input":0,"st\u0065pfleet""#, 1);
        let ours = Envelope::parse(&twice).expect("ours");
        assert_eq!(ours.input.get(), r#"{"a":1}"#);
        assert_eq!(ours.attempt.expect("an attempt").state, "Load");
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
