use stepfleet_activity::VirtualClock;

use super::*;

#[derive(Default)]
struct Said(Mutex<Vec<Value>>);

impl ActionSink for Said {
    fn notify(&self, topic_arn: &str, _subject: &str, message: &str) {
        assert_eq!(topic_arn, "arn:aws:sns:eu-west-1:123456789012:t");
        let message = serde_json::from_str(message).unwrap();
        self.0.lock().unwrap().push(message);
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn cloudwatch(resolution: u64) -> (CloudWatch, Arc<Said>) {
    let context = Context {
        clock: Arc::new(VirtualClock::new(at(600))),
        account: "123456789012".to_owned(),
        region: "eu-west-1".to_owned(),
        base_url: "http://here".to_owned(),
        dir: std::path::PathBuf::new(),
        metric_resolution: Duration::from_secs(resolution),
        metric_delay: Duration::from_secs(5),
        timers: crate::timers::Timers::default(),
    };
    let said = Arc::new(Said::default());
    let sink: Arc<dyn ActionSink> = Arc::clone(&said) as Arc<dyn ActionSink>;
    (CloudWatch::new(context, sink), said)
}

fn alarm(period: i64) -> Value {
    let topic = json!(["arn:aws:sns:eu-west-1:123456789012:t"]);
    json!({
        "AlarmName": "a", "Namespace": "AWS/States", "MetricName": "ActivityScheduleTime",
        "Dimensions": [{"Name": "ActivityArn", "Value": "arn:x"}],
        "Statistic": "Average", "Period": period, "EvaluationPeriods": 1, "Threshold": 5.0,
        "ComparisonOperator": "GreaterThanThreshold", "TreatMissingData": "notBreaching",
        "AlarmActions": topic, "OKActions": topic,
    })
}

#[test]
fn an_alarm_speaks_once_per_change_and_after_the_delay() {
    let (cloudwatch, said) = cloudwatch(60);
    cloudwatch.call("PutMetricAlarm", alarm(60)).unwrap();
    let states = || -> Vec<Value> {
        let said = said.0.lock().unwrap();
        said.iter().map(|m| m["NewStateValue"].clone()).collect()
    };
    cloudwatch.evaluate(at(610));
    assert_eq!(states(), ["OK"]);
    cloudwatch.record("ActivityScheduleTime", "arn:x", 4.0, at(605));
    cloudwatch.record("ActivityScheduleTime", "arn:x", 8.0, at(659));
    // The minute is over, but its datapoint is not out yet.
    cloudwatch.evaluate(at(662));
    assert_eq!(states(), ["OK"]);
    cloudwatch.evaluate(at(725));
    cloudwatch.evaluate(at(785));
    assert_eq!(states(), ["OK", "ALARM"]);
    let message = said.0.lock().unwrap()[1].clone();
    assert_eq!(message["Region"], "EU (Ireland)");
    assert_eq!(message["OldStateValue"], "OK");
    assert_eq!(message["StateChangeTime"], "1970-01-01T00:12:05.000+0000");
    assert_eq!(
        message["Trigger"]["Dimensions"],
        json!([{"name": "ActivityArn", "value": "arn:x"}])
    );
    assert_eq!(message["Trigger"]["Statistic"], "AVERAGE");
    assert_eq!(
        message["Trigger"]["TreatMissingData"],
        "- TreatMissingData: notBreaching"
    );
}

#[test]
fn a_state_that_is_set_acts_only_when_it_differs() {
    let (cloudwatch, said) = cloudwatch(60);
    cloudwatch.call("PutMetricAlarm", alarm(60)).unwrap();
    let set = |state: &str| {
        let input = json!({"AlarmName": "a", "StateValue": state, "StateReason": "test"});
        cloudwatch.call("SetAlarmState", input).unwrap();
        said.0.lock().unwrap().len()
    };
    assert_eq!([set("ALARM"), set("ALARM"), set("OK")], [1, 1, 2]);
    let mut silent = alarm(60);
    silent["ActionsEnabled"] = false.into();
    cloudwatch.call("PutMetricAlarm", silent).unwrap();
    assert_eq!(set("ALARM"), 2);
}

#[test]
fn short_periods_are_had_only_at_a_short_resolution() {
    let (aws, _) = cloudwatch(60);
    let error = aws.call("PutMetricAlarm", alarm(10)).unwrap_err();
    assert_eq!(error.code, "ValidationException");
    let (short, _) = cloudwatch(10);
    short.call("PutMetricAlarm", alarm(10)).unwrap();
}

#[test]
fn alarms_are_listed_in_pages() {
    let (cloudwatch, _) = cloudwatch(60);
    for name in ["a", "b", "c"] {
        let mut alarm = alarm(60);
        alarm["AlarmName"] = name.into();
        cloudwatch.call("PutMetricAlarm", alarm).unwrap();
    }
    let page = |token: Option<&str>| {
        let input = json!({"MaxRecords": 2, "NextToken": token});
        let page = cloudwatch.call("DescribeAlarms", input).unwrap();
        let next = page["NextToken"].as_str().map(str::to_owned);
        (page["MetricAlarms"].as_array().unwrap().len(), next)
    };
    assert_eq!(page(None), (2, Some("b".to_owned())));
    assert_eq!(page(Some("b")), (1, None));
}
