//! What the operations are asked for.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::parameters::Parameter;
use super::statement::{Status, Target};
use crate::AwsError;

/// A statement's text is at most 100 KB (Redshift management guide, Data API considerations).
const MAX_SQL: usize = 102_400;
/// A batch has at most 40 statements (API reference, BatchExecuteStatement).
const MAX_BATCH: usize = 40;
/// Characters of a client token (API reference).
const MAX_TOKEN: usize = 64;
/// Characters of a statement's name (API reference).
const MAX_NAME: usize = 500;
/// Statements of one page of a list, unless told: as AWS has it.
const PAGE_STATEMENTS: usize = 100;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Execute {
    sql: Option<String>,
    sqls: Option<Vec<String>>,
    #[serde(flatten)]
    pub(super) target: Target,
    pub(super) statement_name: Option<String>,
    pub(super) client_token: Option<String>,
    #[serde(default)]
    pub(super) parameters: Vec<Parameter>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ById {
    pub(super) id: String,
    pub(super) next_token: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct List {
    #[serde(flatten)]
    pub(super) target: Target,
    pub(super) statement_name: Option<String>,
    status: Option<String>,
    max_results: Option<usize>,
    /// The last statement of the page before.
    pub(super) next_token: Option<String>,
}

impl Execute {
    /// The statements of a request, and whether it is a batch.
    ///
    /// # Errors
    /// What is not allowed, or not here.
    pub(super) fn check(&self) -> Result<(Vec<String>, bool), AwsError> {
        self.target.check()?;
        for (name, value) in &self.others {
            match (name.as_str(), value) {
                // As it is without them.
                (_, Value::Null) | ("WithEvent", Value::Bool(false)) => {}
                ("ResultFormat", value) if value == "JSON" => {}
                ("ExecutionMode", value) if value == "TRANSACTION" => {}
                _ => {
                    return Err(AwsError::validation(format!(
                        "{name} {value} is not supported here"
                    )));
                }
            }
        }
        for (name, text, least, most) in [
            ("ClientToken", &self.client_token, 1, MAX_TOKEN),
            ("StatementName", &self.statement_name, 0, MAX_NAME),
        ] {
            let length = text.as_ref().map_or(least, |text| text.chars().count());
            if !(least..=most).contains(&length) {
                return Err(AwsError::validation(format!(
                    "{name} has {length} characters; {least} to {most} are allowed"
                )));
            }
        }
        self.sqls()
    }

    fn sqls(&self) -> Result<(Vec<String>, bool), AwsError> {
        let (sqls, batch) = match (&self.sql, &self.sqls) {
            (Some(sql), None) => (vec![sql.clone()], false),
            (None, Some(sqls)) if (1..=MAX_BATCH).contains(&sqls.len()) => (sqls.clone(), true),
            (None, Some(sqls)) => {
                return Err(AwsError::validation(format!(
                    "Sqls has {} statements; 1 to {MAX_BATCH} are allowed",
                    sqls.len()
                )));
            }
            _ => return Err(AwsError::validation("Sql or Sqls must be given")),
        };
        if let Some(long) = sqls.iter().find(|sql| sql.len() > MAX_SQL) {
            return Err(AwsError::validation(format!(
                "a statement has {} bytes; at most {MAX_SQL} are allowed",
                long.len()
            )));
        }
        Ok((sqls, batch))
    }

    /// All that the same token has to say again.
    pub(super) fn fingerprint(&self) -> String {
        format!(
            "{:?}",
            (
                &self.sql,
                &self.sqls,
                &self.target,
                &self.statement_name,
                &self.parameters
            )
        )
    }
}

impl List {
    /// The states to list; none for all. AWS lists finished statements only, unless told.
    ///
    /// # Errors
    /// If there is no such state.
    pub(super) fn status(&self) -> Result<Option<Status>, AwsError> {
        match self.status.as_deref() {
            Some("ALL") => Ok(None),
            None => Ok(Some(Status::Finished)),
            Some(text) => Status::named(text).map(Some).ok_or_else(|| {
                AwsError::validation(format!("Status {text} is none of a statement"))
            }),
        }
    }

    /// Statements of a page.
    ///
    /// # Errors
    /// If it is more than 100.
    pub(super) fn size(&self) -> Result<usize, AwsError> {
        match self.max_results {
            None | Some(0) => Ok(PAGE_STATEMENTS),
            Some(size) if size <= PAGE_STATEMENTS => Ok(size),
            Some(size) => Err(AwsError::validation(format!(
                "MaxResults {size}; at most {PAGE_STATEMENTS} are allowed"
            ))),
        }
    }
}

/// `id` or `id:n`, n counted from 1.
pub(super) fn split(id: &str) -> (&str, Option<usize>) {
    match id.split_once(':') {
        Some((id, part)) => (id, Some(part.parse().unwrap_or(0))),
        None => (id, None),
    }
}

/// Where a page of a result begins.
pub(super) fn offset(token: Option<&str>) -> Result<usize, AwsError> {
    token.map_or(Ok(0), |token| token.parse().map_err(|_| foreign_token()))
}

/// A token that no page was answered with.
pub(super) fn foreign_token() -> AwsError {
    AwsError::validation("NextToken is not one of ours")
}
