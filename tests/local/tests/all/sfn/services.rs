//! Task states that call the services of the same process, and what is redriven.

use aws_sdk_sfn::types::{ExecutionRedriveStatus, ExecutionStatus};
use serde_json::{Value, json};

use super::{Bench, PREFIX};
use crate::aws::{refused, until};

impl Bench {
    /// A machine of these states; the first is called `S`.
    async fn states(&self, name: &str, states: Value) -> String {
        let definition = json!({"StartAt": "S", "States": states}).to_string();
        let create = self.sfn.create_state_machine().name(name);
        let create = create.definition(definition);
        let made = create.role_arn("arn:aws:iam::123456789012:role/r").send();
        made.await.unwrap().state_machine_arn
    }

    async fn output(&self, machine: &str, name: &str) -> Value {
        let execution = self.start(machine, name).await;
        let ended = self.end(&execution).await;
        assert_eq!(ended.status, ExecutionStatus::Succeeded, "{ended:?}");
        serde_json::from_str(&ended.output.unwrap()).unwrap()
    }
}

fn task(resource: &str, parameters: Value) -> Value {
    json!({"Type": "Task", "Resource": format!("arn:aws:states:::{resource}"),
        "Parameters": parameters, "End": true})
}

/// A topic's message carries the token; whoever gets it from the queue reports.
#[tokio::test]
async fn a_message_through_topic_and_queue_brings_the_token_back() {
    let bench = Bench::new().await;
    let (sns, sqs) = (
        aws_sdk_sns::Client::new(&bench.aws.config),
        aws_sdk_sqs::Client::new(&bench.aws.config),
    );
    let topic = sns.create_topic().name("t").send().await.unwrap();
    let topic = topic.topic_arn.unwrap();
    let queue = sqs.create_queue().queue_name("q").send().await.unwrap();
    let queue = queue.queue_url.unwrap();
    // Who may send is the queue's to say.
    let policy = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage", "Resource": "*"}]});
    let set = sqs.set_queue_attributes().queue_url(&queue);
    let set = set.attributes(
        aws_sdk_sqs::types::QueueAttributeName::Policy,
        policy.to_string(),
    );
    set.send().await.unwrap();
    let subscribe = sns.subscribe().topic_arn(&topic).protocol("sqs");
    let subscribe = subscribe.endpoint("arn:aws:sqs:eu-west-1:123456789012:q");
    let subscribe = subscribe.attributes("RawMessageDelivery", "true");
    subscribe.send().await.unwrap();
    let state = task(
        "sns:publish.waitForTaskToken",
        json!({"TopicArn": topic, "Message": {"token.$": "$$.Task.Token"}}),
    );
    let machine = bench.states("asks", json!({"S": state})).await;
    let execution = bench.start(&machine, "one").await;
    let receive = sqs
        .receive_message()
        .queue_url(&queue)
        .wait_time_seconds(20);
    let received = receive.send().await.unwrap();
    let body = received.messages()[0].body().unwrap().to_owned();
    let body: Value = serde_json::from_str(&body).unwrap();
    let success = bench.sfn.send_task_success().output("{\"ok\":true}");
    let success = success.task_token(body["token"].as_str().unwrap());
    success.send().await.unwrap();
    let ended = bench.end(&execution).await;
    assert_eq!(ended.output.as_deref(), Some("{\"ok\":true}"));
    let history = bench.history(&execution).await;
    let submitted = history[4].task_submitted_event_details().unwrap();
    assert_eq!(submitted.resource_type, "sns");
    assert_eq!(submitted.resource, "publish.waitForTaskToken");
    let scheduled = history[2].task_scheduled_event_details().unwrap();
    assert_eq!(scheduled.region, "eu-west-1");
}

#[tokio::test]
async fn the_services_of_the_process_are_called() {
    let bench = Bench::new().await;
    bench.aws.local.s3.create_bucket("bucket").unwrap();
    let put = task(
        "aws-sdk:s3:putObject",
        json!({"Bucket": "bucket", "Key": "k", "Body.$": "$"}),
    );
    let mut put = put;
    put["Next"] = json!("G");
    put["ResultPath"] = Value::Null;
    put.as_object_mut().unwrap().remove("End");
    let mut get = task(
        "aws-sdk:s3:getObject",
        json!({"Bucket": "bucket", "Key": "k"}),
    );
    get["ResultSelector"] = json!({"body.$": "States.StringToJson($.Body)"});
    let machine = bench.states("objects", json!({"S": put, "G": get})).await;
    assert_eq!(bench.output(&machine, "one").await, json!({"body": {}}));

    let child = bench
        .machine("child", &json!({"ResultPath": "$.rows"}))
        .await;
    let mut nested = task(
        "states:startExecution.sync:2",
        json!({"StateMachineArn": child, "Name": "inner", "Input": {"a": 1}}),
    );
    nested["OutputPath"] = json!("$.Output");
    let machine = bench.states("nests", json!({"S": nested})).await;
    let execution = bench.start(&machine, "one").await;
    let token = bench.token().await;
    let success = bench.sfn.send_task_success().task_token(token);
    success.output("3").send().await.unwrap();
    let ended = bench.end(&execution).await;
    assert_eq!(ended.output.as_deref(), Some("{\"a\":1,\"rows\":3}"));

    let no_queue = task(
        "sqs:sendMessage",
        json!({"QueueUrl": "http://x/1/none", "MessageBody": "m"}),
    );
    let no_data_api = task("aws-sdk:redshiftdata:listStatements", json!({}));
    for (name, state, want) in [
        ("lost", no_queue, "SQS.QueueDoesNotExistException"),
        ("absent", no_data_api, "RedshiftData.RedshiftDataException"),
    ] {
        let machine = bench.states(name, json!({"S": state})).await;
        let ended = bench.start(&machine, "one").await;
        let ended = bench.end(&ended).await;
        assert_eq!(ended.error.as_deref(), Some(want), "{ended:?}");
    }
}

