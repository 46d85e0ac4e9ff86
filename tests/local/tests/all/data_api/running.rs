//! What happens to a statement while it runs, and to one that is sent twice.

use std::sync::Arc;

use aws_sdk_redshiftdata::types::{StatementStatusString, StatusString};

use super::Bench;
use crate::aws::{refused, until};

pub(super) async fn a_client_token_is_one_execution(bench: Arc<Bench>) {
    bench.ok("CREATE TABLE tokens (a int)").await;
    for (token, sql, ended) in [
        (
            "once",
            "INSERT INTO tokens VALUES (1)",
            StatusString::Finished,
        ),
        (
            "wrong",
            "INSERT INTO tokens VALUES (1/0)",
            StatusString::Failed,
        ),
    ] {
        let send = || bench.statement(sql).client_token(token).send();
        let (one, two) = tokio::join!(send(), send());
        let id = one.unwrap().id.unwrap();
        assert_eq!(two.unwrap().id.unwrap(), id, "at the same time");
        assert_eq!(bench.end(&id).await.status, Some(ended));
        assert_eq!(send().await.unwrap().id.unwrap(), id, "after its end");
    }
    assert_eq!(bench.count("tokens").await, 1);
    for other in [
        bench.statement("INSERT INTO tokens VALUES (2)"),
        bench
            .statement("INSERT INTO tokens VALUES (1)")
            .statement_name("named"),
        bench
            .statement("INSERT INTO tokens VALUES (1)")
            .database("other"),
    ] {
        let (code, message) = refused(other.client_token("once").send().await);
        assert_eq!(code, "ValidationException");
        assert!(message.contains("ClientToken"), "{message}");
    }
    let long = bench.statement("SELECT 1").client_token("x".repeat(65));
    assert_eq!(refused(long.send().await).0, "ValidationException");
    let all = bench.statement("SELECT 1").client_token("another");
    let other = all.send().await.unwrap().id.unwrap();
    let batch = bench.statements(&["SELECT 1"]).client_token("batch");
    let batch = batch.send().await.unwrap().id.unwrap();
    assert_ne!(other, batch);
}

/// Waits until a statement sleeps in PostgreSQL.
pub(super) async fn asleep(bench: &Bench, sleep: &str) {
    let asleep = format!(
        "SELECT count(*) FROM pg_stat_activity \
         WHERE wait_event = 'PgSleep' AND query = '{sleep}'"
    );
    until("it sleeps", async || bench.number(&asleep).await == 1).await;
}

pub(super) async fn a_cancelled_statement_leaves_nothing(bench: Arc<Bench>) {
    bench.ok("CREATE TABLE cancelled (a int)").await;
    let sleep = "SELECT pg_sleep(301)";
    let sqls = ["INSERT INTO cancelled VALUES (1)", sleep];
    let id = bench.statements(&sqls).send().await.unwrap().id.unwrap();
    asleep(&bench, sleep).await;
    let described = bench.describe(&id).await;
    assert_eq!(described.status, Some(StatusString::Started));
    let cancel = || bench.data.cancel_statement().id(&id).send();
    assert_eq!(cancel().await.unwrap().status, Some(true));
    let described = bench.end(&id).await;
    assert_eq!(described.status, Some(StatusString::Aborted));
    let aborted = StatementStatusString::Aborted;
    for part in described.sub_statements() {
        assert_eq!(part.status(), Some(&aborted));
    }
    assert_eq!(bench.count("cancelled").await, 0);
    let (code, message) = refused(cancel().await);
    assert_eq!(code, "ValidationException");
    assert!(message.contains("ABORTED"), "{message}");
    let finished = bench.ok("SELECT 1").await.id;
    let cancel = bench.data.cancel_statement().id(finished);
    let (code, message) = refused(cancel.send().await);
    assert_eq!(code, "ValidationException");
    assert!(message.contains("FINISHED"), "{message}");
}

/// A request to PostgreSQL that comes between two statements cancels nothing:
/// all of them would take longer than the end is waited for.
pub(super) async fn a_batch_is_cancelled_between_its_statements(bench: Arc<Bench>) {
    let mut sqls = vec!["SELECT 1"; 20];
    sqls.extend(["SELECT pg_sleep(5)"; 20]);
    for _ in 0..5 {
        let id = bench.statements(&sqls).send().await.unwrap().id.unwrap();
        let cancel = bench.data.cancel_statement().id(&id).send().await;
        assert_eq!(cancel.unwrap().status, Some(true));
        let described = bench.end(&id).await;
        assert_eq!(described.status, Some(StatusString::Aborted));
    }
}

pub(super) async fn a_lost_connection_is_a_failure(bench: Arc<Bench>) {
    bench.ok("CREATE TABLE lost (a int)").await;
    let sleep = "SELECT pg_sleep(302)";
    let sqls = ["INSERT INTO lost VALUES (1)", sleep];
    let id = bench.statements(&sqls).send().await.unwrap().id.unwrap();
    asleep(&bench, sleep).await;
    let kill = format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE wait_event = 'PgSleep' AND query = '{sleep}'"
    );
    bench.ok(&kill).await;
    let described = bench.end(&id).await;
    assert_eq!(described.status, Some(StatusString::Failed));
    let error = described.error.unwrap();
    assert!(error.starts_with("Query #2 failed with ERROR: "), "{error}");
    assert!(error.len() > "Query #2 failed with ERROR: ".len());
    assert_eq!(bench.count("lost").await, 0);
    bench.ok("SELECT 1").await;
}
