//! Numbers keep their digits on every way through an execution.

use super::*;

/// Each would come out otherwise of 64 bits.
const NUMBERS: &str = r#"[123456789012345678901234567890,1e400,-0.0,-0,1.10,0.1e-7,1E+2]"#;

impl Bench {
    /// Runs a machine of these states, in their own digits; its status and output.
    async fn run_text(&self, states: &str, input: &str) -> (Value, String) {
        let definition = format!(r#"{{"StartAt": "S", "States": {states}}}"#);
        let update = json!({"stateMachineArn": MACHINE, "definition": definition});
        self.ok("UpdateStateMachine", update).await;
        let start = json!({"stateMachineArn": MACHINE, "name": "one", "input": input});
        self.ok("StartExecution", start).await;
        pass(1).await;
        let described = self.ok("DescribeExecution", json!({"executionArn": RUN}));
        let described = described.await;
        let output = described["output"].as_str().unwrap_or_default().to_owned();
        (described["status"].clone(), output)
    }
}

#[tokio::test(start_paused = true)]
async fn paths_templates_results_and_functions_keep_digits() {
    let pass_through = r#"{"S": {"Type": "Pass", "End": true}}"#;
    let by_path = r#"{"S": {"Type": "Pass", "InputPath": "$.n", "End": true}}"#;
    let template = r#"{"S": {"Type": "Pass", "Parameters": {"all.$": "$.n", "one.$": "$.n[4]", "here": 2.50}, "End": true}}"#;
    let result = r#"{"S": {"Type": "Pass", "Result": [1.10, 12345678901234567890123], "ResultPath": "$.r", "End": true}}"#;
    let context =
        r#"{"S": {"Type": "Pass", "Parameters": {"n.$": "$$.Execution.Input.n"}, "End": true}}"#;
    let text = r#"{"S": {"Type": "Pass", "Parameters": {"t.$": "States.JsonToString($.n[4])", "f.$": "States.Format('{}', $.n[0])", "j.$": "States.StringToJson('1.10')", "l.$": "States.Array(1.20)"}, "End": true}}"#;
    let map = r#"{"S": {"Type": "Map", "ItemsPath": "$.n", "ItemProcessor": {"StartAt": "I", "States": {"I": {"Type": "Pass", "End": true}}}, "End": true}}"#;
    let input = format!(r#"{{"n":{NUMBERS}}}"#);
    for (states, want) in [
        (pass_through, input.clone()),
        (by_path, NUMBERS.to_owned()),
        (
            template,
            format!(r#"{{"all":{NUMBERS},"here":2.50,"one":1.10}}"#),
        ),
        (
            result,
            format!(r#"{{"n":{NUMBERS},"r":[1.10,12345678901234567890123]}}"#),
        ),
        (context, input.clone()),
        (
            text,
            r#"{"f":"123456789012345678901234567890","j":1.10,"l":[1.20],"t":"1.10"}"#.to_owned(),
        ),
        (map, NUMBERS.to_owned()),
    ] {
        let bench = Bench::new(json!({}), json!({})).await;
        let (status, output) = bench.run_text(states, &input).await;
        assert_eq!((status, output), (json!("SUCCEEDED"), want), "{states}");
    }
}

#[tokio::test(start_paused = true)]
async fn kept_digits_are_numbers_to_rules_and_retriers() {
    let states = r#"{
        "S": {"Type": "Choice", "Choices": [
            {"And": [{"Variable": "$.n", "IsNumeric": true}, {"Variable": "$.n", "IsString": false},
                {"Variable": "$.n", "NumericGreaterThan": 1.090}, {"Variable": "$.n", "NumericEquals": 1.1}],
             "Next": "T"}]},
        "T": {"Type": "Parallel", "Retry": [{"ErrorEquals": ["States.ALL"], "BackoffRate": 1.50}], "End": true,
            "Branches": [{"StartAt": "P", "States": {"P": {"Type": "Succeed"}}}]}}"#;
    let bench = Bench::new(json!({}), json!({})).await;
    let (status, output) = bench.run_text(states, r#"{"n":1.10}"#).await;
    assert_eq!(
        (status, output.as_str()),
        (json!("SUCCEEDED"), r#"[{"n":1.10}]"#)
    );
}

#[tokio::test(start_paused = true)]
async fn an_activity_gets_and_gives_digits() {
    let bench = Bench::new(json!({}), json!({})).await;
    let states = format!(
        r#"{{"S": {{"Type": "Task", "Resource": "{ACTIVITY}", "ResultPath": "$.r", "End": true}}}}"#
    );
    let input = format!(r#"{{"n":{NUMBERS}}}"#);
    let (status, _) = bench.run_text(&states, &input).await;
    assert_eq!(status, "RUNNING");
    let task = bench.poll().await;
    assert_eq!(task["input"], input);
    let report = json!({"taskToken": task["taskToken"], "output": NUMBERS});
    bench.ok("SendTaskSuccess", report).await;
    pass(1).await;
    let described = bench.ok("DescribeExecution", json!({"executionArn": RUN}));
    let want = format!(r#"{{"n":{NUMBERS},"r":{NUMBERS}}}"#);
    assert_eq!(described.await["output"], want);
}

/// Texts hold the digits; what a service reads as a number has 64 bits of it.
#[tokio::test(start_paused = true)]
async fn services_get_digits_in_texts_and_numbers_elsewhere() {
    let bench = Bench::new(json!({}), json!({})).await;
    let states = r#"{"S": {"Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage",
        "Parameters": {"QueueUrl": "q", "MessageBody": {"n.$": "$.n"}, "DelaySeconds": 5.10}, "End": true}}"#;
    bench
        .run_text(states, &format!(r#"{{"n":{NUMBERS}}}"#))
        .await;
    let (_, _, asked) = bench.others.asked().pop().expect("a message");
    assert_eq!(asked["MessageBody"], format!(r#"{{"n":{NUMBERS}}}"#));
    assert_eq!(asked["DelaySeconds"], json!(5.1));
}
