//! The Redshift Data API: the only file that names its SDK.

use std::time::Duration;

use aws_sdk_redshiftdata::types::{Field, SqlParameter, StatusString, SubStatementData};
use stepfleet_activity::Class;
use stepfleet_activity::catalogue::{self, WarehouseTarget};

use super::Answer;
use super::call::{CallError, failed};

/// The Data API client that an activity is given.
pub(crate) type Client = aws_sdk_redshiftdata::Client;

/// Where a statement is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Not at its end yet.
    Running,
    /// Committed.
    Finished,
    /// Rolled back by its own fault.
    Failed,
    /// Rolled back because somebody cancelled it.
    Cancelled,
}

impl State {
    /// Whether it has ended and left nothing.
    pub(crate) fn is_rolled_back(self) -> bool {
        matches!(self, Self::Failed | Self::Cancelled)
    }
}

/// A statement in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Statement {
    pub(crate) id: String,
    pub(crate) state: State,
}

/// A statement looked at closely.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Looked {
    pub(crate) state: State,
    pub(crate) error: Option<String>,
    /// The query ids of a batch's statements, in order.
    pub(crate) queries: Vec<i64>,
}

/// One warehouse of the catalogue.
#[derive(Debug, Clone)]
pub(crate) struct DataApi {
    client: Client,
    warehouse: catalogue::Warehouse,
}

/// Says where a request goes: the builders have the same methods and no trait.
macro_rules! connected {
    ($request:expr, $warehouse:expr) => {{
        let request = $request
            .database(&$warehouse.database)
            .set_secret_arn($warehouse.secret.clone());
        match &$warehouse.target {
            WarehouseTarget::Workgroup(name) => request.workgroup_name(name),
            WarehouseTarget::Cluster { identifier, user } => request
                .cluster_identifier(identifier)
                .set_db_user(user.clone()),
            // Refused with the catalogue, before anybody asks.
            WarehouseTarget::Postgres { .. } => request,
        }
    }};
}

impl DataApi {
    pub(crate) fn new(client: Client, warehouse: catalogue::Warehouse) -> Self {
        Self { client, warehouse }
    }

    pub(crate) fn warehouse(&self) -> &catalogue::Warehouse {
        &self.warehouse
    }

    /// Runs one statement to its end; gives the rows, to the last page.
    pub(crate) async fn run(
        &self,
        sql: &str,
        parameters: &[(String, String)],
    ) -> Answer<Vec<Vec<String>>> {
        let parameters: Vec<SqlParameter> = parameters
            .iter()
            .map(|(name, value)| SqlParameter::builder().name(name).value(value).build())
            .collect::<Result<_, _>>()
            .map_err(|error| CallError {
                what: "bind parameters".to_owned(),
                reason: error.to_string(),
                class: Class::Permanent,
            })?;
        let request = connected!(self.client.execute_statement(), self.warehouse)
            .sql(sql)
            .set_parameters((!parameters.is_empty()).then_some(parameters));
        let id = request
            .send()
            .await
            .map_err(|error| failed("submit a statement", &error))?
            .id
            .unwrap_or_default();
        if self.end(&id).await? {
            self.result(&id).await
        } else {
            Ok(Vec::new())
        }
    }

    /// Runs statements without results as one transaction.
    pub(crate) async fn run_all(&self, statements: Vec<String>) -> Answer<()> {
        let submitted = connected!(self.client.batch_execute_statement(), self.warehouse)
            .set_sqls(Some(statements))
            .send()
            .await
            .map_err(|error| failed("submit statements", &error))?;
        self.end(&submitted.id.unwrap_or_default()).await.map(drop)
    }

    /// Waits for a statement's end; tells whether it has a result.
    async fn end(&self, id: &str) -> Answer<bool> {
        let mut pause = FIRST_PAUSE;
        loop {
            let looked = self.look(id).await?;
            match state(looked.status()) {
                State::Running => pause = wait(pause).await,
                State::Finished => return Ok(looked.has_result_set() == Some(true)),
                State::Failed | State::Cancelled => {
                    let reason = looked.error().unwrap_or("no reason given").to_owned();
                    return Err(CallError {
                        what: format!("statement {id}"),
                        class: classify(&reason),
                        reason,
                    });
                }
            }
        }
    }

    /// Submits statements as one transaction under a name; the same token answers
    /// with what it has made before.
    pub(crate) async fn submit(
        &self,
        statements: Vec<String>,
        name: &str,
        token: &str,
    ) -> Answer<String> {
        connected!(self.client.batch_execute_statement(), self.warehouse)
            .set_sqls(Some(statements))
            .statement_name(name)
            .client_token(token)
            .send()
            .await
            .map(|submitted| submitted.id.unwrap_or_default())
            .map_err(|error| failed(format!("submit batch {name}"), &error))
    }

    /// All statements submitted under a name.
    pub(crate) async fn statements(&self, name: &str) -> Answer<Vec<Statement>> {
        let mut pages = self
            .client
            .list_statements()
            .statement_name(name)
            .status(StatusString::All)
            .role_level(true)
            .into_paginator()
            .send();
        let mut statements = Vec::new();
        while let Some(page) = pages.next().await {
            let page =
                page.map_err(|error| failed(format!("list statements of {name}"), &error))?;
            // The name asked for is a prefix of what is listed.
            let ours = page
                .statements()
                .iter()
                .filter(|statement| statement.statement_name() == Some(name));
            statements.extend(ours.map(|statement| Statement {
                id: statement.id().to_owned(),
                state: state(statement.status()),
            }));
        }
        Ok(statements)
    }