#[tokio::test]
async fn an_execution_is_redriven_from_the_state_that_failed() {
    let bench = Bench::new().await;
    let work = json!({"Type": "Task", "Resource": bench.activity, "End": true});
    let first = json!({"Type": "Pass", "Result": {"a": 1}, "Next": "W"});
    let machine = bench.states("again", json!({"S": first, "W": work})).await;
    let execution = bench.start(&machine, "one").await;
    let redrive = || {
        bench
            .sfn
            .redrive_execution()
            .execution_arn(&execution)
            .send()
    };
    let (code, message) = refused(redrive().await);
    assert_eq!(code, "ExecutionNotRedrivable");
    assert_eq!(message, "Execution is RUNNING and cannot be redriven");
    let token = bench.token().await;
    let failure = bench.sfn.send_task_failure().task_token(token);
    failure.error("Bad").send().await.unwrap();
    let failed = bench.end(&execution).await;
    assert_eq!(
        failed.redrive_status,
        Some(ExecutionRedriveStatus::Redrivable)
    );
    let redriven = redrive().await.unwrap();
    let task = bench.poll().await;
    assert_eq!(task.input.as_deref(), Some("{\"a\":1}"));
    let success = bench.sfn.send_task_success().output("2");
    success
        .task_token(task.task_token.unwrap())
        .send()
        .await
        .unwrap();
    until("it succeeds", async || {
        bench.describe(&execution).await.status == ExecutionStatus::Succeeded
    })
    .await;
    let ended = bench.describe(&execution).await;
    assert_eq!(
        (ended.redrive_count, ended.redrive_date),
        (Some(1), Some(redriven.redrive_date))
    );
    let history = bench.history(&execution).await;
    let event = history
        .iter()
        .find_map(|event| event.execution_redriven_event_details());
    assert_eq!(event.unwrap().redrive_count, Some(1));
}

#[tokio::test]
async fn tags_revisions_and_validation_go_through_the_client() {
    let bench = Bench::new().await;
    let tag = aws_sdk_sfn::types::Tag::builder()
        .key("k")
        .value("v")
        .build();
    let tagged = bench
        .sfn
        .tag_resource()
        .resource_arn(&bench.activity)
        .tags(tag);
    tagged.send().await.unwrap();
    let listed = bench
        .sfn
        .list_tags_for_resource()
        .resource_arn(&bench.activity);
    assert_eq!(listed.send().await.unwrap().tags().len(), 1);
    let untag = bench
        .sfn
        .untag_resource()
        .resource_arn(&bench.activity)
        .tag_keys("k");
    untag.send().await.unwrap();
    let nowhere = bench.sfn.list_tags_for_resource();
    let nowhere = nowhere
        .resource_arn(format!("{PREFIX}:activity:none"))
        .send();
    let nowhere = nowhere.await.unwrap_err().into_service_error();
    assert!(nowhere.is_resource_not_found(), "{nowhere:?}");
    let machine = bench.machine("kept", &json!({})).await;
    let execution = bench.start(&machine, "one").await;
    let of = bench
        .sfn
        .describe_state_machine_for_execution()
        .execution_arn(&execution);
    assert_eq!(of.send().await.unwrap().name, "kept");
    let validate = bench
        .sfn
        .validate_state_machine_definition()
        .definition("{}");
    let validated = validate.send().await.unwrap();
    assert_eq!(validated.result.as_str(), "FAIL");
    assert!(validated.diagnostics().len() >= 2, "{validated:?}");
    let version = bench
        .sfn
        .publish_state_machine_version()
        .state_machine_arn(&machine);
    let (code, message) = refused(version.send().await);
    assert_eq!(code, "UnknownOperationException");
    assert!(message.contains("PublishStateMachineVersion"), "{message}");
}
