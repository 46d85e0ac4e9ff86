//! Runs a statement's texts in one transaction on a connection of its own.

use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::{CancelToken, Client, NoTls, SimpleQueryMessage};
use tokio_util::sync::CancellationToken;

use super::copy::{self, CopyCommand};
use super::postgres::{Warehouse, reason};
use super::result::Rows;
use super::translate::translate;
use crate::s3::S3;

/// How often the server is asked to cancel what runs.
const CANCEL_EVERY: Duration = Duration::from_millis(100);

/// Where statements run, and what ends them early.
pub(super) struct Place<'a> {
    pub(super) warehouse: &'a Arc<Warehouse>,
    pub(super) s3: &'a Arc<S3>,
    pub(super) stop: &'a CancellationToken,
}

/// One SQL text with the id that load history knows it by.
pub(super) struct Query {
    pub(super) sql: String,
    pub(super) id: i64,
}

/// What one text gave.
#[derive(Debug, Default)]
pub(super) struct QueryResult {
    pub(super) affected: u64,
    pub(super) rows: Option<Rows>,
}

/// What became of all.
pub(super) enum Outcome {
    /// All ran and the transaction is committed.
    Finished(Vec<QueryResult>),
    /// One failed and the transaction is rolled back.
    Failed { at: usize, error: String },
    /// It was cancelled and the transaction is rolled back.
    Aborted,
}

/// Why one text failed.
enum Failure {
    Sql(tokio_postgres::Error),
    Copy(String),
    Load(CopyCommand, copy::LoadError),
}

/// Runs all texts; a cancellation is settled by what the server says became of them.
pub(super) async fn run(place: &Place<'_>, queries: &[Query]) -> Outcome {
    let client = match place.warehouse.connection().await {
        Ok(client) => client,
        Err(error) => {
            return Outcome::Failed {
                at: 0,
                error: format!("ERROR: no connection to the warehouse: {error}"),
            };
        }
    };
    let canceller = tokio::spawn(cancel(client.cancel_token(), place.stop.clone()));
    let outcome = transaction(place, queries, &client).await;
    canceller.abort();
    match outcome {
        Outcome::Failed { .. } if place.stop.is_cancelled() => Outcome::Aborted,
        other => other,
    }
}

/// Cancels what runs, once it is asked to. A request that comes between two
/// statements cancels nothing, so it goes on until the transaction has ended.
async fn cancel(token: CancelToken, stop: CancellationToken) {
    stop.cancelled().await;
    let mut again = tokio::time::interval(CANCEL_EVERY);
    loop {
        again.tick().await;
        // The transaction's own end says whether it came in time.
        let _ = token.cancel_query(NoTls).await;
    }
}

async fn transaction(place: &Place<'_>, queries: &[Query], client: &Client) -> Outcome {
    if let Err(error) = client.batch_execute("BEGIN").await {
        return Outcome::Failed {
            at: 0,
            error: say(&error),
        };
    }
    let mut results = Vec::with_capacity(queries.len());
    for (at, query) in queries.iter().enumerate() {
        match one(place, query, client).await {
            Ok(result) => results.push(result),
            Err(failure) => return roll_back(client, (at, query.id), failure).await,
        }
        if place.stop.is_cancelled() {
            // A connection that is gone has rolled back by itself.
            let _ = client.batch_execute("ROLLBACK").await;
            return Outcome::Aborted;
        }
    }
    match client.batch_execute("COMMIT").await {
        Ok(()) => Outcome::Finished(results),
        Err(error) => Outcome::Failed {
            at: queries.len().saturating_sub(1),
            error: say(&error),
        },
    }
}

async fn roll_back(client: &Client, (at, query_id): (usize, i64), failure: Failure) -> Outcome {
    // A connection that is gone has rolled back by itself.
    let _ = client.batch_execute("ROLLBACK").await;
    let error = match failure {
        Failure::Sql(error) => say(&error),
        Failure::Copy(error) => format!("ERROR: {error}"),
        Failure::Load(command, error) => {
            let message = format!("ERROR: {}", error.message);
            if let Err(error) = copy::record(client, query_id, &command, &Err(error)).await {
                tracing::warn!(%error, "a failed load is not in the load history");
            }
            message
        }
    };
    Outcome::Failed { at, error }
}

async fn one(place: &Place<'_>, query: &Query, client: &Client) -> Result<QueryResult, Failure> {
    match copy::parse(&query.sql) {
        Some(Ok(command)) => load(place, command, (query.id, client)).await,
        Some(Err(error)) => Err(Failure::Copy(error)),
        None => ask(&translate(&query.sql), client)
            .await
            .map_err(Failure::Sql),
    }
}

async fn load(
    place: &Place<'_>,
    command: CopyCommand,
    (query_id, client): (i64, &Client),
) -> Result<QueryResult, Failure> {
    let loaded = match copy::run(&command, place.s3, client).await {
        Ok(loaded) => loaded,
        Err(error) => return Err(Failure::Load(command, error)),
    };
    let affected = loaded.rows;
    // In the same transaction: the history has what is committed, and nothing else.
    copy::record(client, query_id, &command, &Ok(loaded))
        .await
        .map_err(Failure::Sql)?;
    Ok(QueryResult {
        affected,
        rows: None,
    })
}

/// Columns come from preparing it (which also refuses two statements in one), values as texts.
async fn ask(sql: &str, client: &Client) -> Result<QueryResult, tokio_postgres::Error> {
    let prepared = client.prepare(sql).await?;
    let messages = client.simple_query(sql).await?;
    let mut rows = Vec::new();
    let mut affected = 0;
    for message in messages {
        match message {
            SimpleQueryMessage::Row(row) => rows.push(row),
            SimpleQueryMessage::CommandComplete(count) => affected = count,
            _ => {}
        }
    }
    let rows = (!prepared.columns().is_empty()).then(|| Rows::new(prepared.columns(), &rows));
    Ok(QueryResult { affected, rows })
}

fn say(error: &tokio_postgres::Error) -> String {
    format!("ERROR: {}", reason(error))
}
