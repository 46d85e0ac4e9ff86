//! Durations, percentages, amounts and names.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::Checker;
use crate::catalogue::raw::{RawAmount, RawDuration, RawPercent};
use crate::catalogue::types::Amount;

/// The longest that Step Functions can wait for a task: 99,999,999 seconds.
const LONGEST: Duration = Duration::from_secs(99_999_999);
/// Durations of people: above nothing, up to a year.
pub(super) const ANY: RangeInclusive<Duration> =
    Duration::from_millis(1)..=Duration::from_secs(366 * 86_400);
/// What `TimeoutSeconds` and `HeartbeatSeconds` take.
pub(super) const SECONDS: RangeInclusive<Duration> = Duration::from_secs(1)..=LONGEST;
/// The most replicas that a bound or a step can say.
pub(super) const MAX_REPLICAS: u32 = 100_000;

impl Checker<'_, '_> {
    /// A duration in a range; `default` where none is written.
    pub(super) fn duration(
        &mut self,
        at: &str,
        raw: Option<&RawDuration>,
        default: Duration,
        range: RangeInclusive<Duration>,
    ) -> Option<Duration> {
        let Some(RawDuration(text)) = raw else {
            return Some(default);
        };
        let Ok(value) = humantime::parse_duration(text) else {
            self.fault(
                at,
                format!("found `{text}`; allowed is a duration like `90s`, `15m` or `1h 30m`"),
            );
            return None;
        };
        if !range.contains(&value) {
            self.fault(
                at,
                format!(
                    "found `{text}`; allowed is {} to {}",
                    show(*range.start()),
                    show(*range.end())
                ),
            );
            return None;
        }
        Some(value)
    }

    /// A percentage above 0, up to `most`.
    pub(super) fn percent(&mut self, at: &str, raw: &RawPercent, most: f64) -> Option<f64> {
        let RawPercent(text) = raw;
        let value = parse_percent(text).filter(|value| *value > 0.0 && *value <= most);
        if value.is_none() {
            self.fault(
                at,
                format!("found `{text}`; allowed is a percentage above 0% and up to {most}%"),
            );
        }
        value
    }

    /// A number of replicas or a percentage, at least 1 or above 0%.
    pub(super) fn amount(&mut self, at: &str, raw: &RawAmount, most: f64) -> Option<Amount> {
        match raw {
            RawAmount::Replicas(count) if (1..=MAX_REPLICAS).contains(count) => {
                Some(Amount::Replicas(*count))
            }
            RawAmount::Replicas(count) => {
                self.fault(
                    at,
                    format!("found {count}; allowed is 1 to {MAX_REPLICAS} replicas, or a percentage like `20%`"),
                );
                None
            }
            RawAmount::Percent(percent) => self.percent(at, percent, most).map(Amount::Percent),
        }
    }

    /// A whole number in a range; `default` where none is written.
    pub(super) fn count(
        &mut self,
        at: &str,
        raw: Option<u32>,
        default: u32,
        range: RangeInclusive<u32>,
    ) -> Option<u32> {
        let value = raw.unwrap_or(default);
        if range.contains(&value) {
            return Some(value);
        }
        self.fault(
            at,
            format!(
                "found {value}; allowed is {} to {}",
                range.start(),
                range.end()
            ),
        );
        None
    }
}

/// `5%` or `0.5%`: digits, at most one point, the sign.
pub(super) fn parse_percent(text: &str) -> Option<f64> {
    let number = text.strip_suffix('%')?.trim_end();
    let plain = number.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if !plain || !number.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    number.parse().ok()
}

/// A duration as it is written in the file.
pub(super) fn show(duration: Duration) -> String {
    format!("`{}`", humantime::format_duration(duration))
}

/// Whether AWS takes it in the name of an activity, an alarm and a queue.
pub(super) fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// Whether Kubernetes takes it as a name: lower case, digits, inner hyphens.
pub(super) fn is_cluster_name(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    text.len() <= 63
        && text.bytes().all(|b| inner(b) || b == b'-')
        && text.bytes().next().is_some_and(inner)
        && text.bytes().last().is_some_and(inner)
}
