//! Task states that call services.

use super::*;
use crate::sfn::integration::Service;

const TOPIC: &str = "arn:aws:sns:eu-west-1:123456789012:t";

/// A Task state on a resource that ends the machine.
fn task(resource: &str, parameters: Value) -> Value {
    json!({"Type": "Task", "Resource": format!("arn:aws:states:::{resource}"),
        "Parameters": parameters, "End": true})
}

fn with(state: &Value, key: &str, value: Value) -> Value {
    let mut state = state.clone();
    state[key] = value;
    state
}

fn waits_for_token() -> Value {
    task(
        "sqs:sendMessage.waitForTaskToken",
        json!({"QueueUrl": "q", "MessageBody": {"token.$": "$$.Task.Token", "in.$": "$"}}),
    )
}

impl Bench {
    /// The token in the message that was sent last.
    async fn sent_token(&self) -> String {
        pass(1).await;
        let asked = self.others.asked();
        let (_, _, input) = asked.last().expect("a message");
        let body = input["MessageBody"].as_str().expect("a body");
        let body: Value = serde_json::from_str(body).expect("JSON");
        body["token"].as_str().expect("a token").to_owned()
    }

    async fn child(&self, definition: Value) {
        let create =
            json!({"name": "child", "roleArn": "arn:r", "definition": definition.to_string()});
        self.ok("CreateStateMachine", create).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_is_asked_and_its_answer_is_the_result() {
    let bench = Bench::new(json!({}), json!({})).await;
    let publish = task(
        "sns:publish",
        json!({"TopicArn": TOPIC, "Message": {"a.$": "$.a"}, "Subject": "s"}),
    );
    let (status, output) = bench.run(json!({"S": publish}), json!({"a": 1})).await;
    assert_eq!(status, "SUCCEEDED");
    let input = json!({"TopicArn": TOPIC, "Message": "{\"a\":1}", "Subject": "s"});
    assert_eq!(
        bench.others.asked(),
        [(Service::Sns, "Publish".to_owned(), input)]
    );
    let output: Value = serde_json::from_str(output.as_str().expect("text")).expect("JSON");
    assert_eq!(output["MessageId"], "m");
    assert_eq!(output["SdkHttpMetadata"]["HttpStatusCode"], 200);
    assert!(output["SdkResponseMetadata"]["RequestId"].is_string());
    let kinds = [
        "ExecutionStarted",
        "TaskStateEntered",
        "TaskScheduled",
        "TaskStarted",
        "TaskSucceeded",
        "TaskStateExited",
        "ExecutionSucceeded",
    ];
    assert_eq!(bench.kinds().await, kinds);
    let events = bench.events().await;
    let scheduled = &events[2]["taskScheduledEventDetails"];
    let told = json!({"resourceType": "sns", "resource": "publish", "region": "eu-west-1",
        "parameters": json!({"Message": {"a": 1}, "Subject": "s", "TopicArn": TOPIC}).to_string()});
    assert_eq!(*scheduled, told);
    let started = json!({"resourceType": "sns", "resource": "publish"});
    assert_eq!(events[3]["taskStartedEventDetails"], started);
    assert_eq!(
        events[4]["taskSucceededEventDetails"]["output"],
        text(output)
    );
}

#[tokio::test(start_paused = true)]
async fn the_sdk_has_its_own_names_and_times() {
    let bench = Bench::new(json!({}), json!({})).await;
    let read = task(
        "aws-sdk:cloudwatch:getMetricData",
        json!({"StartTime": "1970-01-01T00:01:00Z", "EndTime": "x"}),
    );
    let output = bench.run(json!({"S": read}), json!({})).await;
    let want = json!({"MetricDataResults": [{"Timestamps": ["1970-01-01T00:01:00.000Z"], "Values": [1.0]}]});
    assert_eq!(output, succeeded(want));
    let (service, operation, input) = bench.others.asked().remove(0);
    assert_eq!(
        (service, operation.as_str()),
        (Service::CloudWatch, "GetMetricData")
    );
    assert_eq!(input, json!({"StartTime": 60.0, "EndTime": "x"}));
    let events = bench.events().await;
    let details = &events[2]["taskScheduledEventDetails"];
    assert_eq!(details["resourceType"], "aws-sdk:cloudwatch");
    let describe = task(
        "aws-sdk:sfn:describeStateMachine",
        json!({"StateMachineArn": MACHINE}),
    );
    let describe = with(
        &describe,
        "ResultSelector",
        json!({"n.$": "$.Name", "t.$": "$.CreationDate"}),
    );
    let output = bench.run(json!({"S": describe}), json!({})).await;
    assert_eq!(
        output,
        succeeded(json!({"n": "demo-a", "t": "1970-01-01T00:00:00.000Z"}))
    );
}

#[tokio::test(start_paused = true)]
async fn errors_have_the_names_that_step_functions_gives_them() {
    let bench = Bench::new(json!({}), json!({})).await;
    let queue = |url: &str| json!({"QueueUrl": url, "MessageBody": "b"});
    let topic = |arn: &str| json!({"TopicArn": arn, "Message": "m"});
    let cases = [
        ("sns:publish", topic("NotFound"), "SNS.NotFoundException"),
        (
            "sns:publish",
            topic("InvalidParameter"),
            "SNS.InvalidParameterException",
        ),
        (
            "sqs:sendMessage",
            queue("QueueDoesNotExist"),
            "SQS.QueueDoesNotExistException",
        ),
        (
            "sqs:sendMessage",
            queue("MissingParameter"),
            "SQS.AmazonSQSException",
        ),
        (
            "aws-sdk:sns:publish",
            topic("NotFound"),
            "Sns.NotFoundException",
        ),
        (
            "aws-sdk:sqs:sendMessage",
            queue("MissingParameter"),
            "Sqs.SqsException",
        ),
        (
            "aws-sdk:s3:getObject",
            json!({"Key": "NoSuchKey"}),
            "S3.NoSuchKeyException",
        ),
        (
            "aws-sdk:s3:getObject",
            json!({"Key": "AccessDenied"}),
            "S3.S3Exception",
        ),
        (
            "aws-sdk:redshiftdata:executeStatement",
            json!({"Sql": "ResourceNotFoundException"}),
            "RedshiftData.ResourceNotFoundException",
        ),
        (
            "aws-sdk:redshiftdata:executeStatement",
            json!({"Sql": "UnknownOperationException"}),
            "RedshiftData.RedshiftDataException",
        ),
        (
            "states:startExecution",
            json!({"StateMachineArn": format!("{MACHINE}x")}),
            "StepFunctions.StateMachineDoesNotExistException",
        ),
        (
            "aws-sdk:sfn:sendTaskSuccess",
            json!({"TaskToken": "none", "Output": {}}),
            "Sfn.InvalidTokenException",
        ),
        (
            "aws-sdk:s3:putObject",
            json!({"Key": "k"}),
            "States.DataLimitExceeded",
        ),
        ("aws-sdk:s3:putObject", json!([]), "States.Runtime"),
    ];
    for (resource, parameters, want) in cases {
        let state = task(resource, parameters);
        let ended = bench.run(json!({"S": state}), json!({})).await;
        assert_eq!(ended, failed(want), "{state}");
        let events = bench.events().await;
        let details = &events[events.len() - 2]["taskFailedEventDetails"];
        assert_eq!(details["error"], want, "{state}");
        let resource_type = details["resourceType"].as_str().expect("a type");
        assert!(resource.starts_with(resource_type), "{details}");
    }
    let state = task("sns:publish", topic("NotFound"));
    bench.run(json!({"S": state}), json!({})).await;
    let cause = bench.events().await[4]["taskFailedEventDetails"]["cause"].clone();
    let cause = cause.as_str().expect("a cause");
    let told = "so it is (Service: AmazonSNS; Status Code: 404; Error Code: NotFound; Request ID: ";
    assert!(cause.starts_with(told), "{cause}");
}

#[tokio::test(start_paused = true)]
async fn errors_of_services_are_retried_and_caught() {
    let bench = Bench::new(json!({}), json!({})).await;
    let state = task(
        "sns:publish",
        json!({"TopicArn": "NotFound", "Message": "m"}),
    );
    let state = with(
        &state,
        "Retry",
        json!([{"ErrorEquals": ["SNS.NotFoundException"], "MaxAttempts": 2}]),
    );
    let catch = json!([{"ErrorEquals": ["States.TaskFailed"], "Next": "T"}]);
    let states = json!({"S": with(&state, "Catch", catch), "T": {"Type": "Pass", "OutputPath": "$.Error", "End": true}});
    let ended = bench.run(states, json!({})).await;
    assert_eq!(ended, succeeded(json!("SNS.NotFoundException")));
    assert_eq!(bench.others.asked().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_does_not_answer_is_timed_out() {
    let bench = Bench::new(json!({}), json!({})).await;
    let state = task("sns:publish", json!({"TopicArn": "slow", "Message": "m"}));
    let began = Instant::now();
    let state = with(&state, "TimeoutSecondsPath", json!("$.t"));
    let ended = bench.run(json!({"S": state}), json!({"t": 7})).await;
    assert_eq!(ended, failed("States.Timeout"));
    assert_eq!(began.elapsed().as_secs(), 7);
    let events = bench.events().await;
    let timed_out =
        json!({"error": "States.Timeout", "resourceType": "sns", "resource": "publish"});
    assert_eq!(events[4]["taskTimedOutEventDetails"], timed_out);
    assert_eq!(
        events[2]["taskScheduledEventDetails"]["timeoutInSeconds"],
        7
    );
}

#[tokio::test(start_paused = true)]
async fn whoever_has_the_token_says_how_it_ends() {
    let bench = Bench::new(json!({}), json!({})).await;
    bench
        .begin(json!({"S": waits_for_token()}), json!({"a": 1}))
        .await;
    let token = bench.sent_token().await;
    bench
        .ok("SendTaskHeartbeat", json!({"taskToken": token}))
        .await;
    bench.succeed(&token, json!({"done": true})).await;
    assert_eq!(bench.ended().await, succeeded(json!({"done": true})));
    let kinds = [
        "ExecutionStarted",
        "TaskStateEntered",
        "TaskScheduled",
        "TaskStarted",
        "TaskSubmitted",
        "TaskSucceeded",
        "TaskStateExited",
        "ExecutionSucceeded",
    ];
    assert_eq!(bench.kinds().await, kinds);
    let events = bench.events().await;
    let submitted = &events[4]["taskSubmittedEventDetails"];
    assert_eq!(submitted["resource"], "sendMessage.waitForTaskToken");
    assert!(
        submitted["output"]
            .as_str()
            .expect("text")
            .contains("MessageId")
    );
    assert_eq!(
        bench
            .refused("SendTaskHeartbeat", json!({"taskToken": token}))
            .await,
        "TaskTimedOut"
    );
    assert_eq!(
        bench.metrics.0.lock().expect("a lock").len(),
        0,
        "it is no activity"
    );

    bench
        .begin(json!({"S": waits_for_token()}), json!({}))
        .await;
    let token = bench.sent_token().await;
    bench.fail(&token, "Told").await;
    assert_eq!(bench.ended().await, failed("Told"));
    assert_eq!(
        bench.events().await[5]["taskFailedEventDetails"]["cause"],
        "c"
    );
}

#[tokio::test(start_paused = true)]
async fn a_token_lapses_with_its_heartbeat_or_its_timeout() {
    let bench = Bench::new(json!({}), json!({})).await;
    let timed = with(&waits_for_token(), "TimeoutSeconds", json!(30));
    let beating = with(&timed, "HeartbeatSecondsPath", json!("$.h"));
    for (state, beats, seconds, want) in [
        (&timed, 0, 30, "States.Timeout"),
        (&beating, 0, 10, "States.HeartbeatTimeout"),
        (&beating, 2, 27, "States.HeartbeatTimeout"),
    ] {
        let began = Instant::now();
        bench.begin(json!({"S": state}), json!({"h": 10})).await;
        let token = bench.sent_token().await;
        for _ in 0..beats {
            pass(8).await;
            bench
                .ok("SendTaskHeartbeat", json!({"taskToken": token}))
                .await;
        }
        assert_eq!(bench.ended().await, failed(want));
        assert_eq!(began.elapsed().as_secs(), seconds, "{want} after {beats}");
    }
}

/// A report may come before the service has answered who asked it.
#[tokio::test(start_paused = true)]
async fn a_report_that_is_quicker_than_the_service_counts() {
    let bench = Bench::new(json!({}), json!({})).await;
    let state = task(
        "sqs:sendMessage.waitForTaskToken",
        json!({"QueueUrl": "slow", "MessageBody": {"token.$": "$$.Task.Token"}}),
    );
    bench.begin(json!({"S": state}), json!({})).await;
    let token = bench.sent_token().await;
    bench.succeed(&token, json!(1)).await;
    assert_eq!(bench.ended().await, succeeded(json!(1)));
    assert!(!bench.kinds().await.contains(&"TaskSubmitted".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn an_execution_is_started_and_waited_for_as_the_resource_says() {
    let bench = Bench::new(json!({}), json!({})).await;
    let add = json!({"Type": "Pass", "Parameters": {"n.$": "States.MathAdd($.n, 1)"}, "Next": "W"});
    let wait = json!({"Type": "Wait", "Seconds": 5, "End": true});
    bench
        .child(json!({"StartAt": "A", "States": {"A": add, "W": wait}}))
        .await;
    let arn = MACHINE.replace("demo-a", "child");
    let run = |name: &str| format!("{}:{name}", arn.replace("stateMachine", "execution"));
    let state = |pattern: &str, name: &str| {
        let parameters = json!({"StateMachineArn": arn, "Name": name, "Input": {"n.$": "$.n"}});
        task(&format!("states:startExecution{pattern}"), parameters)
    };
    for (pattern, name, seconds) in [("", "one", 0), (".sync", "two", 5), (".sync:2", "three", 5)] {
        let began = Instant::now();
        let state = state(pattern, name);
        let (status, output) = bench.run(json!({"S": state}), json!({"n": 1})).await;
        assert_eq!(
            (status.as_str(), began.elapsed().as_secs()),
            ("SUCCEEDED", seconds),
            "{state}"
        );
        let mut output: Value = serde_json::from_str(output.as_str().expect("text")).expect("JSON");
        let fields = output.as_object_mut().expect("fields");
        assert_eq!(fields.remove("ExecutionArn"), Some(json!(run(name))));
        let start = fields.remove("StartDate").expect("a date");
        if pattern.is_empty() {
            assert!(fields.remove("SdkHttpMetadata").is_some());
            continue;
        }
        let data = |data: Value| if pattern == ".sync" { text(data) } else { data };
        let stop = json!(start.as_u64().expect("milliseconds") + 5000);
        let want = json!({"Input": data(json!({"n": 1})), "InputDetails": {"Included": true},
            "Output": data(json!({"n": 2})), "OutputDetails": {"Included": true}, "Name": name,
            "StateMachineArn": arn, "Status": "SUCCEEDED", "StopDate": stop});
        assert_eq!(output, want, "{pattern}");
        let kinds = bench.kinds().await;
        assert_eq!(
            kinds[3..6],
            ["TaskStarted", "TaskSubmitted", "TaskSucceeded"]
        );
    }
    let (mut first, mut second) = (state("", "taken"), state("", "taken"));
    second["Parameters"]["Input"] = json!({"n": 2});
    first["Next"] = json!("T");
    first["ResultPath"] = Value::Null;
    first.as_object_mut().expect("a state").remove("End");
    let states = json!({"S": first, "T": second});
    let taken = bench.run(states, json!({"n": 1})).await;
    assert_eq!(
        taken,
        failed("StepFunctions.ExecutionAlreadyExistsException")
    );
}

#[tokio::test(start_paused = true)]
async fn a_nested_execution_that_fails_is_a_failure_of_the_task() {
    let bench = Bench::new(json!({}), json!({})).await;
    let fail = json!({"Type": "Fail", "Error": "Inner", "Cause": "told"});
    bench
        .child(json!({"StartAt": "F", "States": {"F": fail}}))
        .await;
    let arn = MACHINE.replace("demo-a", "child");
    let state = task(
        "states:startExecution.sync:2",
        json!({"StateMachineArn": arn, "Name": "n"}),
    );
    assert_eq!(
        bench.run(json!({"S": state}), json!({})).await,
        failed("States.TaskFailed")
    );
    let cause = bench.events().await[5]["taskFailedEventDetails"]["cause"].clone();
    let cause: Value = serde_json::from_str(cause.as_str().expect("text")).expect("JSON");
    assert_eq!(
        (&cause["Error"], &cause["Cause"]),
        (&json!("Inner"), &json!("told"))
    );
    assert_eq!(
        (&cause["Status"], &cause["Input"]),
        (&json!("FAILED"), &json!({}))
    );
}

#[tokio::test(start_paused = true)]
async fn who_waits_no_more_stops_the_nested_execution() {
    let bench = Bench::new(json!({}), json!({})).await;
    let wait = json!({"Type": "Wait", "Seconds": 1000, "End": true});
    bench
        .child(json!({"StartAt": "W", "States": {"W": wait}}))
        .await;
    let arn = MACHINE.replace("demo-a", "child");
    for (name, stops) in [("stopped", true), ("late", false)] {
        let state = task(
            "states:startExecution.sync",
            json!({"StateMachineArn": arn, "Name": name}),
        );
        let state = with(&state, "TimeoutSeconds", json!(50));
        bench.begin(json!({"S": state}), json!({})).await;
        pass(1).await;
        if stops {
            bench
                .ok("StopExecution", json!({"executionArn": RUN}))
                .await;
        }
        bench.ended().await;
        pass(1).await;
        let of = format!("{}:{name}", arn.replace("stateMachine", "execution"));
        let shown = bench
            .ok("DescribeExecution", json!({"executionArn": of}))
            .await;
        assert_eq!(shown["status"], "ABORTED", "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_other_services_a_task_says_so() {
    let bench = Bench::new(json!({}), json!({})).await;
    let alone = StepFunctions::new(bench.sfn.context.clone(), bench.metrics.clone());
    let bench = Bench {
        sfn: alone,
        ..bench
    };
    let state = task("sns:publish", json!({"TopicArn": TOPIC, "Message": "m"}));
    assert_eq!(
        bench.run(json!({"S": state}), json!({})).await,
        failed("SNS.AmazonSNSException")
    );
    let shown = bench
        .ok("DescribeExecution", json!({"executionArn": RUN}))
        .await;
    assert!(
        shown["cause"]
            .as_str()
            .expect("a cause")
            .contains("aws-sdk:sns is not reached")
    );
}
