//! Signals as they come, true and forged.

use serde_json::{Value, json};
use stepfleet_activity::catalogue::{self, Delivery, ReadOptions};

use super::*;
use crate::record::Level;

const CATALOGUE: &str = r#"
version: 1
fleet: demo
aws: {account: "123456789012", region: eu-west-1}
signals: {max_age: 15m, period: 60s}
warehouses: {main: {workgroup: analytics, database: dev}}
deployments:
  s3-load: {replicas: {min: 1, max: 5}}
activities:
  s3-load: {handler: etl.s3-load, deployment: s3-load}
"#;
const ACTIVITY: &str = "arn:aws:states:eu-west-1:123456789012:activity:demo-s3-load";
const NOW: &str = "2026-01-01T12:00:00Z";

/// Of a fleet whose signals come in that form.
fn trust(delivery: &str) -> Trust {
    let text = CATALOGUE.replace("period: 60s", &format!("period: 60s, delivery: {delivery}"));
    let read = catalogue::parse("fleet.yaml", &text, &ReadOptions::default());
    Trust::of(&read.unwrap_or_else(|faults| panic!("{faults}")))
}

/// As AWS sends it; `Region` is a display name there.
fn raw() -> Value {
    json!({
        "AlarmName": "demo-s3-load-out",
        "AlarmDescription": null,
        "AWSAccountId": "123456789012",
        "NewStateValue": "ALARM",
        "NewStateReason": "Threshold Crossed",
        "StateChangeTime": "2026-01-01T11:59:00.123+0000",
        "Region": "EU (Ireland)",
        "AlarmArn": "arn:aws:cloudwatch:eu-west-1:123456789012:alarm:demo-s3-load-out",
        "OldStateValue": "OK",
        "OKActions": [],
        "Trigger": {
            "MetricName": "ActivityScheduleTime",
            "Namespace": "AWS/States",
            "StatisticType": "Statistic",
            "Statistic": "AVERAGE",
            "Unit": null,
            "Dimensions": [{"value": ACTIVITY, "name": "ActivityArn"}],
            "TreatMissingData": "- TreatMissingData: notBreaching",
        }
    })
}

fn enveloped(message: &Value, topic: &str) -> Value {
    json!({"Type": "Notification", "MessageId": "m", "TopicArn": topic, "Message": message.to_string(), "SignatureVersion": "1"})
}

fn starved() -> Value {
    let metric = |id: &str, name: &str| {
        json!({"Id": id, "MetricStat": {"Metric": {"MetricName": name, "Namespace": "AWS/States",
            "Dimensions": [{"name": "ActivityArn", "value": ACTIVITY}]}, "Period": 60, "Stat": "Sum"}, "ReturnData": false})
    };
    let mut message = raw();
    message["AlarmName"] = json!("demo-s3-load-starved");
    message["AlarmArn"] =
        json!("arn:aws:cloudwatch:eu-west-1:123456789012:alarm:demo-s3-load-starved");
    message["Trigger"] = json!({"Period": 60, "Metrics": [
        {"Id": "e", "Expression": "IF(FILL(scheduled,0) > 0 AND FILL(started,0) == 0, 1, 0)", "ReturnData": true},
        metric("scheduled", "ActivitiesScheduled"), metric("started", "ActivitiesStarted")]});
    message
}

fn event() -> Value {
    json!({
        "version": "0", "source": "aws.cloudwatch", "detail-type": "CloudWatch Alarm State Change",
        "account": "123456789012", "region": "eu-west-1", "time": "2026-01-01T11:59:00Z",
        "resources": ["arn:aws:cloudwatch:eu-west-1:123456789012:alarm:demo-s3-load-out"],
        "detail": {
            "alarmName": "demo-s3-load-out",
            "state": {"value": "ALARM", "reason": "r", "reasonData": "{}", "timestamp": "2026-01-01T11:59:00.123+0000"},
            "previousState": {"value": "OK", "timestamp": "2026-01-01T11:00:00.000+0000"},
            "configuration": {"metrics": [{"id": "m", "metricStat": {"metric": {"namespace": "AWS/States",
                "name": "ActivityScheduleTime", "dimensions": {"ActivityArn": ACTIVITY}}, "period": 60, "stat": "Average"}, "returnData": true}]}
        }
    })
}

