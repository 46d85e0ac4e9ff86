//! Parallel and Map.

use super::*;

/// A machine of one state.
fn only(state: Value) -> Value {
    json!({"StartAt": "One", "States": {"One": state}})
}

fn waits() -> Value {
    only(json!({"Type": "Wait", "SecondsPath": "$", "End": true}))
}

#[tokio::test(start_paused = true)]
async fn branches_run_at_the_same_time_and_give_a_list() {
    let bench = Bench::new(json!({}), json!({})).await;
    let branch = |name: &str, seconds: u64| {
        let after = format!("{name} after");
        let wait = json!({"Type": "Wait", "Seconds": seconds, "Next": after});
        let pass = json!({"Type": "Pass", "Result": name, "ResultPath": "$.by", "End": true});
        json!({"StartAt": name, "States": {name: wait, after: pass}})
    };
    let state = json!({"Type": "Parallel", "Branches": [branch("slow", 5), branch("quick", 3)],
        "Parameters": {"n.$": "$.a"}, "ResultSelector": {"both.$": "$"}, "ResultPath": "$.r", "End": true});
    let began = Instant::now();
    let ended = bench.run(json!({"S": state}), json!({"a": 1})).await;
    let both = json!([{"n": 1, "by": "slow"}, {"n": 1, "by": "quick"}]);
    assert_eq!(ended, succeeded(json!({"a": 1, "r": {"both": both}})));
    assert_eq!(began.elapsed().as_secs(), 5);
    let events = bench.events().await;
    let follows: Vec<(&str, u64)> = events
        .iter()
        .map(|event| {
            let previous = event["previousEventId"].as_u64().expect("a number");
            (event["type"].as_str().expect("a type"), previous)
        })
        .collect();
    let wanted = [
        ("ExecutionStarted", 0),
        ("ParallelStateEntered", 0),
        ("ParallelStateStarted", 2),
        ("WaitStateEntered", 3),
        ("WaitStateEntered", 3),
        ("WaitStateExited", 5),
        ("PassStateEntered", 6),
        ("PassStateExited", 7),
        ("WaitStateExited", 4),
        ("PassStateEntered", 9),
        ("PassStateExited", 10),
        ("ParallelStateSucceeded", 11),
        ("ParallelStateExited", 12),
        ("ExecutionSucceeded", 13),
    ];
    assert_eq!(follows, wanted);
}

#[tokio::test(start_paused = true)]
async fn a_branch_that_fails_ends_the_others_and_is_caught() {
    let bench = Bench::new(json!({}), json!({})).await;
    let fails = json!({"StartAt": "Soon", "States": {
        "Soon": {"Type": "Wait", "Seconds": 2, "Next": "Bad"},
        "Bad": {"Type": "Fail", "Error": "Told", "Cause": "c"}}});
    let works = json!({"StartAt": "Task", "States": {
        "Task": {"Type": "Task", "Resource": ACTIVITY, "End": true}}});
    let state = json!({"Type": "Parallel", "Branches": [works, fails], "Next": "T",
        "Retry": [{"ErrorEquals": ["Told"], "IntervalSeconds": 1, "MaxAttempts": 1}],
        "Catch": [{"ErrorEquals": ["Told"], "Next": "T", "ResultPath": "$.e"}]});
    let definition = json!({"StartAt": "S", "States": {"S": state, "T": {"Type": "Succeed"}}});
    bench.machine(definition).await;
    bench.start(json!({})).await;
    for _ in 0..2 {
        let token = bench.token().await;
        bench
            .ok("SendTaskHeartbeat", json!({"taskToken": token}))
            .await;
        tokio::time::sleep_until(Instant::now() + Duration::from_millis(2_500)).await;
        let late = json!({"taskToken": token, "output": "1"});
        assert_eq!(bench.refused("SendTaskSuccess", late).await, "TaskTimedOut");
    }
    let told = json!({"e": {"Error": "Told", "Cause": "c"}});
    assert_eq!(bench.ended().await, succeeded(told));
    assert_eq!(bench.sfn.snapshot()[0].running, 0);
    let kinds = bench.kinds().await;
    let count = |kind: &str| kinds.iter().filter(|one| *one == kind).count();
    for kind in [
        "TaskStateAborted",
        "ParallelStateFailed",
        "ParallelStateStarted",
    ] {
        assert_eq!(count(kind), 2, "{kind}: {kinds:?}");
    }
    assert_eq!(count("ParallelStateEntered"), 1, "{kinds:?}");
}

