//! What becomes of tasks, in seconds of real time.

use std::time::Duration;

use aws_sdk_sfn::types::ExecutionStatus;
use serde_json::json;
use tokio::time::{Instant, timeout};

use super::Bench;
use crate::aws::{refused, until};

/// Where nobody works, the timeout counts and the heartbeat does not; where a
/// poller took the task and hung up, whichever is first.
#[tokio::test]
async fn a_task_that_nobody_works_on_times_out() {
    let bench = Bench::new().await;
    let both = json!({"TimeoutSeconds": 2, "HeartbeatSeconds": 1});
    let one = json!({"TimeoutSeconds": 1});
    for (name, fields, hangs_up, error, seconds) in [
        ("nobody", &both, false, "States.Timeout", 2),
        ("beats", &both, true, "States.HeartbeatTimeout", 1),
        ("ends", &one, true, "States.Timeout", 1),
    ] {
        let machine = bench.machine(name, fields).await;
        if hangs_up {
            let hung = timeout(Duration::from_millis(200), bench.poll()).await;
            assert!(hung.is_err(), "{name}: there is no task yet");
        }
        let began = Instant::now();
        let execution = bench.start(&machine, "one").await;
        let ended = bench.end(&execution).await;
        assert_eq!(ended.status, ExecutionStatus::Failed, "{name}");
        assert_eq!(ended.error.as_deref(), Some(error), "{name}");
        assert!(began.elapsed() >= Duration::from_secs(seconds), "{name}");
        let kinds = bench.kinds(&execution).await;
        let started = kinds.iter().any(|kind| kind == "ActivityStarted");
        assert_eq!(started, hangs_up, "{name}: {kinds:?}");
        assert_eq!(kinds[kinds.len() - 2], "ActivityTimedOut", "{name}");
    }
}

#[tokio::test]
async fn a_lost_task_comes_again_after_its_heartbeat() {
    let bench = Bench::new().await;
    let retry = json!([{"ErrorEquals": ["States.HeartbeatTimeout"], "IntervalSeconds": 1}]);
    let fields = json!({"TimeoutSeconds": 60, "HeartbeatSeconds": 1, "Retry": retry});
    let machine = bench.machine("again", &fields).await;
    let hung = timeout(Duration::from_millis(200), bench.poll()).await;
    assert!(hung.is_err(), "there is no task yet");
    let execution = bench.start(&machine, "one").await;
    let began = Instant::now();
    let token = bench.token().await;
    let waited = began.elapsed();
    assert!(waited >= Duration::from_millis(1_900), "{waited:?}");
    assert!(waited < Duration::from_secs(10), "{waited:?}");
    let success = bench.sfn.send_task_success().task_token(token);
    success.output("{\"rows\":3}").send().await.unwrap();
    let ended = bench.end(&execution).await;
    assert_eq!(ended.output.as_deref(), Some("{\"rows\":3}"));
    let kinds = bench.kinds(&execution).await;
    let wanted = [
        "ExecutionStarted",
        "TaskStateEntered",
        "ActivityScheduled",
        "ActivityStarted",
        "ActivityTimedOut",
        "ActivityScheduled",
        "ActivityStarted",
        "ActivitySucceeded",
        "TaskStateExited",
        "ExecutionSucceeded",
    ];
    assert_eq!(kinds, wanted);
    let history = bench.history(&execution).await;
    let scheduled = history[2].activity_scheduled_event_details().unwrap();
    assert_eq!(scheduled.timeout_in_seconds, Some(60));
    assert_eq!(scheduled.heartbeat_in_seconds, Some(1));
    let started = history[3].activity_started_event_details().unwrap();
    assert_eq!(started.worker_name.as_deref(), Some("w"));
    for (at, event) in history.iter().enumerate() {
        let id = i64::try_from(at).unwrap() + 1;
        // The first state follows from nothing, as at AWS.
        let previous = if id == 2 { 0 } else { id - 1 };
        assert_eq!((event.id, event.previous_event_id), (id, previous));
    }
}