fn check(message: &Value) -> Result<Signal, Rejection> {
    let claim = parse(&message.to_string()).expect("an alarm's change");
    let delivery = match claim.form {
        Form::Raw => "raw",
        Form::Event => "eventbridge",
        Form::Enveloped | Form::EventEnveloped => "sns",
    };
    check_by(delivery, message)
}

fn check_by(delivery: &str, message: &Value) -> Result<Signal, Rejection> {
    let claim = parse(&message.to_string()).expect("an alarm's change");
    trust(delivery).check(&claim, NOW.parse().expect("a time"))
}

fn changed(path: &str, value: Value) -> Value {
    let mut message = raw();
    *message.pointer_mut(path).expect("a field") = value;
    message
}

#[test]
fn every_form_is_understood() {
    let topic = "arn:aws:sns:eu-west-1:123456789012:demo-signals";
    let mut old = raw();
    old.as_object_mut().expect("an object").remove("AlarmArn");
    let forms = [
        ("raw", raw()),
        ("enveloped", enveloped(&raw(), topic)),
        ("EventBridge", event()),
        ("without an ARN", old),
        ("Region as a code", changed("/Region", json!("eu-west-1"))),
        (
            "Region as an emulator says it",
            changed("/Region", json!("Us east 1")),
        ),
    ];
    for (name, message) in forms {
        let signal = check(&message).unwrap_or_else(|reason| panic!("{name}: {reason:?}"));
        assert_eq!(signal.change.level, Level::Alarm, "{name}");
        assert_eq!(
            signal.change.since.to_string(),
            "2026-01-01T11:59:00.123Z",
            "{name}"
        );
        assert_eq!(
            (signal.alarm.as_str(), signal.deployment.as_str()),
            ("demo-s3-load-out", "s3-load")
        );
    }
    assert!(
        check(&starved()).is_ok(),
        "metric math: {:?}",
        check(&starved())
    );
}

#[test]
fn only_the_form_that_the_catalogue_names_is_taken() {
    let topic = "arn:aws:sns:eu-west-1:123456789012:demo-signals";
    let forms = [
        ("sns", enveloped(&raw(), topic)),
        ("raw", raw()),
        ("eventbridge", event()),
        ("none", enveloped(&event(), topic)),
    ];
    for delivery in ["sns", "raw", "eventbridge"] {
        for (form, message) in &forms {
            let checked = check_by(delivery, message).map(|signal| signal.change.level);
            let want = if *form == delivery {
                Ok(Level::Alarm)
            } else {
                Err(Rejection::WrongForm)
            };
            assert_eq!(checked, want, "{form} where {delivery} is said");
        }
    }
    let unsaid = catalogue::parse("f", CATALOGUE, &ReadOptions::default()).expect("good");
    let claim = parse(&raw().to_string()).expect("a change");
    let now = NOW.parse().expect("a time");
    let checked = Trust::of(&unsaid).check(&claim, now);
    assert_eq!(checked, Err(Rejection::WrongForm), "sns by default");
}

#[test]
fn a_message_that_no_alarm_can_have_sent_is_not_read() {
    let long = changed("/NewStateReason", json!("x".repeat(LONGEST)));
    assert_eq!(parse(&long.to_string()), Err(ParseError::TooLong));
    let deep = format!("{}{}", "[".repeat(30_000), "]".repeat(30_000));
    assert_eq!(parse(&deep), Err(ParseError::NotJson));
}

