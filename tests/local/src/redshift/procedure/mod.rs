//! Stored procedures with COPY from S3 inside.
//!
//! PostgreSQL runs PL/pgSQL as Redshift does; it only has no COPY from S3. So
//! the body's `EXECUTE <text>` becomes `EXECUTE stepfleet_execute(<text>)`
//! ([`procedure`]), and a COPY that is written out goes the same way. That
//! function, in `compat.sql`, gives back every other text as it is. For a COPY
//! from S3 it says so in an INFO, which PostgreSQL sends at once, together with
//! the columns of the table, which only this session may see yet; then it looks
//! for an answer, every few milliseconds. [`serve`] hears the INFO while the
//! CALL still runs, reads the files on a connection of its own into a temporary
//! table of the same columns, so that types, lengths and NULLs are checked as
//! for any COPY, hands the rows over in `stepfleet_copy.rows`, and answers with
//! the `INSERT ... SELECT` that takes them from there. It is that statement
//! which the procedure executes: the rows come and go with the transaction of
//! the CALL, `GET DIAGNOSTICS` counts them, and a failed COPY is an error in the
//! procedure with Redshift's text. What was handed over is deleted when the
//! statement has ended.
//!
//! What a procedure here cannot do is refused when it is created: COMMIT,
//! ROLLBACK, TRUNCATE, NONATOMIC, and EXCEPTION blocks, after which Redshift
//! raises the error again and PostgreSQL does not. Texts that EXECUTE gets are
//! not translated otherwise.

mod body;

use std::sync::atomic::Ordering;

use serde::Deserialize;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio_postgres::Client;
use tokio_postgres::error::DbError;

use super::copy::{self, Column, CopyCommand, Job, LoadError, Record};
use super::postgres::reason;
use super::run::{Place, record_apart};
pub(super) use body::procedure;

/// The SQLSTATE of the INFO that asks for files.
const ASKS: &str = "SFCPY";

/// The table that types the rows of one COPY.
const TYPED: &str = "pg_temp.stepfleet_typed";

/// What `stepfleet_execute` asks for.
#[derive(Debug, Deserialize)]
struct Request {
    request: String,
    command: String,
    columns: Vec<Column>,
    process: i32,
    transaction: i64,
}

/// What it gets: a command to execute, or an error to raise.
struct Answer {
    command: Result<String, String>,
    query_id: i64,
    loaded: u64,
}

/// Answers the COPYs of a session for as long as it is polled, and notes the
/// requests in `asked`.
pub(super) async fn serve(
    place: &Place<'_>,
    notices: &mut UnboundedReceiver<DbError>,
    asked: &mut Vec<String>,
) {
    while let Some(notice) = notices.recv().await {
        if notice.code().code() != ASKS {
            continue;
        }
        let request = notice.detail().map(serde_json::from_str::<Request>);
        let Some(Ok(request)) = request else {
            tracing::warn!("a procedure asks for a COPY in words that are not ours");
            continue;
        };
        asked.push(request.request.clone());
        if let Err(error) = answer(place, &request).await {
            // The procedure waits for ten minutes, then it fails.
            tracing::warn!(error, "the COPY of a procedure is not answered");
        }
    }
    // The connection has ended: so does the statement, by itself.
    std::future::pending().await
}

/// Deletes what was handed over.
pub(super) async fn forget(place: &Place<'_>, asked: &[String]) {
    if asked.is_empty() {
        return;
    }
    let deleted = async {
        let client = connection(place).await?;
        for table in ["rows", "answers"] {
            let sql = format!("DELETE FROM stepfleet_copy.{table} WHERE request = ANY($1)");
            client.execute(&sql, &[&asked]).await.map_err(say)?;
        }
        Ok::<_, String>(())
    };
    if let Err(error) = deleted.await {
        // The next start deletes them.
        tracing::debug!(error, "the rows of a procedure's COPY stay");
    }
}

