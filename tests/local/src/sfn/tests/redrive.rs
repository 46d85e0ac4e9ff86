//! RedriveExecution.

use super::*;

/// A Task state on the activity, with what it is about for its input.
fn work(about: &str, next: Value) -> Value {
    let mut state = json!({"Type": "Task", "Resource": ACTIVITY,
        "Parameters": {"about": about, "in.$": "$", "redrive.$": "$$.Execution.RedriveCount"}});
    let fields = next.as_object().expect("fields").clone();
    state.as_object_mut().expect("a state").extend(fields);
    state
}

fn end() -> Value {
    json!({"End": true})
}

impl Bench {
    async fn redrive(&self) -> Value {
        self.ok("RedriveExecution", json!({"executionArn": RUN}))
            .await
    }

    async fn shown(&self) -> Value {
        self.ok("DescribeExecution", json!({"executionArn": RUN}))
            .await
    }

    /// The next task: what it is about, all of its input, and its token.
    async fn task(&self) -> (String, Value, String) {
        let task = self.poll().await;
        let input = task["input"].as_str().expect("a task");
        let input: Value = serde_json::from_str(input).expect("JSON");
        let token = task["taskToken"].as_str().expect("a token").to_owned();
        let about = input["about"].as_str().expect("about").to_owned();
        (about, input, token)
    }
}

#[tokio::test(start_paused = true)]
async fn it_goes_on_at_the_state_that_failed() {
    let bench = Bench::new(json!({}), json!({})).await;
    let first = json!({"Type": "Pass", "Parameters": {"id.$": "States.UUID()"}, "Next": "W"});
    let retry = json!([{"ErrorEquals": ["Again"], "MaxAttempts": 1, "IntervalSeconds": 1}]);
    let states = json!({"S": first, "W": work("w", json!({"Retry": retry, "Next": "T", "ResultPath": "$.w"})),
        "T": {"Type": "Pass", "End": true}});
    bench.begin(states, json!({})).await;
    let mut inputs = Vec::new();
    for _ in 0..2 {
        let (_, input, token) = bench.task().await;
        inputs.push(input["in"].clone());
        bench.fail(&token, "Again").await;
    }
    assert_eq!(bench.ended().await, failed("Again"));
    let shown = bench.shown().await;
    assert_eq!(
        (&shown["redriveCount"], &shown["redriveStatus"]),
        (&json!(0), &json!("REDRIVABLE"))
    );
    let old = bench.kinds().await.len();
    pass(100).await;
    let at = bench.redrive().await["redriveDate"].clone();
    let shown = bench.shown().await;
    assert_eq!(
        (
            &shown["status"],
            &shown["redriveCount"],
            &shown["redriveDate"]
        ),
        (&json!("RUNNING"), &json!(1), &at)
    );
    assert!(
        shown.get("stopDate").is_none() && shown.get("error").is_none(),
        "{shown}"
    );
    assert_eq!(shown["redriveStatus"], "NOT_REDRIVABLE");
    // All its retries are there again.
    let (_, input, token) = bench.task().await;
    assert_eq!(input["redrive"], 1);
    inputs.push(input["in"].clone());
    bench.fail(&token, "Again").await;
    let (_, input, token) = bench.task().await;
    inputs.push(input["in"].clone());
    bench.succeed(&token, json!(3)).await;
    let mut want = inputs[0].clone();
    assert!(inputs.iter().all(|input| *input == want), "{inputs:?}");
    want["w"] = json!(3);
    assert_eq!(bench.ended().await, succeeded(want));
    let kinds = bench.kinds().await;
    let new = [
        "ExecutionRedriven",
        "ActivityScheduled",
        "ActivityStarted",
        "ActivityFailed",
        "ActivityScheduled",
        "ActivityStarted",
        "ActivitySucceeded",
        "TaskStateExited",
        "PassStateEntered",
        "PassStateExited",
        "ExecutionSucceeded",
    ];
    assert_eq!(kinds[old..], new);
    assert_eq!(
        bench.events().await[old]["executionRedrivenEventDetails"],
        json!({"redriveCount": 1})
    );
    let counts = ExecutionCounts {
        succeeded: 1,
        ..ExecutionCounts::default()
    };
    assert_eq!(bench.sfn.execution_counts(), counts);
}

