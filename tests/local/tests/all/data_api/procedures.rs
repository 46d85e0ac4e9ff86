//! Stored procedures that COPY from S3.

use std::sync::Arc;

use aws_sdk_redshiftdata::types::{Field, StatusString};

use super::{Bench, text};

/// As the loader has it: a lock, a look, a COPY of a text, a row in the ledger.
const LOAD: &str = "CREATE OR REPLACE PROCEDURE ledgers.load(batch IN varchar(64), manifest IN varchar(max)) AS $body$
DECLARE
    known int;
    loaded bigint;
BEGIN
    LOCK ledgers.lock;
    SELECT INTO known count(*) FROM ledgers.ledger WHERE batch_id = batch;
    IF known > 0 THEN
        RAISE INFO 'already %', batch;
        RETURN;
    END IF;
    EXECUTE 'COPY ledgers.target (id, name) FROM ' || quote_literal(manifest)
        || ' IAM_ROLE default MANIFEST FORMAT CSV'; -- it's; a comment
    GET DIAGNOSTICS loaded := ROW_COUNT;
    IF loaded <> pg_last_copy_count() THEN
        RAISE EXCEPTION 'COPY says %', pg_last_copy_count();
    END IF;
    INSERT INTO ledgers.ledger VALUES (batch, loaded, pg_last_copy_id(), sysdate);
END
$body$ LANGUAGE plpgsql SECURITY DEFINER";

fn manifest(keys: &[&str]) -> String {
    let entry = |key: &&str| format!("{{\"url\": \"s3://data/{key}\", \"mandatory\": true}}");
    let entries: Vec<String> = keys.iter().map(entry).collect();
    format!("{{\"entries\": [{}]}}", entries.join(", "))
}

pub(super) async fn a_procedure_loads_once_and_as_one(bench: Arc<Bench>) {
    for sql in [
        "CREATE SCHEMA ledgers",
        "CREATE TABLE ledgers.lock (unused int)",
        "CREATE TABLE ledgers.ledger (batch_id varchar(64), loaded bigint, query bigint, at timestamp)",
        "CREATE TABLE ledgers.target (id int NOT NULL, name varchar(5), own bigint IDENTITY(1,1))",
        LOAD,
        LOAD,
    ] {
        bench.ok(sql).await;
    }
    bench.put("procedures/1.csv", "1,a\n2,\"b,\n\"\n").await;
    bench.put("procedures/2.csv", "3,\n").await;
    let files = manifest(&["procedures/1.csv", "procedures/2.csv"]);
    bench.put("procedures/manifest", files).await;
    let call = "CALL ledgers.load('b1', 's3://data/procedures/manifest')";

    let rolled_back = bench.batch(&[call, "SELECT 1/0"]).await;
    assert_eq!(rolled_back.status, Some(StatusString::Failed));
    assert_eq!(bench.count("ledgers.target").await, 0);
    assert_eq!(bench.count("ledgers.ledger").await, 0);

    let (one, two) = (bench.submit(call).await, bench.submit(call).await);
    for id in [one, two] {
        let described = bench.end(&id).await;
        assert_eq!(described.error, None);
        assert_eq!(described.has_result_set, Some(false));
    }
    let rows = bench.rows("SELECT id, name FROM ledgers.target ORDER BY id");
    let wanted =
        [(1, "a"), (2, "b,\n"), (3, "")].map(|(id, name)| [Field::LongValue(id), text(name)]);
    assert_eq!(rows.await, wanted);
    let history = "SELECT h.loaded_rows, h.source_file_count, h.data_source, l.loaded \
                   FROM ledgers.ledger l JOIN sys_load_history h ON h.query_id = l.query";
    let source = text("s3://data/procedures/manifest");
    let [three, two] = [3, 2].map(Field::LongValue);
    assert_eq!(
        bench.rows(history).await,
        [[three.clone(), two, source, three]]
    );
    for handed_over in ["rows", "answers"] {
        let table = format!("stepfleet_copy.{handed_over}");
        assert_eq!(bench.count(&table).await, 0, "{table}");
    }
}