#[tokio::test]
async fn a_start_is_one_execution_while_it_runs() {
    let bench = Bench::new().await;
    let machine = bench.machine("starts", &json!({})).await;
    let start = |input: &str| {
        let start = bench.sfn.start_execution().state_machine_arn(&machine);
        start.name("one").input(input).send()
    };
    let (first, second) = tokio::join!(start("{}"), start("{}"));
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_eq!(first.execution_arn, second.execution_arn);
    assert_eq!(first.start_date, second.start_date);
    let other = start("{\"a\":1}").await.unwrap_err().into_service_error();
    assert!(other.is_execution_already_exists(), "{other:?}");
    let token = bench.token().await;
    let success = bench.sfn.send_task_success().task_token(token);
    success.output("1").send().await.unwrap();
    bench.end(&first.execution_arn).await;
    let after = start("{}").await.unwrap_err().into_service_error();
    assert!(after.is_execution_already_exists(), "{after:?}");
    let unnamed = || {
        bench
            .sfn
            .start_execution()
            .state_machine_arn(&machine)
            .send()
    };
    let (one, two) = (unnamed().await.unwrap(), unnamed().await.unwrap());
    assert_ne!(one.execution_arn, two.execution_arn);
}

#[tokio::test]
async fn what_is_too_long_is_refused_to_the_byte() {
    let bench = Bench::new().await;
    let machine = bench.machine("sizes", &json!({})).await;
    // JSON of this many bytes, of characters of two bytes.
    let text = |bytes: usize| {
        let odd = if bytes % 2 == 1 { "x" } else { "" };
        format!("\"{odd}{}\"", "\u{e4}".repeat((bytes - 2) / 2))
    };
    let start = |bytes| {
        let start = bench.sfn.start_execution().state_machine_arn(&machine);
        start.name("one").input(text(bytes)).send()
    };
    let (code, message) = refused(start(262_145).await);
    assert_eq!(code, "ValidationException");
    assert!(message.contains("'input'"), "{message}");
    let execution = start(262_144).await.unwrap().execution_arn;
    let task = bench.poll().await;
    assert_eq!(task.input.map(|input| input.len()), Some(262_144));
    let token = task.task_token.unwrap();
    let failure = || bench.sfn.send_task_failure().task_token(&token);
    for (member, sent) in [
        ("error", failure().error("e".repeat(257)).send().await),
        ("cause", failure().cause("c".repeat(32_769)).send().await),
    ] {
        let (code, message) = refused(sent);
        assert_eq!(code, "ValidationException", "{member}");
        assert!(message.contains(member), "{message}");
    }
    let success = |bytes| {
        let success = bench.sfn.send_task_success().task_token(&token);
        success.output(text(bytes)).send()
    };
    let (code, message) = refused(success(262_145).await);
    assert_eq!(code, "ValidationException");
    assert!(message.contains("'output'"), "{message}");
    success(262_144).await.unwrap();
    let ended = bench.end(&execution).await;
    assert_eq!(ended.output.map(|output| output.len()), Some(262_144));
}

#[tokio::test]
async fn a_failure_is_told_as_the_worker_said_it() {
    let bench = Bench::new().await;
    let machine = bench.machine("fails", &json!({})).await;
    let (error, cause) = ("e".repeat(256), "\u{e4}".repeat(32_768));
    for (name, error, cause) in [
        ("long", Some(error.as_str()), Some(cause.as_str())),
        ("plain", Some("Load.Transient"), None),
        ("silent", None, None),
    ] {
        let execution = bench.start(&machine, name).await;
        let token = bench.token().await;
        let failure = bench.sfn.send_task_failure().task_token(&token);
        let failure = failure.set_error(error.map(str::to_owned));
        failure
            .set_cause(cause.map(str::to_owned))
            .send()
            .await
            .unwrap();
        let ended = bench.end(&execution).await;
        assert_eq!(ended.status, ExecutionStatus::Failed, "{name}");
        assert_eq!(ended.error.as_deref(), error, "{name}");
        assert_eq!(ended.cause.as_deref(), cause, "{name}");
        let beat = bench.sfn.send_task_heartbeat().task_token(&token).send();
        let closed = beat.await.unwrap_err().into_service_error();
        assert!(closed.is_task_timed_out(), "{closed:?}");
    }
}

