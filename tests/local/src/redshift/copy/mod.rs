//! COPY from S3: the files of our S3, through PostgreSQL's own COPY.

mod json;
mod parse;
mod record;
mod source;
mod table;
pub(crate) mod token;

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use futures::SinkExt;
use tokio::time::Instant;
use tokio_postgres::error::{DbError, SqlState};
use tokio_postgres::{Client, Error};

use super::postgres::reason;
use crate::s3::S3;
use json::Converted;
pub(crate) use parse::Source;
pub(crate) use parse::{CopyCommand, Format, parse};
pub(crate) use record::{Record, record};
pub(crate) use table::{Column, choose};

/// How much goes to PostgreSQL in one message.
const CHUNK: usize = 1 << 20;

/// What a COPY loaded.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Loaded {
    pub(crate) files: Vec<LoadedFile>,
    /// The rows that were skipped.
    pub(crate) errors: Vec<ErrorDetail>,
    pub(crate) took: Duration,
}

/// What a COPY loaded of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LoadedFile {
    /// Its `s3://` address.
    pub(crate) name: String,
    pub(crate) rows: u64,
    /// As it lies in S3.
    pub(crate) bytes: u64,
}

impl Loaded {
    /// The rows of all files.
    pub(crate) fn rows(&self) -> u64 {
        self.files.iter().map(|file| file.rows).sum()
    }

    /// The bytes of all files.
    pub(crate) fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }
}

/// Why a COPY failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LoadError {
    pub(crate) message: String,
    /// Where, if it is in a file.
    pub(crate) details: Vec<ErrorDetail>,
    /// Whether rows may be in or PostgreSQL gave up the transaction: only a
    /// rollback helps.
    pub(crate) aborts: bool,
    pub(crate) took: Duration,
}

/// The place in a file that could not be loaded.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ErrorDetail {
    /// Its `s3://` address.
    pub(crate) file: String,
    /// From 1, header lines counted.
    pub(crate) line: u64,
    pub(crate) column: Option<String>,
    pub(crate) column_type: Option<String>,
    pub(crate) message: String,
    /// SQLSTATE.
    pub(crate) code: Option<String>,
    /// Of the fault in the value.
    pub(crate) position: i32,
    pub(crate) raw_line: String,
    pub(crate) raw_value: Option<String>,
}

impl LoadError {
    /// Nothing of it has begun.
    pub(crate) fn before(message: String) -> Self {
        Self {
            message,
            details: Vec::new(),
            aborts: false,
            took: Duration::ZERO,
        }
    }

    fn postgres(error: &Error) -> Self {
        Self {
            aborts: true,
            ..Self::before(reason(error))
        }
    }

    /// As Redshift says it, with its two spaces.
    fn at(job: &Job<'_>, detail: ErrorDetail) -> Self {
        let message = format!(
            "Load into table '{}' failed.  Check '{}' system table for details.",
            job.command.bare_table(),
            job.errors_in
        );
        Self {
            details: vec![detail],
            aborts: true,
            ..Self::before(message)
        }
    }
}

/// One COPY to do.
#[derive(Clone, Copy)]
pub(crate) struct Job<'a> {
    pub(crate) command: &'a CopyCommand,
    /// Where the rows go: the command's table, or one in its place.
    pub(crate) into: &'a str,
    pub(crate) s3: &'a S3,
    /// The system view that the errors are to be looked up in.
    pub(crate) errors_in: &'static str,
}

/// Loads the files of a command, inside the transaction that is open.
pub(crate) async fn run(job: &Job<'_>, client: &Client) -> Result<Loaded, LoadError> {
    let began = Instant::now();
    match load(job, client).await {
        Ok(files) => Ok(Loaded {
            files,
            errors: Vec::new(),
            took: began.elapsed(),
        }),
        Err(error) => Err(LoadError {
            took: began.elapsed(),
            ..error
        }),
    }
}

async fn load(job: &Job<'_>, client: &Client) -> Result<Vec<LoadedFile>, LoadError> {
    let columns = table::columns(client, job.into, &job.command.columns)
        .await
        .map_err(|error| match error.code() {
            Some(&SqlState::UNDEFINED_TABLE) => LoadError {
                aborts: true,
                ..LoadError::before(nonexistent(&job.command.table))
            },
            _ => LoadError::postgres(&error),
        })?
        .map_err(LoadError::before)?;
    let files = source::files(job.command, job.s3)
        .await
        .map_err(LoadError::before)?;
    let target = Target {
        job,
        client,
        columns: &columns,
    };
    let mut loaded = Vec::with_capacity(files.len());
    for file in files {
        let body = job.s3.get(&file.bucket, &file.key).await;
        let body = body.map_err(|error| target.unreadable(&file, error.to_string()))?;
        loaded.push(LoadedFile {
            name: file.to_string(),
            bytes: body.len() as u64,
            rows: target.file(&file, body).await?,
        });
    }
    Ok(loaded)
}

/// What Redshift says of a table that is not there.
pub(crate) fn nonexistent(table: &str) -> String {
    format!("Cannot COPY into nonexistent table {table}")
}

/// Where the files of one command go.
struct Target<'a> {
    job: &'a Job<'a>,
    client: &'a Client,
    columns: &'a [Column],
}

/// A file as PostgreSQL gets it, and the way back to its lines.
struct Prepared {
    original: Bytes,
    csv: Bytes,
    skipped: u64,
    converted: Option<Converted>,
}

impl Prepared {
    fn origin(&self, line: u64) -> u64 {
        match &self.converted {
            Some(converted) => converted.origin(line),
            None => line + self.skipped,
        }
    }
}

