//! The loader's SQL, which Redshift and PostgreSQL both understand.
//!
//! The Data API binds no parameters in a batch, so all that stands in these
//! texts is a hash, a checked identifier or a checked bucket and prefix
//! ([`crate::LoadInput`]). The files' keys only travel in objects and as bound
//! parameters.

use sha2::{Digest as _, Sha256};

use crate::s3_load::batch::Batch;
use crate::s3_load::codec::Codec;
use crate::s3_load::{column, formats};

/// Which statement of [`load`] is the COPY into the target.
pub(crate) const COPY: usize = 4;

/// The files of the batch, for the length of its transaction. A table that all
/// loads share would be locked by the first write to it until the commit.
const STAGING: &str = "stepfleet_batch";

/// What [`procedures`] make in the schema `stepfleet`. The number is that of the
/// arguments' meaning: a worker of before goes on calling the one that it knows,
/// beside this one, and a new one never passes an old one what it does not take.
pub(crate) const PROCEDURES: [&str; 2] = ["load_batch_2", "reload_batch"];

/// How many locks there are: with `CREATE SCHEMA` and the ledger they fit into
/// one batch, which takes 40 statements.
const LOCKS: u8 = 32;

/// The load as one transaction.
///
/// The lock comes before anything is read, and `LOCK` takes no snapshot, so the
/// guard sees every load of this table that was committed before. Only loads of
/// one table can have the same file twice, so only these have to wait for each
/// other. The lock is on a table that nobody reads: `LOCK` knows one mode in
/// Redshift, which would make every query of the target, or of the ledger, wait
/// for the COPY. The ledger itself is written last and is held briefly.
///
/// In a database with `ISOLATION LEVEL SERIALIZABLE`, loads of two tables that
/// overlap may fail with error 1023, since both read and write the ledger: that
/// is transient, and nothing of the failed one stays.
pub(crate) fn load(batch: &Batch, copy_role: Option<&str>) -> Vec<String> {
    let table = batch.input.table.id();
    vec![
        format!("LOCK TABLE {}", lock(table)),
        format!("CREATE TEMP TABLE {STAGING} ({FILE})"),
        format!(
            "COPY {STAGING} (batch_id, bucket, object_key, etag, bytes) FROM 's3://{}/{}' IAM_ROLE {} FORMAT JSON 'auto'",
            batch.input.bucket,
            batch.list_key(),
            role(copy_role)
        ),
        guard(batch),
        copy(batch, copy_role),
        format!(
            "INSERT INTO stepfleet.ledger (batch_id, bucket, object_key, etag, bytes, table_name, dt, loaded_at, verified) SELECT batch_id, bucket, object_key, etag, bytes, '{table}', '{}', getdate(), false FROM {STAGING}",
            batch.dt
        ),
        format!("DROP TABLE {STAGING}"),
    ]
}

/// The load by the procedures that [`procedures`] make, and as one transaction
/// too. The lock is taken outside of it: nothing else may come first in the
/// transaction, and what a procedure does before its own first statement is not
/// documented.
pub(crate) fn call(batch: &Batch, copy_role: Option<&str>) -> Vec<String> {
    let input = &batch.input;
    let mut arguments = vec![
        batch.id.clone(),
        input.table.sql(),
        column::list(&input.columns),
        format!("s3://{}/{}", input.bucket, batch.list_key()),
        format!("s3://{}/{}", input.bucket, batch.manifest_key()),
        format(batch),
        role(copy_role),
        batch.dt.clone(),
    ];
    arguments.iter_mut().for_each(|text| *text = literal(text));
    let name = match batch.before.len() {
        0 => PROCEDURES[0],
        earlier => {
            arguments.push(earlier.to_string());
            PROCEDURES[1]
        }
    };
    let call = format!("CALL stepfleet.{name}({})", arguments.join(", "));
    vec![format!("LOCK TABLE {}", lock(input.table.id())), call]
}

/// The procedures: they return quietly where the batch, or any file of it, is in
/// the ledger, which the caller reads anyway. The second one is for files that are
/// loaded again: it is told how often the ledger has them.
pub(crate) fn procedures() -> [String; 2] {
    let text = include_str!("load_batch.sql").trim_end();
    let text = text.replace("${FILE}", FILE);
    let made = |name: &str, parameter: &str, before: &str| {
        text.replace("${NAME}", name)
            .replace("${AGAIN}", parameter)
            .replace("${BEFORE}", before)
    };
    let day = "         -- a folder of processed/";
    let again = ",        -- a folder of processed/\n    earlier IN bigint          -- how often the ledger has these files already";
    [
        made(PROCEDURES[0], day, "0"),
        made(PROCEDURES[1], again, "earlier"),
    ]
}

