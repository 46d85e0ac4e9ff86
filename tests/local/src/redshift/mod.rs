//! The Redshift Data API on a real PostgreSQL.
//!
//! Statements run one after the other in a transaction on a connection of their
//! own; COPY from S3 becomes PostgreSQL's COPY in the same transaction.

mod copy;
mod parameters;
mod postgres;
mod procedure;
mod request;
mod reserved;
mod result;
mod run;
mod spans;
mod statement;
mod translate;

use std::collections::HashMap;
use std::pin::pin;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

pub use postgres::{Warehouse, WarehouseError, WarehouseOptions};

use crate::context::read;
use crate::s3::S3;
use crate::server::JsonService;
use crate::{AwsError, Context};
use request::{ById, Execute, List};
use run::Outcome;
use spans::Spans;
use statement::{Asked, Statement, Status, Text};

/// At most so many statements are active at once (Data API considerations).
const MAX_ACTIVE: usize = 200;
/// A client token answers with its statement for so long (API reference).
const TOKEN_KEPT: SignedDuration = SignedDuration::from_hours(8);
/// A statement and its result are known for so long after its end.
const RESULT_KEPT: SignedDuration = SignedDuration::from_hours(24);
/// A statement runs for so long at most.
const MAX_RUN: Duration = Duration::from_secs(24 * 60 * 60);
/// Rows of one page of a result.
const PAGE_ROWS: usize = 1_000;

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
    tokens: HashMap<String, Token>,
}

/// What a client token stands for.
#[derive(Debug)]
struct Token {
    id: String,
    at: Timestamp,
    /// Of the request, which has to be the same.
    fingerprint: String,
}

impl DataApi {
    /// The API over a warehouse; every statement is STARTED for at least `latency`.
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

    /// The state without what is too old.
    fn lock(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.forget(self.context.clock.now());
        state
    }

    fn execute(self: &Arc<Self>, request: Execute) -> Result<Value, AwsError> {
        let (sqls, batch) = request.check()?;
        let spans = Spans::asked(&sqls, self.latency)?;
        let bound = parameters::bind(&sqls, &request.parameters)?;
        let now = self.context.clock.now();
        let fingerprint = request.fingerprint();
        let mut state = self.lock();
        // The same token is the same statement, also where that one failed.
        if let Some(statement) = state.known(request.client_token.as_deref(), &fingerprint)? {
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
            let known = Token {
                id: id.clone(),
                at: now,
                fingerprint,
            };
            state.tokens.insert(token, known);
        }
        tokio::spawn(self.clone().run((id, spans), stop));
        Ok(accepted)
    }

    async fn run(self: Arc<Self>, (id, spans): (String, Spans), stop: CancellationToken) {
        for (status, span) in [
            (Status::Submitted, spans.submitted),
            (Status::Picked, spans.picked),
            (Status::Started, spans.started),
        ] {
            self.change(&id, |statement, now| statement.reach(status, now));
            let cancelled = tokio::select! {
                () = self.context.timers.sleep(span) => false,
                () = stop.cancelled() => true,
            };
            if cancelled {
                self.change(&id, |statement, now| {
                    statement.settle(Outcome::Aborted, now);
                });
                return;
            }
        }
        let found = self
            .lock()
            .statements
            .get(&id)
            .map(|statement| (statement.queries(), statement.target.errors_in()));
        let Some((queries, errors_in)) = found else {
            return;
        };
        let began = |at, process| self.change(&id, |statement, _| statement.begin(at, process));
        let place = run::Place {
            warehouse: &self.warehouse,
            s3: &self.s3,
            stop: &stop,
            next_query: &self.next_query,
            errors_in,
            began: &began,
        };
        let mut running = pin!(run::run(&place, &queries));
        let ended = self.context.timers.timeout(MAX_RUN, &mut running).await;
        let outcome = match ended {
            Ok(outcome) => outcome,
            Err(_) => {
                stop.cancel();
                running.await
            }
        };
        self.change(&id, |statement, now| statement.settle(outcome, now));
    }

    fn change(&self, id: &str, change: impl FnOnce(&mut Statement, Timestamp)) {
        let now = self.context.clock.now();
        if let Some(statement) = self.lock().statements.get_mut(id) {
            change(statement, now);
            statement.updated = now;
        }
    }

    fn describe(&self, request: &ById) -> Result<Value, AwsError> {
        let (id, part) = request::split(&request.id);
        let state = self.lock();
        let statement = state
            .statements
            .get(id)
            .ok_or_else(|| missing(&request.id))?;
        statement.describe(part).ok_or_else(|| missing(&request.id))
    }

    fn result(&self, request: &ById) -> Result<Value, AwsError> {
        let (id, part) = request::split(&request.id);
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
        let from = request::offset(request.next_token.as_deref())?;
        let mut page = rows.page(from, PAGE_ROWS);
        if from + PAGE_ROWS < rows.len() {
            page["NextToken"] = json!((from + PAGE_ROWS).to_string());
        }
        Ok(page)
    }

    /// Newest first. A page goes on after a statement, not at a number: what is
    /// submitted meanwhile repeats none.
    fn list(&self, request: &List) -> Result<Value, AwsError> {
        let (status, size) = (request.status()?, request.size()?);
        let state = self.lock();
        let last = match &request.next_token {
            None => state.order.len(),
            Some(token) => {
                let found = state.order.iter().position(|id| id == token);
                found.ok_or_else(request::foreign_token)?
            }
        };
        let wanted = |statement: &&Statement| {
            let named = request.statement_name.as_ref().is_none_or(|prefix| {
                let name = statement.name.as_deref();
                name.is_some_and(|name| name.starts_with(prefix))
            });
            named
                && request.target.covers(&statement.target)
                && status.is_none_or(|status| status == statement.status)
        };
        let mut found = state.order[..last]
            .iter()
            .rev()
            .filter_map(|id| state.statements.get(id))
            .filter(wanted);
        let page: Vec<&Statement> = found.by_ref().take(size).collect();
        let listed: Vec<Value> = page.iter().map(|statement| statement.listed()).collect();
        let mut answer = json!({"Statements": listed});
        if let Some(last) = page.last().filter(|_| found.next().is_some()) {
            answer["NextToken"] = json!(last.id);
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
    /// Lets go of tokens and statements whose time is over.
    fn forget(&mut self, now: Timestamp) {
        self.tokens
            .retain(|_, token| now.duration_since(token.at) < TOKEN_KEPT);
        let known = self.statements.len();
        self.statements.retain(|_, statement| {
            !statement.status.is_terminal() || now.duration_since(statement.updated) < RESULT_KEPT
        });
        if self.statements.len() < known {
            let statements = &self.statements;
            self.order.retain(|id| statements.contains_key(id));
        }
    }

    /// The statement of a client token that still counts.
    ///
    /// # Errors
    /// If the token was another request's.
    fn known(
        &self,
        token: Option<&str>,
        fingerprint: &str,
    ) -> Result<Option<&Statement>, AwsError> {
        let Some(known) = token.and_then(|token| self.tokens.get(token)) else {
            return Ok(None);
        };
        if known.fingerprint != fingerprint {
            return Err(AwsError::validation(
                "The ClientToken was used with other parameters within the last 8 hours",
            ));
        }
        Ok(self.statements.get(&known.id))
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

fn missing(id: &str) -> AwsError {
    AwsError::new(
        "ResourceNotFoundException",
        format!("Query does not exist: {id}"),
    )
}
