//! The alarms that follow from a catalogue.
#![allow(clippy::unwrap_used)]

use stepfleet_activity::alarm::{AlarmRole, Comparison, MissingData, Watched, alarms};
use stepfleet_activity::catalogue::{Catalogue, ReadOptions, parse, read};

#[test]
fn an_activity_has_three_alarms() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fleet.yaml");
    let options = ReadOptions {
        allow_short_periods: true,
    };
    let catalogue = read(path.as_ref(), &options).unwrap();
    let specs = alarms(&catalogue, &catalogue.activities["s3-load"]);
    let table = [
        (
            "out",
            AlarmRole::Out,
            1,
            5_000.0,
            Comparison::Above,
            MissingData::NotBreaching,
        ),
        (
            "in",
            AlarmRole::In,
            2,
            1_000.0,
            Comparison::Below,
            MissingData::Breaching,
        ),
        (
            "starved",
            AlarmRole::Starved,
            3,
            0.5,
            Comparison::Above,
            MissingData::NotBreaching,
        ),
    ];
    for (spec, (suffix, role, periods, threshold, comparison, missing)) in specs.iter().zip(table) {
        assert_eq!(spec.name, format!("demo-s3-load-{suffix}"));
        assert_eq!(
            spec.arn,
            format!(
                "arn:aws:cloudwatch:eu-west-1:123456789012:alarm:{}",
                spec.name
            )
        );
        assert_eq!(
            (spec.role, spec.comparison, spec.missing),
            (role, comparison, missing)
        );
        assert_eq!(
            (spec.evaluation_periods, spec.datapoints_to_alarm),
            (periods, periods)
        );
        assert_eq!((spec.threshold, spec.period.as_secs()), (threshold, 10));
        let names: Vec<_> = match &spec.watched {
            Watched::Metric(metric) => vec![metric.name],
            Watched::Math { metrics, .. } => {
                metrics.iter().map(|(_, metric)| metric.name).collect()
            }
        };
        let want: &[&str] = match role {
            AlarmRole::Starved => &["ActivitiesScheduled", "ActivitiesStarted"],
            AlarmRole::Out | AlarmRole::In => &["ActivityScheduleTime"],
        };
        assert_eq!(names, want);
    }
}

/// A catalogue with this period, and this in the place of the activity's alarms.
fn catalogue(period: &str, alarms: &str) -> Catalogue {
    let text = format!(
        r#"version: 1
fleet: prod
aws: {{account: "123456789012", region: cn-north-1}}
signals: {{period: {period}}}
deployments:
  pods:
activities:
  load:
    handler: etl.s3-load
    deployment: pods
    alarms: {alarms}
"#
    );
    let options = ReadOptions {
        allow_short_periods: true,
    };
    parse("f", &text, &options).unwrap()
}

/// Each: the period, the alarms as they are written, the periods of out, in and
/// starved, and the thresholds of out and in. M and N are the same: one period
/// on the other side of the threshold begins the span anew.
const TABLE: &[(&str, &str, [u32; 3], [f64; 2])] = &[
    ("60s", "{}", [1, 10, 3], [30_000.0, 200.0]),
    ("10s", "{}", [6, 60, 18], [30_000.0, 200.0]),
    // A default that is no whole number of periods is rounded up.
    ("2m", "{}", [1, 5, 2], [30_000.0, 200.0]),
    ("4m", "{}", [1, 3, 1], [30_000.0, 200.0]),
    (
        "60s",
        "{out: {above: 90s, for: 5m}, in: {below: 1500ms, for: 1h}, starved: {for: 2m}}",
        [5, 60, 2],
        [90_000.0, 1_500.0],
    ),
    // The default of in gives way to a low threshold of out.
    ("60s", "{out: {above: 300ms}}", [1, 10, 3], [300.0, 150.0]),
];

#[test]
fn periods_and_thresholds_follow_from_what_is_written() {
    for (period, alarms_text, periods, [above, below]) in TABLE {
        let what = format!("period {period}, alarms {alarms_text}");
        let catalogue = catalogue(period, alarms_text);
        let specs = alarms(&catalogue, &catalogue.activities["load"]);
        let thresholds = [*above, *below, 0.5];
        for ((spec, periods), threshold) in specs.iter().zip(periods).zip(thresholds) {
            let what = format!("{}: {what}", spec.name);
            assert_eq!(spec.evaluation_periods, *periods, "{what}");
            assert_eq!(spec.datapoints_to_alarm, *periods, "{what}");
            assert_eq!(spec.threshold, threshold, "{what}");
            assert_eq!(spec.period, catalogue.signals.period, "{what}");
            let span = spec.period * spec.evaluation_periods;
            assert!(span.as_secs() <= 86_400, "{what}: CloudWatch's longest");
        }
    }
}

#[test]
fn silence_is_idle_and_nothing_else() {
    let catalogue = catalogue("60s", "{}");
    let specs = alarms(&catalogue, &catalogue.activities["load"]);
    let table = [
        (AlarmRole::Out, MissingData::NotBreaching),
        (AlarmRole::In, MissingData::Breaching),
        (AlarmRole::Starved, MissingData::NotBreaching),
    ];
    for (spec, (role, missing)) in specs.iter().zip(table) {
        assert_eq!((spec.role, spec.missing), (role, missing));
    }
    let Watched::Math {
        metrics,
        expression,
    } = &specs[2].watched
    else {
        panic!("starved is an expression");
    };
    for (id, metric) in metrics {
        assert!(
            expression.contains(&format!("FILL({id},0)")),
            "{expression}"
        );
        assert_eq!(metric.statistic, "Sum", "{id}");
        assert_eq!(metric.activity_arn, catalogue.activities["load"].arn);
    }
    assert!(
        specs[0]
            .arn
            .starts_with("arn:aws-cn:cloudwatch:cn-north-1:")
    );
}

#[test]
fn the_queue_takes_from_the_one_who_delivers_and_from_nobody_else() {
    use stepfleet_activity::signals::SignalPath;
    let topic = (
        "sns.amazonaws.com",
        "arn:aws:sns:eu-west-1:123456789012:demo-signals",
    );
    let rule = (
        "events.amazonaws.com",
        "arn:aws:events:eu-west-1:123456789012:rule/demo-signals",
    );
    let cases = [
        ("", "sns", topic),
        ("signals: {delivery: sns}\n", "sns", topic),
        ("signals: {delivery: raw}\n", "raw", topic),
        ("signals: {delivery: eventbridge}\n", "eventbridge", rule),
    ];
    for (said, delivery, (service, arn)) in cases {
        let text = format!(
            "version: 1\nfleet: demo\naws: {{account: \"123456789012\", region: eu-west-1}}\n\
             deployments:\n  d: {{}}\nactivities:\n  a: {{handler: x, deployment: d}}\n{said}"
        );
        let catalogue = parse("f", &text, &ReadOptions::default()).unwrap();
        assert_eq!(catalogue.signals.delivery.as_str(), delivery);
        let policy: serde_json::Value =
            serde_json::from_str(&SignalPath::of(&catalogue).policy()).unwrap();
        let [statement] = policy["Statement"].as_array().unwrap().as_slice() else {
            panic!("one statement: {policy}");
        };
        assert_eq!(statement["Principal"]["Service"], service, "{said}");
        let condition = &statement["Condition"]["ArnEquals"]["aws:SourceArn"];
        assert_eq!(condition, arn, "{said}");
    }
}
