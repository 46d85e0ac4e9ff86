//! What the system tables keep of a COPY.

use tokio_postgres::{Client, Error};

use super::table::Column;
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
        Format::JsonLines => "JSON",
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
                &record.command.table,
                &detail.file,
                &signed(detail.line),
                &detail.column,
                &detail.column_type,
                &length,
                &detail.position,
                &kept(&detail.raw_line),
                &raw_value,
                &error_code(detail),
                &detail.message,
                &took,
            ],
        )
        .await?;
    Ok(())
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn kept(text: &str) -> String {
    text.chars().take(KEPT).collect()
}

/// Redshift's number for an SQLSTATE; 1200 is its "unknown".
fn error_code(detail: &ErrorDetail) -> i32 {
    let sql_type = detail.column_type.as_deref().unwrap_or_default();
    match detail.code.as_deref() {
        Some("22001" | "22003") => 1204,
        Some("23502") => 1213,
        Some("22P04") if detail.message.starts_with("extra data") => 1202,
        Some("22P04") if detail.message.starts_with("missing data") => 1203,
        Some("22007" | "22008") if sql_type == "date" => 1205,
        Some("22007" | "22008") => 1206,
        Some("22P02") => match sql_type.split('(').next().unwrap_or_default() {
            "smallint" | "integer" | "bigint" => 1207,
            "real" | "double precision" => 1208,
            "numeric" => 1209,
            "boolean" => 1210,
            _ => 1200,
        },
        _ => 1200,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_have_their_numbers() {
        for (state, sql_type, message, wanted) in [
            ("22001", "character varying(3)", "", 1204),
            ("22P02", "integer", "", 1207),
            ("22P02", "numeric(10,2)", "", 1209),
            ("22P02", "uuid", "", 1200),
            ("22007", "date", "", 1205),
            ("22008", "timestamp without time zone", "", 1206),
            ("22P04", "", "extra data after last expected column", 1202),
            ("22P04", "", "missing data for column \"b\"", 1203),
            ("23502", "integer", "", 1213),
            ("23505", "", "", 1200),
        ] {
            let detail = ErrorDetail {
                code: Some(state.to_owned()),
                column_type: Some(sql_type.to_owned()),
                message: message.to_owned(),
                ..ErrorDetail::default()
            };
            assert_eq!(error_code(&detail), wanted, "{state} {sql_type}");
        }
    }

    #[test]
    fn a_long_line_is_cut_between_characters() {
        assert_eq!(kept(&"é".repeat(2_000)).chars().count(), KEPT);
    }
}
