//! Datapoints: by metric, in slots of the metric's resolution.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::AwsError;

/// How long datapoints are kept, in seconds: nothing here looks further back.
const RETENTION: i64 = 2 * 86_400;

/// A metric's dimension.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Dimension {
    pub(super) name: String,
    pub(super) value: String,
}

/// What names a metric.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct MetricId {
    pub(super) namespace: String,
    pub(super) metric_name: String,
    #[serde(default)]
    pub(super) dimensions: Vec<Dimension>,
}

impl MetricId {
    /// The same metric whichever way its dimensions are written.
    fn key(&self) -> Self {
        let mut key = self.clone();
        key.dimensions.sort();
        key
    }

    /// Whether AWS emits it: then nobody else does, and it has a minute's resolution.
    pub(super) fn is_of_aws(&self) -> bool {
        self.namespace.starts_with("AWS/")
    }
}

/// What is known of the values in a slot.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Summary {
    pub(super) sum: f64,
    pub(super) minimum: f64,
    pub(super) maximum: f64,
    pub(super) count: f64,
}

impl Summary {
    /// One value, `count` times.
    pub(super) fn of(value: f64, count: f64) -> Self {
        Self {
            sum: value * count,
            minimum: value,
            maximum: value,
            count,
        }
    }

    fn add(&mut self, other: Self) {
        self.sum += other.sum;
        self.minimum = self.minimum.min(other.minimum);
        self.maximum = self.maximum.max(other.maximum);
        self.count += other.count;
    }

    fn get(&self, statistic: Statistic) -> f64 {
        match statistic {
            Statistic::Average => self.sum / self.count,
            Statistic::Sum => self.sum,
            Statistic::Minimum => self.minimum,
            Statistic::Maximum => self.maximum,
            Statistic::SampleCount => self.count,
        }
    }
}

/// What is said of a period's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Statistic {
    Average,
    Sum,
    Minimum,
    Maximum,
    SampleCount,
}

/// A stretch of whole periods, in seconds since 1970: `start` is in it, `end` is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) period: i64,
}

impl Range {
    /// The starts of its periods.
    pub(super) fn periods(self) -> impl Iterator<Item = i64> {
        let count = (self.end - self.start).max(0) / self.period;
        (0..count).map(move |n| self.start + n * self.period)
    }
}

/// Values by the start of their period.
pub(super) type Series = BTreeMap<i64, f64>;

/// The slot of a time: the last whole multiple of `length` seconds.
pub(super) fn floor(second: i64, length: i64) -> i64 {
    second.div_euclid(length) * length
}

/// All datapoints.
#[derive(Debug)]
pub(super) struct Store {
    /// Of metrics that AWS emits, in seconds.
    resolution: i64,
    delay: i64,
    metrics: BTreeMap<MetricId, BTreeMap<i64, Summary>>,
}

impl Store {
    /// AWS's own metrics come in slots of `resolution`, `delay` after a slot's end.
    pub(super) fn new(resolution: Duration, delay: Duration) -> Self {
        let seconds = |span: Duration| i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
        Self {
            resolution: seconds(resolution).max(1),
            delay: seconds(delay),
            metrics: BTreeMap::new(),
        }
    }

    /// How long after its end a period of this metric can be read, in seconds.
    pub(super) fn delay(&self, metric: &MetricId) -> i64 {
        if metric.is_of_aws() { self.delay } else { 0 }
    }

    /// Takes a datapoint that AWS emits.
    pub(super) fn emit(&mut self, metric: &MetricId, value: f64, at: Timestamp) {
        let slot = floor(at.as_second(), self.resolution);
        self.put(metric, slot, Summary::of(value, 1.0));
    }

    /// Takes a datapoint into the slot that starts at `slot`.
    pub(super) fn put(&mut self, metric: &MetricId, slot: i64, summary: Summary) {
        let slots = self.metrics.entry(metric.key()).or_default();
        slots
            .entry(slot)
            .and_modify(|known| known.add(summary))
            .or_insert(summary);
        if let Some((newest, _)) = slots.last_key_value() {
            let kept = slots.split_off(&(newest - RETENTION));
            *slots = kept;
        }
    }

    /// The statistic of each period of the range that has a datapoint which
    /// can be read by `now`.
    pub(super) fn read(
        &self,
        (metric, statistic): (&MetricId, Statistic),
        range: Range,
        now: Timestamp,
    ) -> Series {
        let Some(slots) = self.metrics.get(&metric.key()) else {
            return Series::new();
        };
        if range.start >= range.end {
            return Series::new();
        }
        let last = if metric.is_of_aws() {
            now.as_second() - self.delay - self.resolution
        } else {
            now.as_second()
        };
        let mut periods: BTreeMap<i64, Summary> = BTreeMap::new();
        let readable = slots.range(range.start..range.end);
        for (slot, summary) in readable.filter(|(slot, _)| **slot <= last) {
            periods
                .entry(floor(*slot, range.period))
                .and_modify(|known| known.add(*summary))
                .or_insert(*summary);
        }
        let value = |(start, summary): (i64, Summary)| (start, summary.get(statistic));
        periods.into_iter().map(value).collect()
    }

    /// Refuses a period that this metric does not come in.
    pub(super) fn check_period(&self, metric: &MetricId, period: i64) -> Result<(), AwsError> {
        let short = matches!(period, 1 | 5 | 10 | 20 | 30);
        if !short && (period < 60 || period % 60 != 0) {
            return Err(AwsError::validation(format!(
                "Period is 1, 5, 10, 20, 30 or a multiple of 60 seconds, not {period}"
            )));
        }
        if metric.is_of_aws() && period % self.resolution != 0 {
            return Err(AwsError::validation(format!(
                "{} come every {} s: a Period of {period} s cannot be had of them",
                metric.namespace, self.resolution
            )));
        }
        Ok(())
    }
}
