//! How a worker stops: no token is lost.

use super::*;

async fn forever(_: Value, _: TaskContext) -> Result<Value, ActivityError> {
    std::future::pending().await
}

async fn half_a_minute(input: Value, _: TaskContext) -> Result<Value, ActivityError> {
    wait(secs(30)).await;
    Ok(input)
}

#[tokio::test(start_paused = true)]
async fn a_drain_runs_what_an_open_poll_returns_and_opens_none() {
    let fake = Fake::default();
    let running = Running::start(&fake, options().slots(3).pollers(1, 3), half_a_minute);
    wait(secs(20)).await;
    running.shutdown.drain();
    wait(secs(20)).await;
    let (code, text) = running.get("/readyz").await;
    assert!(code == 503 && text.contains("draining"), "{text}");
    assert!(running.load().await.draining);
    fake.schedule("7");
    let drained = Instant::now();
    assert_eq!(running.exit.await.expect("an exit"), Exit::Clean);
    assert_eq!(
        drained.elapsed().as_secs(),
        30,
        "the task was run to its end"
    );
    assert_eq!(fake.said(), ["7"]);
    assert_eq!(fake.polls(), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_drain_waits_for_a_report_to_be_accepted() {
    let fake = Fake::default();
    fake.schedule("7");
    let errors = (0..6).map(|_| crate::CallError::Throttled);
    fake.state().report_errors = errors.collect();
    let running = Running::start(&fake, options(), |input, _| async { Ok(input) });
    wait(Duration::from_millis(100)).await;
    running.shutdown.drain();
    assert_eq!(running.exit.await.expect("an exit"), Exit::Clean);
    assert_eq!(fake.said(), ["7"]);
}

#[tokio::test(start_paused = true)]
async fn a_second_signal_fails_what_runs_and_still_waits_for_open_polls() {
    let fake = Fake::default();
    fake.schedule("1");
    let options = options().slots(3).pollers(2, 3);
    let running = Running::start(&fake, options, forever);
    wait(secs(20)).await;
    running.shutdown.signal();
    wait(secs(5)).await;
    assert!(fake.said().is_empty(), "the first lets it run");
    running.shutdown.signal();
    wait(secs(1)).await;
    assert_eq!(fake.said(), ["Worker.Shutdown"]);
    assert!(!running.exit.is_finished(), "polls are open");
    let open = fake.state().open;
    assert!(open > 0);
    fake.schedule("2");
    assert_eq!(running.exit.await.expect("an exit"), Exit::Clean);
    assert_eq!(fake.said(), ["Worker.Shutdown", "Worker.Shutdown"]);
    assert_eq!(fake.state().cancelled, 0);
}

#[tokio::test(start_paused = true)]
async fn only_the_deadline_cuts_what_is_still_open() {
    let fake = Fake::default();
    fake.schedule("1");
    let running = Running::start(&fake, options().timeout(secs(3600)), forever);
    wait(secs(1)).await;
    running.shutdown.drain();
    let drained = Instant::now();
    let exit = running.exit.await.expect("an exit");
    assert_eq!(exit, Exit::Cut);
    assert_eq!(drained.elapsed().as_secs(), 900);
    assert!(fake.said().is_empty());
    let beats = fake.state().heartbeats.len();
    wait(secs(60)).await;
    assert_eq!(
        fake.state().heartbeats.len(),
        beats,
        "a cut worker is silent"
    );
}
