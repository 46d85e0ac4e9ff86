//! Hours in a moment: what is waited for comes when the time is moved there.

use std::time::Duration;

use aws_sdk_cloudwatch::types::{
    ComparisonOperator, Dimension, MetricDatum, StateValue, Statistic,
};
use aws_sdk_sfn::types::{ExecutionStatus, HistoryEventType};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::aws::{self, Aws, http, until};

/// Nothing here waits for as long as it says.
const MOMENT: Duration = Duration::from_secs(30);

async fn advance(aws: &Aws, body: Value) -> Value {
    let url = format!("{}/_stepfleet/clock", aws.local.context.base_url);
    let (status, said) = http("POST", &url, &body.to_string()).await;
    assert_eq!(status, 200, "{said}");
    serde_json::from_str(&said).unwrap()
}

/// A machine of one state, and an execution of it; gives the execution's ARN.
async fn run(sfn: &aws_sdk_sfn::Client, state: Value) -> String {
    let definition = json!({"StartAt": "One", "States": {"One": state}});
    let machine = sfn.create_state_machine().name("demo-one");
    let machine = machine.definition(definition.to_string());
    let machine = machine.role_arn("arn:aws:iam::123456789012:role/any");
    let machine = machine.send().await.unwrap().state_machine_arn;
    let started = sfn.start_execution().state_machine_arn(machine);
    started.send().await.unwrap().execution_arn
}

async fn ended(sfn: &aws_sdk_sfn::Client, arn: &str) -> ExecutionStatus {
    let status = async || {
        let described = sfn.describe_execution().execution_arn(arn).send();
        described.await.unwrap().status
    };
    let running = async || status().await != ExecutionStatus::Running;
    until("the execution ends", running).await;
    status().await
}

