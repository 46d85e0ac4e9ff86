//! An alarm: how it is set, what state it is in, and why.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::data::{MetricStat, Queries, Query};
use super::requests::Tag;
use super::rules::{AlarmState, Comparison, Rule, Treatment};
use super::statistic::Statistic;
use super::store::{Dimension, MetricId, Range, Store, floor};
use crate::AwsError;

/// The most that periods times their length may be: a day.
const LONGEST: i64 = 86_400;
/// Actions per state.
const MOST_ACTIONS: usize = 5;

/// `PutMetricAlarm`'s input, and the first part of what `DescribeAlarms` says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Config {
    pub(super) alarm_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) alarm_description: Option<String>,
    #[serde(default = "yes")]
    pub(super) actions_enabled: bool,
    #[serde(default, rename = "OKActions")]
    pub(super) ok_actions: Vec<String>,
    #[serde(default)]
    pub(super) alarm_actions: Vec<String>,
    #[serde(default)]
    pub(super) insufficient_data_actions: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) namespace: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) metric_name: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) dimensions: Vec<Dimension>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) statistic: Option<Statistic>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) extended_statistic: Option<Statistic>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) evaluate_low_sample_count_percentile: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) period: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) unit: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) metrics: Vec<Query>,
    pub(super) evaluation_periods: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) datapoints_to_alarm: Option<i64>,
    pub(super) threshold: f64,
    pub(super) comparison_operator: Comparison,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) treat_missing_data: Option<Treatment>,
    /// Of an alarm that is new.
    #[serde(default, skip_serializing)]
    pub(super) tags: Vec<Tag>,
}

fn yes() -> bool {
    true
}

/// What an alarm came to at one time.
#[derive(Debug, PartialEq)]
pub(super) struct Outcome {
    pub(super) state: AlarmState,
    pub(super) reason: String,
    pub(super) data: Value,
}

impl Config {
    /// Checks what serde cannot.
    pub(super) fn check(&self, store: &Store) -> Result<(), AwsError> {
        let refused = |what: String| Err(AwsError::validation(what));
        if self.alarm_name.is_empty() || !self.alarm_name.is_ascii() {
            return refused(format!(
                "AlarmName is ASCII and not empty, not {:?}",
                self.alarm_name
            ));
        }
        let queries = self.queries()?;
        let checked = Queries::new(&queries, store)?;
        let returned = queries.iter().filter(|query| query.returns()).count();
        if returned != 1 {
            return refused(format!(
                "one of Metrics has ReturnData true, not {returned}"
            ));
        }
        if checked.period < 10 {
            return refused(format!(
                "an alarm's Period is 10 s or more, not {}",
                checked.period
            ));
        }
        let periods = self.evaluation_periods;
        if periods < 1 || periods.saturating_mul(checked.period) > LONGEST {
            return refused(format!(
                "EvaluationPeriods is 1 or more and at most a day of {} s, not {periods}",
                checked.period
            ));
        }
        let to_alarm = self.datapoints_to_alarm.unwrap_or(periods);
        if !(1..=periods).contains(&to_alarm) {
            return refused(format!(
                "DatapointsToAlarm is 1 to {periods}, not {to_alarm}"
            ));
        }
        self.check_actions()
    }

    fn check_actions(&self) -> Result<(), AwsError> {
        for actions in [
            &self.ok_actions,
            &self.alarm_actions,
            &self.insufficient_data_actions,
        ] {
            if actions.len() > MOST_ACTIONS {
                return Err(AwsError::validation(format!(
                    "a state has at most {MOST_ACTIONS} actions, not {}",
                    actions.len()
                )));
            }
            if let Some(action) = actions.iter().find(|arn| !arn.starts_with("arn:aws:sns:")) {
                return Err(AwsError::validation(format!(
                    "stepfleet-local has no alarm action {action}, only SNS topics"
                )));
            }
        }
        Ok(())
    }

