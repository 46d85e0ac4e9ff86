//! Executions as the page shows them, asked for as any client does.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{ExecutionRow, Show};
use crate::AwsError;
use crate::sfn::StepFunctions;
use std::sync::Arc;

/// How many executions the page lists.
const LISTED: usize = 12;
/// How many events of one execution are shown.
const EVENTS: usize = 500;

/// An execution and what happened in it.
#[derive(Debug, Clone, Default)]
pub(super) struct Run {
    pub(super) row: ExecutionRow,
    pub(super) input: Option<String>,
    pub(super) output: Option<String>,
    /// The last events, oldest first.
    pub(super) events: Vec<Happened>,
}

/// One event.
#[derive(Debug, Clone, Default)]
pub(super) struct Happened {
    pub(super) id: u64,
    pub(super) at: Timestamp,
    pub(super) kind: String,
    /// What is short enough for a line.
    pub(super) facts: Vec<(String, String)>,
    /// Inputs and outputs.
    pub(super) data: Vec<(String, String)>,
}

/// The last executions of all state machines, newest first.
pub(super) async fn last(sfn: &Arc<StepFunctions>, show: Show) -> Vec<ExecutionRow> {
    let filters: &[Option<&str>] = match show {
        Show::All => &[None],
        Show::Running => &[Some("RUNNING")],
        Show::Failed => &[Some("FAILED"), Some("TIMED_OUT"), Some("ABORTED")],
    };
    // What cannot be listed is not there: the page shows what is.
    let machines = sfn.call("ListStateMachines", json!({})).await;
    let machines = machines.unwrap_or_default();
    let mut rows = Vec::new();
    for machine in texts(&machines["stateMachines"], "stateMachineArn") {
        for filter in filters {
            let mut ask = json!({"stateMachineArn": machine, "maxResults": LISTED});
            if let Some(filter) = filter {
                ask["statusFilter"] = json!(filter);
            }
            let listed = sfn.call("ListExecutions", ask).await.unwrap_or_default();
            let listed = listed["executions"].as_array().into_iter().flatten();
            rows.extend(listed.map(row));
        }
    }
    rows.sort_by_key(|row| std::cmp::Reverse(row.started));
    rows.truncate(LISTED);
    for row in &mut rows {
        if row.status != "RUNNING" && row.status != "SUCCEEDED" {
            let ask = json!({"executionArn": row.arn});
            let described = sfn.call("DescribeExecution", ask).await.unwrap_or_default();
            row.error = text(&described["error"]);
            row.cause = text(&described["cause"]);
        }
    }
    rows
}

/// One execution.
pub(super) async fn whole(sfn: &Arc<StepFunctions>, arn: &str) -> Result<Run, AwsError> {
    let described = sfn.call("DescribeExecution", json!({"executionArn": arn}));
    let described = described.await?;
    let ask = json!({"executionArn": arn, "maxResults": EVENTS, "reverseOrder": true});
    let history = sfn.call("GetExecutionHistory", ask).await?;
    let mut events: Vec<Happened> = history["events"]
        .as_array()
        .into_iter()
        .flatten()
        .map(happened)
        .collect();
    events.reverse();
    Ok(Run {
        row: row(&described),
        input: text(&described["input"]),
        output: text(&described["output"]),
        events,
    })
}

fn row(shown: &Value) -> ExecutionRow {
    let machine = text(&shown["stateMachineArn"]).unwrap_or_default();
    ExecutionRow {
        arn: text(&shown["executionArn"]).unwrap_or_default(),
        name: text(&shown["name"]).unwrap_or_default(),
        machine: machine.rsplit(':').next().unwrap_or_default().to_owned(),
        status: text(&shown["status"]).unwrap_or_default(),
        started: time(&shown["startDate"]).unwrap_or_default(),
        ended: time(&shown["stopDate"]),
        error: text(&shown["error"]),
        cause: text(&shown["cause"]),
    }
}

fn happened(event: &Value) -> Happened {
    let mut happened = Happened {
        id: event["id"].as_u64().unwrap_or_default(),
        at: time(&event["timestamp"]).unwrap_or_default(),
        kind: text(&event["type"]).unwrap_or_default(),
        ..Happened::default()
    };
    let members = event.as_object().into_iter().flatten();
    let details = members.filter(|(name, _)| name.ends_with("EventDetails"));
    for (name, value) in details.flat_map(|(_, details)| details.as_object().into_iter().flatten())
    {
        let value = match value {
            Value::String(text) => text.clone(),
            Value::Object(_) => continue,
            other => other.to_string(),
        };
        let to = match name.as_str() {
            "input" | "output" | "parameters" => &mut happened.data,
            _ => &mut happened.facts,
        };
        to.push((name.clone(), value));
    }
    happened
}

fn texts(list: &Value, member: &str) -> Vec<String> {
    let items = list.as_array().into_iter().flatten();
    items.filter_map(|item| text(&item[member])).collect()
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

/// Seconds since the epoch, as JSON 1.0 has them.
fn time(value: &Value) -> Option<Timestamp> {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "milliseconds of our age fit"
    )]
    let millis = (value.as_f64()? * 1000.0).round() as i64;
    Timestamp::from_millisecond(millis).ok()
}