#[tokio::test]
async fn lists_come_in_pages() {
    let bench = Bench::new().await;
    let machine = bench.machine("lists", &json!({})).await;
    for number in 0..5 {
        let name = format!("demo-{number}");
        bench
            .sfn
            .create_activity()
            .name(&name)
            .send()
            .await
            .unwrap();
        bench.machine(&name, &json!({})).await;
        bench.start(&machine, &name).await;
    }
    let stop = bench.sfn.stop_execution();
    let stopped = machine.replace(":stateMachine:", ":execution:") + ":demo-3";
    stop.execution_arn(&stopped).send().await.unwrap();
    let wanted = |names: &[&str]| {
        names
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<Vec<_>>()
    };

    let mut pages = bench.sfn.list_executions().state_machine_arn(&machine);
    pages = pages.status_filter(ExecutionStatus::Running).max_results(3);
    let mut pages = pages.into_paginator().send();
    let mut found = Vec::new();
    while let Some(page) = pages.next().await {
        let names = page.unwrap().executions.into_iter().map(|one| one.name);
        found.push(names.collect::<Vec<_>>());
    }
    let newest_first = [wanted(&["demo-4", "demo-2", "demo-1"]), wanted(&["demo-0"])];
    assert_eq!(found, newest_first);

    let mut pages = bench
        .sfn
        .list_activities()
        .max_results(4)
        .into_paginator()
        .send();
    let mut found = Vec::new();
    while let Some(page) = pages.next().await {
        found.extend(page.unwrap().activities.into_iter().map(|one| one.name));
    }
    let all = ["demo-0", "demo-1", "demo-2", "demo-3", "demo-4", "demo-a"];
    assert_eq!(found, wanted(&all));

    let mut pages = bench
        .sfn
        .list_state_machines()
        .max_results(4)
        .into_paginator()
        .send();
    let mut sizes = Vec::new();
    while let Some(page) = pages.next().await {
        sizes.push(page.unwrap().state_machines.len());
    }
    assert_eq!(sizes, [4, 2]);

    let history = bench.sfn.get_execution_history().execution_arn(&stopped);
    let mut pages = history
        .reverse_order(true)
        .max_results(2)
        .into_paginator()
        .send();
    let mut ids = Vec::new();
    while let Some(page) = pages.next().await {
        ids.extend(page.unwrap().events.into_iter().map(|event| event.id));
    }
    assert_eq!(ids, [4, 3, 2, 1]);
}

#[tokio::test]
async fn an_execution_that_is_stopped_lets_go_of_its_task() {
    let bench = Bench::new().await;
    let machine = bench.machine("stops", &json!({})).await;
    let waiting = bench.start(&machine, "waiting").await;
    let stop = |execution: &str| bench.sfn.stop_execution().execution_arn(execution);
    stop(&waiting).error("E").cause("c").send().await.unwrap();
    let ended = bench.end(&waiting).await;
    assert_eq!(ended.status, ExecutionStatus::Aborted);
    assert_eq!(
        (ended.error.as_deref(), ended.cause.as_deref()),
        (Some("E"), Some("c"))
    );
    let running = bench.start(&machine, "running").await;
    let token = bench.token().await;
    let kinds = async || bench.kinds(&running).await.len();
    until("it is started", async || kinds().await == 4).await;
    stop(&running).send().await.unwrap();
    let success = bench.sfn.send_task_success().task_token(token);
    let late = success.output("1").send().await.unwrap_err();
    let late = late.into_service_error();
    assert!(late.is_task_timed_out(), "{late:?}");
    assert_eq!(kinds().await, 5);
}
