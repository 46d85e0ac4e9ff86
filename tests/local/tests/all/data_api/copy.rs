//! COPY from S3.

use std::io::Write;
use std::sync::Arc;

use aws_sdk_redshiftdata::types::{Field, StatusString};
use flate2::write::GzEncoder;
use serde_json::json;

use super::{Bench, text};

const ROLE: &str = "IAM_ROLE 'arn:aws:iam::123456789012:role/copy'";

fn manifest(entries: &[(&str, bool)]) -> String {
    let entry = |(key, mandatory): &(&str, bool)| json!({"url": format!("s3://data/{key}"), "mandatory": mandatory});
    let entries: Vec<_> = entries.iter().map(entry).collect();
    json!({ "entries": entries }).to_string()
}

pub(super) async fn a_manifest_names_the_files(bench: Arc<Bench>) {
    bench.ok("CREATE TABLE csv (id int, name varchar)").await;
    bench.put("csv/1.csv", "id,name\n1,\"a,b\"\n2,\n").await;
    bench
        .put("csv/2.csv", "id,name\n,\"it's \"\"c\"\"\"\n")
        .await;
    bench.put("csv/3.csv", "id,name\n9,not listed\n").await;
    let files = [("csv/1.csv", true), ("csv/2.csv", true)];
    bench.put("csv/manifest", manifest(&files)).await;
    let copy = format!("COPY csv FROM 's3://data/csv/manifest' {ROLE} MANIFEST CSV IGNOREHEADER 1");
    let described = bench.ok(&copy).await;
    assert_eq!(described.result_rows, 3);
    assert_eq!(described.has_result_set, Some(false));
    let wanted = [
        [Field::LongValue(1), text("a,b")],
        [Field::LongValue(2), text("")],
        [Field::IsNull(true), text("it's \"c\"")],
    ];
    assert_eq!(bench.rows("SELECT * FROM csv ORDER BY id").await, wanted);
}

pub(super) async fn a_missing_file_matters_if_it_is_mandatory(bench: Arc<Bench>) {
    bench.ok("CREATE TABLE missing (id int)").await;
    bench.put("missing/1.csv", "1\n").await;
    let copy = format!("COPY missing FROM 's3://data/missing/manifest' {ROLE} MANIFEST CSV");
    let files = |mandatory| manifest(&[("missing/1.csv", true), ("missing/2.csv", mandatory)]);
    bench.put("missing/manifest", files(true)).await;
    let described = bench.run(&copy).await;
    assert_eq!(described.status, Some(StatusString::Failed));
    let error = described.error.unwrap();
    assert!(error.contains("s3://data/missing/2.csv"), "{error}");
    assert_eq!(bench.count("missing").await, 0);
    bench.put("missing/manifest", files(false)).await;
    assert_eq!(bench.ok(&copy).await.result_rows, 1);

    let nowhere = copy.replace("missing/manifest", "nowhere/manifest");
    let error = bench.run(&nowhere).await.error.unwrap();
    assert!(error.contains("s3://data/nowhere/manifest"), "{error}");
}

pub(super) async fn a_manifest_means_keys_and_a_prefix_all_below_it(bench: Arc<Bench>) {
    bench.ok("CREATE TABLE keys (id int)").await;
    bench.put("keys/a.csv.bak", "2\n").await;
    bench
        .put("keys/manifest", manifest(&[("keys/a.csv", true)]))
        .await;
    let by_manifest = format!("COPY keys FROM 's3://data/keys/manifest' {ROLE} MANIFEST CSV");
    let only_a_longer_key = bench.run(&by_manifest).await;
    assert_eq!(only_a_longer_key.status, Some(StatusString::Failed));
    bench.put("keys/a.csv", "1\n").await;
    assert_eq!(bench.ok(&by_manifest).await.result_rows, 1);
    assert_eq!(bench.number("SELECT sum(id) FROM keys").await, 1);
    let by_prefix = format!("COPY keys FROM 's3://data/keys/a.csv' {ROLE} CSV");
    assert_eq!(bench.ok(&by_prefix).await.result_rows, 2);
    let nothing = by_prefix.replace("a.csv", "b.csv");
    let error = bench.run(&nothing).await.error.unwrap();
    let said = "ERROR: The specified S3 prefix 'keys/b.csv' does not exist";
    assert_eq!(error, said);
}

