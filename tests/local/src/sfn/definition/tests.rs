use serde_json::json;

use super::*;

const ARN: &str = "arn:aws:states:eu-west-1:123456789012:activity:demo-a";

fn parse(text: &str) -> Result<Definition, String> {
    Definition::parse(text).map_err(|faults| {
        let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
        faults.join("; ")
    })
}

fn one(state: Value) -> Result<Definition, String> {
    let all = json!({"StartAt": "S", "States": {"S": state, "T": {"Type": "Succeed"}}});
    parse(&all.to_string())
}

fn with(state: &Value, key: &str, value: Value) -> Value {
    let mut state = state.clone();
    state[key] = value;
    state
}

#[test]
fn what_is_supported_is_read() {
    let to_t = [
        json!({"Type": "Pass", "Next": "T", "Result": 1, "ResultPath": "$.a", "Comment": "x"}),
        json!({"Type": "Wait", "Next": "T", "Seconds": 0}),
        json!({"Type": "Wait", "Next": "T", "SecondsPath": "$.s"}),
        json!({"Type": "Wait", "Next": "T", "Timestamp": "2026-01-01T00:00:00Z"}),
        json!({"Type": "Wait", "Next": "T", "TimestampPath": "$$.Execution.StartTime"}),
        json!({"Type": "Choice", "Choices": [{"Variable": "$.a", "IsNull": true, "Next": "T"}]}),
        json!({"Type": "Choice", "Default": "T", "Choices": [
            {"And": [{"Not": {"Variable": "$.a", "IsNull": true}}, {"Or": [{"Variable": "$.a", "NumericEquals": 1}]}], "Next": "T"},
        ]}),
        json!({"Type": "Task", "Resource": ARN, "Next": "T", "TimeoutSeconds": 9, "HeartbeatSeconds": 3,
            "Parameters": {"a.$": "$$.State.Name"}, "ResultSelector": {"b.$": "$.c"}, "ResultPath": null,
            "Retry": [{"ErrorEquals": ["A", "States.Timeout"], "IntervalSeconds": 2, "MaxAttempts": 0, "BackoffRate": 1, "MaxDelaySeconds": 3, "JitterStrategy": "FULL"}],
            "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "T", "ResultPath": "$.error"}]}),
    ];
    for state in to_t {
        assert!(
            one(state.clone()).is_ok(),
            "{state}: {:?}",
            one(state.clone())
        );
    }
}

#[test]
fn what_is_wrong_or_not_there_is_named_with_its_place() {
    let task = json!({"Type": "Task", "Resource": ARN, "Next": "T"});
    let choice = |rule: Value| json!({"Type": "Choice", "Default": "T", "Choices": [rule]});
    let cases = [
        (
            json!({"Type": "Loop", "Next": "T"}),
            "'Loop' is not supported here at /States/S/Type",
        ),
        (json!({"Next": "T"}), "'Type' is missing at /States/S/Type"),
        (
            json!({"Type": "Pass"}),
            "exactly one of Next (a name) and End (true) at /States/S/Next",
        ),
        (
            json!({"Type": "Pass", "Next": "T", "End": true}),
            "exactly one of Next",
        ),
        (
            json!({"Type": "Pass", "Next": "U"}),
            "there is no state 'U' to go to at /States/S",
        ),
        (
            json!({"Type": "Pass", "End": true}),
            "no way leads to this state at /States/T",
        ),
        (
            json!({"Type": "Pass", "Next": "T", "Assign": {}}),
            "'Assign' of a Pass state is not supported here at /States/S/Assign",
        ),
        (
            json!({"Type": "Pass", "Next": "T", "QueryLanguage": "JSONata"}),
            "'JSONata' is not supported here",
        ),
        (
            json!({"Type": "Pass", "Next": "T", "Parameters": {"a": {"b.$": "States.GUID()"}}}),
            "no intrinsic function 'States.GUID' at /States/S/Parameters/a/b.$",
        ),
        (
            json!({"Type": "Pass", "Next": "T", "InputPath": "$..a"}),
            "at /States/S/InputPath",
        ),
        (
            json!({"Type": "Wait", "Next": "T"}),
            "exactly one of Seconds",
        ),
        (
            json!({"Type": "Wait", "Next": "T", "Seconds": -1}),
            "whole number from 0",
        ),
        (
            json!({"Type": "Wait", "Next": "T", "Seconds": 1, "SecondsPath": "$.a"}),
            "exactly one of Seconds",
        ),
        (
            json!({"Type": "Wait", "Next": "T", "Timestamp": "tomorrow"}),
            "must be a timestamp",
        ),
        (
            with(&task, "Resource", json!("arn:aws:states:::lambda:invoke")),
            "only activities",
        ),
        (
            with(
                &task,
                "Resource",
                json!("arn:aws:lambda:eu-west-1:123456789012:function:f"),
            ),
            "only activities",
        ),
        (
            with(&task, "Credentials", json!({})),
            "'Credentials' of a Task state",
        ),
        (
            with(&task, "ResultPath", json!("$$.a")),
            "context object at /States/S/ResultPath",
        ),
        (
            with(&task, "TimeoutSeconds", json!(0)),
            "whole number from 1",
        ),
        (
            with(&task, "TimeoutSeconds", json!("9")),
            "whole number from 1",
        ),
        (
            with(
                &with(&task, "TimeoutSeconds", json!(9)),
                "HeartbeatSeconds",
                json!(9),
            ),
            "smaller than TimeoutSeconds",
        ),
        (
            with(&task, "Retry", json!([{"ErrorEquals": []}])),
            "list of error names at /States/S/Retry[0]/ErrorEquals",
        ),
        (
            with(
                &task,
                "Retry",
                json!([{"ErrorEquals": ["States.ALL", "A"]}]),
            ),
            "States.ALL must stand alone",
        ),
        (
            with(
                &task,
                "Retry",
                json!([{"ErrorEquals": ["States.ALL"]}, {"ErrorEquals": ["A"]}]),
            ),
            "in the last entry",
        ),
        (
            with(
                &task,
                "Retry",
                json!([{"ErrorEquals": ["A"], "BackoffRate": 0.5}]),
            ),
            "from 1.0 on",
        ),
        (
            with(
                &task,
                "Retry",
                json!([{"ErrorEquals": ["A"], "JitterStrategy": "SOME"}]),
            ),
            "'SOME' is not supported here, only FULL, NONE at /States/S/Retry[0]/JitterStrategy",
        ),
        (
            with(
                &task,
                "Retry",
                json!([{"ErrorEquals": ["States.Nonsense"]}]),
            ),
            "'States.' is reserved",
        ),
        (
            with(&task, "Catch", json!([{"ErrorEquals": ["A"]}])),
            "'Next' is missing at /States/S/Catch[0]/Next",
        ),
        (
            with(&task, "Catch", json!([{"ErrorEquals": ["A"], "Next": "U"}])),
            "no state 'U'",
        ),
        (
            choice(json!({"Variable": "$.a", "Next": "T"})),
            "one comparison at /States/S/Choices[0]",
        ),
        (
            choice(json!({"Variable": "$.a", "StringLike": "b", "Next": "T"})),
            "'StringLike' is no comparison",
        ),
        (
            choice(json!({"Variable": "$.a", "NumericEquals": "b", "Next": "T"})),
            "must be a number",
        ),
        (
            choice(json!({"And": [], "Next": "T"})),
            "at /States/S/Choices[0]/And",
        ),
        (
            choice(json!({"Not": {"Variable": "$.a", "IsNull": true, "Next": "T"}, "Next": "T"})),
            "one comparison at /States/S/Choices[0]/Not",
        ),
    ];
    for (state, want) in cases {
        let faults = one(state.clone()).expect_err(&state.to_string());
        assert!(faults.contains(want), "{state}\n  {faults}");
    }
}

#[test]
fn the_top_is_checked_and_all_faults_are_told() {
    let cases = [
        (json!([]), "must be an object"),
        (json!({"States": {}}), "'StartAt' is missing"),
        (json!({"StartAt": "A"}), "is missing at /States"),
        (
            json!({"StartAt": "A", "States": {"B": {"Type": "Succeed"}}}),
            "no state 'A' at /StartAt",
        ),
        (
            json!({"StartAt": "A", "States": {"A": {"Type": "Succeed"}}, "Processor": 1}),
            "'Processor' of the state machine",
        ),
        (
            json!({"StartAt": "A", "States": {"A": {"Type": "Succeed"}}, "Version": "2"}),
            "only 1.0",
        ),
    ];
    for (definition, want) in cases {
        let faults = parse(&definition.to_string()).expect_err(want);
        assert!(faults.contains(want), "{definition}\n  {faults}");
    }
    assert!(parse("{").expect_err("no JSON").contains("INVALID_JSON"));
    let two =
        one(json!({"Type": "Wait", "Seconds": -1, "Nonsense": 1, "Next": "T"})).expect_err("two");
    assert!(
        two.contains("/Seconds") && two.contains("/Nonsense"),
        "{two}"
    );
}

#[test]
fn what_holds_machines_is_read_with_all_that_is_in_it() {
    let inner = |state: Value| json!({"StartAt": "In", "States": {"In": state}});
    let pass = inner(json!({"Type": "Pass", "End": true}));
    let parallel = |branches: Value| json!({"Type": "Parallel", "Next": "T", "Branches": branches});
    let map = |field: &str, value: Value| {
        let mut map = json!({"Type": "Map", "Next": "T", "ItemProcessor": pass});
        map[field] = value;
        map
    };
    let good = [
        parallel(json!([pass])),
        map("MaxConcurrency", json!(0)),
        map(
            "ItemSelector",
            json!({"a.$": "States.Array($$.Map.Item.Value)"}),
        ),
        map(
            "ItemBatcher",
            json!({"MaxItemsPerBatch": 3, "BatchInput": {"a": 1}}),
        ),
        with(
            &map("ItemsPath", json!("$.a")),
            "ResultSelector",
            json!({"b.$": "$[0]"}),
        ),
    ];
    for state in good {
        let read = one(state.clone());
        assert!(read.is_ok(), "{state}: {read:?}");
    }
    let bad = [
        (parallel(json!([])), "a branch in it at /States/S/Branches"),
        (
            parallel(json!({})),
            "must be an array at /States/S/Branches",
        ),
        (
            parallel(json!([inner(json!({"Type": "Pass", "Next": "T"}))])),
            "no state 'T' to go to at /States/S/Branches[0]/States/In",
        ),
        (
            parallel(json!([pass, pass])),
            "DUPLICATE_STATE_NAME: another state is called 'In' too",
        ),
        (
            parallel(json!([{"StartAt": "In", "States": {}, "TimeoutSeconds": 1}])),
            "'TimeoutSeconds' of a branch is not supported here at /States/S/Branches[0]/TimeoutSeconds",
        ),
        (
            json!({"Type": "Map", "Next": "T"}),
            "'ItemProcessor' is missing",
        ),
        (
            map("Iterator", pass.clone()),
            "must not stand beside ItemProcessor at /States/S/Iterator",
        ),
        (
            with(&map("ItemSelector", json!({})), "Parameters", json!({})),
            "must not stand beside ItemSelector",
        ),
        (map("MaxConcurrency", json!(-1)), "whole number from 0"),
        (
            with(
                &map("MaxConcurrency", json!(1)),
                "MaxConcurrencyPath",
                json!("$.a"),
            ),
            "must not stand beside MaxConcurrencyPath",
        ),
        (
            map("ItemReader", json!({})),
            "'ItemReader' of a Map state is not supported here",
        ),
        (
            map("ToleratedFailureCount", json!(1)),
            "'ToleratedFailureCount' of a Map state",
        ),
        (
            map("ItemBatcher", json!({})),
            "MaxItemsPerBatch or MaxInputBytesPerBatch",
        ),
        (
            map("ItemBatcher", json!({"MaxInputBytesPerBatch": 262_145})),
            "from 1 to 262144 at /States/S/ItemBatcher/MaxInputBytesPerBatch",
        ),
        (
            map(
                "ItemProcessor",
                with(&pass, "ProcessorConfig", json!({"Mode": "DISTRIBUTED"})),
            ),
            "only INLINE at /States/S/ItemProcessor/ProcessorConfig/Mode",
        ),
        (
            map("ItemProcessor", inner(json!({"Type": "Loop"}))),
            "'Loop' is not supported here at /States/S/ItemProcessor/States/In/Type",
        ),
    ];
    for (state, want) in bad {
        let faults = one(state.clone()).expect_err(&state.to_string());
        assert!(faults.contains(want), "{state}\n  {faults}");
    }
}

#[test]
fn integrations_are_read_and_refused_with_state_and_field() {
    let task = |resource: &str, parameters: Value| {
        json!({"Type": "Task", "Resource": format!("arn:aws:states:::{resource}"),
            "Parameters": parameters, "Next": "T"})
    };
    let publish = json!({"TopicArn": "t", "Message.$": "$.m"});
    let send = json!({"QueueUrl": "q", "MessageBody": {"t.$": "$$.Task.Token"}});
    let start = json!({"StateMachineArn.$": "$.arn"});
    let token = task("sqs:sendMessage.waitForTaskToken", send.clone());
    for state in [
        task("sns:publish", publish.clone()),
        with(&token, "HeartbeatSeconds", json!(5)),
        task("states:startExecution.sync:2", start.clone()),
        with(
            &task("aws-sdk:sns:publish", json!({"Any": 1})),
            "TimeoutSecondsPath",
            json!("$.t"),
        ),
    ] {
        assert!(
            one(state.clone()).is_ok(),
            "{state}: {:?}",
            one(state.clone())
        );
    }
    let bad = [
        (
            task("lambda:invoke", json!({})),
            "'lambda:invoke' is not here: of the integrations there are only sns:publish",
        ),
        (
            task("aws-sdk:dynamodb:getItem", json!({})),
            "'aws-sdk:dynamodb' is not here, only sfn, cloudwatch, sns, sqs, s3, redshiftdata, secretsmanager at /States/S/Resource",
        ),
        (
            task("aws-sdk:s3:putBucketAcl", json!({})),
            "'putBucketAcl' of aws-sdk:s3 is not here (names are in camelCase) at /States/S/Resource",
        ),
        (
            task("sns:publish", with(&publish, "PhoneNumber", json!("1"))),
            "'PhoneNumber' of sns:publish is not supported here at /States/S/Parameters/PhoneNumber",
        ),
        (
            task("sqs:sendMessage", json!({"QueueUrl": "q"})),
            "'MessageBody' of sqs:sendMessage is missing at /States/S/Parameters/MessageBody",
        ),
        (
            with(
                &task("sns:publish", publish.clone()),
                "HeartbeatSeconds",
                json!(5),
            ),
            "is for activities and .waitForTaskToken: nobody else sends heartbeats at /States/S/HeartbeatSeconds",
        ),
        (
            task("sqs:sendMessage", send),
            "'$$.Task.Token' is for .waitForTaskToken: an activity gets its token from GetActivityTask at /States/S/Parameters/MessageBody/t.$",
        ),
        (
            json!({"Type": "Task", "Resource": ARN, "Next": "T", "Parameters": {"t.$": "States.Format('{}', $$.Task.Token)"}}),
            "is for .waitForTaskToken",
        ),
        (
            json!({"Type": "Pass", "InputPath": "$$['Task'].Token", "Next": "T"}),
            "is for .waitForTaskToken: an activity gets its token from GetActivityTask at /States/S/InputPath",
        ),
    ];
    for (state, want) in bad {
        let faults = one(state.clone()).expect_err(&state.to_string());
        assert!(faults.contains(want), "{state}\n  {faults}");
    }
}
