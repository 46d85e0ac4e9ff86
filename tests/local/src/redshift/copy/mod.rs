//! COPY from S3.
//!
//! A file of our S3 is cut into lines of fields ([`read`], [`json`]), which the
//! options and the columns make values of ([`fit`]); PostgreSQL's own COPY then
//! parses the types ([`send`]). What is wrong with a row has Redshift's number
//! and words ([`fault`]); MAXERROR says how many may be.

mod fault;
mod fit;
mod json;
mod options;
mod parse;
mod read;
mod record;
mod send;
mod source;
mod table;
pub(crate) mod token;

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Error};

use super::postgres::reason;
use crate::s3::S3;
use fault::Fault;
use fit::Record as Fitted;
pub(crate) use parse::Source;
pub(crate) use parse::{CopyCommand, Format, parse};
pub(crate) use record::{Record, record};
use send::Sink;
pub(crate) use table::{Column, choose};

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
    /// Redshift's number.
    pub(crate) code: i32,
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
            took: Duration::ZERO,
        }
    }

    fn postgres(error: &Error) -> Self {
        Self::before(reason(error))
    }

    /// As Redshift says it, with its two spaces.
    fn at(job: &Job<'_>, details: Vec<ErrorDetail>) -> Self {
        let message = format!(
            "Load into table '{}' failed.  Check '{}' system table for details.",
            job.command.bare_table(),
            job.errors_in
        );
        Self {
            details,
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
    let outcome = if job.command.no_load {
        check(job, client).await
    } else {
        load(job, client).await
    };
    match outcome {
        Ok(loaded) => Ok(Loaded {
            took: began.elapsed(),
            ..loaded
        }),
        Err(error) => Err(LoadError {
            took: began.elapsed(),
            ..error
        }),
    }
}

/// NOLOAD: all is done as for a load, and taken back.
async fn check(job: &Job<'_>, client: &Client) -> Result<Loaded, LoadError> {
    let failed = |error: Error| LoadError::postgres(&error);
    let savepoint = client.batch_execute("SAVEPOINT stepfleet_check").await;
    savepoint.map_err(failed)?;
    let mut loaded = load(job, client).await?;
    let back = "ROLLBACK TO SAVEPOINT stepfleet_check; RELEASE SAVEPOINT stepfleet_check";
    client.batch_execute(back).await.map_err(failed)?;
    for file in &mut loaded.files {
        file.rows = 0;
    }
    Ok(loaded)
}

async fn load(job: &Job<'_>, client: &Client) -> Result<Loaded, LoadError> {
    let columns = table::columns(client, job.into, &job.command.columns)
        .await
        .map_err(|error| match error.code() {
            Some(&SqlState::UNDEFINED_TABLE | &SqlState::INVALID_SCHEMA_NAME) => {
                LoadError::before(nonexistent(&job.command.table))
            }
            _ => LoadError::postgres(&error),
        })?
        .map_err(LoadError::before)?;
    let files = source::files(job.command, job.s3)
        .await
        .map_err(LoadError::before)?;
    let target = Target {
        job,
        sink: Sink {
            client,
            into: job.into,
            columns: &columns,
        },
    };
    let mut loaded = Loaded::default();
    for file in files {
        let body = job.s3.get(&file.bucket, &file.key).await;
        let body = body.map_err(|error| target.unreadable(&file, error.to_string()))?;
        let bytes = body.len() as u64;
        let rows = target.file(&file, body, &mut loaded.errors).await?;
        loaded.files.push(LoadedFile {
            name: file.to_string(),
            rows,
            bytes,
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
    sink: Sink<'a>,
}

impl Target<'_> {
    /// Loads a file; its bad rows join those of the files before it.
    async fn file(
        &self,
        file: &Source,
        body: Bytes,
        errors: &mut Vec<ErrorDetail>,
    ) -> Result<u64, LoadError> {
        let body = source::unpacked(body, self.job.command.packing)
            .map_err(|message| self.unreadable(file, message))?;
        let body = source::decoded(body, self.job.command.encoding)
            .map_err(|message| self.unreadable(file, message))?;
        // "error_count or greater", of which 0 allows none either.
        let limit = self.job.command.max_errors.max(1);
        let most = limit - errors.len();
        let (mut records, mut faults) = self.read(&body);
        if let Some(last) = faults.get(most - 1) {
            // Only what comes before the last that is allowed can matter.
            let last = last.line;
            records.retain(|record| record.line < last);
        }
        let sent = self.sink.send(&records, most).await?;
        faults.extend(sent.faults);
        faults.sort_by_key(|fault| fault.line);
        faults.truncate(most);
        let details = faults.into_iter();
        errors.extend(details.map(|fault| self.detail(file, &body, fault)));
        if errors.len() >= limit {
            return Err(LoadError::at(self.job, std::mem::take(errors)));
        }
        Ok(sent.rows)
    }

    /// The records of a file, and what in it is none, both in their order.
    fn read(&self, body: &[u8]) -> (Vec<Fitted>, Vec<Fault>) {
        let command = self.job.command;
        let lines = match command.format {
            Format::Json { ignore_case } => json::lines(body, ignore_case, self.sink.columns),
            Format::Fixed => read::fixed(body, &command.widths, command.ignore_header),
            format => read::lines(body, format, command.ignore_header),
        };
        let (mut records, mut faults) = (Vec::with_capacity(lines.len()), Vec::new());
        for line in lines {
            let fitted = match line {
                Ok(line) if command.rules.ignore_blank_lines && line.is_blank() => continue,
                Ok(line) => fit::fit(line, &command.rules, self.sink.columns),
                Err(fault) => Err(fault),
            };
            match fitted {
                Ok(record) => records.push(record),
                Err(fault) => faults.push(fault),
            }
        }
        (records, faults)
    }

    fn unreadable(&self, file: &Source, message: String) -> LoadError {
        let detail = ErrorDetail {
            file: file.to_string(),
            message,
            code: 1200,
            ..ErrorDetail::default()
        };
        LoadError::at(self.job, vec![detail])
    }

    fn detail(&self, file: &Source, body: &[u8], fault: Fault) -> ErrorDetail {
        let column = fault.column.and_then(|at| self.sink.columns.get(at));
        ErrorDetail {
            file: file.to_string(),
            line: fault.line,
            column: column.map(|column| column.name.clone()),
            column_type: column.map(|column| column.sql_type.clone()),
            message: fault.message,
            code: fault.code,
            position: fault.position,
            raw_line: source::line(body, fault.line),
            raw_value: fault.value,
        }
    }
}