    /// Its metric as a query, or its queries.
    pub(super) fn queries(&self) -> Result<Vec<Query>, AwsError> {
        let Some(metric_name) = &self.metric_name else {
            return Ok(self.metrics.clone());
        };
        if !self.metrics.is_empty() {
            return Err(AwsError::validation(
                "an alarm has either a MetricName or Metrics",
            ));
        }
        let missing = |name: &str| AwsError::validation(format!("MetricName needs {name}"));
        Ok(vec![Query {
            id: "m1".to_owned(),
            metric_stat: Some(MetricStat {
                metric: MetricId {
                    namespace: self.namespace.clone().ok_or_else(|| missing("Namespace"))?,
                    metric_name: metric_name.clone(),
                    dimensions: self.dimensions.clone(),
                },
                period: self.period.ok_or_else(|| missing("Period"))?,
                stat: self.checked_statistic()?,
                unit: self.unit.clone(),
            }),
            expression: None,
            label: None,
            return_data: None,
            period: None,
        }])
    }

    fn checked_statistic(&self) -> Result<Statistic, AwsError> {
        let low = self.evaluate_low_sample_count_percentile.as_deref();
        if low.is_some_and(|low| low != "evaluate") {
            return Err(AwsError::validation(
                "stepfleet-local has no EvaluateLowSampleCountPercentile but evaluate",
            ));
        }
        match (self.statistic, self.extended_statistic) {
            (Some(plain), None) if !plain.is_extended() => Ok(plain),
            (None, Some(extended)) if extended.is_extended() => Ok(extended),
            _ => Err(AwsError::validation(
                "MetricName needs either a Statistic or an ExtendedStatistic like p99",
            )),
        }
    }

    fn rule(&self) -> Rule {
        let count = |count: i64| usize::try_from(count).unwrap_or(1);
        Rule {
            to_alarm: count(self.datapoints_to_alarm.unwrap_or(self.evaluation_periods)),
            periods: count(self.evaluation_periods),
            missing: self.treat_missing_data.unwrap_or_default(),
        }
    }

    /// The actions of a state.
    pub(super) fn actions(&self, state: AlarmState) -> &[String] {
        match state {
            AlarmState::Ok => &self.ok_actions,
            AlarmState::Alarm => &self.alarm_actions,
            AlarmState::InsufficientData => &self.insufficient_data_actions,
        }
    }

    /// Those of all states.
    pub(super) fn all_actions(&self) -> impl Iterator<Item = &String> {
        let states = [&self.ok_actions, &self.alarm_actions];
        states
            .into_iter()
            .flatten()
            .chain(&self.insufficient_data_actions)
    }

    /// How often it is evaluated, in seconds.
    pub(super) fn interval(&self) -> i64 {
        let stats = self.metrics.iter().filter_map(|q| q.metric_stat.as_ref());
        let period = stats.map(|stat| stat.period).chain(self.period).max();
        if period.unwrap_or(60) < 60 { 10 } else { 60 }
    }

    /// What the datapoints that can be read by `now` come to.
    pub(super) fn evaluate(
        &self,
        store: &Store,
        now: Timestamp,
        state: AlarmState,
    ) -> Result<Outcome, AwsError> {
        let queries = self.queries()?;
        let checked = Queries::new(&queries, store)?;
        let Some(watched) = queries.iter().find(|query| query.returns()) else {
            return Err(AwsError::internal("an alarm without a query"));
        };
        let stats = queries
            .iter()
            .filter_map(|query| query.metric_stat.as_ref());
        let delay = stats.map(|stat| store.delay(&stat.metric)).max();
        let rule = self.rule();
        let period = checked.period;
        let end = floor(now.as_second() - delay.unwrap_or(0), period);
        let looked_at = i64::try_from(rule.looked_at()).unwrap_or(i64::MAX);
        let range = Range {
            start: end - looked_at.saturating_mul(period),
            end,
            period,
        };
        let series = checked.series(watched, (store, now), range)?;
        let values: Vec<(i64, Option<f64>)> = range
            .periods()
            .map(|start| (start, series.get(&start).copied()))
            .collect();
        let breaches = |value: f64| self.comparison_operator.breaches(value, self.threshold);
        let points: Vec<Option<bool>> = values.iter().map(|(_, v)| v.map(breaches)).collect();
        let next = rule.state(&points).unwrap_or(state);
        Ok(Outcome {
            state: next,
            reason: self.reason(next, (state, rule), &values),
            data: self.data((now, period), rule, &values),
        })
    }

