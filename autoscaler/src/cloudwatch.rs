//! The one file that speaks to CloudWatch.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::config::Builder;
use aws_sdk_cloudwatch::config::retry::RetryConfig;
use aws_sdk_cloudwatch::config::timeout::TimeoutConfig;
use aws_sdk_cloudwatch::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{
    AlarmType, Dimension, Metric, MetricAlarm, MetricDataQuery, MetricDataResult, MetricStat,
    ScanBy, StateValue, StatusCode,
};
use jiff::Timestamp;
use stepfleet_activity::Catalogue;
use stepfleet_activity::alarm::{DIMENSION, NAMESPACE};
use stepfleet_activity::catalogue::Activity;

use crate::decision::{Count, Flow, Seen};
use crate::record::{AlarmRecord, Level};
use crate::time::{after, before};
use crate::watch::{Page, Watch, WatchError};

/// As many as a call takes names: one page is the rule.
const MOST_RECORDS: i32 = 100;
/// How long one `DescribeAlarms` may take: it is tried three times.
const ONCE: Duration = Duration::from_secs(4);
/// `GetMetricData` takes 500 queries; three an activity.
const ACTIVITIES: usize = 166;
/// The metrics of an activity, in the order of their queries.
const METRICS: [(&str, &str); 3] = [
    ("ActivityScheduleTime", "Average"),
    ("ActivitiesScheduled", "Sum"),
    ("ActivitiesStarted", "Sum"),
];
/// How many periods back an average still counts as the newest.
const WAIT_PERIODS: u32 = 5;

/// CloudWatch in the catalogue's region.
pub(crate) struct CloudWatch {
    measuring: Client,
    /// Without the SDK's own tries: each would be a call that nobody counts.
    describing: Client,
}

impl CloudWatch {
    pub(crate) fn new(config: &aws_config::SdkConfig) -> Self {
        // A cycle waits for these calls, and does without them after that.
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(3))
            .operation_attempt_timeout(Duration::from_secs(5))
            .operation_timeout(Duration::from_secs(12))
            .build();
        let builder = Builder::from(config).timeout_config(timeouts.clone());
        let once = (builder.clone())
            .retry_config(RetryConfig::disabled())
            .timeout_config(
                timeouts
                    .to_builder()
                    .operation_attempt_timeout(ONCE)
                    .build(),
            );
        Self {
            measuring: Client::from_conf(builder.build()),
            describing: Client::from_conf(once.build()),
        }
    }
}

impl Watch for CloudWatch {
    async fn alarms(&self, names: &[String], token: Option<String>) -> Result<Page, WatchError> {
        let call = (self.describing.describe_alarms())
            .set_alarm_names(Some(names.to_vec()))
            .alarm_types(AlarmType::MetricAlarm)
            .max_records(MOST_RECORDS)
            .set_next_token(token);
        let answer = call.send().await.map_err(|error| WatchError {
            again: again(&error),
            ..failed(&error)
        })?;
        let alarms = answer.metric_alarms.unwrap_or_default();
        Ok(Page {
            alarms: alarms.into_iter().filter_map(record).collect(),
            next: answer.next_token,
        })
    }

    async fn metrics(
        &self,
        catalogue: &Catalogue,
        now: Timestamp,
    ) -> Result<BTreeMap<String, Seen>, WatchError> {
        let activities: Vec<&Activity> = catalogue.activities.values().collect();
        let mut all = BTreeMap::new();
        for batch in activities.chunks(ACTIVITIES) {
            all.extend(self.batch(batch, Span::of(catalogue, batch, now)).await?);
        }
        Ok(all)
    }
}

impl CloudWatch {
    async fn batch(
        &self,
        activities: &[&Activity],
        span: Span,
    ) -> Result<Vec<(String, Seen)>, WatchError> {
        let queries = (activities.iter().enumerate())
            .flat_map(|(index, activity)| queries(index, activity, span.period))
            .collect();
        let mut pages = (self.measuring.get_metric_data())
            .set_metric_data_queries(Some(queries))
            .start_time(DateTime::from_secs(span.from.as_second()))
            .end_time(DateTime::from_secs(span.to.as_second()))
            .scan_by(ScanBy::TimestampAscending)
            .into_paginator()
            .send();
        let mut series: BTreeMap<String, Series> = BTreeMap::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| failed(&error))?;
            for result in page.metric_data_results.unwrap_or_default() {
                let id = result.id.clone().unwrap_or_default();
                series.entry(id).or_default().add(result);
            }
        }
        let of = |metric: usize, index: usize| series.get(&id(metric, index));
        Ok((activities.iter().enumerate())
            .map(|(index, activity)| {
                let wait = of(0, index).and_then(|series| span.newest(series));
                let flow = (of(1, index).zip(of(2, index)))
                    .and_then(|(scheduled, started)| span.flow(scheduled, started));
                (activity.name.clone(), Seen { wait, flow })
            })
            .collect())
    }
}

