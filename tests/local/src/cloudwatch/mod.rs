//! CloudWatch: metrics, metric math, alarms.

mod alarm;
mod data;
mod math;
mod message;
mod requests;
mod rules;
mod store;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

pub use self::message::ActionSink;
pub use self::rules::AlarmState;

use self::alarm::{Alarm, Config, Outcome};
use self::data::Queries;
use self::message::{Notice, change_time};
use self::requests::{DeleteAlarms, Describe, GetData, PutData, ScanBy, SetState, time};
use self::store::{Dimension, MetricId, Range, Store, floor};
use crate::context::read;
use crate::sfn::MetricSink;
use crate::{AwsError, Context};

/// How often the loop looks whether an alarm is due.
const LOOK: Duration = Duration::from_secs(1);
/// Queries of one `GetMetricData`.
const MOST_QUERIES: usize = 500;

/// All metrics and alarms.
pub struct CloudWatch {
    context: Context,
    sink: Arc<dyn ActionSink>,
    inner: Mutex<Inner>,
}

struct Inner {
    store: Store,
    alarms: BTreeMap<String, Alarm>,
}

impl fmt::Debug for CloudWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CloudWatch").finish_non_exhaustive()
    }
}

/// An alarm for the status page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlarmSnapshot {
    /// Its name.
    pub name: String,
    /// The state it is in.
    pub state: AlarmState,
    /// Since when.
    pub since: Timestamp,
    /// Why, in prose.
    pub reason: String,
}

impl CloudWatch {
    /// No metrics and no alarms; actions go to `sink`.
    pub fn new(context: Context, sink: Arc<dyn ActionSink>) -> Self {
        let store = Store::new(context.metric_resolution, context.metric_delay);
        Self {
            context,
            sink,
            inner: Mutex::new(Inner {
                store,
                alarms: BTreeMap::new(),
            }),
        }
    }

    /// Answers an operation.
    ///
    /// # Errors
    /// As CloudWatch names them; an operation that is not here, by name.
    pub fn call(&self, operation: &str, body: Value) -> Result<Value, AwsError> {
        match operation {
            "PutMetricData" => self.put_data(read(body)?),
            "GetMetricData" => self.get_data(&read(body)?),
            "PutMetricAlarm" => self.put_alarm(read(body)?),
            "DescribeAlarms" => self.describe(&read(body)?),
            "DeleteAlarms" => self.delete(&read(body)?),
            "SetAlarmState" => self.set_state(read(body)?),
            other => Err(AwsError::unknown_operation("CloudWatch", other)),
        }
    }

    /// Every alarm, by name.
    pub fn snapshot(&self) -> Vec<AlarmSnapshot> {
        let inner = self.lock();
        let alarms = inner.alarms.iter();
        alarms
            .map(|(name, alarm)| AlarmSnapshot {
                name: name.clone(),
                state: alarm.state,
                since: alarm.since,
                reason: alarm.reason.clone(),
            })
            .collect()
    }

    /// Evaluates alarms as they become due, until it is dropped.
    pub async fn run(self: Arc<Self>) {
        loop {
            self.evaluate(self.context.clock.now());
            self.context.timers.sleep(LOOK).await;
        }
    }

    /// Evaluates the alarms that are due: each once a minute, those with short
    /// periods once every ten seconds.
    pub fn evaluate(&self, now: Timestamp) {
        let mut notices = Vec::new();
        let mut inner = self.lock();
        let Inner { store, alarms } = &mut *inner;
        for alarm in alarms.values_mut() {
            let slot = floor(now.as_second(), alarm.config.interval());
            if alarm.evaluated.is_some_and(|evaluated| evaluated >= slot) {
                continue;
            }
            alarm.evaluated = Some(slot);
            match alarm.config.evaluate(store, now, alarm.state) {
                Ok(outcome) => notices.extend(self.change(alarm, outcome, now)),
                Err(error) => tracing::warn!(
                    alarm = alarm.config.alarm_name, %error, "an alarm could not be evaluated"
                ),
            }
        }
        drop(inner);
        self.send(&notices);
    }

