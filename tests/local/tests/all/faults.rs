//! What goes wrong on request, as the SDKs hear of it, and what it leaves.

use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_sdk_sfn::error::SdkError;
use serde_json::{Value, json};
use stepfleet_local::serve::{Local, LocalOptions, StartError};

use crate::aws::{self, Aws, http, refused, until};

/// A run with this plan, and clients that try once.
async fn run(plan: &str) -> (Aws, SdkConfig) {
    let aws = aws::start(|_| {}).await;
    put(&aws, plan).await;
    let once = aws
        .config
        .to_builder()
        .retry_config(RetryConfig::disabled())
        .build();
    (aws, once)
}

fn url(aws: &Aws) -> String {
    format!("{}/_stepfleet/faults", aws.local.context.base_url)
}

async fn put(aws: &Aws, plan: &str) {
    let (status, said) = http("PUT", &url(aws), plan).await;
    assert_eq!(status, 200, "{said}");
}

/// How many calls each fault matched, struck, and could not strike.
async fn counts(aws: &Aws) -> Vec<[u64; 3]> {
    let (_, report) = http("GET", &url(aws), "").await;
    let report: Value = serde_json::from_str(&report).unwrap();
    let faults = report["faults"].as_array().unwrap().iter();
    faults
        .map(|fault| ["matched", "struck", "refused"].map(|name| fault[name].as_u64().unwrap()))
        .collect()
}

async fn queue(sqs: &aws_sdk_sqs::Client, messages: &[&str]) -> String {
    let queue = sqs.create_queue().queue_name("demo").send().await.unwrap();
    let queue = queue.queue_url.unwrap();
    for message in messages {
        let sent = sqs.send_message().queue_url(&queue).message_body(*message);
        sent.send().await.unwrap();
    }
    queue
}

async fn receive(sqs: &aws_sdk_sqs::Client, queue: &str) -> Vec<aws_sdk_sqs::types::Message> {
    let received = sqs.receive_message().queue_url(queue).send().await;
    received.unwrap().messages.unwrap_or_default()
}

#[tokio::test]
async fn each_service_throttles_in_its_own_words() {
    let (aws, once) = run("faults: [{on: '*', throttle: true}]").await;
    let refusals = [
        refused(
            aws_sdk_sfn::Client::new(&once)
                .list_activities()
                .send()
                .await,
        ),
        refused(aws_sdk_sqs::Client::new(&once).list_queues().send().await),
        refused(aws_sdk_sns::Client::new(&once).list_topics().send().await),
        refused(
            aws_sdk_cloudwatch::Client::new(&once)
                .describe_alarms()
                .send()
                .await,
        ),
        refused(aws_sdk_s3::Client::new(&once).list_buckets().send().await),
        refused(
            aws_sdk_redshiftdata::Client::new(&once)
                .list_statements()
                .send()
                .await,
        ),
    ];
    let codes: Vec<&str> = refusals.iter().map(|(code, _)| code.as_str()).collect();
    let expected = [
        "ThrottlingException",
        "RequestThrottled",
        "Throttling",
        "Throttling",
        "SlowDown",
        "ThrottlingException",
    ];
    assert_eq!(codes, expected);
    assert!(
        refusals
            .iter()
            .all(|(_, message)| message.contains("Rate exceeded"))
    );
    assert_eq!(counts(&aws).await, [[6, 6, 0]]);
}

#[tokio::test]
async fn an_error_is_answered_in_the_protocol_that_was_spoken_and_clients_retry_it() {
    let plan = "faults: [{on: '*', when: {first: 6}, error: {code: Outage, status: 503}}]";
    let (aws, once) = run(plan).await;
    let sns = aws_sdk_sns::Client::new(&once);
    let s3 = aws_sdk_s3::Client::new(&once);
    let cloudwatch = aws_sdk_cloudwatch::Client::new(&once);
    let sfn = aws_sdk_sfn::Client::new(&once);
    assert_eq!(refused(sns.list_topics().send().await).0, "Outage");
    assert_eq!(refused(s3.list_buckets().send().await).0, "Outage");
    assert_eq!(
        refused(cloudwatch.describe_alarms().send().await).0,
        "Outage"
    );
    let error = sfn.list_activities().send().await.unwrap_err();
    let status = error
        .raw_response()
        .map(|response| response.status().as_u16());
    assert_eq!(status, Some(503));
    let patient = aws_sdk_sfn::Client::new(&aws.config);
    patient
        .list_activities()
        .send()
        .await
        .expect("the third try is fine");
    assert_eq!(counts(&aws).await, [[7, 6, 0]]);
}

