//! The warehouse behind the Redshift Data API: the only file that names its SDK.

use std::time::Duration;

use aws_sdk_redshiftdata::types::{Field, SqlParameter, StatusString};
use stepfleet_activity::Class;
use stepfleet_activity::catalogue::{self, WarehouseTarget};

use crate::batch::Batch;
use crate::call::{CallError, failed};
use crate::config::Commit;
use crate::outside::{
    Answer, BadFile, Description, Ledger, LedgerRow, Loaded, State, Statement, Warehouse,
};
use crate::rows::{columns, first_of_each, loaded, number, unexpected};
use crate::sql;

/// The Data API client that the loader is given.
pub(crate) type Client = aws_sdk_redshiftdata::Client;

/// Bound keys in one query; the Data API takes 200 parameters.
const KEYS: usize = 150;

/// One warehouse of the catalogue.
#[derive(Debug, Clone)]
pub(crate) struct DataApi {
    client: Client,
    warehouse: catalogue::Warehouse,
    commit: Commit,
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
        Self {
            client,
            warehouse,
            commit: Commit::default(),
        }
    }

    /// Makes batches come into the warehouse in this way.
    pub(crate) fn by(self, commit: Commit) -> Self {
        Self { commit, ..self }
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

    async fn query_by_manifest(&self, batch_id: &str) -> Answer<Option<i64>> {
        let manifest = [("manifest".to_owned(), sql::any_manifest(batch_id))];
        let rows = self.run(sql::QUERY_BY_MANIFEST, &manifest).await?;
        let Some(row) = rows.into_iter().next() else {
            return Ok(None);
        };
        let [query] = columns(row)?;
        let query = query.parse();
        query
            .map(Some)
            .map_err(|_| unexpected("no query id".to_owned()))
    }

    /// Redshift Serverless has no such table.
    async fn bad_files_of_cluster(&self, query: i64) -> Answer<Vec<BadFile>> {
        let rows = self.run(&sql::bad_files_of_cluster(query), &[]).await?;
        first_of_each(rows)
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

impl Ledger for DataApi {
    async fn ledger(&self, table: &str, bucket: &str, keys: &[String]) -> Answer<Vec<LedgerRow>> {
        let mut rows = Vec::new();
        for keys in keys.chunks(KEYS) {
            let mut parameters = vec![
                ("table_name".to_owned(), table.to_owned()),
                ("bucket".to_owned(), bucket.to_owned()),
            ];
            let named = keys.iter().enumerate();
            parameters.extend(named.map(|(at, key)| (format!("key{at}"), key.clone())));
            for row in self.run(&sql::ledger(keys.len()), &parameters).await? {
                let [batch_id, key, etag, dt, verified, bytes, age] = columns(row)?;
                rows.push(LedgerRow {
                    batch_id,
                    key,
                    etag,
                    dt,
                    bytes: number(&bytes)?,
                    verified: verified == "1",
                    age: Duration::from_secs(age.parse().unwrap_or_default()),
                });
            }
        }
        Ok(rows)
    }
}

impl Warehouse for DataApi {
    async fn submit(&self, batch: &Batch, token: &str) -> Answer<String> {
        let role = self.warehouse.copy_role.as_deref();
        let statements = match self.commit {
            Commit::Transaction => sql::load(batch, role),
            Commit::Procedure => sql::call(batch, role),
        };
        connected!(self.client.batch_execute_statement(), self.warehouse)
            .set_sqls(Some(statements))
            .statement_name(&batch.id)
            .client_token(token)
            .send()
            .await
            .map(|submitted| submitted.id.unwrap_or_default())
            .map_err(|error| failed(format!("submit batch {}", batch.id), &error))
    }

    async fn statements(&self, batch_id: &str) -> Answer<Vec<Statement>> {
        let mut pages = self
            .client
            .list_statements()
            .statement_name(batch_id)
            .status(StatusString::All)
            .role_level(true)
            .into_paginator()
            .send();
        let mut statements = Vec::new();
        while let Some(page) = pages.next().await {
            let page =
                page.map_err(|error| failed(format!("list statements of {batch_id}"), &error))?;
            // The name asked for is a prefix of what is listed.
            let ours = page
                .statements()
                .iter()
                .filter(|statement| statement.statement_name() == Some(batch_id));
            statements.extend(ours.map(|statement| Statement {
                id: statement.id().to_owned(),
                state: state(statement.status()),
            }));
        }
        Ok(statements)
    }

    async fn cancel(&self, id: &str) -> Answer<()> {
        self.client
            .cancel_statement()
            .id(id)
            .send()
            .await
            .map(drop)
            .map_err(|error| failed(format!("cancel statement {id}"), &error))
    }

    async fn describe(&self, id: &str) -> Answer<Description> {
        let looked = self.look(id).await?;
        Ok(Description {
            state: state(looked.status()),
            error: looked.error().map(str::to_owned),
            // What a procedure has run has query ids that the Data API does not
            // show, and a CALL has fewer statements beside it.
            copy_query: looked
                .sub_statements()
                .get(sql::COPY)
                .map(aws_sdk_redshiftdata::types::SubStatementData::redshift_query_id)
                .filter(|query| *query > 0),
        })
    }

    async fn ledgered_files(&self, batch_id: &str) -> Answer<u64> {
        let parameters = [("batch_id".to_owned(), batch_id.to_owned())];
        let rows = self.run(sql::LEDGERED_FILES, &parameters).await?;
        let [count] = columns(rows.into_iter().next().unwrap_or_default())?;
        number(&count)
    }

    async fn loaded(&self, query: i64) -> Answer<Option<Loaded>> {
        let rows = self.run(&sql::loaded(query), &[]).await?;
        rows.into_iter().next().map(loaded).transpose()
    }

    async fn loaded_by_manifest(&self, batch_id: &str) -> Answer<Option<Loaded>> {
        let manifest = [("manifest".to_owned(), sql::any_manifest(batch_id))];
        let rows = self.run(sql::LOADED_BY_MANIFEST, &manifest).await?;
        rows.into_iter().next().map(loaded).transpose()
    }

    async fn bad_files(&self, batch_id: &str, query: Option<i64>) -> Answer<Vec<BadFile>> {
        let query = match query {
            Some(query) => Some(query),
            None => self.query_by_manifest(batch_id).await?,
        };
        let Some(query) = query else {
            return Ok(Vec::new());
        };
        let rows = self.run(&sql::bad_files(query), &[]).await;
        let cluster = matches!(self.warehouse.target, WarehouseTarget::Cluster { .. });
        match rows {
            Ok(rows) if rows.is_empty() && cluster => self.bad_files_of_cluster(query).await,
            Ok(rows) => first_of_each(rows),
            // A user who may not read the view may still read the table.
            Err(error) if cluster && error.class == Class::Permanent => {
                self.bad_files_of_cluster(query).await
            }
            Err(error) => Err(error),
        }
    }

    async fn mark_verified(&self, batch_id: &str, loaded: Loaded) -> Answer<()> {
        let parameters = [("batch_id".to_owned(), batch_id.to_owned())];
        self.run(&sql::mark_verified(loaded.files, loaded.rows), &parameters)
            .await
            .map(drop)
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
    let later = [
        "1023",
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
