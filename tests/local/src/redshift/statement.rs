//! A statement: how it stands, and how the API tells it.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::parameters::Parameter;
use super::result::Rows;
use super::run::{Outcome, Query};
use crate::AwsError;

/// How a statement stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Submitted,
    Started,
    Finished,
    Failed,
    Aborted,
}

impl Status {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Submitted => "SUBMITTED",
            Self::Started => "STARTED",
            Self::Finished => "FINISHED",
            Self::Failed => "FAILED",
            Self::Aborted => "ABORTED",
        }
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
    id: String,
    pub(super) name: Option<String>,
    batch: bool,
    pub(super) target: Target,
    parameters: Vec<Parameter>,
    pub(super) status: Status,
    created: Timestamp,
    pub(super) updated: Timestamp,
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

    /// Ends without having run, or as a whole.
    pub(super) fn end(&mut self, status: Status, error: Option<String>) {
        self.status = status;
        self.error = error;
        for part in &mut self.parts {
            if !part.status.is_terminal() {
                part.status = Status::Aborted;
            }
        }
    }

    /// Takes over what the runner found.
    pub(super) fn settle(&mut self, outcome: Outcome) {
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

    fn nanos(&self) -> i64 {
        i64::try_from(self.updated.duration_since(self.created).as_nanos()).unwrap_or(i64::MAX)
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
    let (rows, size) = part
        .rows
        .as_ref()
        .map_or((part.affected, 0), |rows| (rows.len() as u64, rows.size()));
    json!({"QueryString": part.text.sql, "RedshiftQueryId": part.text.query_id, "ResultRows": rows, "ResultSize": size})
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
