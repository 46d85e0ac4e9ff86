//! Datapoints: by metric, in slots of the metric's resolution.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::statistic::{Statistic, Summary};
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
    metrics: BTreeMap<MetricId, Metric>,
}

/// What is kept of a metric.
#[derive(Debug, Default)]
struct Metric {
    /// As its last datapoint had it.
    unit: Option<String>,
    slots: BTreeMap<i64, Summary>,
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
        let unit = if metric.metric_name.ends_with("Time") {
            "Milliseconds"
        } else {
            "Count"
        };
        self.put(metric, slot, Summary::of(value, 1.0));
        self.set_unit(metric, unit);
    }

    /// Says what the metric's numbers are.
    pub(super) fn set_unit(&mut self, metric: &MetricId, unit: &str) {
        if let Some(metric) = self.metrics.get_mut(&metric.key()) {
            metric.unit = Some(unit.to_owned());
        }
    }

    /// `None` where nobody said.
    pub(super) fn unit(&self, metric: &MetricId) -> &str {
        let known = self.metrics.get(&metric.key());
        let unit = known.and_then(|metric| metric.unit.as_deref());
        unit.unwrap_or("None")
    }

    /// Every metric, and when it last had a datapoint.
    pub(super) fn metrics(&self) -> impl Iterator<Item = (&MetricId, i64)> {
        let metrics = self.metrics.iter();
        metrics.filter_map(|(id, metric)| Some((id, *metric.slots.last_key_value()?.0)))
    }

    /// Takes a datapoint into the slot that starts at `slot`.
    pub(super) fn put(&mut self, metric: &MetricId, slot: i64, summary: Summary) {
        let Metric { slots, .. } = self.metrics.entry(metric.key()).or_default();
        match slots.get_mut(&slot) {
            Some(known) => known.add(&summary),
            None => drop(slots.insert(slot, summary)),
        }
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
        let periods = self.summaries(metric, range, now).into_iter();
        let value = |(start, summary): (i64, Summary)| Some((start, summary.get(statistic)?));
        periods.filter_map(value).collect()
    }

    /// All that is known of each period of the range that has a datapoint
    /// which can be read by `now`.
    pub(super) fn summaries(
        &self,
        metric: &MetricId,
        range: Range,
        now: Timestamp,
    ) -> BTreeMap<i64, Summary> {
        let mut periods: BTreeMap<i64, Summary> = BTreeMap::new();
        let Some(Metric { slots, .. }) = self.metrics.get(&metric.key()) else {
            return periods;
        };
        if range.start >= range.end {
            return periods;
        }
        let last = if metric.is_of_aws() {
            now.as_second() - self.delay - self.resolution
        } else {
            now.as_second()
        };
        let readable = slots.range(range.start..range.end);
        for (slot, summary) in readable.filter(|(slot, _)| **slot <= last) {
            match periods.get_mut(&floor(*slot, range.period)) {
                Some(known) => known.add(summary),
                None => drop(periods.insert(floor(*slot, range.period), summary.clone())),
            }
        }
        periods
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
