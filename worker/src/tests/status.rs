//! What a worker says of itself.

use super::*;
use crate::RunError;

fn entered(seconds_ago: i64, retry: u32) -> String {
    use stepfleet_activity::{Clock, SystemClock};
    let entered = SystemClock.now() - jiff::SignedDuration::from_secs(seconds_ago);
    format!(
        r#"{{"stepfleet": {{"execution": "arn:e", "state": "S", "entered": "{entered}", "retry": {retry}}}, "input": 1}}"#
    )
}

#[tokio::test(start_paused = true)]
async fn load_counts_waits_late_ones_and_unknown_ones() {
    let fake = Fake::default();
    for input in [&entered(5, 0), &entered(100, 0), &entered(100, 1), "1"] {
        fake.schedule(input);
    }
    let options = options().slots(2).objective_wait(secs(10));
    let running = Running::start(&fake, options, |input, _| async move {
        wait(secs(3)).await;
        if input == 1 {
            return Err(ActivityError::transient(crate::Area::ACTIVITY, "no"));
        }
        Ok(input)
    });
    wait(secs(30)).await;
    let load = running.load().await;
    assert!(!load.draining);
    let load = &load.activities[0];
    assert_eq!((load.activity.as_str(), load.slots, load.busy), ("x", 2, 0));
    assert_eq!(
        (load.started_total, load.finished_total, load.failed_total),
        (4, 4, 4)
    );
    assert_eq!((load.late_total, load.unknown_wait_total), (1, 2));
    assert!((105.0..107.0).contains(&load.wait_seconds_sum), "{load:?}");
    assert!((12.0..12.1).contains(&load.run_seconds_sum), "{load:?}");
}

#[tokio::test(start_paused = true)]
async fn no_page_shows_a_token_or_an_input() {
    let fake = Fake::default();
    fake.schedule(r#""s3cret""#);
    let running = Running::start(&fake, options(), |input, _| async { Ok(input) });
    wait(secs(5)).await;
    assert_eq!(fake.said().len(), 1);
    for path in ["/metrics", "/load", "/readyz", "/healthz"] {
        let (code, text) = running.get(path).await;
        assert_eq!(code, 200, "{path}");
        assert!(
            !text.contains("token-") && !text.contains("s3cret"),
            "{path}: {text}"
        );
    }
}

#[tokio::test]
async fn a_port_in_use_is_said_with_the_flag_that_changes_it() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let address = taken.local_addr().expect("an address");
    let running = Worker::builder()
        .step_functions(Fake::default())
        .shutdown(ShutdownHandle::new())
        .listen(address)
        .activity(
            options(),
            handler_fn(|input: Value, _: TaskContext| async { Ok::<_, ActivityError>(input) }),
        )
        .run();
    let error = running.await.expect_err("taken");
    assert!(matches!(error, RunError::Listen { .. }));
    let text = error.to_string();
    assert!(
        text.contains(&address.to_string()) && text.contains("--listen"),
        "{text}"
    );
    let nothing = Worker::builder()
        .step_functions(Fake::default())
        .run()
        .await;
    assert!(matches!(nothing, Err(RunError::NoActivity)));
}