pub(super) async fn a_bad_row_fails_the_procedure_and_is_named(bench: Arc<Bench>) {
    bench
        .ok("CREATE TABLE called (id int, name varchar(5))")
        .await;
    bench
        .ok("CREATE PROCEDURE call_bad(source varchar) AS $$ BEGIN \
             INSERT INTO called VALUES (0, 'before'::varchar(5)); \
             EXECUTE 'COPY called FROM ''' || source || ''' IAM_ROLE default CSV'; END $$ LANGUAGE plpgsql")
        .await;
    bench.put("called/good.csv", "1,a\n").await;
    bench.put("called/wrong.csv", "1,a\n2,too long\n").await;
    let failed = bench.run("CALL call_bad('s3://data/called/')").await;
    assert_eq!(failed.status, Some(StatusString::Failed));
    let said = "ERROR: Load into table 'called' failed.  Check 'sys_load_error_detail' system table for details.";
    assert_eq!(failed.error.as_deref(), Some(said));
    assert_eq!(bench.count("called").await, 0);
    let detail = "SELECT d.file_name, d.line_number, d.column_name, d.column_type, d.column_length, d.error_code \
                  FROM sys_load_error_detail d JOIN sys_load_history h ON h.query_id = d.query_id \
                  WHERE h.data_source = 's3://data/called/' AND h.status = 'failed'";
    let wanted = [[
        text("s3://data/called/wrong.csv"),
        Field::LongValue(2),
        text("name"),
        text("character varying(5)"),
        text("5"),
        Field::LongValue(1_204),
    ]];
    assert_eq!(bench.rows(detail).await, wanted);
}

pub(super) async fn a_procedure_may_fill_its_own_temporary_table(bench: Arc<Bench>) {
    bench
        .ok("CREATE TABLE kept (id int, more super, at timestamp)")
        .await;
    bench
        .put(
            "staged/1.json",
            "{\"id\": 1, \"more\": {\"a\": [1.50]}, \"at\": \"2026-11-21 20:00:00\"}\n{\"id\": 2}",
        )
        .await;
    bench
        .ok("CREATE PROCEDURE stage() LANGUAGE plpgsql AS $$ BEGIN \
             CREATE TEMP TABLE staged (id bigint, more super, at timestamp) DISTSTYLE ALL; \
             COPY staged FROM 's3://data/staged/' IAM_ROLE default FORMAT JSON 'auto'; \
             INSERT INTO kept SELECT id, more, nvl(at, timestamp '1999-12-31') FROM staged; \
             DROP TABLE staged; END $$")
        .await;
    bench.ok("CALL stage()").await;
    bench.ok("CALL stage()").await;
    let rows = bench
        .rows("SELECT DISTINCT id, more, at FROM kept ORDER BY id")
        .await;
    let wanted = [
        [
            Field::LongValue(1),
            text("{\"a\": [1.50]}"),
            text("2026-11-21 20:00:00"),
        ],
        [
            Field::LongValue(2),
            Field::IsNull(true),
            text("1999-12-31 00:00:00"),
        ],
    ];
    assert_eq!(rows, wanted);
    assert_eq!(bench.count("kept").await, 4);
}

pub(super) async fn what_a_procedure_cannot_do_is_said_by_name(bench: Arc<Bench>) {
    bench
        .ok("CREATE PROCEDURE anything(command varchar) AS 'BEGIN EXECUTE command; END' LANGUAGE plpgsql")
        .await;
    for (sql, named) in [
        (
            "CREATE PROCEDURE no() AS $$ BEGIN COMMIT; END $$ LANGUAGE plpgsql",
            "COMMIT",
        ),
        (
            "CALL anything('COPY nothing_there FROM ''s3://data/x'' CSV')",
            "ERROR: Cannot COPY into nonexistent table nothing_there",
        ),
        (
            "CALL anything('COPY pg_class FROM ''s3://data/x'' CSV PARQUET')",
            "PARQUET",
        ),
        ("CALL anything('SELECT 1/0')", "division by zero"),
        (
            "CALL anything('COPY pg_class (x) FROM ''s3://data/x'' CSV')",
            "column x",
        ),
    ] {
        let failed = bench.run(sql).await;
        assert_eq!(failed.status, Some(StatusString::Failed), "{sql}");
        let error = failed.error.unwrap();
        assert!(error.contains(named), "{sql}: {error}");
    }
    bench
        .ok("CALL anything('-- a COPY t FROM ''s3://b/k''\nCREATE TABLE made_by_text (a int)')")
        .await;
    assert_eq!(bench.count("made_by_text").await, 0);
}
