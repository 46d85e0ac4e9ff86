//! The alarms that follow from the catalogue: one pure function.

use std::time::Duration;

use crate::catalogue::{Activity, Catalogue};

/// What an alarm is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AlarmRole {
    /// Tasks wait too long.
    Out,
    /// Tasks wait so little that there are too many workers.
    In,
    /// Something was scheduled and nothing started.
    Starved,
}

impl AlarmRole {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Out, Self::In, Self::Starved];

    /// The last part of the alarm's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Out => "out",
            Self::In => "in",
            Self::Starved => "starved",
        }
    }
}

/// What an alarm compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `GreaterThanThreshold`.
    Above,
    /// `LessThanThreshold`.
    Below,
}

impl Comparison {
    /// As CloudWatch says it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Above => "GreaterThanThreshold",
            Self::Below => "LessThanThreshold",
        }
    }
}

/// How an alarm treats a period without a datapoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MissingData {
    /// As within the threshold.
    NotBreaching,
    /// As across the threshold.
    Breaching,
}

impl MissingData {
    /// As CloudWatch says it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotBreaching => "notBreaching",
            Self::Breaching => "breaching",
        }
    }
}

/// What an alarm watches.
#[derive(Debug, Clone, PartialEq)]
pub enum Watched {
    /// One statistic of one metric.
    Metric(Metric),
    /// Metrics by id, and an expression over the ids.
    Math {
        /// The metrics, with their ids.
        metrics: Vec<(&'static str, Metric)>,
        /// The expression whose value is compared.
        expression: String,
    },
}

/// One statistic of one `AWS/States` metric of one activity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metric {
    /// Like `ActivityScheduleTime`, in milliseconds.
    pub name: &'static str,
    /// `Average` for times, `Sum` for counts.
    pub statistic: &'static str,
    /// The dimension `ActivityArn`.
    pub activity_arn: String,
}

/// An alarm as it should be.
#[derive(Debug, Clone, PartialEq)]
pub struct AlarmSpec {
    /// `<fleet>-<activity>-{out,in,starved}`.
    pub name: String,
    /// Its ARN, for an account and region of the catalogue.
    pub arn: String,
    /// What it is for.
    pub role: AlarmRole,
    /// What it watches.
    pub watched: Watched,
    /// The length of one datapoint.
    pub period: Duration,
    /// N of "M of N".
    pub evaluation_periods: u32,
    /// M of "M of N".
    pub datapoints_to_alarm: u32,
    /// What the value is compared with; milliseconds for waits.
    pub threshold: f64,
    /// How it is compared.
    pub comparison: Comparison,
    /// What a period without a datapoint is.
    pub missing: MissingData,
}

/// The namespace of Step Functions' metrics.
pub const NAMESPACE: &str = "AWS/States";
/// The dimension that names the activity.
pub const DIMENSION: &str = "ActivityArn";

/// The name of an activity's alarm.
pub fn name(catalogue: &Catalogue, activity: &Activity, role: AlarmRole) -> String {
    format!("{}-{}-{}", catalogue.fleet, activity.name, role.as_str())
}

/// The alarms of an activity: out, in, starved.
///
/// *in* counts missing data as below, since an idle activity emits nothing.
/// *starved* is 1 in a period in which something was scheduled and nothing
/// started; `FILL` makes a zero of a silent metric.
pub fn alarms(catalogue: &Catalogue, activity: &Activity) -> [AlarmSpec; 3] {
    AlarmRole::ALL.map(|role| alarm(catalogue, activity, role))
}

fn alarm(catalogue: &Catalogue, activity: &Activity, role: AlarmRole) -> AlarmSpec {
    let metric = |name, statistic| Metric {
        name,
        statistic,
        activity_arn: activity.arn.clone(),
    };
    let settings = &activity.alarms;
    let wait = || Watched::Metric(metric("ActivityScheduleTime", "Average"));
    let (watched, span, threshold, comparison, missing) = match role {
        AlarmRole::Out => (
            wait(),
            settings.out.for_,
            millis(settings.out.above),
            Comparison::Above,
            MissingData::NotBreaching,
        ),
        AlarmRole::In => (
            wait(),
            settings.in_.for_,
            millis(settings.in_.below),
            Comparison::Below,
            MissingData::Breaching,
        ),
        AlarmRole::Starved => (
            Watched::Math {
                metrics: vec![
                    ("scheduled", metric("ActivitiesScheduled", "Sum")),
                    ("started", metric("ActivitiesStarted", "Sum")),
                ],
                expression: "IF(FILL(scheduled,0) > 0 AND FILL(started,0) == 0, 1, 0)".to_owned(),
            },
            settings.starved_for,
            0.5,
            Comparison::Above,
            MissingData::NotBreaching,
        ),
    };
    let period = catalogue.signals.period;
    let evaluation_periods = periods(span, period);
    let name = name(catalogue, activity, role);
    AlarmSpec {
        arn: catalogue.aws.arn("cloudwatch", &format!("alarm:{name}")),
        name,
        role,
        watched,
        period,
        evaluation_periods,
        datapoints_to_alarm: evaluation_periods,
        threshold,
        comparison,
        missing,
    }
}

/// How many whole periods a span has: at least one.
fn periods(span: Duration, period: Duration) -> u32 {
    let whole = span.as_millis() / period.as_millis().max(1);
    u32::try_from(whole).unwrap_or(u32::MAX).max(1)
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
