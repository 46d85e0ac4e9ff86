//! How statements come and go in time, which is moved.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_redshiftdata::operation::describe_statement::DescribeStatementOutput;
use aws_sdk_redshiftdata::types::{StatementStatusString, StatusString};

use super::Bench;
use crate::aws::{refused, until};

const HOUR: Duration = Duration::from_secs(60 * 60);
const MINUTE: Duration = Duration::from_secs(60);

async fn reaches(bench: &Bench, id: &str, status: StatusString) -> DescribeStatementOutput {
    let mut last = None;
    until("the state is reached", async || {
        let described = bench.describe(id).await;
        let there = described.status.as_ref() == Some(&status);
        last = Some(described);
        there
    })
    .await;
    last.unwrap()
}

pub(super) async fn a_statement_goes_through_its_states(bench: Arc<Bench>) {
    let sql = "SELECT 1 /* stepfleet: SUBMITTED=1h PICKED=2h STARTED=3h */";
    let id = bench.submit(sql).await;
    for (status, span) in [
        (StatusString::Submitted, HOUR),
        (StatusString::Picked, 2 * HOUR),
        (StatusString::Started, 3 * HOUR),
    ] {
        for _ in 0..2 {
            let described = reaches(&bench, &id, status.clone()).await;
            assert_eq!(described.has_result_set, Some(false), "{status}");
            let numbers = [
                described.duration,
                described.result_rows,
                described.result_size,
            ];
            assert_eq!(numbers, [-1; 3], "{status}");
            let started = status == StatusString::Started;
            assert_eq!(described.redshift_query_id > 0, started, "{status}");
            let result = bench.data.get_statement_result().id(&id).send().await;
            assert_eq!(refused(result).0, "ResourceNotFoundException");
            let only = bench
                .data
                .list_statements()
                .status(status.clone())
                .send()
                .await;
            let listed = only.unwrap().statements;
            assert_eq!(listed.len(), 1, "{status}: {listed:?}");
            // Almost there is not there.
            bench.timers.advance(span / 2 - Duration::from_secs(30));
        }
        bench.timers.advance(MINUTE);
    }
    let described = reaches(&bench, &id, StatusString::Finished).await;
    let ran = Duration::from_nanos(u64::try_from(described.duration).unwrap());
    assert!(ran >= 3 * HOUR && ran < 4 * HOUR, "{ran:?}");
    assert!(described.redshift_pid > 0);
    assert_eq!((described.result_rows, described.result_size), (1, 1));
    let (created, updated) = (described.created_at.unwrap(), described.updated_at.unwrap());
    assert!(updated.secs() - created.secs() >= 6 * 60 * 60);
}

pub(super) async fn a_statement_may_be_cancelled_in_any_state(bench: Arc<Bench>) {
    bench.ok("CREATE TABLE waiting (a int)").await;
    for (spans, status) in [
        ("SUBMITTED=1h", StatusString::Submitted),
        ("PICKED=1h", StatusString::Picked),
        ("STARTED=1h", StatusString::Started),
    ] {
        let id = bench
            .submit(&format!(
                "/* stepfleet: {spans} */ INSERT INTO waiting VALUES (1)"
            ))
            .await;
        reaches(&bench, &id, status).await;
        let cancelled = bench.data.cancel_statement().id(&id).send().await;
        assert_eq!(cancelled.unwrap().status, Some(true));
        reaches(&bench, &id, StatusString::Aborted).await;
    }
    assert_eq!(bench.count("waiting").await, 0);
    let wrong = bench
        .statement("SELECT 1 /* stepfleet: FINISHED=1h */")
        .send()
        .await;
    assert_eq!(refused(wrong).0, "ValidationException");
}

pub(super) async fn a_statement_runs_for_a_day_at_most(bench: Arc<Bench>) {
    let sleep = "SELECT pg_sleep(305)";
    let id = bench.submit(sleep).await;
    super::running::asleep(&bench, sleep).await;
    bench.timers.advance(23 * HOUR);
    assert_eq!(
        bench.describe(&id).await.status,
        Some(StatusString::Started)
    );
    bench.timers.advance(HOUR);
    reaches(&bench, &id, StatusString::Aborted).await;
}

pub(super) async fn a_batch_tells_how_far_it_is(bench: Arc<Bench>) {
    let sleep = "SELECT pg_sleep(304)";
    let sqls = ["SELECT 1", sleep, "SELECT 2"];
    let id = bench.statements(&sqls).send().await.unwrap().id.unwrap();
    super::running::asleep(&bench, sleep).await;
    let described = bench.describe(&id).await;
    let parts = described.sub_statements().iter();
    let states: Vec<_> = parts.map(|part| part.status().unwrap().clone()).collect();
    let wanted = [
        StatementStatusString::Finished,
        StatementStatusString::Started,
        StatementStatusString::Submitted,
    ];
    assert_eq!(states, wanted);
    bench.data.cancel_statement().id(&id).send().await.unwrap();
    let described = reaches(&bench, &id, StatusString::Aborted).await;
    let mut parts = described.sub_statements().iter();
    assert!(parts.all(|part| part.status() == Some(&StatementStatusString::Aborted)));
}

pub(super) async fn a_client_token_counts_for_eight_hours(bench: Arc<Bench>) {
    bench.ok("CREATE TABLE hours (a int)").await;
    let send = || {
        let insert = bench.statement("INSERT INTO hours VALUES (1)");
        insert.client_token("eight hours").send()
    };
    let first = send().await.unwrap().id.unwrap();
    bench.end(&first).await;
    bench.timers.advance(8 * HOUR - MINUTE);
    assert_eq!(send().await.unwrap().id.unwrap(), first);
    bench.timers.advance(MINUTE);
    let second = send().await.unwrap().id.unwrap();
    assert_ne!(second, first);
    bench.end(&second).await;
    assert_eq!(bench.count("hours").await, 2);
}

pub(super) async fn a_result_is_kept_for_a_day(bench: Arc<Bench>) {
    let id = bench.ok("SELECT 1").await.id;
    let result = || bench.data.get_statement_result().id(&id).send();
    bench.timers.advance(24 * HOUR - MINUTE);
    assert_eq!(result().await.unwrap().total_num_rows, 1);
    bench.timers.advance(MINUTE);
    assert_eq!(refused(result().await).0, "ResourceNotFoundException");
    let described = bench.data.describe_statement().id(&id).send().await;
    assert_eq!(refused(described).0, "ResourceNotFoundException");
    let all = bench
        .data
        .list_statements()
        .status(StatusString::All)
        .send()
        .await;
    assert!(all.unwrap().statements().iter().all(|one| one.id() != id));
}

pub(super) async fn two_hundred_statements_are_active_at_most(bench: Arc<Bench>) {
    let sql = "SELECT 1 /* stepfleet: STARTED=1h */";
    let mut ids = Vec::new();
    for _ in 0..200 {
        ids.push(bench.submit(sql).await);
    }
    let (code, _) = refused(bench.statement(sql).send().await);
    assert_eq!(code, "ActiveStatementsExceededException");
    bench
        .data
        .cancel_statement()
        .id(&ids[0])
        .send()
        .await
        .unwrap();
    reaches(&bench, &ids[0], StatusString::Aborted).await;
    ids.push(bench.submit(sql).await);
    for id in &ids[1..] {
        bench.data.cancel_statement().id(id).send().await.unwrap();
    }
    for id in &ids {
        reaches(&bench, id, StatusString::Aborted).await;
    }
}