pub(super) async fn objects_come_packed(bench: Arc<Bench>) {
    bench
        .ok("CREATE TABLE objects (id int, name varchar, more super)")
        .await;
    let mut packed = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let lines = "{\"id\": 1, \"NAME\": \"a\\nb\", \"more\": {\"x\": [1]}}\n{\"name\": \"c\"}\n";
    packed.write_all(lines.as_bytes()).unwrap();
    bench.put("objects/1.gz", packed.finish().unwrap()).await;
    let copy =
        format!("COPY objects FROM 's3://data/objects/' {ROLE} FORMAT JSON 'auto ignorecase' GZIP");
    assert_eq!(bench.ok(&copy).await.result_rows, 2);
    let wanted = [
        [Field::LongValue(1), text("a\nb"), text("{\"x\": [1]}")],
        [Field::IsNull(true), text("c"), Field::IsNull(true)],
    ];
    assert_eq!(
        bench.rows("SELECT * FROM objects ORDER BY id").await,
        wanted
    );
    bench.put("objects/1.gz", "not packed").await;
    assert_eq!(bench.run(&copy).await.status, Some(StatusString::Failed));
    assert_eq!(bench.count("objects").await, 2);
}

pub(super) async fn a_bad_row_is_named_and_nothing_is_loaded(bench: Arc<Bench>) {
    bench
        .ok("CREATE TABLE rows (id int, size numeric(8,2))")
        .await;
    bench.put("rows/1.csv", "id,size\n1,1.5\n").await;
    bench
        .put("rows/2.csv", "id,size\n2,2.5\n3,big\n4,4\n")
        .await;
    let copy = format!("COPY rows FROM 's3://data/rows/' {ROLE} CSV IGNOREHEADER 1");
    let described = bench
        .batch(&["INSERT INTO rows VALUES (0, 0)", &copy])
        .await;
    assert_eq!(described.status, Some(StatusString::Failed));
    let error = described.error.as_deref().unwrap();
    let said = "Query #2 failed with ERROR: Load into table 'rows' failed.  Check \
                'sys_load_error_detail' system table for details.";
    assert_eq!(error, said);
    assert_eq!(bench.count("rows").await, 0);
    let query = described.sub_statements()[1].redshift_query_id();
    let detail = format!(
        "SELECT file_name, line_number, column_name, raw_field_value, raw_line, error_code \
         FROM sys_load_error_detail WHERE query_id = {query}"
    );
    let wanted = [[
        text("s3://data/rows/2.csv"),
        Field::LongValue(3),
        text("size"),
        text("big"),
        text("3,big"),
        Field::LongValue(1_209),
    ]];
    assert_eq!(bench.rows(&detail).await, wanted);
    let stl = format!(
        "SELECT trim(filename), line_number, trim(colname), trim(raw_field_value), trim(raw_line), \
         err_code FROM stl_load_errors WHERE query = {query} AND filename = 's3://data/rows/2.csv'"
    );
    assert_eq!(bench.rows(&stl).await, wanted);
    let history = format!("SELECT status FROM sys_load_history WHERE query_id = {query}");
    assert_eq!(bench.rows(&history).await, [[text("failed")]]);
}

/// Redshift's logs are no part of a transaction: "completed" is not "committed".
pub(super) async fn a_load_is_in_the_history_also_if_it_is_rolled_back(bench: Arc<Bench>) {
    bench.ok("CREATE TABLE loads (id int)").await;
    bench.put("loads/1.csv", "1\n2\n").await;
    bench.put("loads/2.csv", "3\n").await;
    let copy = format!("COPY loads FROM 's3://data/loads/' {ROLE} CSV");
    let history = |query: i64| {
        format!(
            "SELECT status, loaded_rows, source_file_count, loaded_bytes, table_name, data_source \
             FROM sys_load_history WHERE query_id = {query}"
        )
    };
    let rolled_back = bench.batch(&[&copy, "SELECT 1/0"]).await;
    assert_eq!(rolled_back.status, Some(StatusString::Failed));
    let query = rolled_back.sub_statements()[0].redshift_query_id();
    assert_eq!(bench.count("loads").await, 0);
    let committed = bench.ok(&copy).await;
    let wanted = [[
        text("completed"),
        Field::LongValue(3),
        Field::LongValue(2),
        Field::LongValue(6),
        text("loads"),
        text("s3://data/loads/"),
    ]];
    for query in [query, committed.redshift_query_id] {
        assert_eq!(bench.rows(&history(query)).await, wanted);
    }
    let files = format!(
        "SELECT trim(filename), lines_scanned, byte_offset, errors FROM stl_load_commits \
         WHERE query = {query} ORDER BY filename"
    );
    let wanted = [("loads/1.csv", 2, 4), ("loads/2.csv", 1, 2)].map(|(key, lines, bytes)| {
        let [lines, bytes, errors] = [lines, bytes, 0].map(Field::LongValue);
        [text(&format!("s3://data/{key}")), lines, bytes, errors]
    });
    assert_eq!(bench.rows(&files).await, wanted);
}