#[tokio::test(start_paused = true)]
async fn branches_that_succeeded_are_not_run_again() {
    let bench = Bench::new(json!({}), json!({})).await;
    let branch = |name: &str| {
        let before = format!("{name}0");
        json!({"StartAt": before, "States": {
            before: {"Type": "Pass", "Next": name}, name: work(name, end())}})
    };
    let states = json!({"S": {"Type": "Parallel", "Branches": [branch("a"), branch("b"), branch("c")], "End": true}});
    bench.begin(states, json!({"x": 1})).await;
    for _ in 0..3 {
        let (about, _, token) = bench.task().await;
        match about.as_str() {
            "a" => bench.succeed(&token, json!("A")).await,
            // The third is in the middle when this one fails.
            "c" => bench.fail(&token, "Bad").await,
            _ => {}
        }
    }
    assert_eq!(bench.ended().await, failed("Bad"));
    for round in 0..2 {
        let old = bench.kinds().await.len();
        bench.redrive().await;
        let mut seen = Vec::new();
        for _ in 0..2 {
            let (about, input, token) = bench.task().await;
            assert_eq!(input["in"], json!({"x": 1}));
            seen.push(about.clone());
            // First one more of them gets done, then the last.
            match (round, about.as_str()) {
                (0, "b") => bench.fail(&token, "Worse").await,
                _ => bench.succeed(&token, json!(about.to_uppercase())).await,
            }
            if (round, about.as_str()) == (1, "b") {
                break;
            }
        }
        seen.sort_unstable();
        let kinds = bench.kinds().await;
        let entered = kinds[old..]
            .iter()
            .filter(|kind| kind.ends_with("StateEntered"));
        assert_eq!(entered.count(), 0, "{:?}", &kinds[old..]);
        if round == 0 {
            assert_eq!(bench.ended().await, failed("Worse"));
            assert!(seen.contains(&"b".to_owned()), "{seen:?}");
        }
    }
    let ended = timeout_or(&bench).await;
    assert_eq!(ended, succeeded(json!(["A", "B", "C"])));
}

/// Ends what is still open, whichever branch it is.
async fn timeout_or(bench: &Bench) -> (String, Value) {
    if bench.shown().await["status"] == "RUNNING" && bench.sfn.snapshot()[0].waiting > 0 {
        let (about, _, token) = bench.task().await;
        bench.succeed(&token, json!(about.to_uppercase())).await;
    }
    bench.ended().await
}

#[tokio::test(start_paused = true)]
async fn iterations_that_succeeded_are_not_run_again() {
    let bench = Bench::new(json!({}), json!({})).await;
    let each = json!({"StartAt": "E", "States": {"E": work("e", end())}});
    let map = json!({"Type": "Map", "MaxConcurrency": 1, "ItemProcessor": each, "Next": "T"});
    let states = json!({"S": map, "T": {"Type": "Pass", "End": true}});
    bench.begin(states, json!([10, 11, 12])).await;
    let (_, input, token) = bench.task().await;
    assert_eq!(input["in"], 10);
    bench.succeed(&token, json!("ten")).await;
    let (_, input, token) = bench.task().await;
    assert_eq!(input["in"], 11);
    bench.fail(&token, "Bad").await;
    assert_eq!(bench.ended().await, failed("Bad"));
    let old = bench.kinds().await.len();
    bench.redrive().await;
    for (item, output) in [(11, "eleven"), (12, "twelve")] {
        let (_, input, token) = bench.task().await;
        assert_eq!(input["in"], item);
        bench.succeed(&token, json!(output)).await;
    }
    assert_eq!(
        bench.ended().await,
        succeeded(json!(["ten", "eleven", "twelve"]))
    );
    let kinds = bench.kinds().await;
    let count = |name: &str| kinds[old..].iter().filter(|kind| *kind == name).count();
    // The third had not been started.
    assert_eq!(count("MapIterationStarted"), 1);
    assert_eq!(count("MapIterationSucceeded"), 2);
    assert_eq!(count("MapStateSucceeded"), 1);
}

#[tokio::test(start_paused = true)]
async fn timeouts_of_machine_and_state_begin_anew() {
    let bench = Bench::new(json!({}), json!({})).await;
    let state = work("w", json!({"End": true, "TimeoutSeconds": 30}));
    let definition = json!({"StartAt": "S", "TimeoutSeconds": 20, "States": {"S": state}});
    bench.machine(definition).await;
    bench.start(json!({})).await;
    assert_eq!(bench.ended().await.0, "TIMED_OUT");
    bench.redrive().await;
    pass(15).await;
    let (_, _, token) = bench.task().await;
    pass(4).await;
    bench.succeed(&token, json!(1)).await;
    assert_eq!(bench.ended().await, succeeded(json!(1)));
}

