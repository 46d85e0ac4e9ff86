//! The forms in which CloudWatch's changes arrive, read leniently.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::fmt::strtime;
use serde::Deserialize;
use serde_json::Value;

use crate::record::Level;

/// An alarm's change of state as somebody sent it: nothing of it is trusted yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    /// How it came.
    pub form: Form,
    /// The topic, where it came over SNS without raw delivery.
    pub topic: Option<String>,
    /// The alarm's name.
    pub alarm: String,
    /// The alarm's ARN; old messages have none.
    pub arn: Option<String>,
    /// The account.
    pub account: Option<String>,
    /// A region's code, or its display name.
    pub region: Option<String>,
    /// The new state.
    pub level: Level,
    /// When it changed.
    pub changed: Timestamp,
    /// What the alarm watches.
    pub metrics: Vec<ClaimedMetric>,
}

/// How a change of state came. Which of them is right, the catalogue says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// CloudWatch's message in SNS's envelope.
    Enveloped,
    /// CloudWatch's message alone.
    Raw,
    /// EventBridge's event.
    Event,
    /// EventBridge's event in SNS's envelope: nobody is told to send that.
    EventEnveloped,
}

/// One metric that an alarm watches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedMetric {
    /// Like `AWS/States`.
    pub namespace: String,
    /// Like `ActivityScheduleTime`.
    pub name: String,
    /// Names and values.
    pub dimensions: BTreeMap<String, String>,
}

/// Why a message is not a change of an alarm's state. Its text is not shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// No alarm's change of state is so long.
    #[error("the message has more than {LONGEST} bytes: no alarm's change of state has")]
    TooLong,
    /// Not JSON.
    #[error("the message is not JSON")]
    NotJson,
    /// JSON without what every change of state has.
    #[error("the message is not an alarm's change of state: {0}")]
    NotAlarm(String),
}

/// A description has 1,024 characters, a reason has 1,023, and the rest is less.
pub(crate) const LONGEST: usize = 64 * 1024;

/// [`parse`] for bytes that need not be text: whatever they are, it ends without
/// a panic, in time and memory that their length bounds.
///
/// # Errors
/// If they are no alarm's change of state.
pub fn parse_bytes(body: &[u8]) -> Result<Claim, ParseError> {
    if body.len() > LONGEST {
        return Err(ParseError::TooLong);
    }
    parse(std::str::from_utf8(body).map_err(|_| ParseError::NotJson)?)
}

/// Reads an SNS envelope, its raw content, or an EventBridge event.
///
/// # Errors
/// If it is none of them.
pub fn parse(body: &str) -> Result<Claim, ParseError> {
    if body.len() > LONGEST {
        return Err(ParseError::TooLong);
    }
    let value: Value = serde_json::from_str(body).map_err(|_| ParseError::NotJson)?;
    if value.get("detail-type").is_some() {
        return event(value);
    }
    if is_envelope(&value)
        && let (Some(topic), Some(Value::String(message))) =
            (value.get("TopicArn"), value.get("Message"))
    {
        let topic = topic.as_str().map(str::to_owned);
        let inner: Value = serde_json::from_str(message).map_err(|_| ParseError::NotJson)?;
        let (form, claim) = if inner.get("detail-type").is_some() {
            (Form::EventEnveloped, event(inner)?)
        } else {
            (Form::Enveloped, notification(inner)?)
        };
        let claim = Claim {
            form,
            topic,
            ..claim
        };
        return Ok(claim);
    }
    notification(value)
}

/// Whether SNS wrapped it: then it is signed, and the inside is what counts.
pub(crate) fn is_envelope(value: &Value) -> bool {
    value.get("detail-type").is_none()
        && value.get("TopicArn").is_some()
        && value.get("Message").is_some_and(Value::is_string)
}