impl Target<'_> {
    async fn file(&self, file: &Source, body: Bytes) -> Result<u64, LoadError> {
        let body = source::unpacked(body, self.job.command.gzip)
            .map_err(|message| self.unreadable(file, message))?;
        let prepared = self.prepare(file, body)?;
        match self.send(&prepared.csv).await {
            Ok(rows) => Ok(rows),
            Err(error) => Err(self.failed(file, &prepared, &error)),
        }
    }

    fn prepare(&self, file: &Source, original: Bytes) -> Result<Prepared, LoadError> {
        if let Format::Csv { ignore_header, .. } = self.job.command.format {
            return Ok(Prepared {
                csv: source::without_header(&original, ignore_header),
                original,
                skipped: ignore_header,
                converted: None,
            });
        }
        let mut converted = json::convert(&original, self.columns).map_err(|broken| {
            let detail = ErrorDetail {
                file: file.to_string(),
                line: broken.line,
                message: broken.message,
                raw_line: source::line(&original, broken.line),
                ..ErrorDetail::default()
            };
            LoadError::at(self.job, detail)
        })?;
        Ok(Prepared {
            original,
            csv: Bytes::from(std::mem::take(&mut converted.csv)),
            skipped: 0,
            converted: Some(converted),
        })
    }

    async fn send(&self, csv: &Bytes) -> Result<u64, Error> {
        let sql = statement(self.job.into, self.job.command, self.columns);
        let mut sink = pin!(self.client.copy_in::<_, Bytes>(&sql).await?);
        let mut sent = Ok(());
        for from in (0..csv.len()).step_by(CHUNK) {
            let chunk = csv.slice(from..csv.len().min(from + CHUNK));
            sent = sink.send(chunk).await;
            if sent.is_err() {
                break;
            }
        }
        // Why the server took no more is in its answer, not in the send.
        let rows = sink.finish().await?;
        sent.map(|()| rows)
    }

    fn unreadable(&self, file: &Source, message: String) -> LoadError {
        let detail = ErrorDetail {
            file: file.to_string(),
            message,
            ..ErrorDetail::default()
        };
        LoadError::at(self.job, detail)
    }

    fn failed(&self, file: &Source, prepared: &Prepared, error: &Error) -> LoadError {
        let Some(error) = error.as_db_error() else {
            return LoadError::postgres(error);
        };
        match self.detail(file, prepared, error) {
            Some(detail) => LoadError::at(self.job, detail),
            None => LoadError {
                aborts: true,
                ..LoadError::before(error.message().to_owned())
            },
        }
    }

    fn detail(&self, file: &Source, prepared: &Prepared, error: &DbError) -> Option<ErrorDetail> {
        let place = table::place(error.where_()?)?;
        let line = prepared.origin(place.line);
        let column = place.column.or_else(|| error.column().map(str::to_owned));
        let known = self
            .columns
            .iter()
            .find(|known| Some(&known.name) == column.as_ref());
        Some(ErrorDetail {
            file: file.to_string(),
            line,
            column_type: known.map(|known| known.sql_type.clone()),
            column,
            message: error.message().to_owned(),
            code: Some(error.code().code().to_owned()),
            raw_line: source::line(&prepared.original, line),
            raw_value: place.value,
            position: 0,
        })
    }
}

/// PostgreSQL's COPY for one file. An empty field is an empty string in a
/// character column and NULL in any other, in quotes or not; what comes from
/// JSON has its NULLs already.
fn statement(into: &str, command: &CopyCommand, columns: &[Column]) -> String {
    let names = |wanted: &dyn Fn(&&Column) -> bool| {
        let names: Vec<String> = columns.iter().filter(wanted).map(Column::quoted).collect();
        names.join(", ")
    };
    let mut sql = format!(
        "COPY {} ({}) FROM STDIN (FORMAT csv",
        into,
        names(&|_| true)
    );
    if let Format::Csv { delimiter, .. } = command.format {
        let delimiter = delimiter.to_string().replace('\'', "''");
        sql.push_str(&format!(", DELIMITER '{delimiter}'"));
        for (option, names) in [
            ("FORCE_NOT_NULL", names(&|column| column.character)),
            ("FORCE_NULL", names(&|column| !column.character)),
        ] {
            if !names.is_empty() {
                sql.push_str(&format!(", {option} ({names})"));
            }
        }
    }
    sql.push(')');
    sql
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_field_is_null_where_it_cannot_be_a_string() {
        let columns = [("id", false), ("a\"b", true)].map(|(name, character)| Column {
            name: name.to_owned(),
            character,
            ..Column::default()
        });
        for (options, wanted) in [
            (
                "CSV DELIMITER '|'",
                "COPY s.t (\"id\", \"a\"\"b\") FROM STDIN (FORMAT csv, DELIMITER '|', \
                 FORCE_NOT_NULL (\"a\"\"b\"), FORCE_NULL (\"id\"))",
            ),
            (
                "JSON 'auto'",
                "COPY s.t (\"id\", \"a\"\"b\") FROM STDIN (FORMAT csv)",
            ),
        ] {
            let command = parse(&format!("COPY s.t FROM 's3://b/k' {options}"));
            let command = command.expect("a COPY").expect("valid");
            assert_eq!(statement("s.t", &command, &columns), wanted);
        }
    }

    #[test]
    fn a_line_counts_the_header() {
        let prepared = Prepared {
            original: Bytes::new(),
            csv: Bytes::new(),
            skipped: 2,
            converted: None,
        };
        assert_eq!(prepared.origin(3), 5);
    }
}