/// What is left of the run that was stopped is dropped when this one runs already.
#[tokio::test(start_paused = true)]
async fn a_run_that_was_given_up_says_nothing_in_the_next() {
    let bench = Bench::new(json!({}), json!({})).await;
    bench.begin(json!({"S": work("w", end())}), json!({})).await;
    let (_, _, old) = bench.task().await;
    bench
        .ok("StopExecution", json!({"executionArn": RUN}))
        .await;
    bench.redrive().await;
    let (_, _, token) = bench.task().await;
    let late = json!({"taskToken": old, "output": "1"});
    assert_eq!(bench.refused("SendTaskSuccess", late).await, "TaskTimedOut");
    bench.succeed(&token, json!(2)).await;
    assert_eq!(bench.ended().await, succeeded(json!(2)));
    let kinds = [
        "ExecutionStarted",
        "TaskStateEntered",
        "ActivityScheduled",
        "ActivityStarted",
        "ExecutionAborted",
        "ExecutionRedriven",
        "ActivityScheduled",
        "ActivityStarted",
        "ActivitySucceeded",
        "TaskStateExited",
        "ExecutionSucceeded",
    ];
    assert_eq!(bench.kinds().await, kinds);
}

/// Each kind of state that can be the one that failed is done again.
#[tokio::test(start_paused = true)]
async fn a_choice_is_made_again_and_a_fail_fails_again() {
    let bench = Bench::new(json!({}), json!({})).await;
    let choice = json!({"Type": "Choice", "Choices": [
        {"Variable": "$$.Execution.RedriveCount", "NumericGreaterThan": 0, "Next": "F"}]});
    let states = json!({"S": choice, "F": {"Type": "Fail", "Error": "Told"}});
    bench.begin(states, json!({})).await;
    assert_eq!(bench.ended().await, failed("States.NoChoiceMatched"));
    bench.redrive().await;
    assert_eq!(bench.ended().await, failed("Told"));
    bench.redrive().await;
    assert_eq!(bench.ended().await, failed("Told"));
    assert_eq!(bench.shown().await["redriveCount"], 2);
    let counts = ExecutionCounts {
        failed: 1,
        ..ExecutionCounts::default()
    };
    assert_eq!(bench.sfn.execution_counts(), counts);
}

#[tokio::test(start_paused = true)]
async fn a_client_token_is_one_redrive_for_a_quarter_of_an_hour() {
    let bench = Bench::new(json!({}), json!({})).await;
    bench
        .begin(json!({"S": {"Type": "Fail", "Error": "E"}}), json!({}))
        .await;
    bench.ended().await;
    let redrive = json!({"executionArn": RUN, "clientToken": "t"});
    let first = bench.ok("RedriveExecution", redrive.clone()).await;
    bench.ended().await;
    pass(600).await;
    assert_eq!(bench.ok("RedriveExecution", redrive.clone()).await, first);
    assert_eq!(bench.shown().await["redriveCount"], 1);
    pass(400).await;
    assert_ne!(bench.ok("RedriveExecution", redrive).await, first);
    assert_eq!(bench.shown().await["redriveCount"], 2);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_redriven_is_refused_with_the_reason() {
    const DAY: u64 = 24 * 60 * 60;
    let bench = Bench::new(json!({}), json!({})).await;
    let refused = async |want: &str| {
        let error = bench
            .sfn
            .call("RedriveExecution", json!({"executionArn": RUN}))
            .await;
        let error = error.expect_err(want);
        assert_eq!(
            (error.code, error.message.as_str()),
            ("ExecutionNotRedrivable", want)
        );
        assert_eq!(bench.shown().await["redriveStatusReason"], want);
        assert_eq!(bench.shown().await["redriveStatus"], "NOT_REDRIVABLE");
    };
    bench
        .begin(
            json!({"S": {"Type": "Wait", "Seconds": 5, "End": true}}),
            json!({}),
        )
        .await;
    refused("Execution is RUNNING and cannot be redriven").await;
    bench.ended().await;
    refused("Execution is SUCCEEDED and cannot be redriven").await;

    let fail = json!({"S": {"Type": "Fail", "Error": "E"}});
    bench.begin(fail.clone(), json!({})).await;
    bench.ended().await;
    pass(14 * DAY - 60).await;
    bench.redrive().await;
    bench.ended().await;
    pass(14 * DAY + 1).await;
    refused("Execution redrivable period exceeded").await;

    bench
        .begin(json!({"S": {"Type": "Pass", "Next": "S"}}), json!({}))
        .await;
    bench.ended().await;
    refused("Execution history event limit exceeded").await;

    bench.begin(fail, json!({})).await;
    bench.ended().await;
    bench
        .ok("DeleteStateMachine", json!({"stateMachineArn": MACHINE}))
        .await;
    refused("State machine is in DELETING status").await;
    let none = json!({"executionArn": format!("{RUN}x")});
    assert_eq!(
        bench.refused("RedriveExecution", none).await,
        "ExecutionDoesNotExist"
    );
    let other = json!({"executionArn": MACHINE});
    assert_eq!(bench.refused("RedriveExecution", other).await, "InvalidArn");
}
