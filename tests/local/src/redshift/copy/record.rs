//! What the system tables keep of a COPY.

use tokio_postgres::{Client, Error};

use super::table::Column;
use super::token::tokens;
use super::{CopyCommand, ErrorDetail, Format, LoadError, Loaded, LoadedFile};

const HISTORY: &str = "INSERT INTO public.sys_load_history (query_id, session_id, transaction_id, \
     database_name, table_name, data_source, file_format, status, loaded_rows, loaded_bytes, \
     source_file_count, error_count, duration, start_time, end_time) VALUES ($1, $2, $3, \
     current_database()::text, $4, $5, $6, $7, $8, $9, $10, $11, ($12::float8 * 1000000)::bigint, \
     (clock_timestamp() - make_interval(secs => $12)) AT TIME ZONE 'UTC', \
     clock_timestamp() AT TIME ZONE 'UTC')";

const FILE: &str = "INSERT INTO public.sys_load_detail (query_id, file_name, bytes_scanned, \
     lines_scanned, error_count, record_time) VALUES ($1, $2, $3, $4, $5, \
     clock_timestamp() AT TIME ZONE 'UTC')";

const ERROR: &str = "INSERT INTO public.sys_load_error_detail (query_id, session_id, \
     transaction_id, database_name, table_id, file_name, line_number, column_name, column_type, \
     column_length, position, raw_line, raw_field_value, error_code, error_message, start_time) \
     VALUES ($1, $2, $3, current_database()::text, to_regclass($4)::oid, $5, $6, $7, $8, $9, $10, \
     $11, $12, $13, $14, (clock_timestamp() - make_interval(secs => $15)) AT TIME ZONE 'UTC')";

/// Redshift keeps so many characters of a line and of a value.
const KEPT: usize = 1_024;

/// A COPY as the history knows it.
#[derive(Clone, Copy)]
pub(crate) struct Record<'a> {
    pub(crate) query_id: i64,
    /// The process and the transaction that asked for it.
    pub(crate) session: (i32, i64),
    pub(crate) command: &'a CopyCommand,
}

/// Writes how a COPY ended. As in Redshift its transaction has no say in it:
/// the client is not the one that loaded, and a row does not mean that the
/// load was committed.
pub(crate) async fn record(
    client: &Client,
    record: &Record<'_>,
    outcome: &Result<Loaded, LoadError>,
) -> Result<(), Error> {
    history(client, record, outcome).await?;
    let (errors, took) = match outcome {
        Ok(loaded) => {
            for one in &loaded.files {
                file(client, record.query_id, (one, &loaded.errors)).await?;
            }
            (&loaded.errors, loaded.took)
        }
        Err(error) => (&error.details, error.took),
    };
    for detail in errors {
        error(client, record, (detail, took.as_secs_f64())).await?;
    }
    Ok(())
}

async fn history(
    client: &Client,
    record: &Record<'_>,
    outcome: &Result<Loaded, LoadError>,
) -> Result<(), Error> {
    let (status, counts, errors, took) = match outcome {
        Ok(loaded) => (
            "completed",
            [loaded.rows(), loaded.bytes(), loaded.files.len() as u64].map(signed),
            loaded.errors.len(),
            loaded.took,
        ),
        Err(error) => ("failed", [0; 3], error.details.len(), error.took),
    };
    let [rows, bytes, files] = counts;
    let (process, transaction) = record.session;
    let format = match record.command.format {
        Format::Csv { .. } => "CSV",
        Format::Text { .. } => "TEXT",
        Format::Json { .. } => "JSON",
        Format::Fixed => "FIXEDWIDTH",
    };
    client
        .execute(
            HISTORY,
            &[
                &record.query_id,
                &process,
                &transaction,
                &record.command.bare_table(),
                &record.command.source.to_string(),
                &format,
                &status,
                &rows,
                &bytes,
                &files,
                &signed(errors as u64),
                &took.as_secs_f64(),
            ],
        )
        .await?;
    Ok(())
}

async fn file(
    client: &Client,
    query_id: i64,
    (file, errors): (&LoadedFile, &[ErrorDetail]),
) -> Result<(), Error> {
    let errors = errors.iter().filter(|error| error.file == file.name);
    let errors = signed(errors.count() as u64);
    let (bytes, rows) = (signed(file.bytes), signed(file.rows));
    client
        .execute(
            FILE,
            &[&query_id, &file.name, &bytes, &(rows + errors), &errors],
        )
        .await?;
    Ok(())
}

async fn error(
    client: &Client,
    record: &Record<'_>,
    (detail, took): (&ErrorDetail, f64),
) -> Result<(), Error> {
    let length = detail.column_type.as_deref().and_then(Column::length);
    let raw_value = detail.raw_value.as_deref().map(kept);
    let (process, transaction) = record.session;
    client
        .execute(
            ERROR,
            &[
                &record.query_id,
                &process,
                &transaction,
                &qualified(&record.command.table),
                &detail.file,
                &signed(detail.line),
                &detail.column,
                &detail.column_type,
                &length,
                &detail.position,
                &kept(&detail.raw_line),
                &raw_value,
                &detail.code,
                &detail.message,
                &took,
            ],
        )
        .await?;
    Ok(())
}

/// A table's name with its schema: who looks it up has none to look in.
fn qualified(table: &str) -> String {
    let dotted = tokens(table).iter().any(|token| token.is_symbol("."));
    let schema = if dotted { "" } else { "public." };
    format!("{schema}{table}")
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn kept(text: &str) -> String {
    text.chars().take(KEPT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_is_cut_between_characters() {
        assert_eq!(kept(&"é".repeat(2_000)).chars().count(), KEPT);
    }
}
