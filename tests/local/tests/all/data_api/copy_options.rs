//! The options of COPY, as the developer guide has them.

use std::sync::Arc;

use aws_sdk_redshiftdata::operation::describe_statement::DescribeStatementOutput;
use aws_sdk_redshiftdata::types::{Field, StatusString};

use super::Bench;

/// A file, the table it goes into, and the options.
type Case = (&'static str, &'static [u8], &'static str);

async fn load(bench: &Bench, name: &str, (_, body, options): Case) -> DescribeStatementOutput {
    bench.put(&format!("{name}/file"), body).await;
    let copy = format!("COPY {name} FROM 's3://data/{name}/' IAM_ROLE default {options}");
    bench.run(&copy).await
}

/// The tables of all cases, in one batch.
async fn create(bench: &Bench, name: &str, columns: impl Iterator<Item = &'static str>) {
    let create = |(at, columns): (usize, &str)| format!("CREATE TABLE {name}_{at} ({columns})");
    let all: Vec<String> = columns.enumerate().map(create).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    assert_eq!(bench.batch(&all).await.error, None);
}

/// A row as one text; NULL is a dash.
fn written(row: &[Field]) -> String {
    let field = |field: &Field| match field {
        Field::StringValue(text) => text.clone(),
        Field::LongValue(number) => number.to_string(),
        Field::BooleanValue(yes) => yes.to_string(),
        Field::IsNull(_) => "-".to_owned(),
        other => format!("{other:?}"),
    };
    row.iter().map(field).collect::<Vec<_>>().join("/")
}

pub(super) async fn files_are_read_as_the_options_say(bench: Arc<Bench>) {
    const TWO: &str = "a int, b varchar(6)";
    const TIME: &str = "a int, b timestamp";
    let cases: [(Case, &[&str]); 23] = [
        (
            (TWO, b"1|x,y\n2|\"q\"\n3|\n", ""),
            &["1/x,y", "2/\"q\"", "3/"],
        ),
        ((TWO, b"1,x|y\n", "DELIMITER ','"), &["1/x|y"]),
        ((TWO, b"1\tx\n", "DELIMITER '\\t'"), &["1/x"]),
        (
            (TWO, b"1|\"x|y\"\n2|'z'\n", "REMOVEQUOTES"),
            &["1/x|y", "2/z"],
        ),
        (
            (TWO, b"1|x\\|y\n2|a\\\nb\n3|\\N\n", "ESCAPE"),
            &["1/x|y", "2/a\nb", "3/-"],
        ),
        ((TWO, b"1,%x,%%%\n", "CSV QUOTE '%'"), &["1/x,%"]),
        (
            (TWO, b"h\n1,x\r\n2,y", "CSV IGNOREHEADER 1"),
            &["1/x", "2/y"],
        ),
        (
            (TWO, b"nil,nil\n\\N,\\N\n", "CSV NULL AS 'nil'"),
            &["failed"],
        ),
        (
            (TWO, b"1,nil\nnil,\\N\n", "CSV NULL AS 'nil'"),
            &["1/-", "-/\\N"],
        ),
        ((TWO, b",\n", "CSV"), &["-/"]),
        ((TWO, b",\n", "CSV EMPTYASNULL"), &["-/-"]),
        ((TWO, b"1,  \n2,\n", "CSV BLANKSASNULL"), &["1/-", "2/"]),
        ((TWO, b"1,x  \n", "CSV TRIMBLANKS"), &["1/x"]),
        (
            (
                TWO,
                "1,too long\n2,éééé\n".as_bytes(),
                "CSV TRUNCATECOLUMNS",
            ),
            &["1/too lo", "2/ééé"],
        ),
        ((TWO, b"1\n2,x\n", "CSV FILLRECORD"), &["1/", "2/x"]),
        ((TWO, b"\n1,x\n\n", "CSV IGNOREBLANKLINES"), &["1/x"]),
        ((TWO, b"1,a\xffb\n", "CSV ACCEPTINVCHARS '^'"), &["1/a^b"]),
        (
            (TIME, b"1,2026-11-21 20:00:00\n", "CSV"),
            &["1/2026-11-21 20:00:00"],
        ),
        (
            (
                TIME,
                b"1,2026-11-21T20:00:00Z\n2,Nov 21 2026 20:00\n",
                "CSV TIMEFORMAT 'auto'",
            ),
            &["1/2026-11-21 20:00:00", "2/2026-11-21 20:00:00"],
        ),
        (
            (TIME, b"1,1795291200.5\n", "CSV TIMEFORMAT 'epochsecs'"),
            &["1/2026-11-21 20:00:00.5"],
        ),
        (
            (
                TIME,
                b"1,1795291200250\n",
                "CSV TIMEFORMAT 'epochmillisecs'",
            ),
            &["1/2026-11-21 20:00:00.25"],
        ),
        (
            (
                "a int, b date",
                b"1,21-Nov-2026\n2,20261122\n",
                "CSV DATEFORMAT 'auto'",
            ),
            &["1/2026-11-21", "2/2026-11-22"],
        ),
        (
            (
                TWO,
                b"{\"a\": 1, \"B\": \"x\"} {\"b\": \"y\"}",
                "JSON 'auto'",
            ),
            &["1/-", "-/y"],
        ),
    ];
    create(
        &bench,
        "option",
        cases.iter().map(|((columns, ..), _)| *columns),
    )
    .await;
    for (at, (case, wanted)) in cases.into_iter().enumerate() {
        let name = format!("option_{at}");
        let described = load(&bench, &name, case).await;
        if wanted == ["failed"] {
            assert_eq!(described.status, Some(StatusString::Failed), "{case:?}");
            continue;
        }
        assert_eq!(described.error, None, "{case:?}");
        assert_eq!(described.result_rows, i64::try_from(wanted.len()).unwrap());
        let mut rows: Vec<String> = bench
            .rows(&format!("SELECT * FROM {name}"))
            .await
            .iter()
            .map(|row| written(row))
            .collect();
        rows.sort_by_key(|row| wanted.iter().position(|one| one == row));
        assert_eq!(rows, wanted, "{case:?}");
    }
}

pub(super) async fn a_bad_row_is_told_in_redshifts_words(bench: Arc<Bench>) {
    let cases: [(Case, &str); 12] = [
        (
            ("a int, b int", b"1,2\n3,x4\n", "CSV"),
            "2/b/1207/0/x4/Invalid digit, Value 'x', Pos 0, Type: Integer",
        ),
        (
            ("a bigint", b"12;3\n", "CSV"),
            "1/a/1207/2/12;3/Invalid digit, Value ';', Pos 2, Type: Long",
        ),
        (
            ("a varchar(3)", b"abc\nabcd\n", "CSV"),
            "2/a/1204/0/abcd/String length exceeds DDL length",
        ),
        (
            ("a varchar(3)", "éé\n".as_bytes(), "CSV"),
            "1/a/1204/0/éé/String length exceeds DDL length",
        ),
        (
            ("a char(3)", "é\n".as_bytes(), "CSV"),
            "1/a/1220/0/é/Multibyte character not supported for CHAR (Hint: Try using VARCHAR). Invalid char: c3 a9",
        ),
        (
            ("a int, b int", b"1,2\n3\n", "CSV"),
            "2/b/1214/0/-/Delimiter not found",
        ),
        (
            ("a int", b"1,2\n", "CSV"),
            "1/-/1202/0/-/Extra column(s) found",
        ),
        (
            ("a int NOT NULL", b"1\n\n", "CSV"),
            "2/a/1213/0//Missing data for not-null field",
        ),
        (
            ("a timestamp", b"2026-11-21T20:00:00Z\n", "CSV"),
            "1/a/1206/0/2026-11-21T20:00:00Z/Invalid timestamp format or value [YYYY-MM-DD HH24:MI:SS]",
        ),
        (
            ("a date", b"2026-13-01\n", "CSV"),
            "1/a/1205/0/2026-13-01/Invalid date format or value [YYYY-MM-DD]",
        ),
        (
            ("a boolean", b"true\nmaybe\n", "CSV"),
            "2/a/1210/0/maybe/invalid input syntax for type boolean: \"maybe\"",
        ),
        (
            (
                "a int, b varchar",
                b"9,\"x\ny\"\nz,\n",
                "CSV IGNOREHEADER 0",
            ),
            "3/a/1207/0/z/Invalid digit, Value 'z', Pos 0, Type: Integer",
        ),
    ];
    create(
        &bench,
        "bad",
        cases.iter().map(|((columns, ..), _)| *columns),
    )
    .await;
    for (at, (case, wanted)) in cases.into_iter().enumerate() {
        let name = format!("bad_{at}");
        let described = load(&bench, &name, case).await;
        let said = format!(
            "ERROR: Load into table '{name}' failed.  Check 'sys_load_error_detail' system table for details."
        );
        assert_eq!(described.error, Some(said), "{case:?}");
        let detail = format!(
            "SELECT line_number, column_name, error_code, position, raw_field_value, error_message \
             FROM sys_load_error_detail WHERE query_id = {} AND file_name = 's3://data/{name}/file'",
            described.redshift_query_id
        );
        let found: Vec<String> = bench
            .rows(&detail)
            .await
            .iter()
            .map(|row| written(row))
            .collect();
        assert_eq!(found, [wanted], "{case:?}");
        assert_eq!(bench.count(&name).await, 0);
    }
    let sql = "COPY bad_0 FROM 's3://data/bad_0/' IAM_ROLE default CSV";
    let provisioned = bench.data.execute_statement().sql(sql).database("dev");
    let accepted = provisioned.cluster_identifier("main").send().await.unwrap();
    let error = bench.end(&accepted.id.unwrap()).await.error.unwrap();
    assert!(error.contains("'stl_load_errors'"), "{error}");
}

pub(super) async fn so_many_bad_rows_are_allowed(bench: Arc<Bench>) {
    bench.ok("CREATE TABLE most (a int, b varchar(2))").await;
    bench
        .put("most/1.csv", "1,a\nx,b\n3,c\n4\n5,long\n6,f\n")
        .await;
    bench.put("most/2.csv", "7,g\ny,h\n").await;
    let copy = |most: u32| {
        format!("COPY most FROM 's3://data/most/' IAM_ROLE default CSV MAXERROR {most}")
    };
    // "error_count or greater" fails the load: 4 errors need 5.
    for most in [0, 1, 4] {
        let failed = bench.run(&copy(most)).await;
        assert_eq!(failed.status, Some(StatusString::Failed), "MAXERROR {most}");
        let told = format!(
            "sys_load_error_detail WHERE query_id = {}",
            failed.redshift_query_id
        );
        assert_eq!(
            bench.count(&told).await,
            i64::from(most.max(1)),
            "MAXERROR {most}"
        );
        assert_eq!(bench.count("most").await, 0);
    }
    let loaded = bench.ok(&copy(5)).await;
    assert_eq!(loaded.result_rows, 4);
    assert_eq!(bench.number("SELECT sum(a) FROM most").await, 1 + 3 + 6 + 7);
    let query = loaded.redshift_query_id;
    let told = format!(
        "SELECT trim(filename), line_number, err_code FROM stl_load_errors WHERE query = {query} ORDER BY 1, 2"
    );
    let found: Vec<String> = bench
        .rows(&told)
        .await
        .iter()
        .map(|row| written(row))
        .collect();
    let wanted = [
        "1.csv/2/1207",
        "1.csv/4/1214",
        "1.csv/5/1204",
        "2.csv/2/1207",
    ]
    .map(|row| format!("s3://data/most/{row}"));
    assert_eq!(found, wanted);
    let history = format!(
        "SELECT status, loaded_rows, error_count FROM sys_load_history WHERE query_id = {query}"
    );
    assert_eq!(written(&bench.rows(&history).await[0]), "completed/4/4");
}

pub(super) async fn a_checked_file_is_not_loaded(bench: Arc<Bench>) {
    bench.ok("CREATE TABLE checked (a int)").await;
    bench.put("checked/1.csv", "1\n2\n").await;
    let copy = "COPY checked FROM 's3://data/checked/' IAM_ROLE default CSV NOLOAD";
    let described = bench.batch(&["INSERT INTO checked VALUES (0)", copy]).await;
    assert_eq!(described.error, None);
    assert_eq!(bench.count("checked").await, 1);
    bench.put("checked/1.csv", "1\nx\n").await;
    let failed = bench.run(copy).await;
    assert_eq!(failed.status, Some(StatusString::Failed));
    let told = format!(
        "sys_load_error_detail WHERE line_number = 2 AND query_id = {}",
        failed.redshift_query_id
    );
    assert_eq!(bench.count(&told).await, 1);
}

pub(super) async fn what_copy_cannot_do_is_said_by_name(bench: Arc<Bench>) {
    bench.ok("CREATE TABLE cannot (a int)").await;
    bench.put("cannot/1.csv", "1\n").await;
    for (copy, said) in [
        (
            "cannot FROM 's3://data/cannot/' CSV ROUNDEC",
            "ERROR: COPY option ROUNDEC is not here",
        ),
        (
            "cannot FROM 's3://data/cannot/' FORMAT PARQUET",
            "ERROR: COPY FORMAT: only CSV and JSON are here",
        ),
        (
            "cannot FROM 's3://data/cannot/2' CSV",
            "ERROR: The specified S3 prefix 'cannot/2' does not exist",
        ),
        (
            "cannot FROM 's3://elsewhere/1' CSV",
            "ERROR: The specified S3 bucket 'elsewhere' does not exist",
        ),
        (
            "cannot (b) FROM 's3://data/cannot/' CSV",
            "ERROR: column b of relation cannot does not exist",
        ),
        (
            "nobody.knows FROM 's3://data/cannot/' CSV",
            "ERROR: Cannot COPY into nonexistent table nobody.knows",
        ),
    ] {
        let failed = bench.run(&format!("COPY {copy}")).await;
        assert_eq!(failed.error.as_deref(), Some(said));
    }
    let fine = "COPY cannot FROM 's3://data/cannot/' REGION 'eu-west-1' CSV COMPUPDATE OFF STATUPDATE ON COMPROWS 10";
    assert_eq!(bench.ok(fine).await.result_rows, 1);
    assert_eq!(
        bench.rows("SELECT a FROM cannot").await,
        [[Field::LongValue(1)]]
    );
}
