//! The shapes of CloudWatch's requests.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::data::Query;
use super::rules::AlarmState;
use super::store::{Dimension, Summary};
use crate::AwsError;

/// `PutMetricData`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct PutData {
    pub(super) namespace: String,
    pub(super) metric_data: Vec<Datum>,
}

/// One of its datapoints.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Datum {
    pub(super) metric_name: String,
    #[serde(default)]
    pub(super) dimensions: Vec<Dimension>,
    pub(super) timestamp: Option<f64>,
    value: Option<f64>,
    #[serde(default)]
    values: Vec<f64>,
    #[serde(default)]
    counts: Vec<f64>,
    statistic_values: Option<StatisticSet>,
    pub(super) storage_resolution: Option<i64>,
    /// Taken: a unit changes no value, and nothing here asks for one.
    #[serde(default, rename = "Unit")]
    _unit: Value,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct StatisticSet {
    sample_count: f64,
    sum: f64,
    minimum: f64,
    maximum: f64,
}

impl Datum {
    /// Its values, in whichever of three ways they are said.
    pub(super) fn summaries(&self) -> Result<Vec<Summary>, AwsError> {
        if !self.counts.is_empty() && self.counts.len() != self.values.len() {
            return Err(AwsError::new(
                "InvalidParameterValue",
                format!("{}: as many Counts as Values", self.metric_name),
            ));
        }
        let counts = self.counts.iter().copied().chain(std::iter::repeat(1.0));
        let values = self.values.iter().copied().zip(counts);
        let set = self.statistic_values.as_ref().map(|set| Summary {
            sum: set.sum,
            minimum: set.minimum,
            maximum: set.maximum,
            count: set.sample_count,
        });
        let all: Vec<Summary> = values
            .chain(self.value.map(|value| (value, 1.0)))
            .map(|(value, count)| Summary::of(value, count))
            .chain(set)
            .collect();
        if all.is_empty() || all.iter().any(|summary| summary.count <= 0.0) {
            return Err(AwsError::new(
                "InvalidParameterValue",
                format!(
                    "{} needs a Value, Values or StatisticValues, with counts above 0",
                    self.metric_name
                ),
            ));
        }
        Ok(all)
    }
}

/// `GetMetricData`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct GetData {
    pub(super) metric_data_queries: Vec<Query>,
    pub(super) start_time: f64,
    pub(super) end_time: f64,
    #[serde(default)]
    pub(super) scan_by: ScanBy,
    pub(super) max_datapoints: Option<usize>,
}

/// Which comes first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub(super) enum ScanBy {
    #[default]
    TimestampDescending,
    TimestampAscending,
}

/// `DescribeAlarms`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Describe {
    #[serde(default)]
    pub(super) alarm_names: Vec<String>,
    pub(super) alarm_name_prefix: Option<String>,
    pub(super) state_value: Option<AlarmState>,
    pub(super) max_records: Option<usize>,
    pub(super) next_token: Option<String>,
    #[serde(default)]
    pub(super) alarm_types: Vec<String>,
}

/// `DeleteAlarms`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct DeleteAlarms {
    pub(super) alarm_names: Vec<String>,
}

/// `SetAlarmState`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct SetState {
    pub(super) alarm_name: String,
    pub(super) state_value: AlarmState,
    pub(super) state_reason: String,
    pub(super) state_reason_data: Option<String>,
}

/// A time that came as seconds since 1970.
pub(super) fn time(seconds: f64) -> Result<Timestamp, AwsError> {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a float saturates, and jiff checks"
    )]
    let millis = (seconds * 1000.0) as i64;
    Timestamp::from_millisecond(millis)
        .map_err(|_| AwsError::validation(format!("{seconds} is no time in seconds since 1970")))
}
