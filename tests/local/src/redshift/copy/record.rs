//! What the system tables keep of a COPY.

use tokio_postgres::{Client, Error};

use super::table::Column;
use super::{CopyCommand, ErrorDetail, LoadError, Loaded};

const HISTORY: &str = "INSERT INTO public.sys_load_history (query_id, session_id, database_name, \
     table_name, data_source, status, loaded_rows, loaded_bytes, source_file_count, error_count, \
     start_time, end_time) VALUES ($1, pg_backend_pid(), current_database()::text, $2, $3, $4, \
     $5, $6, $7, $8, (clock_timestamp() - make_interval(secs => $9)) AT TIME ZONE 'UTC', \
     clock_timestamp() AT TIME ZONE 'UTC')";

const DETAIL: &str = "INSERT INTO public.sys_load_error_detail (query_id, file_name, line_number, \
     column_name, column_type, column_length, position, raw_line, raw_field_value, error_code, \
     error_message) VALUES ($1, $2, $3, $4, $5, $6, 0, $7, $8, $9, $10)";

/// Redshift keeps so many characters of a line and of a value.
const KEPT: usize = 1_024;

/// Writes how a COPY ended, outside its transaction: a failure stays too.
pub(crate) async fn record(
    client: &Client,
    query_id: i64,
    command: &CopyCommand,
    outcome: &Result<Loaded, LoadError>,
) -> Result<(), Error> {
    let (status, counts, errors, took) = match outcome {
        Ok(loaded) => (
            "completed",
            [loaded.rows, loaded.bytes, loaded.files].map(signed),
            0_i64,
            loaded.took,
        ),
        Err(error) => ("failed", [0; 3], 1, error.took),
    };
    let [rows, bytes, files] = counts;
    let source = command.source.to_string();
    client
        .execute(
            HISTORY,
            &[
                &query_id,
                &command.table,
                &source,
                &status,
                &rows,
                &bytes,
                &files,
                &errors,
                &took.as_secs_f64(),
            ],
        )
        .await?;
    match outcome {
        Err(LoadError {
            detail: Some(detail),
            ..
        }) => record_detail(client, query_id, detail).await,
        _ => Ok(()),
    }
}

async fn record_detail(client: &Client, query_id: i64, detail: &ErrorDetail) -> Result<(), Error> {
    let length = detail.column_type.as_deref().and_then(Column::length);
    let raw_value = detail.raw_value.as_deref().map(kept);
    client
        .execute(
            DETAIL,
            &[
                &query_id,
                &detail.file,
                &signed(detail.line),
                &detail.column,
                &detail.column_type,
                &length,
                &kept(&detail.raw_line),
                &raw_value,
                &error_code(detail),
                &detail.message,
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
