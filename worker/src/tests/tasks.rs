//! What becomes of a task.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::{ActivityTask, Area, CallError, CancelSafety, Output, RawValue};

/// Counts its drops.
#[derive(Clone, Default)]
struct Dropped(Arc<AtomicUsize>);

struct Guard(Dropped);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Dropped {
    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

/// Runs one task and returns what was reported.
async fn report_of<F, Fut>(input: &str, options: ActivityOptions, handler: F) -> fake::Report
where
    F: Fn(Value, TaskContext) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<Value, ActivityError>> + Send + 'static,
{
    let fake = Fake::default();
    fake.schedule(input);
    let _running = Running::start(&fake, options, handler);
    wait(secs(1200)).await;
    let mut reports = fake.reports();
    assert_eq!(reports.len(), 1);
    reports.remove(0)
}

#[tokio::test(start_paused = true)]
async fn a_closed_attempt_drops_the_handler_and_reports_nothing() {
    let fake = Fake::default();
    fake.schedule("0");
    fake.state().heartbeat_errors = [CallError::Throttled, CallError::Closed].into();
    let dropped = Dropped::default();
    let seen = dropped.clone();
    let running = Running::start(&fake, options(), move |_, _| {
        let guard = Guard(seen.clone());
        async move {
            std::future::pending::<()>().await;
            drop(guard);
            Ok(Value::Null)
        }
    });
    wait(secs(7)).await;
    assert_eq!(
        dropped.count(),
        0,
        "the first beat is due after 8 s at least"
    );
    wait(secs(8)).await;
    assert_eq!(dropped.count(), 1);
    assert_eq!(
        fake.state().heartbeats.len(),
        2,
        "a throttled beat is tried again"
    );
    assert_eq!(fake.state().report_calls, 0);
    assert_eq!(fake.state().open, 1, "the slot polls again");
    let load = running.load().await.activities.remove(0);
    assert_eq!(
        (load.busy, load.finished_total, load.failed_total),
        (0, 1, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_runs_to_its_end_keeps_its_slot_until_then() {
    let fake = Fake::default();
    fake.schedule("0");
    fake.state().heartbeat_errors = [CallError::Closed].into();
    let dropped = Dropped::default();
    let seen = dropped.clone();
    let options = options().cancel(CancelSafety::RunsToEnd);
    let _running = Running::start(&fake, options, move |_, _| {
        let guard = Guard(seen.clone());
        async move {
            wait(secs(100)).await;
            drop(guard);
            Ok(Value::Null)
        }
    });
    wait(secs(90)).await;
    assert_eq!((dropped.count(), fake.state().open), (0, 0));
    wait(secs(20)).await;
    assert_eq!((dropped.count(), fake.state().open), (1, 1));
    assert_eq!(fake.state().report_calls, 0);
}

#[tokio::test(start_paused = true)]
async fn heartbeats_go_on_at_a_third_until_the_report_is_accepted() {
    let fake = Fake::default();
    fake.schedule("7");
    let errors = (0..10).map(|_| CallError::Unavailable("503".into()));
    fake.state().report_errors = errors.collect();
    let _running = Running::start(&fake, options(), |input, _| async move {
        wait(secs(35)).await;
        Ok(input)
    });
    wait(secs(600)).await;
    assert_eq!(fake.said(), ["7"]);
    let state = fake.state();
    let accepted = state.reports[0].0;
    let beats = &state.heartbeats;
    assert!(accepted - beats[0] > secs(60), "the report took long");
    assert!(*beats.last().expect("beats") > accepted - secs(10));
    assert!(*beats.last().expect("beats") < accepted, "none after it");
    for pair in beats.windows(2) {
        let gap = pair[1] - pair[0];
        assert!(
            gap >= secs(8) && gap <= secs(10) + Duration::from_millis(5),
            "{gap:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_report_on_a_closed_attempt_is_not_repeated() {
    let fake = Fake::default();
    fake.schedule("7");
    fake.state().report_errors = [CallError::TimedOut, CallError::Closed].into();
    let running = Running::start(&fake, options(), |input, _| async { Ok(input) });
    wait(secs(50)).await;
    assert_eq!(fake.state().report_calls, 2);
    let closed = r#"stepfleet_worker_task_duration_seconds_count{activity="x",outcome="closed"}"#;
    assert_eq!(running.metric(closed).await, 1.0);
}

#[tokio::test(start_paused = true)]
async fn an_output_that_is_refused_becomes_a_failure() {
    let fake = Fake::default();
    fake.schedule("7");
    fake.state().report_errors = [CallError::Refused("InvalidOutput".into())].into();
    let _running = Running::start(&fake, options(), |input, _| async { Ok(input) });
    wait(secs(50)).await;
    assert_eq!(fake.said(), ["Activity.Permanent"]);
}

#[tokio::test(start_paused = true)]
async fn failures_have_their_names() {
    let failed = report_of("0", options(), |_, _| async {
        Err(ActivityError::poison(Area::LOAD, "row 3"))
    });
    let failed = failed.await.expect_err("failed");
    assert_eq!(failed, ("Load.Poison".to_owned(), "row 3".to_owned()));

    let panicked = report_of("0", options(), |_, _| async { panic!("no {}", "luck") });
    let (name, cause) = panicked.await.expect_err("panicked");
    assert_eq!(name, "Worker.Panic");
    assert!(cause.contains("no luck"), "{cause}");
}

/// A state that is carried together has 256 KiB, and each its share.
#[tokio::test(start_paused = true)]
async fn a_cause_is_cut_to_its_share_of_the_state() {
    for (siblings, want) in [
        ("", 30_000),
        (r#","siblings":1"#, 30_000),
        (r#","siblings":100"#, 850),
    ] {
        let input = format!(
            r#"{{"stepfleet":{{"execution":"e","state":"s","entered":"2026-01-01T00:00:00Z"{siblings}}},"input":1}}"#
        );
        let failed = report_of(&input, options(), |_, _| async {
            Err(ActivityError::poison(Area::LOAD, "x".repeat(30_000)))
        });
        let (_, cause) = failed.await.expect_err("failed");
        assert_eq!(cause.len(), want, "{siblings}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_timeout_drops_the_handler_at_its_time() {
    let fake = Fake::default();
    fake.schedule("0");
    let dropped = Dropped::default();
    let seen = dropped.clone();
    let begun = Instant::now();
    let _running = Running::start(&fake, options().timeout(secs(40)), move |_, _| {
        let guard = Guard(seen.clone());
        async move {
            std::future::pending::<()>().await;
            drop(guard);
            Ok(Value::Null)
        }
    });
    wait(secs(60)).await;
    assert_eq!(fake.said(), ["Worker.Timeout"]);
    assert_eq!((fake.state().reports[0].0 - begun).as_secs(), 40);
    assert_eq!(dropped.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn bad_input_is_a_failure_that_names_the_path_and_not_the_value() {
    let cases = [
        ("{s3cret", "the input is not JSON (line 1"),
        (r#"{"stepfleet": 1, "input": {}}"#, "stepfleet"),
        (
            r#"{"files": [{"size": "s3cret"}]}"#,
            "input.files[0].size: invalid type, expected u64",
        ),
        (r#"{"files": [{}]}"#, "missing field `size`"),
    ];
    #[derive(serde::Deserialize)]
    struct File {
        size: u64,
    }
    #[derive(serde::Deserialize)]
    struct Input {
        files: Vec<File>,
    }
    for (input, want) in cases {
        let fake = Fake::default();
        fake.schedule(input);
        let handler = handler_fn(|input: Input, _: TaskContext| async move {
            Ok::<_, ActivityError>(input.files.iter().map(|file| file.size).sum::<u64>())
        });
        run(&fake, options(), handler).await;
        let (name, cause) = fake.reports().remove(0).expect_err("bad input");
        assert_eq!(name, "Worker.BadInput");
        assert!(cause.contains(want) && !cause.contains("s3cret"), "{cause}");
    }
}

#[tokio::test(start_paused = true)]
async fn outputs_of_262_144_bytes_are_reported_and_larger_ones_are_stored_or_fail() {
    // Two quotes are part of the output.
    let of = |bytes: usize| {
        move |_: Value, _: TaskContext| async move { Ok(Value::String("x".repeat(bytes - 2))) }
    };
    let fits = report_of("0", options(), of(262_144)).await;
    assert_eq!(fits.expect("fits").len(), 262_144);

    let (name, cause) = report_of("0", options(), of(262_145))
        .await
        .expect_err("too large");
    assert_eq!(name, "Worker.OutputTooLarge");
    assert!(
        cause.contains("262145") && cause.contains("262144"),
        "{cause}"
    );

    let fake = Fake::default();
    fake.schedule("0");
    let _running = Running::start(&fake, options().output("big", "out/"), of(262_145));
    wait(secs(5)).await;
    let pointer: Value = serde_json::from_str(&fake.said().remove(0)).expect("a pointer");
    let (place, body) = fake.state().stored.remove(0);
    assert_eq!(body.len(), 262_145);
    assert_eq!(pointer["s3"]["bytes"], 262_145);
    assert_eq!(pointer["s3"]["etag"], "\"etag\"");
    let key = pointer["s3"]["key"].as_str().expect("a key");
    assert_eq!(place, format!("big/{key}"));
}

/// What a JSON value of Rust would change: digits, zeros, order, twins, escapes.
const AS_WRITTEN: &str = r#"{"b": 123456789012345678901234567890, "a": [1e400, -0.0, 1.10, 0.1e-7, 1E+2], "b": "\ud800\u00e9\/"}"#;

/// Runs one task through a handler that may change what the tests' others may not.
async fn run<S>(fake: &Fake, options: ActivityOptions, handler: S)
where
    S: tower_service::Service<ActivityTask, Response = Output, Error = ActivityError>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send + 'static,
{
    let running = Worker::builder()
        .step_functions(fake.clone())
        .outputs(fake.clone())
        .handlers_on(Handle::current())
        .shutdown(ShutdownHandle::new())
        .activity(options, handler)
        .run();
    let running = tokio::spawn(running);
    wait(secs(5)).await;
    running.abort();
}

#[tokio::test(start_paused = true)]
async fn an_input_that_is_passed_on_is_reported_byte_for_byte() {
    let echo = |input: Box<RawValue>, _: TaskContext| async { Ok::<_, ActivityError>(input) };
    let attempt = r#"{"execution":"arn:x","state":"S","entered":"2026-01-01T00:00:00Z","retry":0}"#;
    let deep = format!("{}{}", "[".repeat(120), "]".repeat(120));
    for input in [AS_WRITTEN, "123456789012345678901234567890", &deep] {
        let enveloped = format!(r#"{{"stepfleet":{attempt},"input":{input}}}"#);
        for text in [input, &enveloped] {
            let fake = Fake::default();
            fake.schedule(text);
            run(&fake, options(), handler_fn(echo)).await;
            assert_eq!(fake.said(), [input]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_field_that_is_passed_on_keeps_its_bytes_in_another_output() {
    #[derive(serde::Deserialize, serde::Serialize)]
    struct Item {
        id: i128,
        rest: Box<RawValue>,
    }
    let next = |item: Item, _: TaskContext| async move {
        let id = item.id + 1;
        Ok::<_, ActivityError>(Item { id, ..item })
    };
    let item = |id| format!(r#"{{"id":{id},"rest":{AS_WRITTEN}}}"#);
    let fake = Fake::default();
    fake.schedule(&item("123456789012345678901234567890"));
    run(&fake, options(), handler_fn(next)).await;
    assert_eq!(fake.said(), [item("123456789012345678901234567891")]);
}

#[tokio::test(start_paused = true)]
async fn an_output_in_s3_is_stored_byte_for_byte() {
    let long = format!(r#"{{"x": "{}", "as": {AS_WRITTEN}}}"#, "x".repeat(262_144));
    let fake = Fake::default();
    fake.schedule(&long);
    let echo = |input: Box<RawValue>, _: TaskContext| async { Ok::<_, ActivityError>(input) };
    run(&fake, options().output("big", "out/"), handler_fn(echo)).await;
    let (_, body) = fake.state().stored.remove(0);
    assert!(body == long.as_bytes(), "the bytes are others");
}

#[tokio::test(start_paused = true)]
async fn a_number_that_a_type_cannot_hold_is_said_without_it() {
    let fake = Fake::default();
    fake.schedule(r#"{"price": 1e400}"#);
    let read = |_: Value, _: TaskContext| async { Ok::<_, ActivityError>(()) };
    run(&fake, options(), handler_fn(read)).await;
    let (name, cause) = fake.reports().remove(0).expect_err("bad input");
    assert_eq!(name, "Worker.BadInput");
    assert!(cause.ends_with("number out of range"), "{cause}");
}

#[tokio::test]
async fn a_handler_that_blocks_its_thread_stops_no_heartbeat_poll_or_report() {
    let fake = Fake::default();
    fake.schedule("true");
    let options = options()
        .slots(2)
        .pollers(2, 2)
        .heartbeat(Duration::from_millis(300));
    let (_keep, never) = std::sync::mpsc::channel::<()>();
    let never = Arc::new(std::sync::Mutex::new(never));
    let handler = handler_fn(move |block: bool, _: TaskContext| {
        let never = Arc::clone(&never);
        async move {
            if block {
                let never = never.lock().expect("one blocks");
                let _ = never.recv_timeout(Duration::from_millis(2000));
            }
            Ok::<_, ActivityError>(block)
        }
    });
    let shutdown = ShutdownHandle::new();
    let running = Worker::builder()
        .step_functions(fake.clone())
        .shutdown(shutdown.clone())
        .drain_deadline(secs(2))
        .activity(options, handler)
        .run();
    let running = tokio::spawn(running);
    wait(Duration::from_millis(300)).await;
    fake.schedule("false");
    wait(Duration::from_millis(300)).await;
    assert_eq!(fake.said(), ["false"], "polled and reported meanwhile");
    assert!(fake.state().heartbeats.len() >= 3);
    wait(Duration::from_millis(2000)).await;
    assert_eq!(fake.said(), ["false", "true"]);
    running.abort();
}
