//! Records into PostgreSQL, by its own COPY.

use std::ops::Range;
use std::pin::pin;

use bytes::Bytes;
use futures::SinkExt;
use tokio_postgres::{Client, Error};

use super::LoadError;
use super::fault::Fault;
use super::fit::Record;
use super::table::{self, Column};

/// How much goes to PostgreSQL in one message.
const CHUNK: usize = 1 << 20;

/// Where records go.
#[derive(Clone, Copy)]
pub(super) struct Sink<'a> {
    pub(super) client: &'a Client,
    pub(super) into: &'a str,
    pub(super) columns: &'a [Column],
}

/// What became of records.
#[derive(Debug, Default)]
pub(super) struct Sent {
    pub(super) rows: u64,
    pub(super) faults: Vec<Fault>,
}

impl Sink<'_> {
    /// Sends records until so many are faulty. PostgreSQL gives a COPY up at
    /// the first: where more are allowed, what is before and after it goes
    /// again, each under a savepoint.
    pub(super) async fn send(&self, records: &[Record], most: usize) -> Result<Sent, LoadError> {
        let mut sent = Sent::default();
        let mut parts: Vec<Range<usize>> = Vec::new();
        parts.extend((!records.is_empty()).then_some(0..records.len()));
        while let Some(part) = parts.pop() {
            let outcome = self.part(&records[part.clone()], most > 1).await?;
            let mut fault = match outcome {
                Ok(rows) => {
                    sent.rows += rows;
                    continue;
                }
                Err(fault) => fault,
            };
            // One record is one line of what was sent, counted from 1.
            let within = usize::try_from(fault.line).unwrap_or(usize::MAX).max(1) - 1;
            let at = part.start + within.min(part.len() - 1);
            let record = &records[at];
            fault.line = record.line;
            if let Some(column) = fault.column {
                // What PostgreSQL says is cut after some characters.
                fault.value = record.values.get(column).cloned().flatten();
            }
            sent.faults.push(fault);
            if sent.faults.len() >= most {
                return Ok(sent);
            }
            parts.extend(
                [at + 1..part.end, part.start..at]
                    .into_iter()
                    .filter(|part| !part.is_empty()),
            );
        }
        Ok(sent)
    }

    async fn part(&self, records: &[Record], again: bool) -> Result<Result<u64, Fault>, LoadError> {
        let failed = |error: Error| LoadError::postgres(&error);
        if again {
            let savepoint = self.client.batch_execute("SAVEPOINT stepfleet_part").await;
            savepoint.map_err(failed)?;
        }
        let outcome = self.copy(&text(records)).await;
        if again {
            let end = match &outcome {
                Ok(_) => "RELEASE SAVEPOINT stepfleet_part",
                Err(_) => "ROLLBACK TO SAVEPOINT stepfleet_part; RELEASE SAVEPOINT stepfleet_part",
            };
            self.client.batch_execute(end).await.map_err(failed)?;
        }
        let error = match outcome {
            Ok(rows) => return Ok(Ok(rows)),
            Err(error) => error,
        };
        let place = error
            .as_db_error()
            .and_then(|db| Some((db, table::place(db.where_()?)?)));
        match place {
            Some((db, place)) => Ok(Err(Fault::postgres(db, &place, self.columns))),
            None => Err(LoadError::postgres(&error)),
        }
    }

    async fn copy(&self, text: &Bytes) -> Result<u64, Error> {
        let names: Vec<String> = self.columns.iter().map(Column::quoted).collect();
        let sql = format!("COPY {} ({}) FROM STDIN", self.into, names.join(", "));
        let mut sink = pin!(self.client.copy_in::<_, Bytes>(&sql).await?);
        let mut sent = Ok(());
        for from in (0..text.len()).step_by(CHUNK) {
            let chunk = text.slice(from..text.len().min(from + CHUNK));
            sent = sink.send(chunk).await;
            if sent.is_err() {
                break;
            }
        }
        // Why the server took no more is in its answer, not in the send.
        let rows = sink.finish().await?;
        sent.map(|()| rows)
    }
}

/// PostgreSQL's own text format: one line a record, whatever is in it.
fn text(records: &[Record]) -> Bytes {
    let mut out = String::new();
    for record in records {
        for (at, value) in record.values.iter().enumerate() {
            if at > 0 {
                out.push('\t');
            }
            let Some(value) = value else {
                out.push_str("\\N");
                continue;
            };
            for c in value.chars() {
                match c {
                    '\\' => out.push_str("\\\\"),
                    '\n' => out.push_str("\\n"),
                    '\r' => out.push_str("\\r"),
                    '\t' => out.push_str("\\t"),
                    c => out.push(c),
                }
            }
        }
        out.push('\n');
    }
    Bytes::from(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_one_line() {
        let record = |values: &[Option<&str>]| Record {
            line: 1,
            values: values
                .iter()
                .map(|value| value.map(str::to_owned))
                .collect(),
        };
        let records = [
            record(&[Some("a\tb\\N\r\n"), None]),
            record(&[Some(""), Some("\\.")]),
        ];
        assert_eq!(text(&records), "a\\tb\\\\N\\r\\n\t\\N\n\t\\\\.\n");
    }
}
