//! Attempts: scheduled, polled for, reported, timed out, retried.

use std::collections::BTreeMap;

use tokio::time::timeout;

use super::*;

#[tokio::test(start_paused = true)]
async fn a_task_goes_its_way_with_events_and_metrics() {
    let parameters = json!({"Parameters": {"stepfleet": {"execution.$": "$$.Execution.Id",
        "state.$": "$$.State.Name", "entered.$": "$$.State.EnteredTime",
        "retry.$": "$$.State.RetryCount"}, "input.$": "$"},
        "TimeoutSeconds": 60, "HeartbeatSeconds": 20, "ResultSelector": {"n.$": "$.rows"}, "ResultPath": "$.done"});
    let bench = Bench::new(parameters, json!({})).await;
    bench.start(json!({"a": 1})).await;
    tokio::time::sleep_until(Instant::now() + Duration::from_secs(5)).await;
    let task = bench.poll().await;
    let input: Value = serde_json::from_str(task["input"].as_str().expect("input")).expect("JSON");
    let stepfleet = json!({"execution": RUN, "state": "Work", "entered": "1970-01-01T00:00:00.000Z", "retry": 0});
    assert_eq!(input, json!({"stepfleet": stepfleet, "input": {"a": 1}}));
    tokio::time::sleep_until(Instant::now() + Duration::from_secs(2)).await;
    bench
        .succeed(
            task["taskToken"].as_str().expect("a token"),
            json!({"rows": 3}),
        )
        .await;
    assert_eq!(
        bench.ended().await,
        (
            "SUCCEEDED".to_owned(),
            text(json!({"a": 1, "done": {"n": 3}}))
        )
    );
    let kinds = [
        "ExecutionStarted",
        "TaskStateEntered",
        "ActivityScheduled",
        "ActivityStarted",
        "ActivitySucceeded",
        "TaskStateExited",
        "ExecutionSucceeded",
    ];
    assert_eq!(bench.kinds().await, kinds);
    let metrics: BTreeMap<_, _> = bench
        .metrics
        .0
        .lock()
        .expect("a lock")
        .iter()
        .map(|(name, value)| (*name, value.round()))
        .collect();
    let want = BTreeMap::from([
        ("ActivitiesScheduled", 1.0),
        ("ActivitiesStarted", 1.0),
        ("ActivitiesSucceeded", 1.0),
        ("ActivityScheduleTime", 5000.0),
        ("ActivityRunTime", 2000.0),
        ("ActivityTime", 7000.0),
    ]);
    assert_eq!(metrics, want);
    assert_eq!(
        bench.sfn.execution_counts(),
        ExecutionCounts {
            succeeded: 1,
            ..ExecutionCounts::default()
        }
    );
}

#[tokio::test(start_paused = true)]
async fn a_poll_without_a_task_is_empty_after_a_minute() {
    let bench = Bench::new(json!({}), json!({})).await;
    let began = Instant::now();
    assert_eq!(bench.poll().await, json!({}));
    assert_eq!(began.elapsed().as_secs(), 60);
    assert_eq!(bench.sfn.snapshot()[0].pollers, 0);
    let unknown = json!({"activityArn": format!("{ACTIVITY}x")});
    assert_eq!(
        bench.refused("GetActivityTask", unknown).await,
        "ActivityDoesNotExist"
    );
}

#[tokio::test(start_paused = true)]
async fn the_task_of_a_poll_that_hung_up_is_lost_until_its_heartbeat_lapses() {
    let retry = json!([{"ErrorEquals": ["States.HeartbeatTimeout"], "IntervalSeconds": 1, "MaxAttempts": 1}]);
    let bench = Bench::new(
        json!({"TimeoutSeconds": 100, "HeartbeatSeconds": 10, "Retry": retry}),
        json!({}),
    )
    .await;
    assert!(
        timeout(Duration::from_secs(1), bench.poll()).await.is_err(),
        "hung up"
    );
    assert_eq!(bench.sfn.snapshot()[0].pollers, 1);
    bench.start(json!({})).await;
    let began = Instant::now();
    let token = bench.token().await;
    assert_eq!(
        began.elapsed().as_secs(),
        11,
        "the heartbeat and the retry's interval"
    );
    bench.succeed(&token, json!(1)).await;
    assert_eq!(bench.ended().await.0, "SUCCEEDED");
    assert_eq!(bench.metric("ActivitiesHeartbeatTimedOut"), [1.0]);
    assert_eq!(bench.metric("ActivitiesTimedOut"), [0.0; 0]);
}

