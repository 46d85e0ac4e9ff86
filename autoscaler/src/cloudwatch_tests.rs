//! CloudWatch over a scripted endpoint: batches, pages, and what is not known.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use stepfleet_activity::Catalogue;
use stepfleet_activity::catalogue::{self, ReadOptions};

use crate::cloudwatch::CloudWatch;
use crate::decision::Seen;
use crate::describe::Describer;
use crate::fake_aws::{FakeAws, denied};
use crate::record::{AlarmRecord, Level};
use crate::watch::{Watch, WatchError};

/// 2026-01-01T12:00:30Z, in the middle of a period.
const NOW: i64 = 1_767_268_830;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a time")
}

/// A fleet of so many activities; its in-window is ten periods of a minute.
fn fleet(activities: usize) -> Catalogue {
    let all: String = (0..activities)
        .map(|index| format!("  a{index:03}: {{handler: etl.s3-load, deployment: pods}}\n"))
        .collect();
    let text = format!(
        "version: 1\nfleet: demo\naws: {{account: \"123456789012\", region: eu-west-1}}\n\
         deployments:\n  pods: {{}}\nactivities:\n{all}"
    );
    catalogue::parse("f", &text, &ReadOptions::default())
        .unwrap_or_else(|faults| panic!("{faults}"))
}

fn alarm(name: &str, state: &str, since: i64) -> Value {
    json!({"AlarmName": name, "StateValue": state, "StateTransitionedTimestamp": since,
        "StateUpdatedTimestamp": since + 1000})
}

async fn describe(
    aws: &FakeAws,
    names: &[String],
) -> Result<BTreeMap<String, AlarmRecord>, WatchError> {
    let watch = CloudWatch::new(&aws.config);
    Describer::default().describe(&watch, names).await
}

#[tokio::test]
async fn alarms_are_described_a_hundred_names_at_a_time_and_to_the_last_page() {
    let aws = FakeAws::start(vec![
        (200, json!({"MetricAlarms": [alarm("n000", "ALARM", 10)], "NextToken": "more"})),
        (200, json!({"MetricAlarms": [alarm("n001", "OK", 20), alarm("n002", "INSUFFICIENT_DATA", 30)]})),
        (200, json!({"MetricAlarms": []})),
        (200, json!({"MetricAlarms": [alarm("n229", "OK", 40)]})),
    ])
    .await;
    let names: Vec<String> = (0..230).map(|index| format!("n{index:03}")).collect();
    let described = describe(&aws, &names).await.expect("described");
    let found: Vec<_> = (described.iter())
        .map(|(name, alarm)| (name.as_str(), alarm.level, alarm.since.as_second()))
        .collect();
    let want = [
        ("n000", Level::Alarm, 10),
        ("n001", Level::Ok, 20),
        ("n002", Level::Unknown, 30),
        ("n229", Level::Ok, 40),
    ];
    assert_eq!(found, want, "what does not exist is not there");
    let asked: Vec<_> = (aws.asked().iter())
        .map(|(operation, input)| {
            let names = input["AlarmNames"].as_array().expect("names").len();
            assert_eq!(input["AlarmTypes"], json!(["MetricAlarm"]));
            assert_eq!(input["MaxRecords"].as_f64(), Some(100.0), "{input}");
            let token = input["NextToken"].as_str().map(str::to_owned);
            (operation.clone(), names, token)
        })
        .collect();
    let call =
        |names, token: Option<&str>| ("DescribeAlarms".to_owned(), names, token.map(str::to_owned));
    assert_eq!(
        asked,
        [
            call(100, None),
            call(100, Some("more")),
            call(100, None),
            call(30, None)
        ]
    );
}

#[tokio::test]
async fn a_page_that_fails_makes_all_alarms_unknown() {
    let first = json!({"MetricAlarms": [alarm("a", "OK", 10)], "NextToken": "more"});
    let aws = FakeAws::start(vec![(200, first), denied()]).await;
    let error = describe(&aws, &["a".to_owned()]).await.expect_err("denied");
    assert!(error.to_string().contains("not you"), "{error}");
    assert_eq!(aws.asked().len(), 2, "what is denied is not tried again");
}

#[tokio::test]
async fn what_is_refused_for_now_is_tried_again_and_every_try_waits_its_turn() {
    let throttled = || (400, json!({"__type": "Throttling", "message": "slower"}));
    let broken = || {
        (
            500,
            json!({"__type": "InternalServiceFault", "message": "later"}),
        )
    };
    let found = || (200, json!({"MetricAlarms": [alarm("a", "ALARM", 10)]}));
    let aws = FakeAws::start(vec![
        throttled(),
        broken(),
        found(),
        throttled(),
        throttled(),
        throttled(),
        found(),
    ])
    .await;
    let (watch, mut describer) = (CloudWatch::new(&aws.config), Describer::default());
    let names = ["a".to_owned()];
    let begun = tokio::time::Instant::now();
    let alarms = describer.describe(&watch, &names).await.expect("described");
    assert_eq!((alarms["a"].level, aws.asked().len()), (Level::Alarm, 3));
    assert!(
        begun.elapsed() >= Duration::from_millis(750),
        "{:?}",
        begun.elapsed()
    );
    let error = describer
        .describe(&watch, &names)
        .await
        .expect_err("given up");
    assert!(error.to_string().contains("slower"), "{error}");
    assert_eq!(
        aws.asked().len(),
        6,
        "three tries, and no more of the SDK's own"
    );
}

/// One query's result; points are seconds before [`NOW`], and values.
fn series(id: &str, status: &str, points: &[(i64, f64)]) -> Value {
    let times: Vec<i64> = points.iter().map(|(ago, _)| NOW - ago).collect();
    let values: Vec<f64> = points.iter().map(|(_, value)| *value).collect();
    json!({"Id": id, "StatusCode": status, "Timestamps": times, "Values": values})
}