#[tokio::test]
async fn a_heartbeat_of_an_hour_lapses_in_a_moment() {
    let began = Instant::now();
    let aws = aws::start(|_| {}).await;
    let sfn = aws_sdk_sfn::Client::new(&aws.config);
    let activity = sfn.create_activity().name("demo-a").send().await.unwrap();
    let task = json!({
        "Type": "Task", "Resource": activity.activity_arn,
        "TimeoutSeconds": 86_400, "HeartbeatSeconds": 3600, "End": true,
    });
    let execution = run(&sfn, task).await;
    let taken = sfn.get_activity_task().activity_arn(&activity.activity_arn);
    let token = taken.send().await.unwrap().task_token.unwrap();
    advance(&aws, json!({"advance": "59m"})).await;
    let beat = sfn.send_task_heartbeat().task_token(&token);
    beat.send().await.expect("an open task");
    advance(&aws, json!({"advance": "61m"})).await;
    assert_eq!(ended(&sfn, &execution).await, ExecutionStatus::Failed);
    let history = sfn.get_execution_history().execution_arn(&execution);
    let history = history.send().await.unwrap().events;
    let last = history.iter().rev().find_map(|event| {
        let details = event.activity_timed_out_event_details()?;
        (event.r#type() == &HistoryEventType::ActivityTimedOut).then(|| details.error())
    });
    assert_eq!(last, Some(Some("States.HeartbeatTimeout")), "{history:?}");
    assert!(began.elapsed() < MOMENT);
}

#[tokio::test]
async fn a_wait_and_an_open_poll_end_when_the_time_is_moved_past_them() {
    let began = Instant::now();
    let aws = aws::start(|_| {}).await;
    let sfn = aws_sdk_sfn::Client::new(&aws.config);
    let activity = sfn.create_activity().name("demo-a").send().await.unwrap();
    let wait = json!({"Type": "Wait", "Seconds": 32_400, "End": true});
    let execution = run(&sfn, wait).await;
    let poll = sfn.get_activity_task().activity_arn(&activity.activity_arn);
    let poll = tokio::spawn(poll.send());
    let open = async || aws.local.sfn.snapshot()[0].pollers == 1;
    until("the poll is open", open).await;
    let said = advance(&aws, json!({"advance": "9h"})).await;
    assert_eq!(
        (&said["ahead"], &said["aheadSeconds"]),
        (&json!("9h"), &json!(32_400.0))
    );
    assert_eq!(ended(&sfn, &execution).await, ExecutionStatus::Succeeded);
    assert!(poll.await.unwrap().unwrap().task_token.is_none());
    assert!(began.elapsed() < MOMENT);
}

#[tokio::test]
async fn a_message_timer_and_a_visibility_timeout_pass() {
    let began = Instant::now();
    let aws = aws::start(|_| {}).await;
    let sqs = aws_sdk_sqs::Client::new(&aws.config);
    let queue = sqs.create_queue().queue_name("demo").send().await.unwrap();
    let queue = queue.queue_url.unwrap();
    let sent = sqs.send_message().queue_url(&queue).message_body("later");
    sent.delay_seconds(900).send().await.unwrap();
    let receive = async |wait| {
        let received = sqs.receive_message().queue_url(&queue);
        let received = received.wait_time_seconds(wait).visibility_timeout(43_200);
        received.send().await.unwrap().messages().len()
    };
    assert_eq!(receive(0).await, 0);
    advance(&aws, json!({"advance": "890s"})).await;
    // A poll that is open hears that the time was moved.
    let (received, _) = tokio::join!(receive(20), advance(&aws, json!({"advance": "10s"})));
    assert_eq!(received, 1);
    advance(&aws, json!({"advance": "11h 59m"})).await;
    assert_eq!(receive(0).await, 0);
    advance(&aws, json!({"advance": "1m"})).await;
    assert_eq!(receive(0).await, 1);
    assert!(began.elapsed() < MOMENT);
}

#[tokio::test]
async fn an_alarms_periods_pass() {
    let began = Instant::now();
    let aws = aws::start(|_| {}).await;
    let cloudwatch = aws_sdk_cloudwatch::Client::new(&aws.config);
    let of = || Dimension::builder().name("Of").value("us").build();
    let alarm = cloudwatch
        .put_metric_alarm()
        .alarm_name("late")
        .namespace("Ours");
    let alarm = alarm
        .metric_name("Late")
        .dimensions(of())
        .statistic(Statistic::Maximum);
    let alarm = alarm
        .period(300)
        .evaluation_periods(3)
        .datapoints_to_alarm(3);
    let alarm = alarm.threshold(5.0).treat_missing_data("notBreaching");
    let alarm = alarm.comparison_operator(ComparisonOperator::GreaterThanThreshold);
    alarm.send().await.unwrap();
    let state = async || {
        let all = cloudwatch.describe_alarms().send().await.unwrap();
        all.metric_alarms()[0].state_value().cloned()
    };
    for _ in 0..3 {
        // Three periods have to be bad, and the third is not over.
        assert_ne!(state().await, Some(StateValue::Alarm));
        let value = MetricDatum::builder()
            .metric_name("Late")
            .dimensions(of())
            .value(9.0);
        let put = cloudwatch.put_metric_data().namespace("Ours");
        put.metric_data(value.build()).send().await.unwrap();
        advance(&aws, json!({"advance": "5m", "step": "1m"})).await;
    }
    let late = async || state().await == Some(StateValue::Alarm);
    until("the alarm is raised", late).await;
    advance(&aws, json!({"advance": "20m", "step": "1m"})).await;
    let fine = async || state().await == Some(StateValue::Ok);
    until("the alarm is over", fine).await;
    assert!(began.elapsed() < MOMENT);
}

#[tokio::test]
async fn what_is_no_move_is_refused_and_moves_nothing() {
    let aws = aws::start(|_| {}).await;
    let url = format!("{}/_stepfleet/clock", aws.local.context.base_url);
    for (body, said) in [
        ("9h", "allowed is {\"advance\": \"9h\"}"),
        (r#"{"advance": "soon"}"#, "found `soon`, allowed is a span"),
        (r#"{"advance": "11years"}"#, "ten years ahead"),
        (r#"{"advanced": "9h"}"#, "advanced"),
    ] {
        let (status, answer) = http("POST", &url, body).await;
        assert_eq!(status, 400, "{body}: {answer}");
        assert!(answer.contains(said), "{body}: {answer}");
    }
    let (status, answer) = http("GET", &url, "").await;
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!((status, &answer["ahead"]), (200, &json!("0s")));
}
