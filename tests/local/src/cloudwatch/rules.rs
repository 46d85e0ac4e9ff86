//! When an alarm changes: M of N, and what a missing datapoint is.

use serde::{Deserialize, Serialize};

/// An alarm's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AlarmState {
    /// Within the threshold.
    Ok,
    /// Across the threshold.
    Alarm,
    /// Not known.
    InsufficientData,
}

impl AlarmState {
    /// As the API writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Alarm => "ALARM",
            Self::InsufficientData => "INSUFFICIENT_DATA",
        }
    }
}

/// What a period without a datapoint counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Treatment {
    #[default]
    Missing,
    Ignore,
    Breaching,
    NotBreaching,
}

impl Treatment {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Ignore => "ignore",
            Self::Breaching => "breaching",
            Self::NotBreaching => "notBreaching",
        }
    }
}

/// How a value and the threshold are compared.
#[expect(clippy::enum_variant_names, reason = "the API's names")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Comparison {
    GreaterThanThreshold,
    GreaterThanOrEqualToThreshold,
    LessThanThreshold,
    LessThanOrEqualToThreshold,
}

impl Comparison {
    pub(super) fn breaches(self, value: f64, threshold: f64) -> bool {
        match self {
            Self::GreaterThanThreshold => value > threshold,
            Self::GreaterThanOrEqualToThreshold => value >= threshold,
            Self::LessThanThreshold => value < threshold,
            Self::LessThanOrEqualToThreshold => value <= threshold,
        }
    }

    /// For a reason's prose.
    pub(super) const fn said(self) -> &'static str {
        match self {
            Self::GreaterThanThreshold => "greater than",
            Self::GreaterThanOrEqualToThreshold => "greater than or equal to",
            Self::LessThanThreshold => "less than",
            Self::LessThanOrEqualToThreshold => "less than or equal to",
        }
    }
}

/// M of N.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule {
    /// M.
    pub(super) to_alarm: usize,
    /// N.
    pub(super) periods: usize,
    pub(super) missing: Treatment,
}

impl Rule {
    /// How many periods are looked at: more than N, so that a late datapoint
    /// counts. AWS does not say how many; its examples have 5 for an N of 3.
    pub(super) const fn looked_at(self) -> usize {
        self.periods + 2
    }

    /// The state by the newest periods, oldest first: breaching, not, or
    /// missing. `None`: it stays as it is.
    pub(super) fn state(self, points: &[Option<bool>]) -> Option<AlarmState> {
        let alarm_if = |alarm: bool| {
            Some(if alarm {
                AlarmState::Alarm
            } else {
                AlarmState::Ok
            })
        };
        let real: Vec<bool> = points.iter().copied().flatten().collect();
        let newest = &real[real.len().saturating_sub(self.periods)..];
        let breaching = newest.iter().filter(|breaches| **breaches).count();
        let lacking = self.periods - newest.len();
        if lacking == 0 || breaching >= self.to_alarm {
            return alarm_if(breaching >= self.to_alarm);
        }
        match self.missing {
            Treatment::Breaching => alarm_if(breaching + lacking >= self.to_alarm),
            Treatment::NotBreaching => Some(AlarmState::Ok),
            _ if newest.contains(&false) => Some(AlarmState::Ok),
            Treatment::Ignore => None,
            // Nothing but breaches, and the oldest long ago: as if they had gone on.
            Treatment::Missing => {
                let oldest = points.iter().position(|point| *point == Some(true));
                let age = oldest.map_or(0, |at| points.len() - at);
                Some(if age >= self.to_alarm && breaching > 0 {
                    AlarmState::Alarm
                } else {
                    AlarmState::InsufficientData
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(text: &str) -> Vec<Option<bool>> {
        let point = |c| match c {
            '0' => Some(false),
            'X' => Some(true),
            _ => None,
        };
        text.chars().map(point).collect()
    }

    fn short(state: Option<AlarmState>) -> &'static str {
        match state {
            None => "-",
            Some(AlarmState::Ok) => "ok",
            Some(AlarmState::Alarm) => "alarm",
            Some(AlarmState::InsufficientData) => "insufficient",
        }
    }

    /// The two tables of the CloudWatch user guide.
    #[test]
    fn missing_data_counts_as_the_user_guide_says() {
        let table = [
            (3, "0-X-X", ["ok", "ok", "ok", "ok"]),
            (3, "0----", ["ok", "ok", "ok", "ok"]),
            (3, "-----", ["insufficient", "-", "alarm", "ok"]),
            (3, "0XX-X", ["alarm", "alarm", "alarm", "alarm"]),
            (3, "----X", ["insufficient", "-", "alarm", "ok"]),
            (3, "X----", ["alarm", "-", "alarm", "ok"]),
            (2, "0-X-X", ["alarm", "alarm", "alarm", "alarm"]),
            (2, "00X0X", ["alarm", "alarm", "alarm", "alarm"]),
            (2, "0-X--", ["ok", "ok", "alarm", "ok"]),
            (2, "----0", ["ok", "ok", "alarm", "ok"]),
            (2, "----X", ["insufficient", "-", "alarm", "ok"]),
        ];
        let treatments = [
            Treatment::Missing,
            Treatment::Ignore,
            Treatment::Breaching,
            Treatment::NotBreaching,
        ];
        for (to_alarm, text, wanted) in table {
            for (missing, wanted) in treatments.into_iter().zip(wanted) {
                let rule = Rule {
                    to_alarm,
                    periods: 3,
                    missing,
                };
                let state = rule.state(&points(text));
                assert_eq!(short(state), wanted, "{to_alarm} of 3, {text}, {missing:?}");
            }
        }
    }

    #[test]
    fn comparisons_at_the_threshold() {
        use Comparison::*;
        let table = [
            (GreaterThanThreshold, [false, false, true]),
            (GreaterThanOrEqualToThreshold, [false, true, true]),
            (LessThanThreshold, [true, false, false]),
            (LessThanOrEqualToThreshold, [true, true, false]),
        ];
        for (comparison, wanted) in table {
            assert_eq!(
                [1.0, 2.0, 3.0].map(|value| comparison.breaches(value, 2.0)),
                wanted,
                "{comparison:?}"
            );
        }
    }
}
