//! The alarms that follow from a catalogue.
#![allow(clippy::unwrap_used)]

use stepfleet_activity::alarm::{AlarmRole, Comparison, MissingData, Watched, alarms};
use stepfleet_activity::catalogue::{ReadOptions, read};

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
