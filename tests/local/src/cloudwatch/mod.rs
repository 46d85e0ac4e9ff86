//! CloudWatch: metrics, metric math, alarms.

mod alarm;
mod alarms;
mod data;
mod history;
mod math;
mod message;
mod metrics;
mod query;
mod requests;
mod rules;
mod statistic;
mod store;
mod tags;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

pub use self::message::ActionSink;
pub use self::rules::AlarmState;

use self::alarm::{Alarm, Outcome};
use self::history::History;
use self::message::{Notice, change_time};
use self::store::{Dimension, MetricId, Store, floor};
use crate::context::read;
use crate::sfn::MetricSink;
use crate::{AwsError, Context};

/// How often the loop looks whether an alarm is due.
const LOOK: Duration = Duration::from_secs(1);

/// All metrics and alarms.
pub struct CloudWatch {
    context: Context,
    sink: Arc<dyn ActionSink>,
    inner: Mutex<Inner>,
}

struct Inner {
    store: Store,
    alarms: BTreeMap<String, Alarm>,
    history: History,
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
                history: History::default(),
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
            "GetMetricStatistics" => self.statistics(&read(body)?),
            "ListMetrics" => self.list_metrics(&read(body)?),
            "DescribeAlarmsForMetric" => self.describe_for_metric(&read(body)?),
            "DescribeAlarmHistory" => self.describe_history(&read(body)?),
            "EnableAlarmActions" => self.enable(&read(body)?, true),
            "DisableAlarmActions" => self.enable(&read(body)?, false),
            "TagResource" => self.tag(read(body)?),
            "UntagResource" => self.untag(&read(body)?),
            "ListTagsForResource" => self.tags(&read(body)?),
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
        let Inner {
            store,
            alarms,
            history,
        } = &mut *inner;
        for alarm in alarms.values_mut() {
            let slot = floor(now.as_second(), alarm.config.interval());
            if alarm.evaluated.is_some_and(|evaluated| evaluated >= slot) {
                continue;
            }
            alarm.evaluated = Some(slot);
            match alarm.config.evaluate(store, now, alarm.state) {
                Ok(outcome) => notices.extend(self.change((alarm, history), outcome, now)),
                Err(error) => tracing::warn!(
                    alarm = alarm.config.alarm_name, %error, "an alarm could not be evaluated"
                ),
            }
        }
        drop(inner);
        self.send(&notices);
    }

    /// Takes the outcome over where the state differs.
    fn change(
        &self,
        (alarm, history): (&mut Alarm, &mut History),
        outcome: Outcome,
        now: Timestamp,
    ) -> Option<Notice> {
        if outcome.state == alarm.state {
            return None;
        }
        let old = std::mem::replace(&mut alarm.state, outcome.state);
        let reason = std::mem::replace(&mut alarm.reason, outcome.reason);
        let data = std::mem::replace(&mut alarm.data, outcome.data);
        alarm.since = change_time(now, alarm.since);
        history.changed(alarm, (old, reason, data));
        Notice::of(&self.context, alarm, old)
    }

    /// Outside the lock: who is told may ask back.
    fn send(&self, notices: &[Notice]) {
        for notice in notices {
            for topic in &notice.topics {
                let outcome = self.sink.notify(topic, &notice.subject, &notice.message);
                if let Err(error) = &outcome {
                    tracing::warn!(topic, %error, "an alarm's action failed");
                }
                let at = self.context.clock.now();
                let mut inner = self.lock();
                inner.history.acted((&notice.alarm, topic), &outcome, at);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
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

#[cfg(test)]
mod tests;
