//! A statement: how it stands, and how the API tells it.

use std::cmp::Ordering;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::parameters::Parameter;
use super::result::Rows;
use super::run::{Outcome, Query};
use crate::AwsError;

/// What the API says for a number that is not known.
const UNKNOWN: i64 = -1;

/// How a statement stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Submitted,
    Picked,
    Started,
    Finished,
    Failed,
    Aborted,
}

impl Status {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Submitted => "SUBMITTED",
            Self::Picked => "PICKED",
            Self::Started => "STARTED",
            Self::Finished => "FINISHED",
            Self::Failed => "FAILED",
            Self::Aborted => "ABORTED",
        }
    }

    /// The state of a name.
    pub(super) fn named(name: &str) -> Option<Self> {
        use Status::{Aborted, Failed, Finished, Picked, Started, Submitted};
        [Submitted, Picked, Started, Finished, Failed, Aborted]
            .into_iter()
            .find(|status| status.as_str() == name)
    }

    pub(super) fn is_terminal(self) -> bool {
        matches!(self, Self::Finished | Self::Failed | Self::Aborted)
    }
}

/// Which database a statement is for.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Target {
    database: Option<String>,
    workgroup_name: Option<String>,
    cluster_identifier: Option<String>,
    secret_arn: Option<String>,
    db_user: Option<String>,
}

impl Target {
    /// One of workgroup and cluster, and a database.
    pub(super) fn check(&self) -> Result<(), AwsError> {
        if self.database.is_none() {
            return Err(AwsError::validation("Database must be given"));
        }
        if self.workgroup_name.is_some() == self.cluster_identifier.is_some() {
            return Err(AwsError::validation(
                "exactly one of WorkgroupName and ClusterIdentifier must be given",
            ));
        }
        Ok(())
    }

    /// The system view that has the errors of a load: a workgroup has no STL.
    pub(super) fn errors_in(&self) -> &'static str {
        if self.workgroup_name.is_some() {
            "sys_load_error_detail"
        } else {
            "stl_load_errors"
        }
    }

    /// Whether all that this names is the same in another.
    pub(super) fn covers(&self, other: &Self) -> bool {
        let others = other.fields();
        self.fields()
            .iter()
            .zip(others)
            .all(|((_, wanted), (_, found))| wanted.is_none() || *wanted == found)
    }

    fn add_to(&self, answer: &mut Value) {
        for (name, value) in self.fields() {
            if let Some(value) = value {
                answer[name] = json!(value);
            }
        }
    }

    fn fields(&self) -> [(&'static str, Option<&str>); 5] {
        [
            ("Database", self.database.as_deref()),
            ("WorkgroupName", self.workgroup_name.as_deref()),
            ("ClusterIdentifier", self.cluster_identifier.as_deref()),
            ("SecretArn", self.secret_arn.as_deref()),
            ("DbUser", self.db_user.as_deref()),
        ]
    }
}

/// What was asked for.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) name: Option<String>,
    pub(super) batch: bool,
    pub(super) target: Target,
    pub(super) parameters: Vec<Parameter>,
    pub(super) texts: Vec<Text>,
}

/// One SQL text as it was written, as it runs, and its id in the load history.
#[derive(Debug)]
pub(super) struct Text {
    pub(super) sql: String,
    pub(super) bound: String,
    pub(super) query_id: i64,
}

/// One SQL text of a statement.
#[derive(Debug)]
struct Part {
    text: Text,
    status: Status,
    error: Option<String>,
    affected: u64,
    rows: Option<Rows>,
}

/// A statement as it was submitted, and what became of it.
#[derive(Debug)]
pub(super) struct Statement {
    pub(super) id: String,
    pub(super) name: Option<String>,
    batch: bool,
    pub(super) target: Target,
    parameters: Vec<Parameter>,
    pub(super) status: Status,
    created: Timestamp,
    pub(super) updated: Timestamp,
    started: Option<Timestamp>,
    ended: Option<Timestamp>,
    /// PostgreSQL's process, once there is one.
    process: Option<i32>,
    error: Option<String>,
    parts: Vec<Part>,
    /// Asks the runner to stop.
    pub(super) stop: CancellationToken,
}

impl Statement {
    /// A statement that nobody runs yet.
    pub(super) fn new(id: String, asked: Asked, now: Timestamp) -> Self {
        let part = |text| Part {
            text,
            status: Status::Submitted,
            error: None,
            affected: 0,
            rows: None,
        };
        Self {
            id,
            name: asked.name,
            batch: asked.batch,
            target: asked.target,
            parameters: asked.parameters,
            status: Status::Submitted,
            created: now,
            updated: now,
            started: None,
            ended: None,
            process: None,
            error: None,
            parts: asked.texts.into_iter().map(part).collect(),
            stop: CancellationToken::new(),
        }
    }

    /// What the runner needs.
    pub(super) fn queries(&self) -> Vec<Query> {
        self.parts
            .iter()
            .map(|part| Query {
                sql: part.text.bound.clone(),
                id: part.text.query_id,
            })
            .collect()
    }

    /// Comes to a state on its way.
    pub(super) fn reach(&mut self, status: Status, now: Timestamp) {
        self.status = status;
        if status == Status::Started {
            self.started = Some(now);
        }
        if !self.batch {
            for part in &mut self.parts {
                part.status = status;
            }
        }
    }

    /// One of the texts runs now, and those before it have.
    pub(super) fn begin(&mut self, at: usize, process: i32) {
        self.process = Some(process);
        for (number, part) in self.parts.iter_mut().enumerate() {
            match number.cmp(&at) {
                Ordering::Less => part.status = Status::Finished,
                Ordering::Equal => part.status = Status::Started,
                Ordering::Greater => {}
            }
        }
    }

