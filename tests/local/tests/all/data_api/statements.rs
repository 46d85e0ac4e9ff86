//! Statements, their results and their limits.

use std::sync::Arc;

use aws_sdk_redshiftdata::types::{
    ExecutionMode, Field, ResultFormatString, StatementStatusString, StatusString,
};

use super::{Bench, parameter, text};
use crate::aws::refused;

pub(super) async fn values_have_their_types(bench: Arc<Bench>) {
    let sql = "SELECT 9007199254740993::bigint, 1.10::numeric(10,2), true, 2.5::float8, \
               'it''s'::varchar, NULL::int, '', 'NaN'::float8, date '2026-11-21', 3::smallint";
    let described = bench.ok(sql).await;
    assert_eq!(described.has_result_set, Some(true));
    assert_eq!(described.result_rows, 1);
    assert_eq!(described.workgroup_name.as_deref(), Some("analytics"));
    assert!(described.duration > 0);
    let result = bench.data.get_statement_result().id(described.id);
    let result = result.send().await.unwrap();
    let names = result.column_metadata().iter();
    let names: Vec<&str> = names.map(|column| column.type_name().unwrap()).collect();
    let wanted = [
        "int8", "numeric", "bool", "float8", "varchar", "int4", "varchar", "float8", "date", "int2",
    ];
    assert_eq!(names, wanted);
    let row = &result.records()[0];
    assert!(row[7].as_double_value().unwrap().is_nan());
    let wanted = [
        Field::LongValue(9_007_199_254_740_993),
        text("1.10"),
        Field::BooleanValue(true),
        Field::DoubleValue(2.5),
        text("it's"),
        Field::IsNull(true),
        text(""),
        row[7].clone(),
        text("2026-11-21"),
        Field::LongValue(3),
    ];
    // NaN is not equal to itself.
    assert_eq!(format!("{row:?}"), format!("{:?}", wanted.to_vec()));
}

pub(super) async fn a_statement_may_have_no_result_set(bench: Arc<Bench>) {
    let created = bench.ok("CREATE TABLE plain (a int)").await;
    assert_eq!(created.has_result_set, Some(false));
    let inserted = bench.ok("INSERT INTO plain VALUES (1), (2), (3)").await;
    assert_eq!(inserted.has_result_set, Some(false));
    assert_eq!(inserted.result_rows, 3);
    let result = bench.data.get_statement_result().id(inserted.id);
    let (code, _) = refused(result.send().await);
    assert_eq!(code, "ResourceNotFoundException");
    let none = bench.ok("SELECT a FROM plain WHERE a > 3").await;
    assert_eq!(none.has_result_set, Some(true));
    let empty = bench.data.get_statement_result().id(none.id);
    assert_eq!(empty.send().await.unwrap().total_num_rows, 0);
}

pub(super) async fn a_result_comes_in_pages(bench: Arc<Bench>) {
    let described = bench.ok("SELECT generate_series(1, 2500)").await;
    assert_eq!(described.result_rows, 2_500);
    let result = bench.data.get_statement_result().id(described.id);
    let mut pages = result.into_paginator().send();
    let (mut sizes, mut sum) = (Vec::new(), 0);
    while let Some(page) = pages.next().await {
        let page = page.unwrap();
        assert_eq!(page.total_num_rows, 2_500);
        sizes.push(page.records().len());
        let values = page.records().iter().map(|row| row[0].as_long_value());
        sum += values.map(Result::unwrap).sum::<i64>();
    }
    assert_eq!(sizes, [1_000, 1_000, 500]);
    assert_eq!(sum, 2_500 * 2_501 / 2);
}

pub(super) async fn parameters_are_values_and_never_sql(bench: Arc<Bench>) {
    bench.ok("CREATE TABLE people (id int, name varchar)").await;
    let name = "O'Brien'); DROP TABLE people; -- :id";
    let sql = "INSERT INTO people VALUES (:id, :name) -- it's :nobody";
    let insert = bench.statement(sql).parameters(parameter("id", "7"));
    let insert = insert.parameters(parameter("name", name)).send().await;
    let inserted = bench.end(&insert.unwrap().id.unwrap()).await;
    assert_eq!(inserted.error, None);
    assert_eq!(inserted.query_string.as_deref(), Some(sql));
    let kept: Vec<&str> = inserted
        .query_parameters()
        .iter()
        .map(|p| p.value())
        .collect();
    assert_eq!(kept, ["7", name]);
    assert_eq!(
        bench.rows("SELECT id, name FROM people").await,
        [[Field::LongValue(7), text(name)]]
    );

    let sqls = ["DELETE FROM people WHERE id = :id", "SELECT 1"];
    let both = bench.statements(&sqls).parameters(parameter("id", "7"));
    let both = bench.end(&both.send().await.unwrap().id.unwrap()).await;
    assert_eq!(both.error, None);
    assert_eq!(bench.count("people").await, 0);

    let unused = bench.statement("SELECT 1").parameters(parameter("a", "1"));
    let (code, message) = refused(unused.send().await);
    assert_eq!(code, "ValidationException");
    assert!(message.contains("unused parameters: a"), "{message}");
}

