//! The history's limit.

use super::*;

/// How an execution ended, and the last event of its history.
async fn full(bench: &Bench) -> (usize, Value) {
    let (status, error) = bench.ended().await;
    assert_eq!((status, error), failed("States.Runtime"));
    let state = bench.sfn.lock();
    let history = &state.executions[RUN].history;
    (history.len(), history[history.len() - 1].show(0, true))
}

#[tokio::test(start_paused = true)]
async fn the_last_event_of_a_full_history_is_the_failure() {
    let bench = Bench::new(json!({}), json!({})).await;
    bench
        .begin(json!({"S": {"Type": "Pass", "Next": "S"}}), json!({}))
        .await;
    let (length, last) = full(&bench).await;
    assert_eq!(length, 25_000);
    assert_eq!(last["type"], "ExecutionFailed");
    let cause = last["executionFailedEventDetails"]["cause"].as_str();
    let cause = cause.expect("a cause");
    assert!(
        cause.contains("maximum number of history events"),
        "{cause}"
    );
}

#[tokio::test(start_paused = true)]
async fn nothing_catches_a_full_history() {
    let bench = Bench::new(json!({}), json!({})).await;
    let each = json!({"StartAt": "E", "States": {"E": {"Type": "Pass", "End": true}}});
    let many = json!({"Type": "Map", "ItemsPath": "States.ArrayRange", "ItemProcessor": each, "Next": "T",
        "Retry": [{"ErrorEquals": ["States.ALL"]}],
        "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "T"}]});
    let mut many = many;
    many["ItemsPath"] = json!("$");
    let states = json!({"S": many, "T": {"Type": "Succeed"}});
    let items: Vec<u32> = (0..6_500).collect();
    bench.begin(states, json!(items)).await;
    let (length, last) = full(&bench).await;
    assert_eq!((length, &last["type"]), (25_000, &json!("ExecutionFailed")));
}

/// What is left running is given up with the execution that ended under it.
#[tokio::test(start_paused = true)]
async fn a_full_history_closes_the_open_attempts() {
    let bench = Bench::new(json!({}), json!({})).await;
    let one = |state: Value| json!({"StartAt": state["Comment"], "States": {state["Comment"].as_str().expect("a name"): state}});
    let work = one(json!({"Comment": "W", "Type": "Task", "Resource": ACTIVITY, "End": true}));
    let again = json!({"StartAt": "B", "States": {"B": {"Type": "Wait", "Seconds": 1, "Next": "L"},
        "L": {"Type": "Pass", "Next": "L"}}});
    let states = json!({"S": {"Type": "Parallel", "Branches": [work, again], "End": true}});
    bench.begin(states, json!({})).await;
    let token = bench.token().await;
    full(&bench).await;
    let late = json!({"taskToken": token});
    assert_eq!(
        bench.refused("SendTaskHeartbeat", late).await,
        "TaskTimedOut"
    );
    assert_eq!(bench.sfn.snapshot()[0].running, 0);
}
