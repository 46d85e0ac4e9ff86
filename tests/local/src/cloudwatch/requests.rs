//! The shapes of CloudWatch's requests.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::data::Query;
use super::history::HistoryKind;
use super::rules::AlarmState;
use super::statistic::{Statistic, Summary};
use super::store::Dimension;
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
    pub(super) unit: Option<String>,
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
        let set = self.statistic_values.as_ref();
        let set = set.map(|set| {
            let extremes = (set.minimum, set.maximum);
            Summary::of_set((set.sample_count, set.sum), extremes)
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
    pub(super) next_token: Option<String>,
}

/// `GetMetricStatistics`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct GetStatistics {
    pub(super) namespace: String,
    pub(super) metric_name: String,
    #[serde(default)]
    pub(super) dimensions: Vec<Dimension>,
    pub(super) start_time: f64,
    pub(super) end_time: f64,
    pub(super) period: i64,
    #[serde(default)]
    pub(super) statistics: Vec<Statistic>,
    #[serde(default)]
    pub(super) extended_statistics: Vec<Statistic>,
    pub(super) unit: Option<String>,
}

/// `ListMetrics`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct ListMetrics {
    pub(super) namespace: Option<String>,
    pub(super) metric_name: Option<String>,
    #[serde(default)]
    pub(super) dimensions: Vec<DimensionFilter>,
    pub(super) next_token: Option<String>,
    pub(super) recently_active: Option<String>,
}

/// A name, with or without its value.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct DimensionFilter {
    pub(super) name: String,
    pub(super) value: Option<String>,
}

impl DimensionFilter {
    pub(super) fn is_of(&self, dimension: &Dimension) -> bool {
        let value = self.value.as_ref();
        self.name == dimension.name && value.is_none_or(|value| *value == dimension.value)
    }
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
    pub(super) action_prefix: Option<String>,
}

/// `DescribeAlarmsForMetric`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct DescribeForMetric {
    pub(super) namespace: String,
    pub(super) metric_name: String,
    #[serde(default)]
    pub(super) dimensions: Vec<Dimension>,
    pub(super) statistic: Option<Statistic>,
    pub(super) extended_statistic: Option<Statistic>,
    pub(super) period: Option<i64>,
    pub(super) unit: Option<String>,
}

/// `DescribeAlarmHistory`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct DescribeHistory {
    pub(super) alarm_name: Option<String>,
    #[serde(default)]
    pub(super) alarm_types: Vec<String>,
    pub(super) history_item_type: Option<HistoryKind>,
    pub(super) start_date: Option<f64>,
    pub(super) end_date: Option<f64>,
    pub(super) max_records: Option<usize>,
    pub(super) next_token: Option<String>,
    #[serde(default)]
    pub(super) scan_by: ScanBy,
}

/// `TagResource`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct TagResource {
    #[serde(rename = "ResourceARN")]
    pub(super) resource_arn: String,
    pub(super) tags: Vec<Tag>,
}

/// `UntagResource`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct UntagResource {
    #[serde(rename = "ResourceARN")]
    pub(super) resource_arn: String,
    pub(super) tag_keys: Vec<String>,
}

/// `ListTagsForResource`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct ListTags {
    #[serde(rename = "ResourceARN")]
    pub(super) resource_arn: String,
}

/// A tag.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Tag {
    pub(super) key: String,
    pub(super) value: String,
}

/// `DeleteAlarms`, `EnableAlarmActions` and `DisableAlarmActions`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Named {
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
