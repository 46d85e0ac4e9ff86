//! A PostgreSQL as the target.

#[cfg(test)]
mod live;
mod reader;
mod refusal;
mod target;
#[cfg(test)]
mod tests;
pub(crate) mod unpack;

use std::io::Read as _;
use std::time::Duration;

use bytes::Bytes;
use futures::SinkExt as _;
use stepfleet_activity::Class;
use tokio_postgres::{Error, Transaction};

use crate::outside::call::CallError;
use crate::outside::postgres::{Postgres, failed};
use crate::outside::{Answer, Object};
use crate::s3_load::batch::Batch;
use crate::s3_load::codec::Codec;
use crate::s3_load::formats::RecordFault;
use crate::s3_load::input::LoadInput;
use crate::s3_load::warehouse::{BadFile, FileOutcome, FileTarget, Ledger, LedgerRow};
use reader::Reader;

/// How much goes to the server in one message.
const CHUNK: usize = 1 << 20;

/// The ledger. Its key is what makes a file load once: a second transaction with
/// the same file waits for the first one's end, and then finds its row.
const DDL: &str = "CREATE SCHEMA IF NOT EXISTS stepfleet; \
    CREATE TABLE IF NOT EXISTS stepfleet.files (table_name text NOT NULL, bucket text NOT NULL, \
    object_key text NOT NULL, etag text NOT NULL, batch_id text NOT NULL, bytes bigint NOT NULL, \
    dt text NOT NULL, loaded_at timestamptz NOT NULL DEFAULT now(), loaded_rows bigint, \
    PRIMARY KEY (table_name, bucket, object_key, etag))";

/// A file that is loaded again takes the place of its load before, if that is the
/// last one still.
const NOTE: &str = "INSERT INTO stepfleet.files AS files (table_name, bucket, object_key, etag, batch_id, \
    bytes, dt) VALUES ($1, $2, $3, $4, $5, $6, $7) \
    ON CONFLICT (table_name, bucket, object_key, etag) DO UPDATE SET batch_id = EXCLUDED.batch_id, \
    bytes = EXCLUDED.bytes, dt = EXCLUDED.dt, loaded_at = now(), loaded_rows = NULL \
    WHERE files.batch_id = ANY($8)";

const COUNT: &str = "UPDATE stepfleet.files SET loaded_rows = $5 \
    WHERE table_name = $1 AND bucket = $2 AND object_key = $3 AND etag = $4";

/// Loaders of before have noted tables as they were spelt, never with quotes. The
/// names that are there are found from one to the next, each by a look into the
/// key: its first column is the table, so that a condition on what is made of it
/// would read all of it.
const KNOWN: &str = "WITH RECURSIVE names(name) AS ( \
    SELECT min(table_name) FROM stepfleet.files UNION ALL \
    SELECT (SELECT min(table_name) FROM stepfleet.files WHERE table_name > name) \
    FROM names WHERE name IS NOT NULL) \
    SELECT batch_id, object_key, etag, dt, bytes, \
    CAST(EXTRACT(epoch FROM now() - loaded_at) AS bigint) FROM stepfleet.files WHERE bucket = $2 \
    AND object_key = ANY($3) AND table_name IN (SELECT name FROM names WHERE \
    CASE WHEN strpos(name, '\"') > 0 THEN name ELSE lower(name) END = $1)";

impl Postgres {
    /// Makes the ledger, if it is not there.
    pub(crate) async fn set_up(&self) -> Answer<()> {
        let client = self.connect().await?;
        let made = client.batch_execute(DDL).await;
        made.map_err(|error| failed("make the ledger", &error))
    }
}

impl Ledger for Postgres {
    async fn ledger(&self, table: &str, bucket: &str, keys: &[String]) -> Answer<Vec<LedgerRow>> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let client = self.connect().await?;
        let rows = client.query(KNOWN, &[&table, &bucket, &keys]).await;
        let rows = rows.map_err(|error| failed("read the ledger", &error))?;
        let rows = rows.iter().map(|row| LedgerRow {
            batch_id: row.get(0),
            key: row.get(1),
            etag: row.get(2),
            dt: row.get(3),
            bytes: u64::try_from(row.get::<_, i64>(4)).unwrap_or_default(),
            // In one transaction with what COPY has counted.
            verified: true,
            age: Duration::from_secs(u64::try_from(row.get::<_, i64>(5)).unwrap_or_default()),
        });
        Ok(rows.collect())
    }
}

impl FileTarget for Postgres {
    async fn load(&self, batch: &Batch, body: Vec<u8>) -> Answer<FileOutcome> {
        let [file] = batch.files.as_slice() else {
            return Err(refused(
                "load a file",
                "a batch has one file here".to_owned(),
            ));
        };
        let url = format!("s3://{}/{}", batch.input.bucket, file.key);
        let body = match unpacked(&batch.input, body) {
            Ok(body) => body,
            Err(reason) => return Ok(FileOutcome::Bad(nowhere(url, reason))),
        };
        let mut client = self.connect().await?;
        let begun = client.transaction().await;
        let transaction = begun.map_err(|error| failed("begin a load", &error))?;
        let loaded = match once(&transaction, (batch, file), body).await {
            Ok(Some(sent)) if sent.records == sent.rows => sent.rows,
            // What was not committed ends with its connection.
            Ok(Some(sent)) => return Ok(FileOutcome::Bad(nowhere(url, sent.differ()))),
            Ok(None) => return Ok(FileOutcome::Already),
            // The transaction ends with its connection.
            Err(Stop::File(fault)) => return Ok(FileOutcome::Bad(at(url, fault))),
            Err(Stop::Server(error, reader)) => {
                let refused = refusal::outcome(&url, &batch.input, &error)?;
                return Ok(placed(refused, reader.as_deref()));
            }
        };
        match transaction.commit().await {
            Ok(()) => Ok(FileOutcome::Loaded(loaded)),
            // Deferred constraints are checked here.
            Err(error) => refusal::outcome(&url, &batch.input, &error),
        }
    }
}