#[test]
fn what_does_not_match_the_catalogue_is_rejected() {
    use Rejection::*;
    let other = "arn:aws:states:eu-west-1:123456789012:activity:demo-other";
    let mut no_metric = raw();
    no_metric
        .as_object_mut()
        .expect("an object")
        .remove("Trigger");
    let mut more = starved();
    more["Trigger"]["Metrics"][1]["MetricStat"]["Metric"]["MetricName"] = json!("ActivitiesFailed");
    let cases = [
        (
            "forged name",
            changed("/AlarmName", json!("prod-s3-load-out")),
            UnknownAlarm,
        ),
        (
            "another alarm's name",
            changed("/AlarmName", json!("demo-s3-load-in")),
            WrongArn,
        ),
        (
            "another account",
            changed("/AWSAccountId", json!("210987654321")),
            WrongAccount,
        ),
        (
            "no account",
            changed("/AWSAccountId", Value::Null),
            WrongAccount,
        ),
        (
            "another region",
            changed("/Region", json!("us-east-1")),
            WrongRegion,
        ),
        (
            "another region's ARN",
            changed(
                "/AlarmArn",
                json!("arn:aws:cloudwatch:us-east-1:123456789012:alarm:demo-s3-load-out"),
            ),
            WrongArn,
        ),
        (
            "another topic",
            enveloped(&raw(), "arn:aws:sns:eu-west-1:123456789012:other"),
            WrongTopic,
        ),
        (
            "a topic that is none",
            {
                let mut envelope = enveloped(&raw(), "");
                envelope["TopicArn"] = json!(7);
                envelope
            },
            WrongTopic,
        ),
        (
            "another metric",
            changed("/Trigger/MetricName", json!("ActivityRunTime")),
            WrongMetric,
        ),
        (
            "another namespace",
            changed("/Trigger/Namespace", json!("mine")),
            WrongMetric,
        ),
        ("no metric", no_metric, WrongMetric),
        ("another metric in the math", more, WrongMetric),
        (
            "another activity",
            changed("/Trigger/Dimensions/0/value", json!(other)),
            WrongDimension,
        ),
        (
            "no dimension",
            changed("/Trigger/Dimensions", json!([])),
            WrongDimension,
        ),
        (
            "too old",
            changed("/StateChangeTime", json!("2026-01-01T11:44:59.999+0000")),
            TooOld,
        ),
        (
            "not yet",
            changed("/StateChangeTime", json!("2026-01-01T12:05:01.000+0000")),
            FromTheFuture,
        ),
    ];
    for (name, message, reason) in cases {
        assert_eq!(check(&message), Err(reason), "{name}");
    }
}

#[test]
fn what_is_no_change_of_an_alarm_is_left_alone_and_not_shown() {
    let other_event = |field: &str| {
        let mut event = event();
        event[field] = json!("secret");
        event
    };
    let cases = [
        "secret".to_owned(),
        "{}".to_owned(),
        json!({"secret": 1}).to_string(),
        enveloped(&json!("secret"), "t").to_string(),
        other_event("source").to_string(),
        other_event("detail-type").to_string(),
        enveloped(&other_event("source"), "t").to_string(),
        changed("/NewStateValue", json!("secret")).to_string(),
        changed("/StateChangeTime", json!("secret")).to_string(),
        changed("/AlarmName", json!(["secret"])).to_string(),
    ];
    for text in cases {
        let error = parse(&text).expect_err(&text).to_string();
        assert!(!error.contains("secret"), "{error}");
    }
}

#[test]
fn the_documentation_has_every_reason_and_every_form() {
    let text = include_str!("../../../docs/signals.md");
    let table = |head: &str| -> Vec<&str> {
        let lines = text.lines().skip_while(|line| !line.starts_with(head));
        let rows = lines.skip(2).take_while(|line| line.starts_with('|'));
        rows.filter_map(|row| row.split('`').nth(1)).collect()
    };
    let reasons = Rejection::ALL.map(Rejection::as_str);
    assert_eq!(table("| reason |"), reasons);
    let forms = [Delivery::Sns, Delivery::Raw, Delivery::EventBridge];
    assert_eq!(table("| `signals.delivery` |"), forms.map(Delivery::as_str));
}