#[tokio::test(start_paused = true)]
async fn as_many_items_at_a_time_as_may_be() {
    let bench = Bench::new(json!({}), json!({})).await;
    let many = |count: usize| vec![1_u64; count];
    let limit = |limit: u64| json!({"MaxConcurrency": limit});
    let by_path = json!({"MaxConcurrencyPath": "$.limit"});
    let cases = [
        (json!({}), vec![3, 1, 2], 3),
        (limit(0), vec![3, 1, 2], 3),
        (limit(1), vec![3, 1, 2], 6),
        // A second thread takes 1 and then 2.
        (limit(2), vec![3, 1, 2], 3),
        (limit(2), many(5), 3),
        (by_path, many(5), 3),
        // AWS has 40 at a time and no more.
        (json!({}), many(40), 1),
        (limit(100), many(41), 2),
        (json!({}), vec![], 0),
    ];
    for (fields, items, seconds) in cases {
        let mut state = json!({"Type": "Map", "End": true, "ItemsPath": "$.items",
            "ItemProcessor": waits(), "ResultPath": "$.r", "OutputPath": "$.r"});
        let fields = fields.as_object().expect("fields").clone();
        state.as_object_mut().expect("a state").extend(fields);
        let began = Instant::now();
        let input = json!({"items": items, "limit": 2});
        let ended = bench.run(json!({"S": state}), input).await;
        assert_eq!(ended, succeeded(json!(items)), "{state}");
        assert_eq!(began.elapsed().as_secs(), seconds, "{state} {items:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_item_is_known_by_its_index() {
    let bench = Bench::new(json!({}), json!({})).await;
    let pass = only(json!({"Type": "Pass", "End": true}));
    let selector = json!({"n.$": "$$.Map.Item.Index", "item.$": "$$.Map.Item.Value",
        "all.$": "$.more", "state.$": "$$.State.Name"});
    let want = json!([{"n": 0, "item": "a", "all": 7, "state": "S"},
        {"n": 1, "item": "b", "all": 7, "state": "S"}]);
    let input = json!({"list": ["a", "b"], "more": 7});
    for (processor, selects) in [
        ("ItemProcessor", "ItemSelector"),
        ("Iterator", "Parameters"),
    ] {
        let state = json!({"Type": "Map", "End": true, "ItemsPath": "$.list",
            processor: pass, selects: selector});
        let ended = bench.run(json!({"S": state}), input.clone()).await;
        assert_eq!(ended, succeeded(want.clone()), "{processor}");
    }
    let events = bench.events().await;
    let noted = |kind: &str, member: &str| -> Vec<Value> {
        let events = events.iter().filter(|event| event["type"] == kind);
        events.map(|event| event[member].clone()).collect()
    };
    let started = noted("MapStateStarted", "mapStateStartedEventDetails");
    assert_eq!(started, [json!({"length": 2})]);
    let wanted = [0, 1].map(|index| json!({"name": "S", "index": index}));
    for how in ["Started", "Succeeded"] {
        let found = noted(
            &format!("MapIteration{how}"),
            &format!("mapIteration{how}EventDetails"),
        );
        assert_eq!(found, wanted, "{how}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_item_that_fails_ends_the_others() {
    let bench = Bench::new(json!({}), json!({})).await;
    let task = only(json!({"Type": "Task", "Resource": ACTIVITY, "End": true}));
    let state = json!({"Type": "Map", "Iterator": task, "MaxConcurrency": 3, "Next": "T",
        "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "T", "ResultPath": "$[0]"}]});
    let definition = json!({"StartAt": "S", "States": {"S": state, "T": {"Type": "Succeed"}}});
    bench.machine(definition).await;
    bench.start(json!([0, 1, 2, 3])).await;
    let tokens = [
        bench.token().await,
        bench.token().await,
        bench.token().await,
    ];
    bench.succeed(&tokens[0], json!("zero")).await;
    bench.fail(&tokens[1], "Bad").await;
    let told = json!({"Error": "Bad", "Cause": "c"});
    assert_eq!(bench.ended().await, succeeded(json!([told, 1, 2, 3])));
    let beat = json!({"taskToken": tokens[2]});
    assert_eq!(
        bench.refused("SendTaskHeartbeat", beat).await,
        "TaskTimedOut"
    );
    let activity = bench.sfn.snapshot().remove(0);
    assert_eq!((activity.waiting, activity.running), (0, 0));
    let kinds = bench.kinds().await;
    let count = |kind: &str| kinds.iter().filter(|one| *one == kind).count();
    assert_eq!(count("MapIterationSucceeded"), 1, "{kinds:?}");
    assert_eq!(count("MapIterationFailed"), 1, "{kinds:?}");
    let aborted = count("MapIterationStarted") - 2;
    assert_eq!(count("MapIterationAborted"), aborted, "{kinds:?}");
    assert_eq!(count("MapStateFailed"), 1, "{kinds:?}");
}

#[tokio::test(start_paused = true)]
async fn items_are_put_into_batches() {
    let bench = Bench::new(json!({}), json!({})).await;
    let pass = only(json!({"Type": "Pass", "End": true}));
    let batches = |items: &[&[u64]]| -> Value {
        let batches = items.iter().map(|items| json!({"Items": items}));
        batches.collect()
    };
    let big = json!({"items": ["x".repeat(50)]});
    let five = json!({"items": [1, 2, 3, 4, 5]});
    let cases = [
        (
            json!({"MaxItemsPerBatch": 2}),
            &five,
            Ok(batches(&[&[1, 2], &[3, 4], &[5]])),
        ),
        (
            json!({"MaxItemsPerBatchPath": "$.items[3]"}),
            &five,
            Ok(batches(&[&[1, 2, 3, 4], &[5]])),
        ),
        // {"Items":[1,2,3]} has 17 bytes.
        (
            json!({"MaxInputBytesPerBatch": 17}),
            &five,
            Ok(batches(&[&[1, 2, 3], &[4, 5]])),
        ),
        (
            json!({"MaxInputBytesPerBatch": 17, "MaxItemsPerBatch": 1}),
            &five,
            Ok(batches(&[&[1], &[2], &[3], &[4], &[5]])),
        ),
        (
            json!({"MaxItemsPerBatch": 4, "BatchInput": {"of.$": "$.items[0]"}}),
            &five,
            Ok(json!([{"BatchInput": {"of": 1}, "Items": [1, 2, 3, 4]},
                {"BatchInput": {"of": 1}, "Items": [5]}])),
        ),
        (
            json!({"MaxInputBytesPerBatch": 40}),
            &big,
            Err("States.DataLimitExceeded"),
        ),
        (
            json!({"MaxItemsPerBatchPath": "$.none"}),
            &big,
            Err("States.Runtime"),
        ),
    ];
    for (batcher, input, want) in cases {
        let state = json!({"Type": "Map", "End": true, "ItemsPath": "$.items",
            "ItemProcessor": pass, "ItemBatcher": batcher});
        let ended = bench.run(json!({"S": state}), input.clone()).await;
        assert_eq!(ended, want.map_or_else(failed, succeeded), "{state}");
    }
    let state = json!({"Type": "Map", "End": true, "ItemProcessor": pass,
        "ItemSelector": {"v.$": "$$.Map.Item.Value"}, "ItemBatcher": {"MaxItemsPerBatch": 2}});
    let ended = bench.run(json!({"S": state}), json!([1, 2, 3])).await;
    let want = json!([{"Items": [{"v": 1}, {"v": 2}]}, {"Items": [{"v": 3}]}]);
    assert_eq!(ended, succeeded(want));
}

#[tokio::test(start_paused = true)]
async fn branches_and_items_hold_each_other() {
    let bench = Bench::new(json!({}), json!({})).await;
    let square = json!({"StartAt": "Inner", "States": {"Inner": {
        "Type": "Map", "End": true,
        "ItemSelector": {"of.$": "States.ArrayLength($)", "at.$": "$$.Map.Item.Index"},
        "ItemProcessor": only(json!({"Type": "Pass", "End": true}))}}});
    let both = json!({"StartAt": "Both", "States": {"Both": {"Type": "Parallel", "End": true,
        "Branches": [square, {"StartAt": "Same", "States": {"Same": {"Type": "Succeed"}}}]}}});
    let state = json!({"Type": "Map", "End": true, "ItemProcessor": both});
    let ended = bench.run(json!({"S": state}), json!([[7], [8, 9]])).await;
    let item = |of: u64, at: u64| json!({"of": of, "at": at});
    let want = json!([[[item(1, 0)], [7]], [[item(2, 0), item(2, 1)], [8, 9]]]);
    assert_eq!(ended, succeeded(want));
}

#[tokio::test(start_paused = true)]
async fn what_goes_wrong_in_there_has_its_name() {
    let bench = Bench::new(json!({}), json!({})).await;
    let map = |processor: Value| json!({"Type": "Map", "End": true, "ItemProcessor": processor});
    let pass = |fields: Value| {
        let mut state = json!({"Type": "Pass", "End": true});
        let fields = fields.as_object().expect("fields").clone();
        state.as_object_mut().expect("a state").extend(fields);
        state
    };
    let long = only(pass(json!({"Result": "x".repeat(200_000)})));
    let function = json!({"Parameters": {"a.$": "States.MathAdd($, 'b')"}});
    let cases = [
        (map(waits()), json!({}), "States.Runtime"),
        (
            map(only(pass(function.clone()))),
            json!([1]),
            "States.IntrinsicFailure",
        ),
        (map(long), json!([1, 2]), "States.DataLimitExceeded"),
        (pass(function), json!(1), "States.IntrinsicFailure"),
        (
            json!({"Type": "Fail", "ErrorPath": "States.Format('E{}', $)", "Cause": "c"}),
            json!(7),
            "E7",
        ),
        (
            json!({"Type": "Fail", "ErrorPath": "States.Array()"}),
            json!(7),
            "States.Runtime",
        ),
    ];
    for (state, input, want) in cases {
        let ended = bench.run(json!({"S": state}), input).await;
        assert_eq!(ended, failed(want), "{want}");
    }
}

#[tokio::test(start_paused = true)]
async fn spans_are_found_in_the_input() {
    let bench = Bench::new(json!({}), json!({})).await;
    let state = json!({"Type": "Task", "Resource": ACTIVITY, "End": true,
        "TimeoutSecondsPath": "$.t", "HeartbeatSecondsPath": "$.h"});
    for (input, want, seconds) in [
        (json!({"t": 9, "h": 3}), "States.Timeout", 9),
        (json!({"t": 9, "h": 9}), "States.Runtime", 0),
        (json!({"t": 0, "h": 1}), "States.Runtime", 0),
        (json!({"t": 9, "h": 1.5}), "States.Runtime", 0),
        (json!({"t": 9}), "States.Runtime", 0),
    ] {
        let began = Instant::now();
        let ended = bench.run(json!({"S": state}), input.clone()).await;
        assert_eq!(ended, failed(want), "{input}");
        assert_eq!(began.elapsed().as_secs(), seconds, "{input}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_history_ends_in_time_whatever_runs_at_once() {
    let bench = Bench::new(json!({}), json!({})).await;
    let again = json!({"Type": "Wait", "Seconds": 1, "Next": "One"});
    let state = json!({"Type": "Map", "End": true,
        "ItemProcessor": {"StartAt": "One", "States": {"One": again}}});
    let items: Vec<u64> = (0..40).collect();
    let ended = bench.run(json!({"S": state}), json!(items)).await;
    assert_eq!(ended, failed("States.Runtime"));
    let length = bench.sfn.lock().executions[RUN].history.len();
    assert!(length <= history::MOST, "{length}");
    assert!(length > history::MOST - 200, "{length}");
}
