//! The Redshift Data API on a real PostgreSQL.
//!
//! Statements run one after the other in a transaction on a connection of their
//! own; COPY from S3 becomes PostgreSQL's COPY in the same transaction.

mod copy;
mod parameters;
mod postgres;
mod procedure;
mod result;
mod run;
mod statement;
mod translate;

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

pub use postgres::{Warehouse, WarehouseError, WarehouseOptions};

use crate::context::read;
use crate::s3::S3;
use crate::server::JsonService;
use crate::{AwsError, Context};
use parameters::Parameter;
use statement::{Asked, Statement, Status, Target, Text};

/// A statement's text is at most 100 KB (Redshift management guide, Data API considerations).
const MAX_SQL: usize = 102_400;
/// A batch has at most 40 statements (API reference, BatchExecuteStatement).
const MAX_BATCH: usize = 40;
/// At most so many statements are active at once.
const MAX_ACTIVE: usize = 200;
/// A client token answers with its statement for so long (API reference).
const TOKEN_KEPT: SignedDuration = SignedDuration::from_hours(8);
/// Rows of one page of a result.
const PAGE_ROWS: usize = 1_000;
/// Statements of one page of a list, unless told: as AWS has it.
const PAGE_STATEMENTS: usize = 100;

/// The Redshift Data API.
#[derive(Debug)]
pub struct DataApi {
    context: Context,
    warehouse: Arc<Warehouse>,
    s3: Arc<S3>,
    latency: Duration,
    next_query: AtomicI64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    statements: HashMap<String, Statement>,
    /// Ids, oldest first.
    order: Vec<String>,
    tokens: HashMap<String, (String, Timestamp)>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Execute {
    sql: Option<String>,
    sqls: Option<Vec<String>>,
    #[serde(flatten)]
    target: Target,
    statement_name: Option<String>,
    client_token: Option<String>,
    #[serde(default)]
    parameters: Vec<Parameter>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ById {
    id: String,
    next_token: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct List {
    #[serde(flatten)]
    target: Target,
    statement_name: Option<String>,
    status: Option<String>,
    max_results: Option<usize>,
    next_token: Option<String>,
}

impl DataApi {
    /// The API over a warehouse; every statement takes at least `latency`.
    pub fn new(
        context: Context,
        warehouse: Arc<Warehouse>,
        s3: Arc<S3>,
        latency: Duration,
    ) -> Arc<Self> {
        // Query ids grow over restarts too: what an earlier run loaded stays apart.
        let next_query = AtomicI64::new(context.clock.now().as_millisecond());
        Arc::new(Self {
            context,
            warehouse,
            s3,
            latency,
            next_query,
            state: Mutex::default(),
        })
    }

    /// Answers an operation (the part of the target after `RedshiftData.`).
    ///
    /// # Errors
    /// As AWS answers; `UnknownOperationException` for what is not there.
    pub async fn call(self: &Arc<Self>, operation: &str, body: Value) -> Result<Value, AwsError> {
        match operation {
            "ExecuteStatement" | "BatchExecuteStatement" => self.execute(read(body)?),
            "DescribeStatement" => self.describe(&read(body)?),
            "GetStatementResult" => self.result(&read(body)?),
            "ListStatements" => self.list(&read(body)?),
            "CancelStatement" => self.cancel(&read(body)?),
            other => Err(AwsError::unknown_operation("Redshift Data API", other)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn execute(self: &Arc<Self>, request: Execute) -> Result<Value, AwsError> {
        let (sqls, batch) = check(&request)?;
        let bound = parameters::bind(&sqls, &request.parameters)?;
        let now = self.context.clock.now();
        let mut state = self.lock();
        // The same token is the same statement, also where that one failed.
        if let Some(statement) = state.known(request.client_token.as_deref(), now) {
            return Ok(statement.accepted());
        }
        let text = |(sql, bound)| Text {
            sql,
            bound,
            query_id: self.next_query.fetch_add(1, Ordering::Relaxed),
        };
        let id = uuid::Uuid::new_v4().to_string();
        let asked = Asked {
            name: request.statement_name,
            batch,
            target: request.target,
            parameters: request.parameters,
            texts: sqls.into_iter().zip(bound).map(text).collect(),
        };
        let statement = Statement::new(id.clone(), asked, now);
        let (accepted, stop) = (statement.accepted(), statement.stop.clone());
        state.take(&id, statement)?;
        if let Some(token) = request.client_token {
            state.tokens.insert(token, (id.clone(), now));
        }
        tokio::spawn(self.clone().run(id, stop));
        Ok(accepted)
    }

    async fn run(self: Arc<Self>, id: String, stop: CancellationToken) {
        let wait = self.context.timers.sleep(self.latency);
        self.change(&id, |statement| statement.status = Status::Started);
        let cancelled = tokio::select! {
            () = wait => false,
            () = stop.cancelled() => true,
        };
        if cancelled {
            self.change(&id, |statement| statement.end(Status::Aborted, None));
            return;
        }
        let found = self
            .lock()
            .statements
            .get(&id)
            .map(|statement| (statement.queries(), statement.target.errors_in()));
        let Some((queries, errors_in)) = found else {
            return;
        };
        let outcome = run::run(
            &run::Place {
                warehouse: &self.warehouse,
                s3: &self.s3,
                stop: &stop,
                next_query: &self.next_query,
                errors_in,
            },
            &queries,
        )
        .await;
        self.change(&id, |statement| statement.settle(outcome));
    }

    fn change(&self, id: &str, change: impl FnOnce(&mut Statement)) {
        let now = self.context.clock.now();
        if let Some(statement) = self.lock().statements.get_mut(id) {
            change(statement);
            statement.updated = now;
        }
    }

    fn describe(&self, request: &ById) -> Result<Value, AwsError> {
        let (id, part) = split(&request.id);
        let state = self.lock();
        let statement = state
            .statements
            .get(id)
            .ok_or_else(|| missing(&request.id))?;
        statement.describe(part).ok_or_else(|| missing(&request.id))
    }

    fn result(&self, request: &ById) -> Result<Value, AwsError> {
        let (id, part) = split(&request.id);
        let state = self.lock();
        let statement = state
            .statements
            .get(id)
            .ok_or_else(|| missing(&request.id))?;
        let rows = statement.rows(part).ok_or_else(|| {
            AwsError::new(
                "ResourceNotFoundException",
                format!("{}: there is no result set", request.id),
            )
        })?;
        let from = offset(request.next_token.as_deref())?;
        let mut page = rows.page(from, PAGE_ROWS);
        if from + PAGE_ROWS < rows.len() {
            page["NextToken"] = json!((from + PAGE_ROWS).to_string());
        }
        Ok(page)
    }

    fn list(&self, request: &List) -> Result<Value, AwsError> {
        let from = offset(request.next_token.as_deref())?;
        let size = request
            .max_results
            .filter(|size| *size > 0)
            .map_or(PAGE_STATEMENTS, |size| size.min(PAGE_STATEMENTS));
        let state = self.lock();
        let wanted = |statement: &&Statement| {
            let named = request.statement_name.as_ref().is_none_or(|prefix| {
                statement
                    .name
                    .as_deref()
                    .is_some_and(|name| name.starts_with(prefix))
            });
            // AWS lists finished statements only, unless told.
            let status = request.status.as_deref().unwrap_or("FINISHED");
            named
                && request.target.covers(&statement.target)
                && (status == "ALL" || status == statement.status.as_str())
        };
        let all: Vec<&Statement> = state
            .order
            .iter()
            .rev()
            .filter_map(|id| state.statements.get(id))
            .filter(wanted)
            .collect();
        let page: Vec<Value> = all
            .iter()
            .skip(from)
            .take(size)
            .map(|statement| statement.listed())
            .collect();
        let mut answer = json!({"Statements": page});
        if from + size < all.len() {
            answer["NextToken"] = json!((from + size).to_string());
        }
        Ok(answer)
    }

    fn cancel(&self, request: &ById) -> Result<Value, AwsError> {
        let state = self.lock();
        let statement = state
            .statements
            .get(&request.id)
            .ok_or_else(|| missing(&request.id))?;
        if statement.status.is_terminal() {
            return Err(AwsError::validation(format!(
                "Could not cancel a query that is already in {} state",
                statement.status.as_str()
            )));
        }
        statement.stop.cancel();
        Ok(json!({"Status": true}))
    }
}

impl State {
    /// The statement of a client token that still counts.
    fn known(&mut self, token: Option<&str>, now: Timestamp) -> Option<&Statement> {
        self.tokens
            .retain(|_, (_, at)| now.duration_since(*at) < TOKEN_KEPT);
        let (id, _) = self.tokens.get(token?)?;
        self.statements.get(id)
    }

    fn take(&mut self, id: &str, statement: Statement) -> Result<(), AwsError> {
        let all = self.statements.values();
        let active = all.filter(|one| !one.status.is_terminal()).count();
        if active >= MAX_ACTIVE {
            return Err(AwsError::new(
                "ActiveStatementsExceededException",
                format!("{active} statements are active; at most {MAX_ACTIVE} may be"),
            ));
        }
        self.statements.insert(id.to_owned(), statement);
        self.order.push(id.to_owned());
        Ok(())
    }
}

#[async_trait]
impl JsonService for Arc<DataApi> {
    async fn call(&self, operation: &str, body: Value) -> Result<Value, AwsError> {
        DataApi::call(self, operation, body).await
    }
}

/// The statements of a request, and whether it is a batch.
fn check(request: &Execute) -> Result<(Vec<String>, bool), AwsError> {
    request.target.check()?;
    for (name, value) in &request.others {
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
    let (sqls, batch) = match (&request.sql, &request.sqls) {
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

/// `id` or `id:n`, n counted from 1.
fn split(id: &str) -> (&str, Option<usize>) {
    match id.split_once(':') {
        Some((id, part)) => (id, Some(part.parse().unwrap_or(0))),
        None => (id, None),
    }
}

fn offset(token: Option<&str>) -> Result<usize, AwsError> {
    token.map_or(Ok(0), |token| {
        token
            .parse()
            .map_err(|_| AwsError::validation("NextToken is not one of ours"))
    })
}

fn missing(id: &str) -> AwsError {
    AwsError::new(
        "ResourceNotFoundException",
        format!("Query does not exist: {id}"),
    )
}