/// The lock of a target. Two targets may share one; one target never has two.
fn lock(table: &str) -> String {
    let hash = Sha256::digest(table.to_ascii_lowercase().as_bytes());
    lock_table(hash[0] % LOCKS)
}

fn lock_table(number: u8) -> String {
    format!("stepfleet.lock_{number:02}")
}

/// Divides by zero if the batch, or any file of it, is in the ledger: of files
/// that are loaded again, if more is there than was before. Loaders of before have
/// ledgered tables as they were spelt.
fn guard(batch: &Batch) -> String {
    let (id, table) = (&batch.id, batch.input.table.id());
    let before = batch.before.len();
    format!(
        "SELECT 1 / (CASE WHEN EXISTS (SELECT 1 FROM stepfleet.ledger WHERE batch_id = '{id}') OR (SELECT COUNT(*) FROM stepfleet.ledger l JOIN {STAGING} s ON l.bucket = s.bucket AND l.object_key = s.object_key AND l.etag = s.etag WHERE lower(l.table_name) = '{table}') <> {before} THEN 0 ELSE 1 END)"
    )
}

fn copy(batch: &Batch, copy_role: Option<&str>) -> String {
    let input = &batch.input;
    format!(
        "COPY {}{} FROM 's3://{}/{}' IAM_ROLE {} MANIFEST {}",
        input.table.sql(),
        column::list(&input.columns),
        input.bucket,
        batch.manifest_key(),
        role(copy_role),
        format(batch)
    )
}

/// `FORMAT CSV IGNOREHEADER 1 GZIP`.
fn format(batch: &Batch) -> String {
    let packed = match batch.codec {
        Codec::Plain => "",
        Codec::Gzip => " GZIP",
        Codec::Bzip2 => " BZIP2",
        Codec::Zstd => " ZSTD",
        Codec::Lzop => " LZOP",
    };
    format!("{}{packed}", formats::how(&batch.input))
}

/// A backslash means something in Redshift's literals.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// The catalogue has no say in quoting: a quote in an ARN is doubled.
fn role(copy_role: Option<&str>) -> String {
    copy_role.map_or_else(|| "default".to_owned(), literal)
}

/// A file of a batch, in the ledger and on its way there.
const FILE: &str = "batch_id varchar(64) NOT NULL, bucket varchar(63) NOT NULL, object_key varchar(1024) NOT NULL, etag varchar(128) NOT NULL, bytes bigint NOT NULL";

/// The schema, the ledger and the locks; each may be there already.
pub(crate) fn ddl() -> Vec<String> {
    let mut statements = vec![
        "CREATE SCHEMA IF NOT EXISTS stepfleet".to_owned(),
        format!(
            "CREATE TABLE IF NOT EXISTS stepfleet.ledger ({FILE}, table_name varchar(256) NOT NULL, dt varchar(10) NOT NULL, loaded_at timestamp NOT NULL, verified boolean NOT NULL, loaded_files bigint, loaded_rows bigint)"
        ),
    ];
    statements.extend((0..LOCKS).map(|at| {
        format!(
            "CREATE TABLE IF NOT EXISTS {} (unused integer)",
            lock_table(at)
        )
    }));
    statements
}

