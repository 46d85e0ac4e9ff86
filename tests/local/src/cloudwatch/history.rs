//! What happened to alarms.

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::alarm::seconds;
use super::requests::{DescribeHistory, ScanBy, time};
use super::{Alarm, AlarmState, CloudWatch};
use crate::AwsError;

/// How long AWS keeps an item.
const KEPT: SignedDuration = SignedDuration::from_hours(30 * 24);
/// How many are kept here, at most.
const MOST: usize = 10_000;
/// How many a page has, at most.
const PAGE: usize = 100;

/// What an item tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum HistoryKind {
    ConfigurationUpdate,
    StateUpdate,
    Action,
}

/// Everything that happened, the oldest first.
#[derive(Debug, Default)]
pub(super) struct History {
    items: VecDeque<Item>,
    /// Counts them: a page goes on behind a number.
    count: u64,
}

#[derive(Debug)]
struct Item {
    number: u64,
    alarm: String,
    at: Timestamp,
    kind: HistoryKind,
    summary: String,
    data: Value,
}

impl History {
    fn note(
        &mut self,
        alarm: &str,
        at: Timestamp,
        (kind, summary, data): (HistoryKind, String, Value),
    ) {
        self.count += 1;
        self.items.push_back(Item {
            number: self.count,
            alarm: alarm.to_owned(),
            at,
            kind,
            summary,
            data,
        });
        let old = |item: &Item| at.duration_since(item.at) > KEPT;
        while self.items.len() > MOST || self.items.front().is_some_and(old) {
            self.items.pop_front();
        }
    }

    /// An alarm was made, changed (`Update`) or deleted (`Delete`).
    pub(super) fn configured(
        &mut self,
        alarm: &Alarm,
        kind: &str,
        at: Timestamp,
    ) -> Result<(), AwsError> {
        let (member, said) = match kind {
            "Create" => ("createdAlarm", "created"),
            "Update" => ("updatedAlarm", "updated"),
            _ => ("deletedAlarm", "deleted"),
        };
        let name = &alarm.config.alarm_name;
        let data = json!({"version": "1.0", "type": kind, member: alarm.described()?});
        let summary = format!("Alarm \"{name}\" {said}");
        self.note(name, at, (HistoryKind::ConfigurationUpdate, summary, data));
        Ok(())
    }

    /// An alarm came to its state from another, for another reason.
    pub(super) fn changed(
        &mut self,
        alarm: &Alarm,
        (old, reason, data): (AlarmState, String, Value),
    ) {
        let summary = format!(
            "Alarm updated from {} to {}",
            old.as_str(),
            alarm.state.as_str()
        );
        let state = |state: AlarmState, reason: &str, data: &Value| json!({"stateValue": state.as_str(), "stateReason": reason, "stateReasonData": data});
        let data = json!({
            "version": "1.0",
            "oldState": state(old, &reason, &data),
            "newState": state(alarm.state, &alarm.reason, &alarm.data),
        });
        let name = &alarm.config.alarm_name;
        self.note(name, alarm.since, (HistoryKind::StateUpdate, summary, data));
    }

    /// An action was tried.
    pub(super) fn acted(
        &mut self,
        (alarm, topic): (&str, &str),
        outcome: &Result<(), AwsError>,
        at: Timestamp,
    ) {
        let (summary, state) = match outcome {
            Ok(()) => (format!("Successfully executed action {topic}"), "Succeeded"),
            Err(error) => (
                format!(
                    "Failed to execute action {topic}. Received error: \"{}\"",
                    error.message
                ),
                "Failed",
            ),
        };
        let data = json!({
            "actionState": state, "notificationResource": topic,
            "error": outcome.as_ref().err().map(|error| error.message.as_str()),
            "stateUpdateTimestamp": at.as_millisecond(),
        });
        self.note(alarm, at, (HistoryKind::Action, summary, data));
    }
}

impl Item {
    fn shown(&self) -> Value {
        json!({
            "AlarmName": self.alarm,
            "AlarmType": "MetricAlarm",
            "Timestamp": seconds(self.at),
            "HistoryItemType": self.kind,
            "HistorySummary": self.summary,
            "HistoryData": self.data.to_string(),
        })
    }
}

impl CloudWatch {
    pub(super) fn describe_history(&self, input: &DescribeHistory) -> Result<Value, AwsError> {
        let most = input.max_records.unwrap_or(PAGE);
        if !(1..=PAGE).contains(&most) {
            return Err(AwsError::validation(format!(
                "MaxRecords is 1 to {PAGE}, not {most}"
            )));
        }
        let token = input
            .next_token
            .as_deref()
            .map(str::parse::<u64>)
            .transpose();
        let token = token.map_err(|_| {
            AwsError::new(
                "InvalidNextToken",
                "the NextToken is not one of DescribeAlarmHistory",
            )
        })?;
        let start = input.start_date.map(time).transpose()?;
        let end = input.end_date.map(time).transpose()?;
        let types = &input.alarm_types;
        let of_metrics = types.is_empty() || types.iter().any(|kind| kind == "MetricAlarm");
        let newest_first = input.scan_by == ScanBy::TimestampDescending;
        let inner = self.lock();
        let wanted = |item: &&Item| {
            of_metrics
                && input
                    .alarm_name
                    .as_ref()
                    .is_none_or(|name| *name == item.alarm)
                && input.history_item_type.is_none_or(|kind| kind == item.kind)
                && start.is_none_or(|start| item.at >= start)
                && end.is_none_or(|end| item.at <= end)
                && token.is_none_or(|token| {
                    (item.number < token) == newest_first && item.number != token
                })
        };
        let mut found: Vec<&Item> = inner.history.items.iter().filter(wanted).collect();
        if newest_first {
            found.reverse();
        }
        let more = found.len() > most;
        found.truncate(most);
        let shown: Vec<Value> = found.iter().map(|item| item.shown()).collect();
        let mut output = json!({"AlarmHistoryItems": shown});
        if more && let Some(last) = found.last() {
            output["NextToken"] = last.number.to_string().into();
        }
        Ok(output)
    }
}