// === CloudWatch's own message ===

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Notification {
    alarm_name: String,
    alarm_arn: Option<String>,
    #[serde(rename = "AWSAccountId")]
    account: Option<String>,
    region: Option<String>,
    new_state_value: String,
    state_change_time: String,
    #[serde(default)]
    trigger: Trigger,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Trigger {
    metric_name: Option<String>,
    namespace: Option<String>,
    dimensions: Option<Vec<Pair>>,
    metrics: Option<Vec<Query>>,
}

#[derive(Deserialize)]
struct Pair {
    #[serde(alias = "Name")]
    name: String,
    #[serde(alias = "Value")]
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Query {
    metric_stat: Option<Stat>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Stat {
    metric: Trigger,
}

fn notification(value: Value) -> Result<Claim, ParseError> {
    let read: Notification = serde_json::from_value(value).map_err(not_alarm)?;
    let inner = (read.trigger.metrics.into_iter().flatten())
        .filter_map(|query| query.metric_stat)
        .map(|stat| stat.metric);
    let outer = Trigger {
        metrics: None,
        ..read.trigger
    };
    Ok(Claim {
        form: Form::Raw,
        topic: None,
        alarm: read.alarm_name,
        arn: read.alarm_arn,
        account: read.account,
        region: read.region,
        level: level(&read.new_state_value)?,
        changed: time(&read.state_change_time)?,
        metrics: std::iter::once(outer)
            .chain(inner)
            .filter_map(Trigger::metric)
            .collect(),
    })
}

impl Trigger {
    fn metric(self) -> Option<ClaimedMetric> {
        Some(ClaimedMetric {
            namespace: self.namespace?,
            name: self.metric_name?,
            dimensions: (self.dimensions.into_iter().flatten())
                .map(|pair| (pair.name, pair.value))
                .collect(),
        })
    }
}

// === EventBridge ===

/// Only AWS itself can send events from a source that begins with `aws.`.
const SOURCE: &str = "aws.cloudwatch";
const DETAIL_TYPE: &str = "CloudWatch Alarm State Change";

#[derive(Deserialize)]
struct Event {
    source: String,
    #[serde(rename = "detail-type")]
    detail_type: String,
    account: Option<String>,
    region: Option<String>,
    #[serde(default)]
    resources: Vec<String>,
    detail: Detail,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Detail {
    alarm_name: String,
    state: State,
    #[serde(default)]
    configuration: Configuration,
}

#[derive(Deserialize)]
struct State {
    value: String,
    timestamp: String,
}

#[derive(Deserialize, Default)]
struct Configuration {
    #[serde(default)]
    metrics: Vec<EventQuery>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EventQuery {
    metric_stat: Option<EventStat>,
}

#[derive(Deserialize)]
struct EventStat {
    metric: EventMetric,
}

#[derive(Deserialize)]
struct EventMetric {
    namespace: String,
    name: String,
    #[serde(default)]
    dimensions: BTreeMap<String, String>,
}

fn event(value: Value) -> Result<Claim, ParseError> {
    let Event {
        source,
        detail_type,
        account,
        region,
        resources,
        detail,
    } = serde_json::from_value(value).map_err(not_alarm)?;
    if source != SOURCE || detail_type != DETAIL_TYPE {
        return Err(ParseError::NotAlarm("it is another event".to_owned()));
    }
    Ok(Claim {
        form: Form::Event,
        topic: None,
        alarm: detail.alarm_name,
        arn: resources.into_iter().next(),
        account,
        region,
        level: level(&detail.state.value)?,
        changed: time(&detail.state.timestamp)?,
        metrics: (detail.configuration.metrics.into_iter())
            .filter_map(|query| query.metric_stat)
            .map(|stat| ClaimedMetric {
                namespace: stat.metric.namespace,
                name: stat.metric.name,
                dimensions: stat.metric.dimensions,
            })
            .collect(),
    })
}

// === the parts ===

fn not_alarm(error: serde_json::Error) -> ParseError {
    // serde names fields and types; the position tells nothing of a value.
    ParseError::NotAlarm(match error.classify() {
        serde_json::error::Category::Data if error.to_string().starts_with("missing field") => {
            error.to_string()
        }
        _ => "a field has another type than expected".to_owned(),
    })
}

fn level(state: &str) -> Result<Level, ParseError> {
    match state {
        "OK" => Ok(Level::Ok),
        "ALARM" => Ok(Level::Alarm),
        "INSUFFICIENT_DATA" => Ok(Level::Unknown),
        _ => Err(ParseError::NotAlarm("its state is none".to_owned())),
    }
}

/// `2015-06-03T17:43:27.123+0000`, or any RFC 3339 time.
fn time(text: &str) -> Result<Timestamp, ParseError> {
    text.parse()
        .or_else(|_| {
            strtime::parse("%Y-%m-%dT%H:%M:%S%.f%z", text).and_then(|broken| broken.to_timestamp())
        })
        .map_err(|_| ParseError::NotAlarm("its time is none".to_owned()))
}