    /// Asks for a statement's end. Fails where there is nothing to cancel any more.
    pub(crate) async fn cancel(&self, id: &str) -> Answer<()> {
        self.client
            .cancel_statement()
            .id(id)
            .send()
            .await
            .map(drop)
            .map_err(|error| failed(format!("cancel statement {id}"), &error))
    }

    /// Where a statement is.
    pub(crate) async fn describe(&self, id: &str) -> Answer<Looked> {
        let looked = self.look(id).await?;
        let queries = looked.sub_statements().iter();
        Ok(Looked {
            state: state(looked.status()),
            error: looked.error().map(str::to_owned),
            queries: queries.map(SubStatementData::redshift_query_id).collect(),
        })
    }

    async fn look(
        &self,
        id: &str,
    ) -> Answer<aws_sdk_redshiftdata::operation::describe_statement::DescribeStatementOutput> {
        self.client
            .describe_statement()
            .id(id)
            .send()
            .await
            .map_err(|error| failed(format!("describe statement {id}"), &error))
    }

    async fn result(&self, id: &str) -> Answer<Vec<Vec<String>>> {
        let mut pages = self
            .client
            .get_statement_result()
            .id(id)
            .into_paginator()
            .send();
        let mut rows = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| failed(format!("result of statement {id}"), &error))?;
            rows.extend(
                page.records()
                    .iter()
                    .map(|row| row.iter().map(text).collect()),
            );
        }
        Ok(rows)
    }
}

/// The first pause of a poll, and the last.
pub(crate) const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LAST_PAUSE: Duration = Duration::from_secs(5);

/// Waits between two looks at a statement; gives the next pause.
pub(crate) async fn wait(pause: Duration) -> Duration {
    tokio::time::sleep_until(tokio::time::Instant::now() + pause).await;
    (pause * 3 / 2).min(LAST_PAUSE)
}

/// What a failed statement's text says about trying again. What a load did is
/// never read from here: the ledger says that.
pub(crate) fn classify(reason: &str) -> Class {
    let reason = reason.to_ascii_lowercase();
    // What S3 has answered to the COPY says it itself: the ids behind it may hold
    // any digits, and a key any word.
    if let Some((_, answer)) = reason.split_once("s3serviceexception:") {
        let status = answer.split_once("status ").map(|(_, status)| status);
        return match status.map(|status| &status[..status.len().min(1)]) {
            Some("4") => Class::Permanent,
            _ => Class::Transient,
        };
    }
    let later = [
        "error: 1023",
        "error 1023",
        "serializable isolation",
        "deadlock",
        "connection",
        "timeout",
        "timed out",
        "too many",
        "try again",
        "starting up",
        "shutting down",
        "out of memory",
    ];
    if later.iter().any(|sign| reason.contains(sign)) {
        Class::Transient
    } else {
        Class::Permanent
    }
}

/// Whether a statement has failed for the table, whatever the files: a right, a
/// table or a column that is not there, by the texts of Redshift.
pub(crate) fn is_of_table(reason: &str) -> bool {
    let first = reason.trim_start().lines().next().unwrap_or_default();
    let first = first.to_ascii_lowercase();
    let said = first.strip_prefix("error:").unwrap_or(&first).trim_start();
    let missing = ["relation ", "column ", "schema ", "table ", "database "];
    let missing = missing.iter().any(|what| said.starts_with(what));
    let right = [
        "permission denied",
        "must be owner of",
        "user is not authorized",
    ];
    (missing && said.contains("does not exist"))
        || said.starts_with("cannot copy into nonexistent table")
        || right.iter().any(|right| said.starts_with(right))
}

fn state(status: Option<&StatusString>) -> State {
    match status {
        Some(StatusString::Finished) => State::Finished,
        Some(StatusString::Failed) => State::Failed,
        Some(StatusString::Aborted) => State::Cancelled,
        _ => State::Running,
    }
}

fn text(field: &Field) -> String {
    match field {
        Field::StringValue(text) => text.clone(),
        Field::LongValue(number) => number.to_string(),
        Field::DoubleValue(number) => number.to_string(),
        Field::BooleanValue(value) => u8::from(*value).to_string(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_warehouse_says_is_later_never_or_of_the_table() {
        const S3: &str = "ERROR: S3ServiceException:Access Denied,Status 403,Error AccessDenied,Rid 10230102,ExtRid timeout,CanRetry 1";
        for (reason, class, of_table) in [
            (
                "ERROR: 1023 DETAIL: Serializable isolation violation on table",
                Class::Transient,
                false,
            ),
            ("ERROR: deadlock detected", Class::Transient, false),
            (S3, Class::Permanent, false),
            (
                "S3ServiceException:The operation is not valid for the object's storage class,Status 403,Error InvalidObjectState,Rid 1023",
                Class::Permanent,
                false,
            ),
            (
                "S3ServiceException:Please reduce your request rate.,Status 503,Error SlowDown,Rid 1,CanRetry 1",
                Class::Transient,
                false,
            ),
            (
                "ERROR: permission denied for relation t",
                Class::Permanent,
                true,
            ),
            (
                "ERROR: relation \"public.nowhere\" does not exist\n  Where: SQL statement",
                Class::Permanent,
                true,
            ),
            (
                "column \"b\" of relation \"t\" does not exist",
                Class::Permanent,
                true,
            ),
            (
                "ERROR: Cannot COPY into nonexistent table t",
                Class::Permanent,
                true,
            ),
            (
                "The specified S3 prefix 'relation x.csv' does not exist",
                Class::Permanent,
                false,
            ),
            (
                "Load into table 't' failed.  Check 'sys_load_error_detail' system table for details.",
                Class::Permanent,
                false,
            ),
        ] {
            assert_eq!(classify(reason), class, "{reason}");
            assert_eq!(is_of_table(reason), of_table, "{reason}");
        }
    }
}
