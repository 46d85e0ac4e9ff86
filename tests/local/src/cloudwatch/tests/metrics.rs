//! Statistics, data and lists of metrics.

use super::*;

/// Ten values in the first minute of the metric `m`, two in the third.
fn with_data() -> CloudWatch {
    let (cloudwatch, _) = cloudwatch(60);
    let put = |at: i64, values: Value| {
        let input = json!({"Namespace": "n", "MetricData": [{
            "MetricName": "m", "Dimensions": [{"Name": "d", "Value": "1"}],
            "Timestamp": at, "Values": values, "Unit": "Seconds",
        }]});
        cloudwatch.call("PutMetricData", input).unwrap();
    };
    put(0, json!([1, 2, 3, 4, 5]));
    put(59, json!([6, 7, 8, 9, 10]));
    put(130, json!([20, 40]));
    cloudwatch
}

fn statistics(more: &Value) -> Result<Value, AwsError> {
    let mut input = json!({
        "Namespace": "n", "MetricName": "m", "Dimensions": [{"Name": "d", "Value": "1"}],
        "StartTime": 0, "EndTime": 180, "Period": 60,
    });
    for (name, value) in more.as_object().unwrap() {
        input[name] = value.clone();
    }
    with_data().call("GetMetricStatistics", input)
}

#[test]
fn statistics_are_told_by_period() {
    let table = [
        (
            json!({"Statistics": ["Sum", "SampleCount"]}),
            json!([
                {"Timestamp": 0, "Unit": "Seconds", "Sum": 55.0, "SampleCount": 10.0},
                {"Timestamp": 120, "Unit": "Seconds", "Sum": 60.0, "SampleCount": 2.0},
            ]),
        ),
        (
            json!({"ExtendedStatistics": ["p90", "p10"], "Period": 180}),
            json!([{
                "Timestamp": 0, "Unit": "Seconds",
                "ExtendedStatistics": {"p90": 20.0, "p10": 2.0},
            }]),
        ),
        (
            json!({"Statistics": ["Average"], "StartTime": 61, "Unit": "Seconds"}),
            json!([{"Timestamp": 120, "Unit": "Seconds", "Average": 30.0}]),
        ),
        (json!({"Statistics": ["Sum"], "Unit": "Bytes"}), json!([])),
        (json!({"Statistics": ["Sum"], "Dimensions": []}), json!([])),
    ];
    for (input, wanted) in table {
        let output = statistics(&input).unwrap();
        assert_eq!(output["Datapoints"], wanted, "{input}");
        assert_eq!(output["Label"], "m");
    }
    let table = [
        (json!({}), "InvalidParameterCombination"),
        (
            json!({"Statistics": ["p90"]}),
            "InvalidParameterCombination",
        ),
        (
            json!({"ExtendedStatistics": ["Sum"]}),
            "InvalidParameterCombination",
        ),
        (json!({"Statistics": ["Median"]}), "ValidationException"),
        (
            json!({"ExtendedStatistics": ["tm90"]}),
            "ValidationException",
        ),
        (
            json!({"Statistics": ["Sum"], "Period": 45}),
            "ValidationException",
        ),
        (
            json!({"Statistics": ["Sum"], "EndTime": 0}),
            "InvalidParameterCombination",
        ),
        (
            json!({"Statistics": ["Sum"], "EndTime": 1_441 * 60}),
            "InvalidParameterCombination",
        ),
    ];
    for (input, wanted) in table {
        assert_eq!(statistics(&input).unwrap_err().code, wanted, "{input}");
    }
}

#[test]
fn data_comes_in_pages() {
    let cloudwatch = with_data();
    let stat = json!({
        "Metric": {
            "Namespace": "n", "MetricName": "m", "Dimensions": [{"Name": "d", "Value": "1"}],
        },
        "Period": 60, "Stat": "p50",
    });
    let mut input = json!({
        "StartTime": 0, "EndTime": 180, "MaxDatapoints": 2, "ScanBy": "TimestampAscending",
        "MetricDataQueries": [
            {"Id": "a", "MetricStat": stat},
            {"Id": "b", "Expression": "FILL(a, 0) + PERIOD(a)"},
        ],
    });
    let mut pages = Vec::new();
    loop {
        let page = cloudwatch.call("GetMetricData", input.clone()).unwrap();
        let results = page["MetricDataResults"].as_array().unwrap();
        let told = results
            .iter()
            .map(|result| (result["StatusCode"].clone(), result["Values"].clone()));
        pages.push(told.collect::<Vec<_>>());
        match page.get("NextToken") {
            Some(token) => input["NextToken"] = token.clone(),
            None => break,
        }
    }
    let (whole, part) = (json!("Complete"), json!("PartialData"));
    let wanted = [
        [(whole.clone(), json!([5.0, 20.0])), (part, json!([]))],
        [
            (whole.clone(), json!([])),
            (json!("PartialData"), json!([65.0, 60.0])),
        ],
        [(whole.clone(), json!([])), (whole, json!([80.0]))],
    ];
    assert_eq!(pages, wanted);
    input["NextToken"] = "x".into();
    let refused = cloudwatch.call("GetMetricData", input).unwrap_err();
    assert_eq!(refused.code, "InvalidNextToken");
}

#[test]
fn metrics_are_listed_by_what_they_are_and_in_pages() {
    let (cloudwatch, _) = cloudwatch(60);
    cloudwatch.record("ActivityTime", "arn:x", 1.0, at(600));
    for number in 0..501 {
        let input = json!({"Namespace": "n", "MetricData": [{
            "MetricName": format!("m{number:03}"), "Value": 1,
            "Dimensions": [{"Name": "d", "Value": (number % 2).to_string()}],
            "Timestamp": -20_000 + number * 40,
        }]});
        cloudwatch.call("PutMetricData", input).unwrap();
    }
    let table = [
        (json!({"Namespace": "AWS/States"}), 1),
        (json!({"Namespace": "none"}), 0),
        (json!({"MetricName": "m007"}), 1),
        (
            json!({"Dimensions": [{"Name": "d"}], "Namespace": "n"}),
            500,
        ),
        (json!({"Dimensions": [{"Name": "d", "Value": "1"}]}), 250),
        (json!({"Dimensions": [{"Name": "d", "Value": "2"}]}), 0),
        (json!({"Dimensions": [{"Name": "d"}, {"Name": "e"}]}), 0),
        // The last 3 hours, from second 600 on back: all from -10200 on.
        (json!({"RecentlyActive": "PT3H", "Namespace": "n"}), 256),
    ];
    for (input, wanted) in table {
        let page = cloudwatch.call("ListMetrics", input.clone()).unwrap();
        assert_eq!(page["Metrics"].as_array().unwrap().len(), wanted, "{input}");
    }
    let first = cloudwatch.call("ListMetrics", json!({})).unwrap();
    let next = json!({"NextToken": first["NextToken"]});
    let second = cloudwatch.call("ListMetrics", next).unwrap();
    assert_eq!(first["Metrics"].as_array().unwrap().len(), 500);
    assert_eq!(
        second,
        json!({"Metrics": [
            {"Namespace": "n", "MetricName": "m499", "Dimensions": [{"Name": "d", "Value": "1"}]},
            {"Namespace": "n", "MetricName": "m500", "Dimensions": [{"Name": "d", "Value": "0"}]},
        ]})
    );
    let refused = cloudwatch.call("ListMetrics", json!({"RecentlyActive": "PT1H"}));
    assert_eq!(refused.unwrap_err().code, "InvalidParameterValue");
}