#[tokio::test]
async fn a_hang_up_leaves_no_answer_and_the_effect_only_after_it() {
    let plan = "faults: [{on: states:CreateActivity, resource: first, hang_up: before},
        {on: states:CreateActivity, resource: second, hang_up: after}]";
    let (aws, once) = run(plan).await;
    let sfn = aws_sdk_sfn::Client::new(&once);
    for name in ["first", "second", "third"] {
        let made = sfn.create_activity().name(name).send().await;
        let unheard = matches!(made, Err(SdkError::DispatchFailure(_)));
        assert_eq!(unheard, name != "third", "{name}: {made:?}");
    }
    let listed = sfn.list_activities().send().await.unwrap().activities;
    let names: Vec<_> = listed
        .iter()
        .map(|activity| activity.name.as_str())
        .collect();
    assert_eq!(names, ["second", "third"]);
    assert_eq!(counts(&aws).await, [[1, 1, 0], [1, 1, 0]]);
}

#[tokio::test]
async fn a_duplicate_has_its_effect_twice_and_the_first_answer_is_heard() {
    let plan = "faults: [{on: sqs:SendMessage, duplicate: true},
        {on: s3:PutObject, resource: data/once, duplicate: true},
        {on: states:SendTaskSuccess, duplicate: true}]";
    let (aws, once) = run(plan).await;
    let sqs = aws_sdk_sqs::Client::new(&once);
    let queue = queue(&sqs, &["twice"]).await;
    assert_eq!(
        (
            receive(&sqs, &queue).await.len(),
            receive(&sqs, &queue).await.len()
        ),
        (1, 1)
    );
    assert_eq!(receive(&sqs, &queue).await.len(), 0);
    let s3 = aws_sdk_s3::Client::from_conf(
        aws_sdk_s3::config::Builder::from(&once)
            .force_path_style(true)
            .build(),
    );
    aws.local.s3.create_bucket("data").unwrap();
    // The second fails on its condition, and nobody hears it.
    let put = s3
        .put_object()
        .bucket("data")
        .key("once")
        .if_none_match("*");
    put.body(aws_sdk_s3::primitives::ByteStream::from_static(b"once"))
        .send()
        .await
        .expect("the first is fine");
    assert_eq!(aws.local.s3.get("data", "once").await.unwrap(), "once");
    assert_eq!(counts(&aws).await[..2], [[1, 1, 0], [1, 1, 0]]);
}

#[tokio::test]
async fn a_message_is_delivered_twice_and_deleted_once() {
    let (aws, once) =
        run("faults: [{on: sqs:ReceiveMessage, when: {nth: 1}, duplicate: true}]").await;
    let sqs = aws_sdk_sqs::Client::new(&once);
    let queue = queue(&sqs, &[]).await;
    assert!(
        receive(&sqs, &queue).await.is_empty(),
        "which does not count"
    );
    sqs.send_message()
        .queue_url(&queue)
        .message_body("m")
        .send()
        .await
        .unwrap();
    let first = receive(&sqs, &queue).await.remove(0);
    let delete = sqs.delete_message().queue_url(&queue);
    delete
        .set_receipt_handle(first.receipt_handle)
        .send()
        .await
        .unwrap();
    let second = receive(&sqs, &queue).await.remove(0);
    assert_eq!(first.message_id, second.message_id);
    assert!(receive(&sqs, &queue).await.is_empty());
    assert_eq!(counts(&aws).await, [[2, 1, 0]]);
}

#[tokio::test]
async fn messages_lose_their_order_and_nothing_else() {
    let (aws, once) =
        run("faults: [{on: sqs:ReceiveMessage, when: {first: 1}, reorder: true}]").await;
    let sqs = aws_sdk_sqs::Client::new(&once);
    let queue = queue(&sqs, &["one", "two"]).await;
    let mut bodies = Vec::new();
    for _ in 0..2 {
        bodies.extend(
            receive(&sqs, &queue)
                .await
                .into_iter()
                .filter_map(|one| one.body),
        );
    }
    assert_eq!(bodies, ["two", "one"]);
    assert_eq!(counts(&aws).await, [[2, 1, 0]]);
}