    /// Prose as CloudWatch writes it.
    fn reason(
        &self,
        next: AlarmState,
        (state, rule): (AlarmState, Rule),
        values: &[(i64, Option<f64>)],
    ) -> String {
        let real: Vec<(i64, f64)> = newest(rule, values);
        let missing = rule.periods - real.len();
        if next == AlarmState::InsufficientData {
            return format!("Insufficient Data: {missing} datapoint(s) were unknown.");
        }
        if real.is_empty() {
            return format!(
                "Threshold Crossed: no datapoints were received for {} period(s) and {missing} \
                 missing datapoint(s) were treated as [{}].",
                rule.periods,
                match next {
                    AlarmState::Alarm => "Breaching",
                    _ => "NonBreaching",
                }
            );
        }
        let breaching = |value: f64| self.comparison_operator.breaches(value, self.threshold);
        let (wanted, was) = match next {
            AlarmState::Alarm => (true, "was"),
            _ => (false, "was not"),
        };
        let (count, minimum) = (
            real.iter().filter(|(_, v)| breaching(*v) == wanted).count(),
            match next {
                AlarmState::Alarm => rule.to_alarm,
                _ => rule.periods - rule.to_alarm + 1,
            },
        );
        let listed: Vec<String> = real.iter().rev().map(|(at, v)| said(*at, *v)).collect();
        format!(
            "Threshold Crossed: {count} out of the last {} datapoints [{}] {was} {} the threshold \
             ({:?}) (minimum {minimum} datapoint(s) for {} -> {} transition).",
            rule.periods,
            listed.join(", "),
            self.comparison_operator.said(),
            self.threshold,
            state.as_str(),
            next.as_str(),
        )
    }

    /// The reason for machines.
    fn data(
        &self,
        (now, period): (Timestamp, i64),
        rule: Rule,
        values: &[(i64, Option<f64>)],
    ) -> Value {
        let recent: Vec<f64> = newest(rule, values).into_iter().map(|(_, v)| v).collect();
        json!({
            "version": "1.0",
            "queryDate": date(now),
            "period": period,
            "recentDatapoints": recent,
            "threshold": self.threshold,
        })
    }
}

/// The datapoints that count, oldest first.
fn newest(rule: Rule, values: &[(i64, Option<f64>)]) -> Vec<(i64, f64)> {
    let real = values
        .iter()
        .filter_map(|(at, value)| Some((*at, (*value)?)));
    let real: Vec<(i64, f64)> = real.collect();
    real[real.len().saturating_sub(rule.periods)..].to_vec()
}

fn said(at: i64, value: f64) -> String {
    let at = Timestamp::from_second(at).unwrap_or(Timestamp::UNIX_EPOCH);
    format!("{value:?} ({})", at.strftime("%d/%m/%y %H:%M:%S"))
}

/// `2015-06-03T17:43:27.123+0000`.
pub(super) fn date(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S%.3f+0000").to_string()
}

/// An alarm.
#[derive(Debug, Clone)]
pub(super) struct Alarm {
    pub(super) config: Config,
    pub(super) tags: Vec<Tag>,
    pub(super) arn: String,
    pub(super) state: AlarmState,
    pub(super) reason: String,
    pub(super) data: Value,
    /// When the state last changed.
    pub(super) since: Timestamp,
    pub(super) configured: Timestamp,
    /// The slot of its interval in which it was evaluated last.
    pub(super) evaluated: Option<i64>,
}

impl Alarm {
    /// As `DescribeAlarms` says it.
    pub(super) fn described(&self) -> Result<Value, AwsError> {
        let mut all = serde_json::to_value(&self.config)
            .map_err(|error| AwsError::internal(error.to_string()))?;
        let more = json!({
            "AlarmArn": self.arn,
            "StateValue": self.state.as_str(),
            "StateReason": self.reason,
            "StateReasonData": self.data.to_string(),
            "StateUpdatedTimestamp": seconds(self.since),
            "StateTransitionedTimestamp": seconds(self.since),
            "AlarmConfigurationUpdatedTimestamp": seconds(self.configured),
        });
        if let (Some(all), Value::Object(more)) = (all.as_object_mut(), more) {
            all.extend(more);
        }
        Ok(all)
    }
}

/// Seconds since 1970, with milliseconds.
pub(super) fn seconds(at: Timestamp) -> f64 {
    #[expect(
        clippy::cast_precision_loss,
        reason = "milliseconds fit until the year 287396"
    )]
    let millis = at.as_millisecond() as f64;
    millis / 1000.0
}
