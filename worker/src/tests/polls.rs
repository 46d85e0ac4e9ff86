//! When polls are opened, and when not.

use std::num::NonZeroU32;

use super::*;
use crate::CallError;

async fn echo(input: Value, _: TaskContext) -> Result<Value, ActivityError> {
    Ok(input)
}

async fn ten_seconds(input: Value, _: TaskContext) -> Result<Value, ActivityError> {
    wait(secs(10)).await;
    Ok(input)
}

#[tokio::test(start_paused = true)]
async fn a_slot_is_held_until_the_report_is_accepted() {
    let fake = Fake::default();
    fake.schedule("1");
    fake.schedule("2");
    let errors = (0..8).map(|_| CallError::Unavailable("503".into()));
    fake.state().report_errors = errors.collect();
    let running = Running::start(&fake, options().slots(1), echo);
    wait(secs(10)).await;
    let polls = fake.state().polls;
    let calls = fake.state().report_calls;
    assert_eq!(
        polls, 1,
        "the second task waits in Step Functions, not here"
    );
    assert!((3..8).contains(&calls), "{calls} calls in 10 s");
    assert_eq!(running.load().await.activities[0].busy, 1);
    wait(secs(120)).await;
    assert_eq!(fake.said(), ["1", "2"]);
    assert_eq!(running.load().await.activities[0].busy, 0);
    let retried = r#"stepfleet_worker_reports_retried_total{activity="x"}"#;
    assert_eq!(running.metric(retried).await, 8.0);
}

#[tokio::test(start_paused = true)]
async fn polls_and_tasks_together_never_exceed_the_slots() {
    let fake = Fake::default();
    for _ in 0..3 {
        fake.schedule("0");
    }
    let running = Running::start(&fake, options().slots(4).pollers(4, 4), ten_seconds);
    wait(secs(5)).await;
    let load = running.load().await.activities.remove(0);
    assert_eq!((load.busy, load.polls_open), (3, 1));
    assert_eq!(fake.state().open, 1);
    wait(secs(10)).await;
    let load = running.load().await.activities.remove(0);
    assert_eq!((load.busy, load.polls_open), (0, 4));
}

#[tokio::test(start_paused = true)]
async fn pollers_rise_with_tasks_that_wait_and_fall_with_empty_polls() {
    let fake = Fake::default();
    let running = Running::start(&fake, options().slots(10).pollers(1, 4), echo);
    wait(secs(1)).await;
    assert_eq!(fake.state().open, 1, "the minimum at first");
    for _ in 0..50 {
        fake.schedule("0");
    }
    wait(secs(5)).await;
    assert_eq!(fake.said().len(), 50);
    assert_eq!(fake.open(), (4, 4));
    wait(secs(300)).await;
    assert_eq!(fake.state().open, 1, "one fewer per empty poll");
    assert_eq!(running.load().await.activities[0].polls_open, 1);
}

#[tokio::test(start_paused = true)]
async fn empty_polls_are_normal() {
    let fake = Fake::default();
    let running = Running::start(&fake, options(), echo);
    wait(secs(185)).await;
    fake.schedule("7");
    wait(secs(1)).await;
    assert_eq!(fake.said(), ["7"]);
    assert_eq!(running.get("/readyz").await.0, 200);
    let empty = r#"stepfleet_worker_polls_total{activity="x",outcome="empty"}"#;
    assert_eq!(running.metric(empty).await, 3.0);
}

#[tokio::test(start_paused = true)]
async fn throttling_and_hung_connections_slow_polls_down_and_never_end_them() {
    let fake = Fake::default();
    for _ in 0..10 {
        fake.answer(Err(CallError::Throttled));
        fake.answer(Err(CallError::WorkerLimit));
        fake.answer(Err(CallError::TimedOut));
    }
    fake.schedule("7");
    let running = Running::start(&fake, options().slots(4).pollers(1, 4), echo);
    wait(secs(60)).await;
    let polls = fake.state().polls;
    assert!((5..20).contains(&polls), "{polls} polls in a minute");
    wait(secs(600)).await;
    assert_eq!(fake.said(), ["7"], "the loop goes on");
    for outcome in ["throttled", "worker_limit", "timed_out"] {
        let series = format!(r#"stepfleet_worker_polls_total{{activity="x",outcome="{outcome}"}}"#);
        assert_eq!(running.metric(&series).await, 10.0, "{outcome}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_access_error_does_not_spin_and_shows_in_readyz_until_it_is_mended() {
    let fake = Fake::default();
    let running = Running::start(&fake, options(), echo);
    for _ in 0..12 {
        fake.answer(Err(CallError::Denied("AccessDeniedException: no".into())));
    }
    wait(secs(120)).await;
    let polls = fake.state().polls;
    assert!((3..10).contains(&polls), "{polls} polls in two minutes");
    let (code, text) = running.get("/readyz").await;
    assert_eq!(code, 503);
    assert!(
        text.contains("states:GetActivityTask") && text.contains(ARN),
        "{text}"
    );
    fake.schedule("7");
    wait(secs(900)).await;
    assert_eq!(fake.said(), ["7"]);
    assert_eq!(running.get("/readyz").await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn a_rate_holds_back_polls_and_not_tasks() {
    let fake = Fake::default();
    for _ in 0..6 {
        fake.schedule("0");
    }
    let two = NonZeroU32::new(2).expect("not 0");
    let options = options().slots(6).pollers(6, 6).rate(two, secs(10));
    let _running = Running::start(&fake, options, echo);
    let begun = Instant::now();
    wait(secs(60)).await;
    let state = fake.state();
    let times: Vec<u64> = state
        .reports
        .iter()
        .map(|(at, _, _)| (*at - begun).as_secs())
        .collect();
    assert_eq!(times, [0, 0, 10, 10, 20, 20]);
}