pub(super) async fn a_batch_commits_as_one(bench: Arc<Bench>) {
    let described = bench
        .batch(&[
            "CREATE TABLE whole (a int)",
            "INSERT INTO whole VALUES (1), (2)",
            "SELECT a FROM whole ORDER BY a",
        ])
        .await;
    assert_eq!(described.status, Some(StatusString::Finished));
    assert_eq!(described.has_result_set, Some(true));
    let parts = described.sub_statements();
    let ids: Vec<&str> = parts.iter().map(|part| part.id()).collect();
    let wanted = [1, 2, 3].map(|number| format!("{}:{number}", described.id));
    assert_eq!(ids, wanted);
    let rows: Vec<i64> = parts.iter().map(|part| part.result_rows()).collect();
    assert_eq!(rows, [0, 2, 2]);
    let result = bench.data.get_statement_result().id(ids[2]);
    let result = result.send().await.unwrap();
    assert_eq!(result.records().len(), 2);
    let part = bench.describe(ids[1]).await;
    assert_eq!(part.result_rows, 2);
    let whole = bench.data.get_statement_result().id(&described.id);
    let (code, _) = refused(whole.send().await);
    assert_eq!(code, "ResourceNotFoundException");
}

pub(super) async fn a_batch_fails_as_one(bench: Arc<Bench>) {
    bench.ok("CREATE TABLE nothing (a int)").await;
    let described = bench
        .batch(&[
            "INSERT INTO nothing VALUES (1)",
            "CREATE TABLE never (a int)",
            "INSERT INTO nothing SELECT 1/0",
            "INSERT INTO nothing VALUES (2)",
        ])
        .await;
    assert_eq!(described.status, Some(StatusString::Failed));
    assert_eq!(
        described.error.as_deref(),
        Some("Query #3 failed with ERROR: division by zero")
    );
    let parts = described.sub_statements();
    let ended: Vec<_> = parts.iter().map(|part| part.status().unwrap()).collect();
    let [aborted, failed] = [
        &StatementStatusString::Aborted,
        &StatementStatusString::Failed,
    ];
    assert_eq!(ended, [aborted, aborted, failed, aborted]);
    let errors: Vec<_> = parts.iter().map(|part| part.error()).collect();
    let error = Some("ERROR: division by zero");
    assert_eq!(errors, [None, None, error, None]);
    assert_eq!(bench.count("nothing").await, 0);
    let never = bench.run("SELECT * FROM never").await;
    assert_eq!(
        never.error.as_deref(),
        Some("ERROR: relation \"never\" does not exist")
    );
}

pub(super) async fn statements_are_listed_by_name_and_status(bench: Arc<Bench>) {
    for (name, sql) in [
        ("listed-1", "SELECT 1"),
        ("listed-2", "SELECT 1/0"),
        ("listed-3", "SELECT 3"),
        ("listed-4", "SELECT 4"),
        ("listed-5", "SELECT 5"),
        ("other-1", "SELECT 6"),
    ] {
        let named = bench.statement(sql).statement_name(name).send().await;
        bench.end(&named.unwrap().id.unwrap()).await;
    }
    let list = || bench.data.list_statements().statement_name("listed-");
    let mut pages = list()
        .status(StatusString::All)
        .max_results(2)
        .into_paginator()
        .send();
    let mut found = Vec::new();
    while let Some(page) = pages.next().await {
        let names = page.unwrap().statements.into_iter();
        let names = names.map(|statement| statement.statement_name.unwrap());
        found.push(names.collect::<Vec<_>>());
    }
    let wanted = [
        vec!["listed-5", "listed-4"],
        vec!["listed-3", "listed-2"],
        vec!["listed-1"],
    ];
    assert_eq!(found, wanted);
    for (listing, wanted) in [
        (list(), 4),
        (list().status(StatusString::Failed), 1),
        (list().status(StatusString::Aborted), 0),
        (list().workgroup_name("analytics").database("dev"), 4),
        (list().workgroup_name("another").database("dev"), 0),
    ] {
        let listed = listing.send().await.unwrap().statements;
        assert_eq!(listed.len(), wanted, "{listed:?}");
    }
}

/// What is submitted between two pages is on none of those that follow.
pub(super) async fn a_list_goes_on_where_it_was(bench: Arc<Bench>) {
    let submit = async |number: u8| {
        let named = bench
            .statement("SELECT 1")
            .statement_name(format!("paged-{number}"));
        bench.end(&named.send().await.unwrap().id.unwrap()).await;
    };
    for number in 0..4 {
        submit(number).await;
    }
    let list = || {
        bench
            .data
            .list_statements()
            .statement_name("paged-")
            .max_results(2)
    };
    let first = list().send().await.unwrap();
    submit(4).await;
    let second = list()
        .set_next_token(first.next_token.clone())
        .send()
        .await
        .unwrap();
    let names = first.statements().iter().chain(second.statements());
    let names: Vec<&str> = names.map(|one| one.statement_name().unwrap()).collect();
    assert_eq!(names, ["paged-3", "paged-2", "paged-1", "paged-0"]);
    assert_eq!(second.next_token, None);
    for wrong in [
        list().next_token("of nobody"),
        list().max_results(101),
        list().status(StatusString::from("NONE")),
    ] {
        assert_eq!(refused(wrong.send().await).0, "ValidationException");
    }
    assert_eq!(
        list()
            .role_level(true)
            .send()
            .await
            .unwrap()
            .statements
            .len(),
        2
    );
}