    /// Takes the outcome over where the state differs.
    fn change(&self, alarm: &mut Alarm, outcome: Outcome, now: Timestamp) -> Option<Notice> {
        if outcome.state == alarm.state {
            return None;
        }
        let old = std::mem::replace(&mut alarm.state, outcome.state);
        alarm.reason = outcome.reason;
        alarm.data = outcome.data;
        alarm.since = change_time(now, alarm.since);
        Notice::of(&self.context, alarm, old)
    }

    /// Outside the lock: who is told may ask back.
    fn send(&self, notices: &[Notice]) {
        for notice in notices {
            for topic in &notice.topics {
                self.sink.notify(topic, &notice.subject, &notice.message);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put_data(&self, input: PutData) -> Result<Value, AwsError> {
        if input.namespace.starts_with("AWS/") {
            return Err(AwsError::new(
                "InvalidParameterValue",
                format!(
                    "the namespace {} is AWS's own: take another",
                    input.namespace
                ),
            ));
        }
        let now = self.context.clock.now();
        // All or nothing, as on AWS.
        let mut points = Vec::new();
        for datum in input.metric_data {
            let at = datum.timestamp.map_or(Ok(now), time)?;
            let resolution = match datum.storage_resolution {
                Some(1) => 1,
                None | Some(60) => 60,
                Some(other) => {
                    return Err(AwsError::new(
                        "InvalidParameterValue",
                        format!("StorageResolution is 1 or 60, not {other}"),
                    ));
                }
            };
            let summaries = datum.summaries()?;
            let metric = MetricId {
                namespace: input.namespace.clone(),
                metric_name: datum.metric_name,
                dimensions: datum.dimensions,
            };
            points.push((metric, floor(at.as_second(), resolution), summaries));
        }
        let store = &mut self.lock().store;
        for (metric, slot, summaries) in points {
            for summary in summaries {
                store.put(&metric, slot, summary);
            }
        }
        Ok(json!({}))
    }

    fn get_data(&self, input: &GetData) -> Result<Value, AwsError> {
        let queries = &input.metric_data_queries;
        if queries.len() > MOST_QUERIES {
            return Err(AwsError::validation(format!(
                "at most {MOST_QUERIES} queries, not {}",
                queries.len()
            )));
        }
        let (start, end) = (time(input.start_time)?, time(input.end_time)?);
        if start >= end {
            return Err(AwsError::validation("StartTime is before EndTime"));
        }
        let now = self.context.clock.now();
        let inner = self.lock();
        let checked = Queries::new(queries, &inner.store)?;
        let mut results = Vec::new();
        for query in queries.iter().filter(|query| query.returns()) {
            let own = query.metric_stat.as_ref().map(|stat| stat.period);
            let period = own.or(query.period).unwrap_or(checked.period);
            let range = Range {
                start: floor(start.as_second(), period),
                // A period that has begun before the end is in it.
                end: floor(end.as_second() + period - 1, period),
                period,
            };
            let series = checked.series(query, (&inner.store, now), range)?;
            let mut points: Vec<(i64, f64)> = series.into_iter().collect();
            if input.scan_by == ScanBy::TimestampDescending {
                points.reverse();
            }
            points.truncate(input.max_datapoints.unwrap_or(100_800));
            let (times, values): (Vec<i64>, Vec<f64>) = points.into_iter().unzip();
            results.push(json!({
                "Id": query.id, "Label": query.label(), "StatusCode": "Complete",
                "Timestamps": times, "Values": values,
            }));
        }
        Ok(json!({"MetricDataResults": results, "Messages": []}))
    }

    fn put_alarm(&self, config: Config) -> Result<Value, AwsError> {
        let mut inner = self.lock();
        config.check(&inner.store)?;
        let now = self.context.clock.now();
        let name = config.alarm_name.clone();
        let arn = self.context.arn("cloudwatch", &format!("alarm:{name}"));
        let alarm = inner.alarms.entry(name).or_insert_with(|| Alarm {
            config: config.clone(),
            arn,
            state: AlarmState::InsufficientData,
            reason: "Unchecked: Initial alarm creation".to_owned(),
            data: json!({}),
            since: now,
            configured: now,
            evaluated: None,
        });
        // An alarm that is put again keeps its state until it is evaluated.
        alarm.config = config;
        alarm.configured = now;
        Ok(json!({}))
    }

    fn describe(&self, input: &Describe) -> Result<Value, AwsError> {
        let most = input.max_records.unwrap_or(50);
        if !(1..=100).contains(&most) {
            return Err(AwsError::validation(format!(
                "MaxRecords is 1 to 100, not {most}"
            )));
        }
        let metric_alarms =
            input.alarm_types.is_empty() || input.alarm_types.iter().any(|t| t == "MetricAlarm");
        let prefix = input.alarm_name_prefix.as_deref().unwrap_or_default();
        let after = input.next_token.as_deref();
        let inner = self.lock();
        let mut found = inner.alarms.iter().filter(|(name, alarm)| {
            metric_alarms
                && (input.alarm_names.is_empty() || input.alarm_names.contains(name))
                && name.starts_with(prefix)
                && input.state_value.is_none_or(|state| state == alarm.state)
                && after.is_none_or(|after| name.as_str() > after)
        });
        let page: Vec<(&String, &Alarm)> = found.by_ref().take(most).collect();
        let described = page.iter().map(|(_, alarm)| alarm.described());
        let mut output = json!({
            "MetricAlarms": described.collect::<Result<Vec<_>, _>>()?,
            "CompositeAlarms": [],
        });
        if found.next().is_some()
            && let Some((last, _)) = page.last()
        {
            output["NextToken"] = last.as_str().into();
        }
        Ok(output)
    }

    fn delete(&self, input: &DeleteAlarms) -> Result<Value, AwsError> {
        let alarms = &mut self.lock().alarms;
        let mut names = input.alarm_names.iter();
        if let Some(name) = names.find(|name| !alarms.contains_key(*name)) {
            return Err(unknown(name));
        }
        alarms.retain(|name, _| !input.alarm_names.contains(name));
        Ok(json!({}))
    }

    fn set_state(&self, input: SetState) -> Result<Value, AwsError> {
        let data = match input.state_reason_data.as_deref() {
            None => json!({}),
            Some(text) => serde_json::from_str(text)
                .map_err(|_| AwsError::new("InvalidFormat", "StateReasonData has to be JSON"))?,
        };
        let mut inner = self.lock();
        let alarm = inner
            .alarms
            .get_mut(&input.alarm_name)
            .ok_or_else(|| unknown(&input.alarm_name))?;
        let outcome = Outcome {
            state: input.state_value,
            reason: input.state_reason,
            data,
        };
        let notice = self.change(alarm, outcome, self.context.clock.now());
        drop(inner);
        self.send(notice.as_slice());
        Ok(json!({}))
    }
}

impl MetricSink for CloudWatch {
    fn record(&self, metric: &'static str, activity_arn: &str, value: f64, at: Timestamp) {
        let metric = MetricId {
            namespace: stepfleet_activity::alarm::NAMESPACE.to_owned(),
            metric_name: metric.to_owned(),
            dimensions: vec![Dimension {
                name: stepfleet_activity::alarm::DIMENSION.to_owned(),
                value: activity_arn.to_owned(),
            }],
        };
        self.lock().store.emit(&metric, value, at);
    }
}

fn unknown(name: &str) -> AwsError {
    AwsError {
        status: 404,
        ..AwsError::new("ResourceNotFound", format!("there is no alarm {name:?}"))
    }
}

#[cfg(test)]
mod tests;