/// One query's datapoints over all pages.
#[derive(Debug, Default)]
struct Series {
    points: Vec<(Timestamp, f64)>,
    complete: bool,
}

impl Series {
    /// The last page's status is that of the whole.
    fn add(&mut self, result: MetricDataResult) {
        self.complete = result.status_code == Some(StatusCode::Complete);
        let times = result.timestamps.unwrap_or_default();
        self.points.extend(
            (times.into_iter().zip(result.values.unwrap_or_default()))
                .filter_map(|(time, value)| Some((timestamp(time)?, value))),
        );
    }
}

/// Whole periods that end now.
#[derive(Debug, Clone, Copy)]
struct Span {
    from: Timestamp,
    to: Timestamp,
    period: Duration,
    periods: u32,
}

impl Span {
    /// Long enough for starvation (twice its window) and idleness (the in-window).
    fn of(catalogue: &Catalogue, activities: &[&Activity], now: Timestamp) -> Self {
        let period = catalogue.signals.period;
        let longest = (activities.iter())
            .map(|a| (a.alarms.starved_for * 2).max(a.alarms.in_.for_))
            .max()
            .unwrap_or(period);
        let seconds = period.as_secs().max(1);
        let periods = u32::try_from(longest.as_secs().div_ceil(seconds)).unwrap_or(1);
        let step = i64::try_from(seconds).unwrap_or(60);
        // The end is the end of the period that now lies in, so that it counts.
        let end = (now.as_second().div_euclid(step) + 1) * step;
        let to = Timestamp::from_second(end).unwrap_or(now);
        let from = before(to, period * (periods + 1));
        let periods = periods + 1;
        Self {
            from,
            to,
            period,
            periods,
        }
    }

    /// The newest average, if it is recent; milliseconds in CloudWatch.
    fn newest(&self, series: &Series) -> Option<Duration> {
        let oldest = before(self.to, self.period * WAIT_PERIODS);
        let (_, value) = (series.points.iter())
            .filter(|(time, _)| series.complete && *time >= oldest)
            .max_by_key(|(time, _)| *time)?;
        Duration::try_from_secs_f64(value / 1000.0).ok()
    }

    fn flow(&self, scheduled: &Series, started: &Series) -> Option<Flow> {
        if !scheduled.complete || !started.complete {
            return None;
        }
        let sum = |series: &Series, index: u32| {
            let start = after(self.from, self.period * index);
            let end = after(start, self.period);
            (series.points.iter())
                .filter(|(time, _)| start <= *time && *time < end)
                .map(|(_, value)| value)
                .sum()
        };
        let counts = (0..self.periods)
            .map(|index| Count {
                scheduled: sum(scheduled, index),
                started: sum(started, index),
            })
            .collect();
        Some(Flow {
            from: self.from,
            period: self.period,
            counts,
        })
    }
}

fn id(metric: usize, index: usize) -> String {
    format!("m{metric}_{index}")
}

fn queries(index: usize, activity: &Activity, period: Duration) -> [MetricDataQuery; 3] {
    let period = i32::try_from(period.as_secs()).unwrap_or(60);
    [0, 1, 2].map(|metric| {
        let (name, statistic) = METRICS[metric];
        let watched = Metric::builder()
            .namespace(NAMESPACE)
            .metric_name(name)
            .dimensions(
                (Dimension::builder().name(DIMENSION))
                    .value(&activity.arn)
                    .build(),
            )
            .build();
        let stat = (MetricStat::builder().metric(watched))
            .period(period)
            .stat(statistic)
            .build();
        (MetricDataQuery::builder().id(id(metric, index)))
            .metric_stat(stat)
            .return_data(true)
            .build()
    })
}

fn timestamp(time: DateTime) -> Option<Timestamp> {
    Timestamp::from_millisecond(time.to_millis().ok()?).ok()
}

/// An alarm's name, level and when it came to that.
fn record(alarm: MetricAlarm) -> Option<(String, AlarmRecord)> {
    let at = alarm.state_transitioned_timestamp;
    let since = at.or(alarm.state_updated_timestamp).and_then(timestamp)?;
    let level = match alarm.state_value {
        Some(StateValue::Ok) => Level::Ok,
        Some(StateValue::Alarm) => Level::Alarm,
        _ => Level::Unknown,
    };
    Some((alarm.alarm_name?, AlarmRecord { level, since }))
}

/// Whether another try may fare better.
fn again<E: ProvideErrorMetadata>(error: &SdkError<E>) -> bool {
    match error {
        SdkError::ServiceError(refused) => {
            let code = refused.err().code().unwrap_or_default();
            let throttled = ["Throttl", "LimitExceeded", "TooManyRequests"];
            refused.raw().status().is_server_error()
                || throttled.iter().any(|word| code.contains(word))
        }
        SdkError::ConstructionFailure(_) => false,
        _ => true,
    }
}

fn failed(error: &impl std::error::Error) -> WatchError {
    WatchError {
        why: DisplayErrorContext(error).to_string(),
        again: false,
    }
}
