//! The loader's metrics on CloudWatch: the only file that names its SDK.

use aws_sdk_cloudwatch::types::{
    ComparisonOperator, Dimension, Metric, MetricDataQuery, MetricDatum, MetricStat, StandardUnit,
};

use crate::outside::Answer;
use crate::outside::call::failed;
use crate::s3_load::signals::Unprocessed;

/// The namespace of the loader's metrics.
const NAMESPACE: &str = "stepfleet";
/// How many files wait in `incoming/`.
const UNPROCESSED_FILES: &str = "UnprocessedFiles";

/// How many bytes these have.
const UNPROCESSED_BYTES: &str = "UnprocessedBytes";
/// For how long the oldest of them waits.
const OLDEST_AGE: &str = "OldestAgeSeconds";
/// How many files a run could not load.
const FAILED_FILES: &str = "FailedFiles";

/// How many keys of `incoming/` are not taken.
const IGNORED_FILES: &str = "IgnoredFiles";
/// How many messages a trigger could not work on.
const REJECTED_MESSAGES: &str = "RejectedMessages";

/// All of them.
#[cfg(test)]
pub(crate) const ALL: [&str; 6] = [
    UNPROCESSED_FILES,
    UNPROCESSED_BYTES,
    OLDEST_AGE,
    FAILED_FILES,
    IGNORED_FILES,
    REJECTED_MESSAGES,
];

/// The CloudWatch client that the loader is given.
pub(crate) type Client = aws_sdk_cloudwatch::Client;

/// Publishes what waits for a table.
#[expect(
    clippy::cast_precision_loss,
    reason = "CloudWatch's values are doubles"
)]
pub(crate) async fn publish(client: &Client, table: &str, waiting: Unprocessed) -> Answer<()> {
    let dimension = Dimension::builder().name("Table").value(table).build();
    let datum = |name, unit, value| {
        MetricDatum::builder()
            .metric_name(name)
            .dimensions(dimension.clone())
            .unit(unit)
            .value(value)
            .build()
    };
    client
        .put_metric_data()
        .namespace(NAMESPACE)
        .metric_data(datum(
            UNPROCESSED_FILES,
            StandardUnit::Count,
            waiting.files as f64,
        ))
        .metric_data(datum(
            UNPROCESSED_BYTES,
            StandardUnit::Bytes,
            waiting.bytes as f64,
        ))
        .metric_data(datum(
            OLDEST_AGE,
            StandardUnit::Seconds,
            waiting.oldest_seconds,
        ))
        .metric_data(datum(
            IGNORED_FILES,
            StandardUnit::Count,
            waiting.ignored as f64,
        ))
        .metric_data(datum(
            FAILED_FILES,
            StandardUnit::Count,
            waiting.failed as f64,
        ))
        .send()
        .await
        .map(drop)
        .map_err(|error| failed("publish the metrics of unprocessed files", &error))
}

/// Publishes how many messages a trigger could not work on.
#[expect(
    clippy::cast_precision_loss,
    reason = "CloudWatch's values are doubles"
)]
pub(crate) async fn publish_rejected(client: &Client, activity: &str, count: u64) -> Answer<()> {
    let dimension = Dimension::builder().name("Activity").value(activity);
    let datum = MetricDatum::builder()
        .metric_name(REJECTED_MESSAGES)
        .dimensions(dimension.build())
        .unit(StandardUnit::Count)
        .value(count as f64);
    let put = client.put_metric_data().namespace(NAMESPACE);
    put.metric_data(datum.build())
        .send()
        .await
        .map(drop)
        .map_err(|error| failed("publish the metric of rejected messages", &error))
}

/// An alarm about what waits for a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Alarm {
    pub(crate) name: String,
    pub(crate) table: String,
    pub(crate) topic: String,
    pub(crate) minutes: i32,
    pub(crate) kind: AlarmKind,
}

/// When it goes off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AlarmKind {
    /// More files than this wait, all the time.
    Above(u64),
    /// Files wait, and do not become fewer from one minute to the next.
    NotFalling,
    /// A run could not load files, whether they were set aside or stay.
    Failed,
}

impl Alarm {
    /// The metric math of the second kind: 1 in each minute in which files wait
    /// and are not fewer than in the one before.
    const NOT_FALLING: &str = "IF(waiting > 0, IF(DIFF(waiting) < 0, 0, 1), 0)";

    /// In the first minute of a range nobody knows what was before.
    fn datapoints(&self) -> i32 {
        match self.kind {
            AlarmKind::Above(_) | AlarmKind::Failed => self.minutes,
            AlarmKind::NotFalling => (self.minutes - 1).max(1),
        }
    }

    fn description(&self) -> String {
        match self.kind {
            AlarmKind::Above(count) => format!(
                "More than {count} files wait for {}: allow more files a load, or load more often",
                self.table
            ),
            AlarmKind::NotFalling => format!(
                "Files wait for {} and do not become fewer: does anybody start executions, and do they succeed?",
                self.table
            ),
            AlarmKind::Failed => format!(
                "Files could not be loaded into {}: the last executions and the reports in failed/ say why",
                self.table
            ),
        }
    }
}

/// Makes an alarm, or gives one that is there this definition.
#[expect(
    clippy::cast_precision_loss,
    reason = "CloudWatch's thresholds are doubles"
)]
pub(crate) async fn put_alarm(client: &Client, alarm: &Alarm) -> Answer<()> {
    let put = client
        .put_metric_alarm()
        .alarm_name(&alarm.name)
        .alarm_description(alarm.description())
        .alarm_actions(&alarm.topic)
        .ok_actions(&alarm.topic)
        .evaluation_periods(alarm.minutes)
        .datapoints_to_alarm(alarm.datapoints())
        // Every tick publishes: where nothing comes, nobody ticks, and that is
        // not known to be well.
        .treat_missing_data("missing");
    let dimension = Dimension::builder()
        .name("Table")
        .value(&alarm.table)
        .build();
    let put = match alarm.kind {
        AlarmKind::Above(count) => put
            .namespace(NAMESPACE)
            .metric_name(UNPROCESSED_FILES)
            .dimensions(dimension)
            .statistic(aws_sdk_cloudwatch::types::Statistic::Minimum)
            .period(60)
            .comparison_operator(ComparisonOperator::GreaterThanThreshold)
            .threshold(count as f64),
        AlarmKind::Failed => put
            .namespace(NAMESPACE)
            .metric_name(FAILED_FILES)
            .dimensions(dimension)
            .statistic(aws_sdk_cloudwatch::types::Statistic::Maximum)
            .period(60)
            .comparison_operator(ComparisonOperator::GreaterThanThreshold)
            .threshold(0.0),
        AlarmKind::NotFalling => {
            let metric = Metric::builder()
                .namespace(NAMESPACE)
                .metric_name(UNPROCESSED_FILES)
                .dimensions(dimension);
            let waiting = MetricStat::builder()
                .metric(metric.build())
                .period(60)
                .stat("Minimum");
            let waiting = MetricDataQuery::builder()
                .id("waiting")
                .metric_stat(waiting.build())
                .return_data(false);
            let held = MetricDataQuery::builder()
                .id("not_falling")
                .expression(Alarm::NOT_FALLING)
                .return_data(true);
            put.metrics(waiting.build())
                .metrics(held.build())
                .comparison_operator(ComparisonOperator::GreaterThanOrEqualToThreshold)
                .threshold(1.0)
        }
    };
    put.send()
        .await
        .map(drop)
        .map_err(|error| failed(format!("put the alarm {}", alarm.name), &error))
}