/// A file's records by our own count, and its rows by the server's.
#[derive(Debug)]
struct Sent {
    records: u64,
    rows: u64,
}

impl Sent {
    fn differ(&self) -> String {
        format!(
            "it has {} records, and COPY took {} rows; nothing of it was kept: a file is loaded whole or not at all (a trigger that leaves rows out makes them differ too)",
            self.records, self.rows
        )
    }
}

/// Why a file's rows are not in.
enum Stop {
    /// What its reader says of it.
    File(RecordFault),
    /// What the server says, and who knows where in the file that is.
    Server(Error, Option<Box<Reader>>),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Server(error, None)
    }
}

impl From<RecordFault> for Stop {
    fn from(fault: RecordFault) -> Self {
        Self::File(fault)
    }
}

/// The file's row first, and its rows if nobody else has it; gives their number.
async fn once(
    transaction: &Transaction<'_>,
    (batch, file): (&Batch, &Object),
    body: Bytes,
) -> Result<Option<Sent>, Stop> {
    let input = &batch.input;
    let bytes = i64::try_from(file.size).unwrap_or(i64::MAX);
    let noted = transaction
        .execute(
            NOTE,
            &[
                &input.table.id(),
                &input.bucket,
                &file.key,
                &file.etag,
                &batch.id,
                &bytes,
                &batch.dt,
                &batch.before.of(&file.key),
            ],
        )
        .await?;
    if noted == 0 {
        return Ok(None);
    }
    let target = target::of(transaction, input, &body).await?;
    let mut reader = Reader::new(input, target.columns);
    let sent = send(transaction, (&target.copy, body), &mut reader).await;
    let sent = sent.map_err(|stop| match stop {
        Stop::Server(error, _) => Stop::Server(error, Some(Box::new(reader))),
        file => file,
    })?;
    let rows = sent.rows;
    let count = i64::try_from(rows).unwrap_or(i64::MAX);
    let (table, bucket) = (input.table.id(), &input.bucket);
    transaction
        .execute(COUNT, &[&table, bucket, &file.key, &file.etag, &count])
        .await?;
    Ok(Some(sent))
}

async fn send(
    transaction: &Transaction<'_>,
    (copy, body): (&str, Bytes),
    reader: &mut Reader,
) -> Result<Sent, Stop> {
    let sink = transaction.copy_in::<_, Bytes>(copy).await?;
    let mut sink = std::pin::pin!(sink);
    for piece in body.chunks(CHUNK) {
        // Why the server takes no more is in its answer, not in the send.
        if sink.send(reader.pass(piece)?.into()).await.is_err() {
            return Ok(Sent {
                records: 0,
                rows: sink.finish().await?,
            });
        }
    }
    let (rest, records) = reader.finish()?;
    // Likewise.
    let _ = sink.send(rest.into()).await;
    let rows = sink.finish().await?;
    Ok(Sent { records, rows })
}

/// The inside of a file: as it is said to be packed, or else as it begins,
/// whatever its name says.
fn unpacked(input: &LoadInput, body: Vec<u8>) -> Result<Bytes, String> {
    let said = input.compression().of_all();
    let codec = said.unwrap_or_else(|| Codec::by_beginning(&body));
    if codec == Codec::Plain {
        return Ok(body.into());
    }
    let mut plain = Vec::new();
    let read = unpack::unpacked(codec, body.as_slice())?.read_to_end(&mut plain);
    read.map(|_| plain.into())
        .map_err(|error| unpack::said(codec, &error))
}

/// With the file's own line in place of that of what was sent.
fn placed(outcome: FileOutcome, reader: Option<&Reader>) -> FileOutcome {
    let line = |bad: BadFile| {
        let line = bad.line.parse().ok().zip(reader);
        let line = line.map(|(line, reader)| reader.line(line).to_string());
        BadFile {
            line: line.unwrap_or(bad.line.clone()),
            ..bad
        }
    };
    match outcome {
        FileOutcome::Bad(bad) => FileOutcome::Bad(line(bad)),
        FileOutcome::Odd(bad) => FileOutcome::Odd(line(bad)),
        other => other,
    }
}

/// Where the reader has found it.
fn at(file: String, fault: RecordFault) -> BadFile {
    BadFile {
        line: fault.line.to_string(),
        column: fault.column,
        value: fault.value,
        ..nowhere(file, fault.reason)
    }
}

fn nowhere(file: String, reason: String) -> BadFile {
    BadFile {
        file,
        reason,
        ..BadFile::default()
    }
}

fn refused(what: &str, reason: String) -> CallError {
    CallError {
        what: what.to_owned(),
        reason,
        class: Class::Permanent,
    }
}