/// The ledger's rows of `count` keys, bound as `key0`..., whatever the spelling of
/// the table that loaders of before have noted.
pub(crate) fn ledger(count: usize) -> String {
    let keys: Vec<String> = (0..count).map(|at| format!(":key{at}")).collect();
    format!(
        "SELECT batch_id, object_key, etag, dt, CASE WHEN verified THEN 1 ELSE 0 END, bytes, CAST(EXTRACT(epoch FROM getdate()) - EXTRACT(epoch FROM loaded_at) AS bigint) FROM stepfleet.ledger WHERE lower(table_name) = :table_name AND bucket = :bucket AND object_key IN ({})",
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

/// A COPY that has completed and was rolled back may be there too. The last one
/// is the one that was committed: after it, the guard stops every other.
pub(crate) const LOADED_BY_MANIFEST: &str = "SELECT source_file_count, loaded_rows FROM sys_load_history WHERE data_source LIKE :manifest AND status = 'completed' ORDER BY end_time DESC LIMIT 1";

/// The manifest of a batch in any bucket, for `LIKE`.
pub(crate) fn any_manifest(batch_id: &str) -> String {
    format!("s3://%/manifests/{batch_id}.json")
}

/// The last COPY of a batch, however it ended.
pub(crate) const QUERY_BY_MANIFEST: &str = "SELECT query_id FROM sys_load_history WHERE data_source LIKE :manifest ORDER BY end_time DESC LIMIT 1";

/// Where a COPY met bad rows: it stops at the first one of each slice. The view
/// keeps no value but in its message.
pub(crate) fn bad_files(query: i64) -> String {
    format!(
        "SELECT file_name, line_number, column_name, error_message, error_code, '' FROM sys_load_error_detail WHERE query_id = {query} ORDER BY file_name, line_number LIMIT 1000"
    )
}

/// The same on a provisioned cluster, where the older table may know more.
pub(crate) fn bad_files_of_cluster(query: i64) -> String {
    format!(
        "SELECT filename, line_number, colname, err_reason, err_code, raw_field_value FROM stl_load_errors WHERE query = {query} ORDER BY filename, line_number LIMIT 1000"
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
    use crate::s3_load::input::LoadInput;

    fn batch(input: &str) -> Batch {
        let input: LoadInput = serde_json::from_str(input).expect("an input");
        Batch::new(&input, Vec::new(), "2026-01-02".to_owned())
    }

    #[test]
    fn the_copy_says_what_the_input_says() {
        let one = batch(
            r#"{"bucket": "land", "prefix": "p/", "table": "public.t", "format": "csv", "header": true, "gzip": true, "columns": ["a", "DESC"]}"#,
        );
        assert_eq!(
            load(&one, Some("arn:x"))[COPY],
            format!(
                "COPY \"public\".\"t\" (\"a\", \"desc\") FROM 's3://land/p/manifests/{}.json' IAM_ROLE 'arn:x' MANIFEST FORMAT CSV IGNOREHEADER 1 GZIP",
                one.id
            )
        );
        let two = batch(r#"{"bucket": "land", "table": "public.t", "format": "json"}"#);
        let statements = load(&two, None);
        assert!(statements[COPY].ends_with(
            "IAM_ROLE default MANIFEST FORMAT JSON 'auto ignorecase' TIMEFORMAT 'auto'"
        ));
        for (codec, want) in [
            (Codec::Plain, "'auto'"),
            (Codec::Gzip, "'auto' GZIP"),
            (Codec::Bzip2, "'auto' BZIP2"),
            (Codec::Zstd, "'auto' ZSTD"),
            (Codec::Lzop, "'auto' LZOP"),
        ] {
            let copy = &load(&two.clone().packed(codec), None)[COPY];
            assert!(copy.ends_with(&format!(" TIMEFORMAT {want}")), "{copy}");
        }
        assert!(statements[0].starts_with("LOCK"), "before anything is read");
        assert!(
            statements[COPY - 1].starts_with("SELECT 1 / "),
            "the guard is before the COPY"
        );
    }

    #[test]
    fn the_call_says_what_the_copy_says() {
        let input = r#"{"bucket": "land", "prefix": "p/", "table": "public.t", "format": "json", "gzip": true, "columns": ["a", "DESC"]}"#;
        let batch = batch(input);
        let id = &batch.id;
        let [lock, call] = call(&batch, Some("arn:'x")).try_into().expect("two");
        assert_eq!(lock, load(&batch, None)[0], "the same lock, and first");
        assert_eq!(
            call,
            format!(
                "CALL stepfleet.load_batch_2('{id}', '\"public\".\"t\"', ' (\"a\", \"desc\")', 's3://land/p/manifests/{id}.files.json', 's3://land/p/manifests/{id}.json', 'FORMAT JSON ''auto ignorecase'' TIMEFORMAT ''auto'' GZIP', '''arn:''''x''', '2026-01-02')"
            )
        );
        for (made, name) in procedures().iter().zip(PROCEDURES) {
            let begin = format!("CREATE OR REPLACE PROCEDURE stepfleet.{name}(");
            assert!(made.starts_with(&begin), "{made}");
            assert!(made.contains(FILE) && !made.contains("${"), "{made}");
        }
    }

    #[test]
    fn every_lock_is_made_by_the_setup_in_one_batch() {
        let made = ddl();
        assert!(made.len() <= 40, "the Data API takes 40 statements");
        for name in ["public.a", "public.b", "sales.orders", "x.y"] {
            let lock = format!(" {} ", lock(name));
            assert!(
                made.iter().any(|statement| statement.contains(&lock)),
                "{lock}"
            );
        }
        assert_eq!(lock("public.t"), lock("PUBLIC.T"), "one table has one lock");
    }
}
