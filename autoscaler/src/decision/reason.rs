//! Why a decision is what it is: a code for metrics, a sentence for people.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use stepfleet_activity::alarm::AlarmRole;
use strum::{IntoStaticStr, VariantNames};

/// Why the count changes.
#[derive(Debug, Clone, PartialEq, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub enum Why {
    /// Tasks of this activity wait too long.
    Breach {
        /// The activity.
        activity: String,
        /// The average wait, if it is known.
        wait: Option<Duration>,
        /// By how much the count grows before it is clamped.
        step: u32,
    },
    /// Tasks of this activity were scheduled and none starts.
    Starved {
        /// The activity.
        activity: String,
        /// By how much the count grows before it is clamped.
        step: u32,
    },
    /// All activities say that there are too many workers.
    Quiet {
        /// By how much the count shrinks before it is clamped and damped.
        step: u32,
    },
    /// The count is below the lower bound.
    BelowMin {
        /// The lower bound now.
        min: u32,
    },
    /// The count is above the upper bound.
    AboveMax {
        /// The upper bound now.
        max: u32,
    },
}

/// Why the count stays.
#[derive(Debug, Clone, PartialEq, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub enum Hold {
    /// No alarm asks for anything.
    NoBreach,
    /// The last step was too short a time ago.
    CoolingDown {
        /// Whether the step that waits is out.
        out: bool,
        /// Until when.
        until: Timestamp,
    },
    /// Out, and already at the upper bound (or above).
    AtMax {
        /// The upper bound now.
        max: u32,
    },
    /// In, and already at the lower bound.
    AtMin {
        /// The lower bound now.
        min: u32,
    },
    /// Somebody set the count to zero.
    Paused,
    /// Somebody changed the count.
    ChangedByHand {
        /// How long it is left alone.
        until: Timestamp,
    },
    /// A HorizontalPodAutoscaler is on the same Deployment.
    Autoscaled,
    /// Whether there is a HorizontalPodAutoscaler could not be read.
    AutoscaledUnknown,
    /// A level is not known; unknown never scales in.
    Unknown {
        /// The activity.
        activity: String,
        /// Which of its levels.
        role: AlarmRole,
    },
    /// A higher count was recommended within the stabilization window.
    Stabilizing {
        /// The highest recommendation.
        floor: u32,
        /// The window.
        window: Duration,
    },
    /// A step in now would be taken back at once.
    AnticipatedReversal {
        /// The count that the step would lead to.
        to: u32,
        /// The last count that is known to be, or reckoned to be, too low.
        short: u32,
    },
    /// The direction changed too often.
    FlapBudget {
        /// Reversals in the span.
        used: u32,
        /// How many are allowed.
        allowed: u32,
        /// The span.
        per: Duration,
    },
    /// The Deployment's mode is `recommend`.
    Recommended {
        /// The count that would have been set.
        to: u32,
        /// Why.
        why: Why,
    },
}

// === impl Why ===

impl Why {
    /// The code: a metric's label and an Event's reason.
    pub fn as_str(&self) -> &'static str {
        self.into()
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Breach {
                activity,
                wait: Some(wait),
                step,
            } => write!(
                f,
                "tasks of {activity} wait {} on average: step +{step}",
                seconds(*wait)
            ),
            Self::Breach {
                activity,
                wait: None,
                step,
            } => write!(
                f,
                "tasks of {activity} wait too long, how long is not known: smallest step +{step}"
            ),
            Self::Starved { activity, step } => write!(
                f,
                "tasks of {activity} were scheduled and none starts: smallest step +{step}"
            ),
            Self::Quiet { step } => write!(f, "tasks hardly wait: step -{step}"),
            Self::BelowMin { min } => write!(f, "the count is below the lower bound {min}"),
            Self::AboveMax { max } => write!(f, "the count is above the upper bound {max}"),
        }
    }
}

// === impl Hold ===

impl Hold {
    /// The code: a metric's label.
    pub fn as_str(&self) -> &'static str {
        self.into()
    }
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoBreach => f.write_str("no alarm asks for a change"),
            Self::CoolingDown { out, until } => {
                let way = if *out { "out" } else { "in" };
                write!(f, "the next step {way} waits until {until:.0}")
            }
            Self::AtMax { max } => write!(f, "already at the upper bound {max}"),
            Self::AtMin { min } => write!(f, "already at the lower bound {min}"),
            Self::Paused => f.write_str("zero replicas: paused by hand, set a count to go on"),
            Self::ChangedByHand { until } => {
                write!(
                    f,
                    "the count was changed by hand: left alone until {until:.0}"
                )
            }
            Self::Autoscaled => f.write_str(
                "a HorizontalPodAutoscaler is on this Deployment: remove one of the two",
            ),
            Self::AutoscaledUnknown => {
                f.write_str("whether a HorizontalPodAutoscaler is on this Deployment is not known")
            }
            Self::Unknown { activity, role } => write!(
                f,
                "the level `{}` of {activity} is not known, and unknown never scales in",
                role.as_str()
            ),
            Self::Stabilizing { floor, window } => write!(
                f,
                "{floor} replicas were recommended within the last {}",
                seconds(*window)
            ),
            Self::AnticipatedReversal { to, short } => {
                write!(f, "{to} replicas would be too few at once: {short} were")
            }
            Self::FlapBudget { used, allowed, per } => write!(
                f,
                "the direction changed {used} times in {}, {allowed} are allowed",
                seconds(*per)
            ),
            Self::Recommended { to, why } => {
                write!(f, "mode recommend: {to} replicas, since {why}")
            }
        }
    }
}

fn seconds(span: Duration) -> String {
    format!("{:.1} s", span.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use stepfleet_docs::{Table, check_table};
    use strum::VariantNames as _;

    use super::*;

    #[test]
    fn the_reference_has_every_reason() {
        let page = "docs/reference.md";
        for (name, codes) in [("steps", Why::VARIANTS), ("holds", Hold::VARIANTS)] {
            let table = Table { page, name };
            check_table(table, codes.iter().copied()).expect("the table");
        }
    }
}
