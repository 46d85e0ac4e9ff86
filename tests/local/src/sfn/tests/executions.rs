//! Executions from their starts to their ends.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_start_is_idempotent_only_while_it_runs() {
    let bench = Bench::new(json!({}), json!({})).await;
    let start = json!({"stateMachineArn": MACHINE, "name": "one", "input": "{}"});
    let other = json!({"stateMachineArn": MACHINE, "name": "one", "input": "{ }"});
    let first = bench.ok("StartExecution", start.clone()).await;
    tokio::time::sleep_until(Instant::now() + Duration::from_secs(1)).await;
    assert_eq!(bench.ok("StartExecution", start.clone()).await, first);
    assert_eq!(
        bench.refused("StartExecution", other).await,
        "ExecutionAlreadyExists"
    );
    let token = bench.token().await;
    bench.succeed(&token, json!(1)).await;
    bench.ended().await;
    assert_eq!(
        bench.refused("StartExecution", start).await,
        "ExecutionAlreadyExists"
    );
    assert_eq!(bench.metric("ActivitiesScheduled"), [1.0]);
}

#[tokio::test(start_paused = true)]
async fn sizes_are_held_to_the_byte() {
    let bench = Bench::new(json!({}), json!({})).await;
    let json_of = |bytes: usize| format!("\"{}\"", "x".repeat(bytes - 2));
    let start = |input: String| json!({"stateMachineArn": MACHINE, "name": "one", "input": input});
    assert_eq!(
        bench
            .refused("StartExecution", start(json_of(262_145)))
            .await,
        "ValidationException"
    );
    assert_eq!(
        bench.refused("StartExecution", start("{".to_owned())).await,
        "InvalidExecutionInput"
    );
    bench.ok("StartExecution", start(json_of(262_144))).await;
    let token = bench.token().await;
    let report = |output: String| json!({"taskToken": token, "output": output});
    assert_eq!(
        bench
            .refused("SendTaskSuccess", report(json_of(262_145)))
            .await,
        "ValidationException"
    );
    assert_eq!(
        bench
            .refused("SendTaskSuccess", report("{".to_owned()))
            .await,
        "InvalidOutput"
    );
    bench.ok("SendTaskSuccess", report(json_of(262_144))).await;
    assert_eq!(bench.ended().await.0, "SUCCEEDED");
}

#[tokio::test(start_paused = true)]
async fn a_result_that_grows_over_the_limit_is_not_caught_by_all() {
    let fields = json!({"ResultPath": "$.r", "Next": "Good", "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Good"}]});
    let bench = Bench::new(fields, json!({"Good": {"Type": "Succeed"}})).await;
    bench.start(json!({"a": "x".repeat(200_000)})).await;
    let token = bench.token().await;
    bench.succeed(&token, json!("y".repeat(100_000))).await;
    assert_eq!(
        bench.ended().await,
        ("FAILED".to_owned(), json!("States.DataLimitExceeded"))
    );
}

#[tokio::test(start_paused = true)]
async fn stopping_closes_the_open_attempt() {
    let bench = Bench::new(json!({}), json!({})).await;
    bench.start(json!({})).await;
    let token = bench.token().await;
    bench
        .ok("StopExecution", json!({"executionArn": RUN, "error": "E"}))
        .await;
    assert_eq!(bench.ended().await, ("ABORTED".to_owned(), json!("E")));
    assert_eq!(
        bench
            .refused("SendTaskHeartbeat", json!({"taskToken": token}))
            .await,
        "TaskTimedOut"
    );
    assert_eq!(
        bench.kinds().await.last().map(String::as_str),
        Some("ExecutionAborted")
    );
    assert_eq!(bench.sfn.snapshot()[0].running, 0);
}

#[tokio::test(start_paused = true)]
async fn states_lead_to_each_other() {
    let bench = Bench::new(json!({}), json!({})).await;
    bench.machine(json!({"StartAt": "Set", "States": {
        "Set": {"Type": "Pass", "Result": 3, "ResultPath": "$.s", "Next": "Wait"},
        "Wait": {"Type": "Wait", "SecondsPath": "$.s", "Next": "Choose"},
        "Choose": {"Type": "Choice", "Choices": [
            {"Variable": "$.s", "NumericGreaterThan": 3, "Next": "Bad"},
            {"And": [{"Variable": "$.s", "NumericEquals": 3}, {"Not": {"Variable": "$.x", "IsPresent": true}}], "Next": "Until"}]},
        "Until": {"Type": "Wait", "Timestamp": "1970-01-01T00:00:10Z", "Next": "Bad"},
        "Bad": {"Type": "Fail", "ErrorPath": "$.error", "Cause": "c"}}})).await;
    let began = Instant::now();
    bench.start(json!({"error": "Told"})).await;
    assert_eq!(bench.ended().await, ("FAILED".to_owned(), json!("Told")));
    assert_eq!(began.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn what_goes_wrong_between_states_has_its_name() {
    let bench = Bench::new(json!({}), json!({})).await;
    let choice =
        json!({"Type": "Choice", "Choices": [{"Variable": "$.a", "IsNull": true, "Next": "T"}]});
    let cases = [
        (choice.clone(), json!({"a": 1}), "States.NoChoiceMatched"),
        (choice, json!({}), "States.Runtime"),
        (
            json!({"Type": "Pass", "InputPath": "$.a", "Next": "T"}),
            json!({}),
            "States.Runtime",
        ),
        (
            json!({"Type": "Pass", "Parameters": {"b.$": "$.a"}, "Next": "T"}),
            json!({}),
            "States.Runtime",
        ),
        (
            json!({"Type": "Pass", "ResultPath": "$.a.b", "Next": "T"}),
            json!({"a": 1}),
            "States.ResultPathMatchFailure",
        ),
        (
            json!({"Type": "Wait", "SecondsPath": "$.a", "Next": "T"}),
            json!({"a": -1}),
            "States.Runtime",
        ),
    ];
    for (state, input, want) in cases {
        bench
            .machine(json!({"StartAt": "S", "States": {"S": state, "T": {"Type": "Succeed"}}}))
            .await;
        bench.sfn.lock().executions.clear();
        bench.start(input).await;
        assert_eq!(
            bench.ended().await,
            ("FAILED".to_owned(), json!(want)),
            "{state}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_machine_has_a_timeout_and_a_history_an_end() {
    let bench = Bench::new(json!({}), json!({})).await;
    let wait = json!({"Type": "Wait", "Seconds": 1, "Next": "S"});
    bench
        .machine(json!({"StartAt": "S", "TimeoutSeconds": 5, "States": {"S": wait}}))
        .await;
    bench.start(json!({})).await;
    assert_eq!(bench.ended().await.0, "TIMED_OUT");
    bench
        .machine(json!({"StartAt": "S", "States": {"S": {"Type": "Pass", "Next": "S"}}}))
        .await;
    bench.sfn.lock().executions.clear();
    bench.start(json!({})).await;
    assert_eq!(
        bench.ended().await,
        ("FAILED".to_owned(), json!("States.Runtime"))
    );
    assert!(bench.sfn.lock().executions[RUN].history.len() <= history::MOST);
}