async fn connection(place: &Place<'_>) -> Result<Client, String> {
    let client = place.warehouse.statements().await;
    client.map_err(|error| error.to_string())
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn say(error: tokio_postgres::Error) -> String {
    reason(&error)
}

async fn answer(place: &Place<'_>, request: &Request) -> Result<(), String> {
    let client = connection(place).await?;
    let answer = match copy::parse(&request.command) {
        // COPY from elsewhere: PostgreSQL says what it thinks of it.
        None => Answer {
            command: Ok(request.command.clone()),
            query_id: -1,
            loaded: 0,
        },
        Some(Err(error)) => Answer {
            command: Err(error),
            query_id: -1,
            loaded: 0,
        },
        Some(Ok(command)) => load(place, request, (&command, &client)).await?,
    };
    let (command, error) = match answer.command {
        Ok(command) => (Some(command), None),
        Err(error) => (None, Some(error)),
    };
    let loaded = i64::try_from(answer.loaded).unwrap_or(i64::MAX);
    client
        .execute(
            "INSERT INTO stepfleet_copy.answers (request, command, error, query_id, loaded) \
             VALUES ($1, $2, $3, $4, $5)",
            &[
                &request.request,
                &command,
                &error,
                &answer.query_id,
                &loaded,
            ],
        )
        .await
        .map_err(say)?;
    Ok(())
}

/// Reads the files and hands their rows over.
async fn load(
    place: &Place<'_>,
    request: &Request,
    (command, client): (&CopyCommand, &Client),
) -> Result<Answer, String> {
    let query_id = place.next_query.fetch_add(1, Ordering::Relaxed);
    let columns = copy::choose(request.columns.clone(), &command.table, &command.columns);
    let outcome = match &columns {
        Ok(columns) => hand_over(place, request, (command, columns, client)).await?,
        Err(error) => Err(LoadError::before(error.clone())),
    };
    let record = Record {
        query_id,
        session: (request.process, request.transaction),
        command,
    };
    record_apart(place, &record, &outcome).await;
    Ok(match (outcome, columns) {
        (Ok(loaded), Ok(columns)) => Answer {
            command: Ok(insert(&request.request, &command.table, &columns)),
            query_id,
            loaded: loaded.rows(),
        },
        (Err(LoadError { message, .. }), _) | (_, Err(message)) => Answer {
            command: Err(message),
            query_id,
            loaded: 0,
        },
    })
}

async fn hand_over(
    place: &Place<'_>,
    request: &Request,
    (command, columns, client): (&CopyCommand, &[Column], &Client),
) -> Result<Result<copy::Loaded, LoadError>, String> {
    let definitions = join(columns, |_, column| {
        let required = if column.required { " NOT NULL" } else { "" };
        format!("{} {}{required}", column.quoted(), column.sql_type)
    });
    let create = format!("BEGIN; CREATE TABLE {TYPED} ({definitions}) ON COMMIT DROP");
    client.batch_execute(&create).await.map_err(say)?;
    let job = Job {
        command,
        into: TYPED,
        s3: place.s3,
        errors_in: place.errors_in,
    };
    let outcome = copy::run(&job, client).await;
    if outcome.is_err() {
        client.batch_execute("ROLLBACK").await.map_err(say)?;
        return Ok(outcome);
    }
    let fields = join(columns, |_, column| format!("{}::text", column.quoted()));
    let rows = format!(
        "INSERT INTO stepfleet_copy.rows (request, number, fields) \
         SELECT $1, row_number() OVER (ORDER BY ctid), ARRAY[{fields}]::text[] FROM {TYPED}"
    );
    let rows = client.execute(&rows, &[&request.request]).await;
    rows.map_err(say)?;
    client.batch_execute("COMMIT").await.map_err(say)?;
    Ok(outcome)
}

/// The request is hexadecimal digits.
fn insert(request: &str, table: &str, columns: &[Column]) -> String {
    let names = join(columns, |_, column| column.quoted());
    let fields = join(columns, |at, column| {
        format!("(fields[{}])::{}", at + 1, column.sql_type)
    });
    format!(
        "INSERT INTO {table} ({names}) SELECT {fields} FROM stepfleet_copy.rows \
         WHERE request = '{request}' ORDER BY number"
    )
}

fn join(columns: &[Column], each: impl Fn(usize, &Column) -> String) -> String {
    let numbered = columns.iter().enumerate();
    let all: Vec<String> = numbered.map(|(at, column)| each(at, column)).collect();
    all.join(", ")
}