    /// Ends as a whole: what ran before is taken back too.
    fn end(&mut self, status: Status, error: Option<String>) {
        self.status = status;
        self.error = error;
        for part in &mut self.parts {
            if part.status != Status::Failed {
                part.status = Status::Aborted;
            }
        }
    }

    /// Takes over what the runner found.
    pub(super) fn settle(&mut self, outcome: Outcome, now: Timestamp) {
        self.ended = Some(now);
        match outcome {
            Outcome::Finished(results) => {
                for (part, result) in self.parts.iter_mut().zip(results) {
                    part.status = Status::Finished;
                    part.affected = result.affected;
                    part.rows = result.rows;
                }
                self.status = Status::Finished;
            }
            Outcome::Failed { at, error } => {
                if let Some(part) = self.parts.get_mut(at) {
                    part.status = Status::Failed;
                    part.error = Some(error.clone());
                }
                let error = if self.batch {
                    format!("Query #{} failed with {error}", at + 1)
                } else {
                    error
                };
                self.end(Status::Failed, Some(error));
            }
            Outcome::Aborted => self.end(Status::Aborted, None),
        }
    }

    /// The answer to its submission.
    pub(super) fn accepted(&self) -> Value {
        let mut answer = json!({"Id": self.id, "CreatedAt": seconds(self.created)});
        self.target.add_to(&mut answer);
        answer
    }

    /// `DescribeStatement`, of the whole or of a part counted from 1.
    pub(super) fn describe(&self, part: Option<usize>) -> Option<Value> {
        if let Some(number) = part {
            let part = self
                .parts
                .get(number.checked_sub(1)?)
                .filter(|_| self.batch)?;
            return Some(self.describe_part(part, number));
        }
        let mut answer = json!({
            "Id": self.id, "Status": self.status.as_str(), "CreatedAt": seconds(self.created), "UpdatedAt": seconds(self.updated),
            "Duration": self.nanos(), "HasResultSet": self.parts.iter().any(|part| part.rows.is_some()),
        });
        self.target.add_to(&mut answer);
        if let Some(process) = self.process {
            answer["RedshiftPid"] = json!(process);
        }
        if let Some(error) = &self.error {
            answer["Error"] = json!(error);
        }
        if !self.parameters.is_empty() {
            answer["QueryParameters"] = json!(self.parameters);
        }
        if self.batch {
            answer["SubStatements"] = self
                .parts
                .iter()
                .enumerate()
                .map(|(at, part)| self.describe_part(part, at + 1))
                .collect();
        } else if let Some(part) = self.parts.first() {
            merge(&mut answer, part_fields(part));
        }
        Some(answer)
    }

    fn describe_part(&self, part: &Part, number: usize) -> Value {
        let mut answer = json!({
            "Id": format!("{}:{number}", self.id), "Status": part.status.as_str(), "CreatedAt": seconds(self.created), "UpdatedAt": seconds(self.updated),
            "HasResultSet": part.rows.is_some(), "Duration": self.nanos(),
        });
        if let Some(error) = &part.error {
            answer["Error"] = json!(error);
        }
        merge(&mut answer, part_fields(part));
        answer
    }

    /// How long it ran: -1 where it has not, or still does.
    fn nanos(&self) -> i64 {
        let (Some(started), Some(ended)) = (self.started, self.ended) else {
            return UNKNOWN;
        };
        i64::try_from(ended.duration_since(started).as_nanos()).unwrap_or(i64::MAX)
    }

    /// The result set of the whole, or of a part counted from 1.
    pub(super) fn rows(&self, part: Option<usize>) -> Option<&Rows> {
        let at = match part {
            Some(number) if self.batch => number.checked_sub(1)?,
            None if !self.batch => 0,
            _ => return None,
        };
        self.parts.get(at)?.rows.as_ref()
    }

    /// A row of `ListStatements`.
    pub(super) fn listed(&self) -> Value {
        let mut answer = json!({"Id": self.id, "Status": self.status.as_str(), "CreatedAt": seconds(self.created), "UpdatedAt": seconds(self.updated), "IsBatchStatement": self.batch});
        if let Some(name) = &self.name {
            answer["StatementName"] = json!(name);
        }
        if self.batch {
            answer["QueryStrings"] = self.texts().collect();
        } else {
            answer["QueryString"] = json!(self.texts().next());
        }
        answer
    }

    fn texts(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().map(|part| part.text.sql.as_str())
    }
}

fn part_fields(part: &Part) -> Value {
    let mut answer = json!({"QueryString": part.text.sql, "RedshiftQueryId": UNKNOWN, "ResultRows": UNKNOWN, "ResultSize": UNKNOWN});
    if !matches!(part.status, Status::Submitted | Status::Picked) {
        answer["RedshiftQueryId"] = json!(part.text.query_id);
    }
    if part.status == Status::Finished {
        let rows = part.rows.as_ref();
        let count = rows.map_or(part.affected, |rows| rows.len() as u64);
        answer["ResultRows"] = json!(count);
        answer["ResultSize"] = json!(rows.map_or(0, Rows::size));
    }
    answer
}

fn merge(into: &mut Value, from: Value) {
    if let (Value::Object(into), Value::Object(from)) = (into, from) {
        into.extend(from);
    }
}

/// JSON 1.1 has times as seconds since 1970, with fractions.
#[expect(
    clippy::cast_precision_loss,
    reason = "milliseconds since 1970 are far below 2^52"
)]
fn seconds(at: Timestamp) -> f64 {
    at.as_millisecond() as f64 / 1000.0
}