#[tokio::test]
async fn what_is_lost_comes_back_when_its_time_is_over() {
    let plan =
        "faults: [{on: states:GetActivityTask, resource: demo-a, when: {nth: 1}, lose: true},
        {on: sqs:ReceiveMessage, when: {nth: 1}, lose: true}]";
    let (aws, once) = run(plan).await;
    let (sfn, sqs) = (
        aws_sdk_sfn::Client::new(&once),
        aws_sdk_sqs::Client::new(&once),
    );
    let activity = sfn
        .create_activity()
        .name("demo-a")
        .send()
        .await
        .unwrap()
        .activity_arn;
    let retry = json!([{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 1, "MaxAttempts": 1}]);
    let task = json!({"Type": "Task", "Resource": activity, "TimeoutSeconds": 3600,
        "Retry": retry, "End": true});
    let definition = json!({"StartAt": "T", "States": {"T": task}}).to_string();
    let machine = sfn.create_state_machine().name("m").definition(definition);
    let machine = machine
        .role_arn("arn:aws:iam::123456789012:role/any")
        .send()
        .await
        .unwrap();
    let start = sfn
        .start_execution()
        .state_machine_arn(machine.state_machine_arn);
    start.send().await.unwrap();
    let running = async || aws.local.sfn.snapshot()[0].waiting == 1;
    until("the task is scheduled", running).await;
    let poll = async || {
        let polled = sfn.get_activity_task().activity_arn(&activity).send().await;
        polled.unwrap().task_token.is_some()
    };
    assert!(!poll().await, "it is lost");
    assert_eq!(aws.local.sfn.snapshot()[0].running, 1);
    let clock = format!("{}/_stepfleet/clock", aws.local.context.base_url);
    http("POST", &clock, r#"{"advance": "2h", "step": "30m"}"#).await;
    assert!(poll().await, "the next attempt is handed out");

    let queue = queue(&sqs, &["m"]).await;
    assert!(receive(&sqs, &queue).await.is_empty(), "it is lost");
    http("POST", &clock, r#"{"advance": "30s"}"#).await;
    let message = receive(&sqs, &queue).await.remove(0);
    assert_eq!(message.body(), Some("m"));
    assert_eq!(counts(&aws).await, [[2, 1, 0], [2, 1, 0]]);
}

#[tokio::test]
async fn latency_holds_a_call_up_in_the_time_that_tests_move() {
    let (aws, once) = run("faults: [{on: states:ListActivities, latency: 30m}]").await;
    let sfn = aws_sdk_sfn::Client::new(&once);
    let mut slow = tokio::spawn(sfn.list_activities().send());
    let struck = async || counts(&aws).await == [[1, 0, 0]];
    until("the call is held up", struck).await;
    let soon = tokio::time::timeout(Duration::from_millis(200), &mut slow).await;
    assert!(soon.is_err(), "it was not held up");
    let clock = format!("{}/_stepfleet/clock", aws.local.context.base_url);
    http("POST", &clock, r#"{"advance": "30m"}"#).await;
    slow.await.unwrap().unwrap();
    assert_eq!(counts(&aws).await, [[1, 1, 0]]);
}

#[tokio::test]
async fn a_report_belongs_to_its_tasks_activity() {
    let plan = "faults: [{on: states:SendTaskHeartbeat, resource: demo-b, throttle: true}]";
    let (_aws, once) = run(plan).await;
    let sfn = aws_sdk_sfn::Client::new(&once);
    let mut refusals = Vec::new();
    for name in ["demo-a", "demo-b"] {
        let activity = sfn
            .create_activity()
            .name(name)
            .send()
            .await
            .unwrap()
            .activity_arn;
        let task = json!({"Type": "Task", "Resource": activity, "End": true});
        let definition = json!({"StartAt": "T", "States": {"T": task}}).to_string();
        let machine = sfn.create_state_machine().name(name).definition(definition);
        let machine = machine
            .role_arn("arn:aws:iam::123456789012:role/any")
            .send()
            .await
            .unwrap();
        let start = sfn
            .start_execution()
            .state_machine_arn(machine.state_machine_arn);
        start.send().await.unwrap();
        let poll = sfn
            .get_activity_task()
            .activity_arn(activity)
            .send()
            .await
            .unwrap();
        let beat = sfn
            .send_task_heartbeat()
            .set_task_token(poll.task_token)
            .send()
            .await;
        refusals.push(beat.is_err());
    }
    assert_eq!(refusals, [false, true]);
}

/// The caller of the tests below: a process of its own, which makes activities.
#[tokio::test]
#[ignore = "run by the tests that kill it"]
async fn caller() {
    let url = std::env::var("STEPFLEET_TEST_URL").unwrap();
    let config = aws::config(&url).await;
    let sfn = aws_sdk_sfn::Client::new(&config);
    for name in ["one", "two", "three", "four"] {
        sfn.create_activity().name(name).send().await.unwrap();
    }
}

/// Runs the caller; gives the signal that ended it.
async fn call(aws: &Aws) -> Option<i32> {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "faults::caller", "--ignored"]);
    command.env("STEPFLEET_TEST_URL", &aws.local.context.base_url);
    let ended = tokio::task::spawn_blocking(move || command.output().unwrap());
    let ended = ended.await.unwrap();
    let (status, said) = (ended.status, String::from_utf8_lossy(&ended.stdout));
    assert!(status.signal().is_some() || status.success(), "{said}");
    status.signal()
}

