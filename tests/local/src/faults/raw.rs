//! A plan as it is written.

use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize};

use crate::context::Span;

/// All of a plan.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPlan {
    /// What probabilities are drawn from: the same seed, the same calls.
    #[serde(default)]
    pub(super) seed: u64,
    #[serde(default)]
    pub(super) faults: Vec<RawRule>,
}

/// One fault: which calls, which of them, and what happens to them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRule {
    pub(super) name: Option<String>,
    pub(super) on: String,
    pub(super) resource: Option<String>,
    pub(super) when: Option<RawWhen>,
    pub(super) per: Option<Per>,
    pub(super) latency: Option<Span>,
    pub(super) error: Option<RawError>,
    pub(super) throttle: Option<Yes>,
    pub(super) hang_up: Option<Moment>,
    pub(super) duplicate: Option<Yes>,
    pub(super) reorder: Option<Yes>,
    pub(super) lose: Option<Yes>,
    pub(super) kill: Option<Moment>,
}

/// Which of the calls that match; one of these.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawWhen {
    pub(super) nth: Option<u64>,
    pub(super) first: Option<u64>,
    pub(super) every: Option<u64>,
    pub(super) probability: Option<f64>,
}

/// An error that a service answers.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawError {
    pub(super) code: String,
    #[serde(default = "internal")]
    pub(super) status: u16,
    pub(super) message: Option<String>,
}

fn internal() -> u16 {
    500
}

/// Whose calls are counted together.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Per {
    /// Those of one process.
    Caller,
}

/// Before the call has its effect, or after it and before its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Moment {
    /// Nothing was done.
    Before,
    /// All was done, and the caller does not hear of it.
    After,
}

/// `true`: what is not wanted is left out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Yes;

impl<'de> Deserialize<'de> for Yes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if bool::deserialize(deserializer)? {
            Ok(Self)
        } else {
            Err(D::Error::custom(
                "found `false`, allowed is `true`, or to leave it out",
            ))
        }
    }
}
