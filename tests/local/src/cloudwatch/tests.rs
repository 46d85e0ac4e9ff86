mod metrics;

use serde_json::json;
use stepfleet_activity::VirtualClock;

use super::*;

#[derive(Default)]
struct Said(Mutex<Vec<Value>>);

impl ActionSink for Said {
    fn notify(&self, topic_arn: &str, _: &str, message: &str) -> Result<(), AwsError> {
        if topic_arn != "arn:aws:sns:eu-west-1:123456789012:t" {
            return Err(AwsError::new("NotFound", "Topic does not exist"));
        }
        let message = serde_json::from_str(message).unwrap();
        self.0.lock().unwrap().push(message);
        Ok(())
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

#[test]
fn an_alarm_may_watch_a_percentile() {
    let (cloudwatch, said) = cloudwatch(60);
    let mut input = alarm(60);
    input["Statistic"] = Value::Null;
    input["ExtendedStatistic"] = "p90".into();
    cloudwatch.call("PutMetricAlarm", input.clone()).unwrap();
    for value in 0..10 {
        // Of 0 to 9 the 90th percentile is 8, and the average is 4.5.
        cloudwatch.record("ActivityScheduleTime", "arn:x", f64::from(value), at(600));
    }
    cloudwatch.evaluate(at(725));
    let message = said.0.lock().unwrap()[0].clone();
    assert_eq!(message["NewStateValue"], "ALARM");
    assert!(
        message["NewStateReason"]
            .as_str()
            .unwrap()
            .contains("[8.0 ")
    );
    assert_eq!(message["Trigger"]["StatisticType"], "ExtendedStatistic");
    assert_eq!(message["Trigger"]["ExtendedStatistic"], "p90");
    let shown = cloudwatch.call("DescribeAlarms", json!({})).unwrap();
    assert_eq!(shown["MetricAlarms"][0]["ExtendedStatistic"], "p90");
    for (name, value) in [
        ("Statistic", json!("Sum")),
        ("ExtendedStatistic", json!("Sum")),
        ("ExtendedStatistic", json!("tm99")),
        ("EvaluateLowSampleCountPercentile", json!("ignore")),
        ("ThresholdMetricId", json!("m1")),
    ] {
        let mut wrong = input.clone();
        wrong[name] = value;
        let refused = cloudwatch.call("PutMetricAlarm", wrong.clone());
        assert_eq!(refused.unwrap_err().code, "ValidationException", "{wrong}");
    }
}

#[test]
fn actions_are_turned_off_and_on() {
    let (cloudwatch, said) = cloudwatch(60);
    cloudwatch.call("PutMetricAlarm", alarm(60)).unwrap();
    let names = json!({"AlarmNames": ["a", "not there"]});
    let set = |state: &str| {
        let input = json!({"AlarmName": "a", "StateValue": state, "StateReason": "test"});
        cloudwatch.call("SetAlarmState", input).unwrap();
        said.0.lock().unwrap().len()
    };
    cloudwatch
        .call("DisableAlarmActions", names.clone())
        .unwrap();
    assert_eq!(set("ALARM"), 0);
    let shown = cloudwatch.call("DescribeAlarms", json!({})).unwrap();
    assert_eq!(shown["MetricAlarms"][0]["ActionsEnabled"], false);
    cloudwatch.call("EnableAlarmActions", names).unwrap();
    assert_eq!(set("OK"), 1);
}

#[test]
fn the_history_tells_what_happened() {
    let (cloudwatch, _) = cloudwatch(60);
    let mut input = alarm(60);
    let gone = "arn:aws:sns:eu-west-1:123456789012:gone";
    input["OKActions"] = json!([gone]);
    cloudwatch.call("PutMetricAlarm", input.clone()).unwrap();
    for state in ["ALARM", "OK"] {
        let input = json!({"AlarmName": "a", "StateValue": state, "StateReason": state});
        cloudwatch.call("SetAlarmState", input).unwrap();
    }
    cloudwatch.call("PutMetricAlarm", input.clone()).unwrap();
    input["AlarmName"] = "b".into();
    cloudwatch.call("PutMetricAlarm", input).unwrap();
    cloudwatch
        .call("DeleteAlarms", json!({"AlarmNames": ["a"]}))
        .unwrap();
    let history = |input: Value| {
        let output = cloudwatch.call("DescribeAlarmHistory", input).unwrap();
        let items = output["AlarmHistoryItems"].as_array().unwrap().clone();
        let next = output.get("NextToken").cloned();
        (items, next)
    };
    let told = |items: &[Value]| -> Vec<String> {
        let summaries = items
            .iter()
            .filter_map(|item| item["HistorySummary"].as_str());
        summaries.map(str::to_owned).collect()
    };
    let topic = "arn:aws:sns:eu-west-1:123456789012:t";
    let all = [
        "Alarm \"a\" created".to_owned(),
        "Alarm updated from INSUFFICIENT_DATA to ALARM".to_owned(),
        format!("Successfully executed action {topic}"),
        "Alarm updated from ALARM to OK".to_owned(),
        format!("Failed to execute action {gone}. Received error: \"Topic does not exist\""),
        "Alarm \"a\" updated".to_owned(),
        "Alarm \"a\" deleted".to_owned(),
    ];
    let of_a = json!({"AlarmName": "a", "ScanBy": "TimestampAscending"});
    assert_eq!(told(&history(of_a).0), all);
    let table = [
        (json!({"HistoryItemType": "StateUpdate"}), vec![3, 1]),
        (json!({"HistoryItemType": "Action"}), vec![4, 2]),
        (
            json!({"AlarmName": "a", "HistoryItemType": "ConfigurationUpdate"}),
            vec![6, 5, 0],
        ),
        (json!({"AlarmTypes": ["CompositeAlarm"]}), vec![]),
        (json!({"AlarmName": "a", "EndDate": 599}), vec![]),
        (json!({"AlarmName": "a", "StartDate": 601}), vec![]),
    ];
    for (input, wanted) in table {
        let wanted: Vec<&String> = wanted.into_iter().map(|at: usize| &all[at]).collect();
        assert_eq!(
            told(&history(input.clone()).0).iter().collect::<Vec<_>>(),
            wanted,
            "{input}"
        );
    }
    let (updates, _) = history(json!({"HistoryItemType": "StateUpdate"}));
    let data: Value = serde_json::from_str(updates[0]["HistoryData"].as_str().unwrap()).unwrap();
    assert_eq!(data["oldState"]["stateReason"], "ALARM");
    assert_eq!(data["newState"]["stateValue"], "OK");
    for order in ["TimestampAscending", "TimestampDescending"] {
        let mut input = json!({"MaxRecords": 3, "ScanBy": order});
        let mut count = 0;
        loop {
            let (items, next) = history(input.clone());
            count += items.len();
            match next {
                Some(next) => input["NextToken"] = next,
                None => break,
            }
        }
        assert_eq!(count, 8, "{order}");
    }
}

#[test]
fn alarms_are_found_by_metric_and_action_and_have_tags() {
    let (cloudwatch, _) = cloudwatch(60);
    let mut input = alarm(60);
    input["Tags"] = json!([{"Key": "k", "Value": "v"}]);
    cloudwatch.call("PutMetricAlarm", input).unwrap();
    let count = |operation: &str, more: Value| {
        let mut input = match operation {
            "DescribeAlarms" => json!({}),
            _ => json!({
                "Namespace": "AWS/States", "MetricName": "ActivityScheduleTime",
                "Dimensions": [{"Name": "ActivityArn", "Value": "arn:x"}],
            }),
        };
        for (name, value) in more.as_object().unwrap() {
            input[name] = value.clone();
        }
        let output = cloudwatch.call(operation, input).unwrap();
        output["MetricAlarms"].as_array().unwrap().len()
    };
    for (operation, more, wanted) in [
        ("DescribeAlarmsForMetric", json!({}), 1),
        (
            "DescribeAlarmsForMetric",
            json!({"Statistic": "Average", "Period": 60}),
            1,
        ),
        ("DescribeAlarmsForMetric", json!({"Statistic": "Sum"}), 0),
        (
            "DescribeAlarmsForMetric",
            json!({"ExtendedStatistic": "p90"}),
            0,
        ),
        ("DescribeAlarmsForMetric", json!({"Period": 10}), 0),
        ("DescribeAlarmsForMetric", json!({"Dimensions": []}), 0),
        ("DescribeAlarmsForMetric", json!({"MetricName": "x"}), 0),
        (
            "DescribeAlarms",
            json!({"ActionPrefix": "arn:aws:sns:eu-west-1"}),
            1,
        ),
        (
            "DescribeAlarms",
            json!({"ActionPrefix": "arn:aws:sns:eu-west-2"}),
            0,
        ),
        (
            "DescribeAlarms",
            json!({"AlarmTypes": ["CompositeAlarm"]}),
            0,
        ),
    ] {
        assert_eq!(count(operation, more.clone()), wanted, "{operation} {more}");
    }
    let arn = "arn:aws:cloudwatch:eu-west-1:123456789012:alarm:a";
    let tags = json!([{"Key": "k", "Value": "w"}, {"Key": "l", "Value": "x"}]);
    let tag = json!({"ResourceARN": arn, "Tags": tags});
    cloudwatch.call("TagResource", tag).unwrap();
    let listed = || {
        let list = json!({"ResourceARN": arn});
        cloudwatch.call("ListTagsForResource", list).unwrap()["Tags"].clone()
    };
    assert_eq!(listed(), tags);
    // What is put again keeps the tags that it has.
    cloudwatch.call("PutMetricAlarm", alarm(60)).unwrap();
    let untag = json!({"ResourceARN": arn, "TagKeys": ["k"]});
    cloudwatch.call("UntagResource", untag).unwrap();
    assert_eq!(listed(), json!([{"Key": "l", "Value": "x"}]));
    let none = json!({"ResourceARN": "arn:none"});
    let refused = cloudwatch.call("ListTagsForResource", none).unwrap_err();
    assert_eq!(refused.code, "ResourceNotFoundException");
    let refused = cloudwatch.call("PutCompositeAlarm", json!({})).unwrap_err();
    assert!(refused.message.contains("PutCompositeAlarm"), "{refused}");
}