#[tokio::test]
async fn the_caller_is_killed_before_or_after_its_effect() {
    for (moment, made) in [("before", 2), ("after", 3)] {
        let plan =
            format!("faults: [{{on: states:CreateActivity, when: {{nth: 3}}, kill: {moment}}}]");
        let (aws, _) = run(&plan).await;
        assert_eq!(call(&aws).await, Some(9), "{moment}");
        assert_eq!(aws.local.sfn.snapshot().len(), made, "{moment}");
        assert_eq!(counts(&aws).await, [[3, 1, 0]]);
        assert_eq!(
            call(&aws).await,
            None,
            "it is run again, and nothing is left to strike"
        );
        assert_eq!(aws.local.sfn.snapshot().len(), 4);
    }
}

#[tokio::test]
async fn each_caller_has_a_count_of_its_own() {
    let (aws, _) = run("faults: [{on: states:*, when: {nth: 2}, per: caller, kill: after}]").await;
    for run in 1..=2 {
        assert_eq!(call(&aws).await, Some(9), "run {run}");
        assert_eq!(counts(&aws).await, [[2 * run, run, 0]]);
    }
}

#[tokio::test]
async fn a_kill_of_this_process_is_refused_and_said() {
    for moment in ["before", "after"] {
        let plan = format!("faults: [{{name: crash, on: states:*, kill: {moment}}}]");
        let (aws, once) = run(&plan).await;
        let sfn = aws_sdk_sfn::Client::new(&once);
        let (code, message) = refused(sfn.create_activity().name("a").send().await);
        assert_eq!(code, "FaultRefused");
        assert!(
            message.contains("`crash`") && message.contains("itself"),
            "{message}"
        );
        assert!(aws.local.sfn.snapshot().is_empty(), "nothing was done");
        assert_eq!(counts(&aws).await, [[1, 0, 1]]);
    }
}

#[tokio::test]
async fn a_plan_is_replaced_whole_and_a_bad_one_changes_nothing() {
    let (aws, once) = run("faults: [{on: states:*, throttle: true}]").await;
    let sfn = aws_sdk_sfn::Client::new(&once);
    let (status, said) = http(
        "PUT",
        &url(&aws),
        "faults: [{on: states:Nothing, lose: true}]",
    )
    .await;
    assert_eq!(status, 400);
    assert!(
        said.contains("the plan: faults[0].on: found `Nothing`"),
        "{said}"
    );
    assert!(sfn.list_activities().send().await.is_err());
    put(
        &aws,
        "faults: [{on: states:CreateActivity, throttle: true}]",
    )
    .await;
    sfn.list_activities().send().await.expect("another plan");
    assert_eq!(counts(&aws).await, [[0, 0, 0]]);
    assert_eq!(http("DELETE", &url(&aws), "").await.0, 204);
    sfn.create_activity()
        .name("a")
        .send()
        .await
        .expect("no plan");
    assert!(counts(&aws).await.is_empty());
}

#[tokio::test]
async fn a_file_of_faults_is_read_at_the_start_or_says_what_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("faults.yaml");
    std::fs::write(&file, "faults: [{on: states:*, trottle: true}]").unwrap();
    let mut options = LocalOptions::new(dir.path().join("run"));
    options.faults = Some(file.clone());
    let error = Local::start(options).await.err().unwrap();
    let said = error.to_string();
    assert!(matches!(error, StartError::Usage(_)), "{said}");
    assert!(said.contains("faults.yaml: faults[0].trottle"), "{said}");
    std::fs::write(&file, "faults: [{on: states:*, throttle: true}]").unwrap();
    let aws = aws::start(|options| options.faults = Some(file)).await;
    assert_eq!(counts(&aws).await, [[0, 0, 0]]);
}
