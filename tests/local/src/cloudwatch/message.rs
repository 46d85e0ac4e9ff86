//! What an alarm says to its topics when its state changes.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::alarm::{Alarm, date};
use super::data::MetricStat;
use super::rules::AlarmState;
use super::statistic::Statistic;
use super::store::Dimension;
use crate::{AwsError, Context};

/// Takes what alarms say to topics.
pub trait ActionSink: Send + Sync {
    /// Publishes to the topic.
    ///
    /// # Errors
    /// The topic is not there: the alarm's history says so.
    fn notify(&self, topic_arn: &str, subject: &str, message: &str) -> Result<(), AwsError>;
}

/// A notification on its way out.
#[derive(Debug)]
pub(super) struct Notice {
    pub(super) alarm: String,
    pub(super) topics: Vec<String>,
    pub(super) subject: String,
    pub(super) message: String,
}

impl Notice {
    /// Of an alarm that came to its state from `old`, where that has actions.
    pub(super) fn of(context: &Context, alarm: &Alarm, old: AlarmState) -> Option<Self> {
        let topics = alarm.config.actions(alarm.state).to_vec();
        if !alarm.config.actions_enabled || topics.is_empty() {
            return None;
        }
        let region = display_name(&context.region);
        let name = &alarm.config.alarm_name;
        Some(Self {
            alarm: name.clone(),
            topics,
            subject: format!("{}: \"{name}\" in {region}", alarm.state.as_str()),
            message: message(context, alarm, old).to_string(),
        })
    }
}

fn message(context: &Context, alarm: &Alarm, old: AlarmState) -> Value {
    let config = &alarm.config;
    json!({
        "AlarmName": config.alarm_name,
        "AlarmDescription": config.alarm_description,
        "AWSAccountId": context.account,
        "AlarmConfigurationUpdatedTimestamp": date(alarm.configured),
        "NewStateValue": alarm.state.as_str(),
        "NewStateReason": alarm.reason,
        "StateChangeTime": date(alarm.since),
        "Region": display_name(&context.region),
        "AlarmArn": alarm.arn,
        "OldStateValue": old.as_str(),
        "OKActions": config.ok_actions,
        "AlarmActions": config.alarm_actions,
        "InsufficientDataActions": config.insufficient_data_actions,
        "Trigger": trigger(alarm),
    })
}

fn trigger(alarm: &Alarm) -> Value {
    let config = &alarm.config;
    let mut trigger = match &config.metric_name {
        Some(metric) => {
            let mut shown = json!({
                "MetricName": metric,
                "Namespace": config.namespace,
                "Unit": config.unit,
                "Dimensions": dimensions(&config.dimensions),
            });
            let (kind, said) = match (config.statistic, config.extended_statistic) {
                (_, Some(extended)) => ("ExtendedStatistic", extended.to_string()),
                (plain, None) => ("Statistic", plain.map(statistic).unwrap_or_default()),
            };
            shown["StatisticType"] = kind.into();
            shown[kind] = said.into();
            shown
        }
        None => json!({ "Metrics": config.metrics.iter().map(|query| {
            let mut shown = Map::new();
            shown.insert("Id".to_owned(), query.id.clone().into());
            if let Some(expression) = &query.expression {
                shown.insert("Expression".to_owned(), expression.clone().into());
            }
            if let Some(label) = &query.label {
                shown.insert("Label".to_owned(), label.clone().into());
            }
            if let Some(stat) = &query.metric_stat {
                shown.insert("MetricStat".to_owned(), metric_stat(stat));
            }
            shown.insert("ReturnData".to_owned(), query.returns().into());
            Value::Object(shown)
        }).collect::<Vec<_>>() }),
    };
    let treatment = config.treat_missing_data.unwrap_or_default().as_str();
    let more = json!({
        "Period": config.period.or_else(|| {
            let stats = config.metrics.iter().filter_map(|query| query.metric_stat.as_ref());
            stats.map(|stat| stat.period).max()
        }),
        "EvaluationPeriods": config.evaluation_periods,
        "DatapointsToAlarm": config.datapoints_to_alarm.unwrap_or(config.evaluation_periods),
        "ComparisonOperator": config.comparison_operator,
        "Threshold": config.threshold,
        // A list's item, for the mail that this is also made for.
        "TreatMissingData": format!("- TreatMissingData: {treatment}"),
        "EvaluateLowSampleCountPercentile": "",
    });
    if let (Some(trigger), Value::Object(more)) = (trigger.as_object_mut(), more) {
        trigger.extend(more);
    }
    trigger
}

fn metric_stat(stat: &MetricStat) -> Value {
    json!({
        "Metric": {
            "Dimensions": dimensions(&stat.metric.dimensions),
            "MetricName": stat.metric.metric_name,
            "Namespace": stat.metric.namespace,
        },
        "Period": stat.period,
        "Stat": stat.stat,
        "Unit": stat.unit,
    })
}

/// In small letters here and nowhere else.
fn dimensions(dimensions: &[Dimension]) -> Vec<Value> {
    let shown = dimensions.iter();
    shown
        .map(|dimension| json!({"value": dimension.value, "name": dimension.name}))
        .collect()
}

/// In capitals here and nowhere else.
fn statistic(statistic: Statistic) -> String {
    match statistic {
        Statistic::SampleCount => "SAMPLE_COUNT".to_owned(),
        other => other.to_string().to_uppercase(),
    }
}

/// What a region is called in an alarm's message; one that is not known here
/// goes by its code.
fn display_name(region: &str) -> &str {
    match region {
        "us-east-1" => "US East (N. Virginia)",
        "us-east-2" => "US East (Ohio)",
        "us-west-1" => "US West (N. California)",
        "us-west-2" => "US West (Oregon)",
        "ca-central-1" => "Canada (Central)",
        "eu-central-1" => "EU (Frankfurt)",
        "eu-west-1" => "EU (Ireland)",
        "eu-west-2" => "EU (London)",
        "eu-west-3" => "EU (Paris)",
        "eu-north-1" => "EU (Stockholm)",
        "eu-south-1" => "EU (Milan)",
        "ap-south-1" => "Asia Pacific (Mumbai)",
        "ap-southeast-1" => "Asia Pacific (Singapore)",
        "ap-southeast-2" => "Asia Pacific (Sydney)",
        "ap-northeast-1" => "Asia Pacific (Tokyo)",
        "ap-northeast-2" => "Asia Pacific (Seoul)",
        "sa-east-1" => "South America (Sao Paulo)",
        other => other,
    }
}

/// The time of a change: later than the last one by a millisecond at least,
/// since a change is known by its time.
pub(super) fn change_time(now: Timestamp, last: Timestamp) -> Timestamp {
    let next = Timestamp::from_millisecond(last.as_millisecond() + 1).unwrap_or(now);
    now.max(next)
}
