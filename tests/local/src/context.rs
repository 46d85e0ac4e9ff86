//! What all services share.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use stepfleet_activity::Clock;

use crate::AwsError;
use crate::timers::Timers;

/// What all services share: who and where they pretend to be, and the clock.
#[derive(Debug, Clone)]
pub struct Context {
    /// The clock of everything here.
    pub clock: Arc<dyn Clock>,
    /// Twelve digits.
    pub account: String,
    /// The region of every ARN.
    pub region: String,
    /// Where the AWS port is reached, like `http://127.0.0.1:4566`.
    pub base_url: String,
    /// The folder for everything that is kept in files.
    pub dir: PathBuf,
    /// Length of one datapoint of the `AWS/States` metrics: AWS has 60 s.
    pub metric_resolution: Duration,
    /// How long after its end a datapoint can be read.
    pub metric_delay: Duration,
    /// Waits, in the same time as the clock's.
    pub timers: Timers,
}

impl Context {
    /// `arn:aws:<service>:<region>:<account>:<resource>`.
    pub fn arn(&self, service: &str, resource: &str) -> String {
        format!(
            "arn:aws:{service}:{}:{}:{resource}",
            self.region, self.account
        )
    }
}

/// Reads a request's body as the operation's input.
///
/// # Errors
/// `ValidationException`, with what serde found wrong.
pub fn read<T: DeserializeOwned>(body: Value) -> Result<T, AwsError> {
    serde_json::from_value(body).map_err(|error| AwsError::validation(error.to_string()))
}

/// A span as people write it, like `90s` or `9h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span(pub(crate) Duration);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        humantime::parse_duration(&text).map(Self).map_err(|error| {
            D::Error::custom(format!(
                "found `{text}`, allowed is a span like 200ms, 90s or 9h: {error}"
            ))
        })
    }
}