#[tokio::test(start_paused = true)]
async fn polls_and_tasks_are_first_in_first_out_and_polls_are_limited() {
    let bench = Arc::new(Bench::new(json!({}), json!({})).await);
    let polls: Vec<_> = (0..1000)
        .map(|_| {
            tokio::spawn({
                let bench = Arc::clone(&bench);
                async move { bench.poll().await }
            })
        })
        .collect();
    tokio::time::sleep_until(Instant::now() + Duration::from_secs(1)).await;
    let body = json!({"activityArn": ACTIVITY});
    assert_eq!(
        bench.refused("GetActivityTask", body).await,
        "ActivityWorkerLimitExceeded"
    );
    for name in ["x", "y"] {
        let start =
            json!({"stateMachineArn": MACHINE, "name": name, "input": json!(name).to_string()});
        bench.ok("StartExecution", start).await;
        tokio::task::yield_now().await;
    }
    let mut polls = polls.into_iter();
    for want in ["\"x\"", "\"y\""] {
        let task = polls.next().expect("a poll").await.expect("joined");
        assert_eq!(task["input"], json!(want));
    }
    assert_eq!(
        polls.next().expect("a poll").await.expect("joined"),
        json!({})
    );
}

#[tokio::test(start_paused = true)]
async fn a_timeout_runs_without_a_worker_and_covers_the_attempt() {
    let bench = Bench::new(
        json!({"TimeoutSeconds": 30, "HeartbeatSeconds": 10}),
        json!({}),
    )
    .await;
    bench.start(json!({})).await;
    let began = Instant::now();
    assert_eq!(
        bench.ended().await,
        ("FAILED".to_owned(), json!("States.Timeout"))
    );
    assert_eq!(began.elapsed().as_secs(), 30);
    assert_eq!(bench.metric("ActivitiesTimedOut"), [1.0]);
    assert_eq!(bench.metric("ActivityScheduleTime").len(), 1);
    assert_eq!(bench.metric("ActivityRunTime").len(), 0);
    assert_eq!(bench.sfn.snapshot()[0].waiting, 0);
}

#[tokio::test(start_paused = true)]
async fn heartbeats_keep_an_attempt_but_not_beyond_its_timeout() {
    let bench = Bench::new(
        json!({"TimeoutSeconds": 30, "HeartbeatSeconds": 10}),
        json!({}),
    )
    .await;
    bench.start(json!({})).await;
    let token = bench.token().await;
    let beat = json!({"taskToken": token});
    for _ in 0..3 {
        tokio::time::sleep_until(Instant::now() + Duration::from_secs(9)).await;
        bench.ok("SendTaskHeartbeat", beat.clone()).await;
    }
    tokio::time::sleep_until(Instant::now() + Duration::from_secs(4)).await;
    assert_eq!(
        bench.refused("SendTaskHeartbeat", beat.clone()).await,
        "TaskTimedOut"
    );
    assert_eq!(bench.ended().await.1, json!("States.Timeout"));
}

#[tokio::test(start_paused = true)]
async fn retries_back_off_and_then_the_error_is_caught() {
    let fields = json!({"Next": "Good",
        "Retry": [{"ErrorEquals": ["A"], "IntervalSeconds": 2, "MaxAttempts": 2, "BackoffRate": 3}],
        "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Caught", "ResultPath": "$.e"}],
        "Parameters": {"retry.$": "$$.State.RetryCount"}});
    let rest = json!({"Good": {"Type": "Succeed"}, "Caught": {"Type": "Pass", "End": true, "OutputPath": "$.e"}});
    let bench = Bench::new(fields, rest).await;
    bench.start(json!({})).await;
    for (retry, wait) in [(0, 0), (1, 2), (2, 6)] {
        let began = Instant::now();
        let task = bench.poll().await;
        assert_eq!(began.elapsed().as_secs(), wait);
        assert_eq!(task["input"], text(json!({"retry": retry})));
        bench
            .fail(task["taskToken"].as_str().expect("a token"), "A")
            .await;
    }
    let want = text(json!({"Error": "A", "Cause": "c"}));
    assert_eq!(bench.ended().await, ("SUCCEEDED".to_owned(), want));
}

#[tokio::test(start_paused = true)]
async fn tokens_are_told_apart() {
    let bench = Bench::new(json!({}), json!({})).await;
    let other = Bench::new(json!({}), json!({})).await;
    bench.start(json!({})).await;
    other.start(json!({})).await;
    let (token, foreign) = (bench.token().await, other.token().await);
    bench.succeed(&token, json!(1)).await;
    for (token, code) in [
        (token.as_str(), "TaskTimedOut"),
        (foreign.as_str(), "TaskDoesNotExist"),
        ("nonsense", "InvalidToken"),
        ("", "InvalidToken"),
    ] {
        let beat = json!({"taskToken": token});
        assert_eq!(
            bench.refused("SendTaskHeartbeat", beat).await,
            code,
            "{token}"
        );
    }
}