pub(super) async fn columns_are_described(bench: Arc<Bench>) {
    let sql = "SELECT 1.5::numeric(10,2) AS \"Price\", 'x'::varchar(8) AS code, 3 AS count";
    let id = bench.ok(sql).await.id;
    let result = bench
        .data
        .get_statement_result()
        .id(id)
        .send()
        .await
        .unwrap();
    let found: Vec<_> = result
        .column_metadata()
        .iter()
        .map(|column| {
            let flags = (column.is_signed(), column.is_case_sensitive());
            (
                column.name().unwrap(),
                column.label().unwrap(),
                (column.precision(), column.scale()),
                flags,
            )
        })
        .collect();
    let wanted = [
        ("Price", "Price", (10, 2), (true, false)),
        ("code", "code", (8, 0), (false, true)),
        ("count", "count", (10, 0), (true, false)),
    ];
    assert_eq!(found, wanted);
}

pub(super) async fn a_transaction_is_not_for_the_statements(bench: Arc<Bench>) {
    bench.ok("CREATE TABLE transactions (a int)").await;
    let insert = "INSERT INTO transactions VALUES (1)";
    for (last, named) in [
        ("COMMIT", "COMMIT is not here"),
        ("TRUNCATE transactions", "TRUNCATE in a batch"),
    ] {
        let described = bench.batch(&[insert, last]).await;
        assert_eq!(described.status, Some(StatusString::Failed));
        let error = described.error.unwrap();
        assert!(error.contains(named), "{error}");
        assert_eq!(bench.count("transactions").await, 0);
    }
    bench.ok(insert).await;
    bench.ok("TRUNCATE transactions").await;
    assert_eq!(bench.count("transactions").await, 0);
    let long = bench.run("SELECT repeat('x', 65537)").await;
    let error = long.error.unwrap();
    assert!(error.contains("65537 bytes"), "{error}");
}

pub(super) async fn limits_are_kept(bench: Arc<Bench>) {
    let sql = |bytes: usize| format!("SELECT 1 --{}", "x".repeat(bytes - 11));
    bench.ok(&sql(102_400)).await;
    let (code, message) = refused(bench.statement(&sql(102_401)).send().await);
    assert_eq!(code, "ValidationException");
    assert!(message.contains("102401 bytes"), "{message}");

    let forty = bench.batch(&["SELECT 1"; 40]).await;
    assert_eq!(forty.status, Some(StatusString::Finished));
    let (code, message) = refused(bench.statements(&["SELECT 1"; 41]).send().await);
    assert_eq!(code, "ValidationException");
    assert!(message.contains("41 statements"), "{message}");

    let unknown = "00000000-0000-0000-0000-000000000000";
    let data = &bench.data;
    for (code, _) in [
        refused(data.describe_statement().id(unknown).send().await),
        refused(data.get_statement_result().id(unknown).send().await),
        refused(data.cancel_statement().id(unknown).send().await),
    ] {
        assert_eq!(code, "ResourceNotFoundException");
    }
    let two = bench.run("SELECT 1; SELECT 2").await;
    assert_eq!(two.status, Some(StatusString::Failed));
}

pub(super) async fn what_is_not_here_is_refused_by_name(bench: Arc<Bench>) {
    let statement = || bench.statement("SELECT 1");
    let batch = || bench.statements(&["SELECT 1"]);
    for ((code, message), named) in [
        (
            refused(statement().with_event(true).send().await),
            "WithEvent",
        ),
        (
            refused(
                statement()
                    .result_format(ResultFormatString::Csv)
                    .send()
                    .await,
            ),
            "ResultFormat",
        ),
        (
            refused(statement().session_keep_alive_seconds(9).send().await),
            "SessionKeepAliveSeconds",
        ),
        (
            refused(
                batch()
                    .execution_mode(ExecutionMode::AutoCommit)
                    .send()
                    .await,
            ),
            "ExecutionMode",
        ),
    ] {
        assert_eq!(code, "ValidationException", "{message}");
        assert!(message.starts_with(named), "{message}");
    }
    let plain = batch().execution_mode(ExecutionMode::Transaction);
    plain.with_event(false).send().await.unwrap();
    let tables = bench.data.list_tables().database("dev");
    let (code, message) = refused(tables.send().await);
    assert_eq!(code, "UnknownOperationException");
    assert!(message.contains("ListTables"), "{message}");
}
