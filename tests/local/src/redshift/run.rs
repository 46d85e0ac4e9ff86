//! Runs a statement's texts in one transaction on a connection of its own.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use futures::TryStreamExt;
use tokio_postgres::{CancelToken, Client, NoTls, SimpleQueryMessage};
use tokio_util::sync::CancellationToken;

use super::copy::token::{Kind, tokens};
use super::copy::{self, CopyCommand, Job, Record};
use super::postgres::{Warehouse, reason};
use super::procedure;
use super::reserved;
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
    /// Gives a query its id.
    pub(super) next_query: &'a AtomicI64,
    /// The system view that has the errors of a load.
    pub(super) errors_in: &'static str,
    /// Hears which text runs, in which process.
    pub(super) began: &'a (dyn Fn(usize, i32) + Sync),
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
    /// Ours, without PostgreSQL.
    Said(String),
}

/// Runs all texts; a cancellation is settled by what the server says became of them.
pub(super) async fn run(place: &Place<'_>, queries: &[Query]) -> Outcome {
    let (client, mut notices) = match place.warehouse.session().await {
        Ok(session) => session,
        Err(error) => {
            return Outcome::Failed {
                at: 0,
                error: format!("ERROR: no connection to the warehouse: {error}"),
            };
        }
    };
    let canceller = tokio::spawn(cancel(client.cancel_token(), place.stop.clone()));
    let mut asked = Vec::new();
    let outcome = tokio::select! {
        outcome = transaction(place, queries, &client) => outcome,
        () = procedure::serve(place, &mut notices, &mut asked) => Outcome::Aborted,
    };
    canceller.abort();
    procedure::forget(place, &asked).await;
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
    let process = match begin(client).await {
        Ok(process) => process,
        Err(error) => {
            return Outcome::Failed {
                at: 0,
                error: say(&error),
            };
        }
    };
    let mut results = Vec::with_capacity(queries.len());
    for (at, query) in queries.iter().enumerate() {
        (place.began)(at, process);
        let result = match refused(&query.sql, queries.len() > 1) {
            Some(why) => Err(Failure::Said(why)),
            None => one(place, query, client).await,
        };
        match result {
            Ok(result) => results.push(result),
            Err(failure) => return roll_back(client, at, failure).await,
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

/// Begins the transaction; gives the process it is in.
async fn begin(client: &Client) -> Result<i32, tokio_postgres::Error> {
    client.batch_execute("BEGIN").await?;
    let process = client.query_one("SELECT pg_backend_pid()", &[]).await?;
    process.try_get(0)
}

/// What would end the transaction that all texts are, here or in Redshift.
fn refused(sql: &str, batch: bool) -> Option<String> {
    let tokens = tokens(sql);
    let first = tokens.iter().find(|token| token.kind != Kind::Space)?;
    let ends = ["begin", "start", "commit", "end", "rollback", "abort"];
    if ends.iter().any(|word| first.is(word)) {
        return Some(format!(
            "{} is not here: the statements of a request are one transaction",
            first.text.to_uppercase()
        ));
    }
    (batch && first.is("truncate")).then(|| {
        "TRUNCATE in a batch is not here: it commits in Redshift and does not in PostgreSQL"
            .to_owned()
    })
}

async fn roll_back(client: &Client, at: usize, failure: Failure) -> Outcome {
    // A connection that is gone has rolled back by itself.
    let _ = client.batch_execute("ROLLBACK").await;
    let error = match failure {
        Failure::Sql(error) => say(&error),
        Failure::Said(error) => format!("ERROR: {error}"),
    };
    Outcome::Failed { at, error }
}

async fn one(place: &Place<'_>, query: &Query, client: &Client) -> Result<QueryResult, Failure> {
    if let Some(created) = procedure::procedure(&query.sql) {
        let created = created.map_err(Failure::Said)?;
        return ask(&created, client).await;
    }
    match copy::parse(&query.sql) {
        Some(Ok(command)) => load(place, &command, (query.id, client)).await,
        Some(Err(error)) => Err(Failure::Said(error)),
        None => {
            reserved::refuse(&query.sql).map_err(Failure::Said)?;
            ask(&translate(&query.sql), client).await
        }
    }
}

async fn load(
    place: &Place<'_>,
    command: &CopyCommand,
    (query_id, client): (i64, &Client),
) -> Result<QueryResult, Failure> {
    let session = "SELECT pg_backend_pid(), txid_current()";
    let session = client.query_one(session, &[]).await.map_err(Failure::Sql)?;
    let job = Job {
        command,
        into: &command.table,
        s3: place.s3,
        errors_in: place.errors_in,
    };
    let outcome = copy::run(&job, client).await;
    let record = Record {
        query_id,
        session: (session.get(0), session.get(1)),
        command,
    };
    record_apart(place, &record, &outcome).await;
    let loaded = outcome.map_err(|error| Failure::Said(error.message))?;
    let last = "SELECT set_config('stepfleet.last_copy_id', $1, false), \
                set_config('stepfleet.last_copy_count', $2, false)";
    let (id, rows) = (query_id.to_string(), loaded.rows().to_string());
    let told = client.execute(last, &[&id, &rows]).await;
    told.map_err(Failure::Sql)?;
    Ok(QueryResult {
        affected: loaded.rows(),
        rows: None,
    })
}

/// The history is no part of the transaction, as in Redshift.
pub(super) async fn record_apart(
    place: &Place<'_>,
    record: &Record<'_>,
    outcome: &Result<copy::Loaded, copy::LoadError>,
) {
    let recorded = match place.warehouse.machinery().await {
        Ok(client) => copy::record(&client, record, outcome)
            .await
            .map_err(|error| reason(&error)),
        Err(error) => Err(error.to_string()),
    };
    if let Err(error) = recorded {
        tracing::warn!(error, "a load is not in the load history");
    }
}

/// Columns come from preparing it (which also refuses two statements in one), values as texts.
async fn ask(sql: &str, client: &Client) -> Result<QueryResult, Failure> {
    let prepared = client.prepare(sql).await.map_err(Failure::Sql)?;
    let messages = client.simple_query_raw(sql).await;
    let mut messages = pin!(messages.map_err(Failure::Sql)?);
    let mut rows = Rows::new(prepared.columns());
    let mut affected = 0;
    while let Some(message) = messages.try_next().await.map_err(Failure::Sql)? {
        match message {
            SimpleQueryMessage::Row(row) => rows.add(&row).map_err(Failure::Said)?,
            SimpleQueryMessage::CommandComplete(count) => affected = count,
            _ => {}
        }
    }
    let rows = (!prepared.columns().is_empty()).then_some(rows);
    Ok(QueryResult { affected, rows })
}

fn say(error: &tokio_postgres::Error) -> String {
    format!("ERROR: {}", reason(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_a_transaction_is_refused() {
        for (sql, batch, wanted) in [
            ("-- x\nCOMMIT", false, Some("COMMIT")),
            ("begin", true, Some("BEGIN")),
            ("TRUNCATE t", true, Some("TRUNCATE")),
            ("TRUNCATE t", false, None),
            ("SELECT 'commit'", true, None),
            ("", false, None),
        ] {
            let found = refused(sql, batch);
            let named = found.as_deref().and_then(|text| text.split(' ').next());
            assert_eq!(named, wanted, "{sql}");
        }
    }
}
