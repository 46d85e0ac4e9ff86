//! The loader's SQL, which Redshift and PostgreSQL both understand.
//!
//! The Data API binds no parameters in a batch, so all that stands in these
//! texts is a hash, a checked identifier or a checked bucket and prefix
//! ([`crate::LoadInput`]). The files' keys only travel in objects and as bound
//! parameters.

use crate::batch::Batch;
use crate::input::Format;

/// Which statement of [`load`] is the COPY into the target.
pub(crate) const COPY: usize = 4;

/// The load as one transaction: the ledger is locked before anything is read,
/// so that the guard sees every load that was committed before it.
pub(crate) fn load(batch: &Batch, copy_role: Option<&str>) -> Vec<String> {
    let id = &batch.id;
    let table = &batch.input.table;
    vec![
        "LOCK TABLE stepfleet.ledger".to_owned(),
        format!("DELETE FROM stepfleet.staging WHERE batch_id = '{id}'"),
        format!(
            "COPY stepfleet.staging (batch_id, bucket, object_key, etag, bytes) FROM 's3://{}/{}' IAM_ROLE {} FORMAT JSON 'auto'",
            batch.input.bucket,
            batch.list_key(),
            role(copy_role)
        ),
        guard(id, table),
        copy(batch, copy_role),
        format!(
            "INSERT INTO stepfleet.ledger (batch_id, bucket, object_key, etag, bytes, table_name, dt, loaded_at, verified) SELECT batch_id, bucket, object_key, etag, bytes, '{table}', '{}', getdate(), false FROM stepfleet.staging WHERE batch_id = '{id}'",
            batch.dt
        ),
        format!("DELETE FROM stepfleet.staging WHERE batch_id = '{id}'"),
    ]
}

/// Divides by zero if the batch, or any file of it, is in the ledger.
fn guard(id: &str, table: &str) -> String {
    format!(
        "SELECT 1 / (CASE WHEN EXISTS (SELECT 1 FROM stepfleet.ledger WHERE batch_id = '{id}') OR EXISTS (SELECT 1 FROM stepfleet.ledger l JOIN stepfleet.staging s ON l.bucket = s.bucket AND l.object_key = s.object_key AND l.etag = s.etag WHERE s.batch_id = '{id}' AND l.table_name = '{table}') THEN 0 ELSE 1 END)"
    )
}

fn copy(batch: &Batch, copy_role: Option<&str>) -> String {
    let input = &batch.input;
    let columns = if input.columns.is_empty() {
        String::new()
    } else {
        format!(" ({})", input.columns.join(", "))
    };
    let format = match (input.format, input.header) {
        (Format::Csv, true) => "CSV IGNOREHEADER 1",
        (Format::Csv, false) => "CSV",
        (Format::Json, _) => "JSON 'auto'",
    };
    let gzip = if input.gzip { " GZIP" } else { "" };
    format!(
        "COPY {}{columns} FROM 's3://{}/{}' IAM_ROLE {} MANIFEST FORMAT {format}{gzip}",
        input.table,
        input.bucket,
        batch.manifest_key(),
        role(copy_role)
    )
}

/// The catalogue has no say in quoting: a quote in an ARN is doubled.
fn role(copy_role: Option<&str>) -> String {
    copy_role.map_or_else(
        || "default".to_owned(),
        |role| format!("'{}'", role.replace('\'', "''")),
    )
}

/// The ledger, its staging table and their schema; each may be there already.
pub(crate) const DDL: [&str; 3] = [
    "CREATE SCHEMA IF NOT EXISTS stepfleet",
    "CREATE TABLE IF NOT EXISTS stepfleet.ledger (batch_id varchar(64) NOT NULL, table_name varchar(256) NOT NULL, bucket varchar(63) NOT NULL, object_key varchar(1024) NOT NULL, etag varchar(128) NOT NULL, bytes bigint NOT NULL, dt varchar(10) NOT NULL, loaded_at timestamp NOT NULL, verified boolean NOT NULL, loaded_files bigint, loaded_rows bigint)",
    "CREATE TABLE IF NOT EXISTS stepfleet.staging (batch_id varchar(64) NOT NULL, bucket varchar(63) NOT NULL, object_key varchar(1024) NOT NULL, etag varchar(128) NOT NULL, bytes bigint NOT NULL)",
];

/// The ledger's rows of `count` keys, bound as `key0`...
pub(crate) fn ledger(count: usize) -> String {
    let keys: Vec<String> = (0..count).map(|at| format!(":key{at}")).collect();
    format!(
        "SELECT batch_id, object_key, etag, dt, CASE WHEN verified THEN 1 ELSE 0 END FROM stepfleet.ledger WHERE table_name = :table_name AND bucket = :bucket AND object_key IN ({})",
        keys.join(", ")
    )
}

pub(crate) const LEDGERED_FILES: &str =
    "SELECT COUNT(*) FROM stepfleet.ledger WHERE batch_id = :batch_id";

/// Numbers are checked numbers: a bound parameter would be a text.
pub(crate) fn loaded(query: i64) -> String {
    format!(
        "SELECT source_file_count, loaded_rows FROM sys_load_history WHERE query_id = {query} AND status = 'completed'"
    )
}

pub(crate) fn bad_file(query: i64) -> String {
    format!(
        "SELECT file_name, line_number, column_name, error_message FROM sys_load_error_detail WHERE query_id = {query} ORDER BY file_name, line_number LIMIT 1"
    )
}

pub(crate) fn mark_verified(files: u64, rows: u64) -> String {
    format!(
        "UPDATE stepfleet.ledger SET verified = true, loaded_files = {files}, loaded_rows = {rows} WHERE batch_id = :batch_id AND verified = false"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LoadInput;

    fn batch(input: &str) -> Batch {
        let input: LoadInput = serde_json::from_str(input).expect("an input");
        Batch::new(&input, Vec::new(), "2026-01-02".to_owned())
    }

    #[test]
    fn the_copy_says_what_the_input_says() {
        let one = batch(
            r#"{"bucket": "land", "prefix": "p/", "table": "public.t", "format": "csv", "header": true, "gzip": true, "columns": ["a", "b"]}"#,
        );
        assert_eq!(
            load(&one, Some("arn:x"))[COPY],
            format!(
                "COPY public.t (a, b) FROM 's3://land/p/manifests/{}.json' IAM_ROLE 'arn:x' MANIFEST FORMAT CSV IGNOREHEADER 1 GZIP",
                one.id
            )
        );
        let two = batch(r#"{"bucket": "land", "table": "public.t", "format": "json"}"#);
        let statements = load(&two, None);
        assert!(statements[COPY].ends_with("IAM_ROLE default MANIFEST FORMAT JSON 'auto'"));
        assert!(statements[0].starts_with("LOCK"), "before anything is read");
        assert!(
            statements[COPY - 1].starts_with("SELECT 1 / "),
            "the guard is before the COPY"
        );
    }
}