async fn seen(pages: &[Vec<Value>]) -> (Seen, Vec<(String, Value)>) {
    let last = pages.len() - 1;
    let answers = (pages.iter().enumerate())
        .map(|(index, results)| {
            let token = (index < last).then(|| format!("page {}", index + 1));
            (
                200,
                json!({"MetricDataResults": results, "NextToken": token}),
            )
        })
        .collect();
    let aws = FakeAws::start(answers).await;
    let watch = CloudWatch::new(&aws.config);
    let mut all = watch.metrics(&fleet(1), at(NOW)).await.expect("read");
    (all.remove("a000").expect("the activity"), aws.asked())
}

#[tokio::test]
async fn the_pages_of_a_metric_are_one_series() {
    let pages = [
        vec![
            series("m0_0", "PartialData", &[(150, 9000.0)]),
            series("m1_0", "Complete", &[(150, 4.0)]),
        ],
        vec![
            series("m0_0", "Complete", &[(30, 1500.0), (90, 7000.0)]),
            series("m2_0", "Complete", &[(30, 3.0)]),
        ],
    ];
    let (seen, asked) = seen(&pages).await;
    assert_eq!(seen.wait, Some(Duration::from_millis(1500)), "the newest");
    let flow = seen.flow.expect("known");
    assert_eq!(flow.from, at(NOW + 30 - 11 * 60));
    assert_eq!(flow.counts.len(), 11, "ten periods, and the one that runs");
    let busy: Vec<_> = (flow.counts.iter().enumerate())
        .filter(|(_, count)| count.scheduled + count.started > 0.0)
        .map(|(index, count)| (index, count.scheduled, count.started))
        .collect();
    assert_eq!(busy, [(8, 4.0, 0.0), (10, 0.0, 3.0)]);

    let [(_, first), (operation, second)] = asked.as_slice() else {
        panic!("two calls: {asked:?}");
    };
    assert_eq!(operation, "GetMetricData");
    assert_eq!(
        (&first["NextToken"], &second["NextToken"]),
        (&Value::Null, &json!("page 1"))
    );
    assert_eq!(first["EndTime"].as_f64(), json!(NOW + 30).as_f64());
    let asked: Vec<_> = (first["MetricDataQueries"].as_array().expect("queries").iter())
        .map(|query| {
            let stat = &query["MetricStat"];
            assert_eq!(stat["Period"], 60);
            assert_eq!(stat["Metric"]["Namespace"], "AWS/States");
            let dimensions = json!([{"Name": "ActivityArn", "Value": "arn:aws:states:eu-west-1:123456789012:activity:demo-a000"}]);
            assert_eq!(stat["Metric"]["Dimensions"], dimensions);
            (stat["Metric"]["MetricName"].clone(), stat["Stat"].clone())
        })
        .collect();
    assert_eq!(
        asked,
        [
            (json!("ActivityScheduleTime"), json!("Average")),
            (json!("ActivitiesScheduled"), json!("Sum")),
            (json!("ActivitiesStarted"), json!("Sum"))
        ]
    );
}

#[tokio::test]
async fn what_was_not_read_to_its_end_is_unknown_and_never_zero() {
    let complete = |id| series(id, "Complete", &[]);
    // name, results, whether the wait and the flow are known
    let cases = [
        (
            "nothing happened, and that is known",
            vec![complete("m0_0"), complete("m1_0"), complete("m2_0")],
            (false, true),
        ),
        (
            "one count failed inside",
            vec![
                series("m0_0", "Complete", &[(30, 5.0)]),
                complete("m1_0"),
                series("m2_0", "InternalError", &[]),
            ],
            (true, false),
        ),
        (
            "one count is not there",
            vec![series("m0_0", "Complete", &[(30, 5.0)]), complete("m1_0")],
            (true, false),
        ),
        (
            "a wait of which more should have come",
            vec![
                series("m0_0", "PartialData", &[(30, 5.0)]),
                complete("m1_0"),
                complete("m2_0"),
            ],
            (false, true),
        ),
        (
            "a wait of long ago says nothing of now",
            vec![
                series("m0_0", "Complete", &[(330, 5.0)]),
                complete("m1_0"),
                complete("m2_0"),
            ],
            (false, true),
        ),
    ];
    for (name, results, known) in cases {
        let (seen, _) = seen(&[results]).await;
        assert_eq!((seen.wait.is_some(), seen.flow.is_some()), known, "{name}");
        assert!(seen.flow.is_none_or(|flow| flow.idle()), "{name}");
    }
}

#[tokio::test]
async fn many_activities_take_several_calls_and_one_that_fails_fails_all() {
    let empty = || (200, json!({"MetricDataResults": []}));
    let aws = FakeAws::start(vec![empty(), empty(), empty(), denied()]).await;
    let (watch, fleet) = (CloudWatch::new(&aws.config), fleet(170));
    let all = watch.metrics(&fleet, at(NOW)).await.expect("read");
    assert_eq!(all.len(), 170);
    assert!(
        all.values()
            .all(|seen| seen.wait.is_none() && seen.flow.is_none())
    );
    let queries: Vec<_> = (aws.asked().iter())
        .map(|(_, input)| input["MetricDataQueries"].as_array().map(Vec::len))
        .collect();
    assert_eq!(queries, [Some(498), Some(12)], "500 at most");
    let failed = watch.metrics(&fleet, at(NOW)).await;
    assert!(failed.is_err(), "{:?}", failed.map(|all| all.len()));
}
