//! What the catalogue says about one Deployment, flattened for the decision.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;
use stepfleet_activity::Catalogue;
use stepfleet_activity::alarm::{self, AlarmRole};
use stepfleet_activity::catalogue::{Activity, Amount, Deployment, Mode};

/// What people want of one Deployment.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Whether decisions are carried out.
    pub mode: Mode,
    /// The bounds outside of every window.
    pub bounds: Bounds,
    /// Times with bounds of their own; the first that matches wins.
    pub windows: Vec<Window>,
    /// What keeps the count from flapping.
    pub damping: Damping,
    /// A level that was not confirmed for longer than this is not believed.
    pub max_age: Duration,
    /// The activities that the Deployment's pods serve.
    pub activities: Vec<ActivityPolicy>,
}

/// The least and the most replicas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Never fewer.
    pub min: u32,
    /// Never more.
    pub max: u32,
}

/// A time of the week with bounds of its own.
#[derive(Debug, Clone)]
pub struct Window {
    /// The days on which `from` lies.
    pub days: Vec<Weekday>,
    /// The start, inclusive.
    pub from: Time,
    /// The end, exclusive; at or before `from` it is on the next day.
    pub to: Time,
    /// The zone of both.
    pub zone: TimeZone,
    /// The lower bound meanwhile.
    pub min: Option<u32>,
    /// The upper bound meanwhile.
    pub max: Option<u32>,
}

/// What keeps the count from flapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Damping {
    /// Between two steps out.
    pub cooldown_out: Duration,
    /// From the last step in either direction to a step in.
    pub cooldown_in: Duration,
    /// A step in goes no lower than the highest recommendation of this span.
    pub stabilization: Duration,
    /// Reversals allowed...
    pub reversals: u32,
    /// ...in this span.
    pub per: Duration,
}

/// What people want of one activity.
#[derive(Debug, Clone)]
pub struct ActivityPolicy {
    /// Its name in the catalogue.
    pub name: String,
    /// The name of its alarm *out*.
    pub alarm_out: String,
    /// The name of its alarm *in*.
    pub alarm_in: String,
    /// The name of its alarm *starved*.
    pub alarm_starved: String,
    /// The wait that is a breach.
    pub above: Duration,
    /// By how much to scale out, and up to which wait (exclusive); ascending,
    /// the last one without.
    pub steps: Vec<(Option<Duration>, Amount)>,
    /// By how much to scale in.
    pub remove: Amount,
    /// For how long nothing starts before the fleet counts as starved.
    pub starved_for: Duration,
    /// The longest run of one attempt: a latched *starved* ends after it.
    pub timeout: Duration,
}

// === impl Policy ===

impl Policy {
    /// The names of all alarms.
    pub fn alarms(&self) -> impl Iterator<Item = &str> {
        (self.activities.iter()).flat_map(|activity| {
            [
                activity.alarm_out.as_str(),
                activity.alarm_in.as_str(),
                activity.alarm_starved.as_str(),
            ]
        })
    }

    /// The policy of one Deployment of a catalogue.
    pub fn of(catalogue: &Catalogue, deployment: &Deployment) -> Self {
        let damping = &deployment.damping;
        Self {
            mode: deployment.mode,
            bounds: Bounds {
                min: deployment.replicas.min,
                max: deployment.replicas.max,
            },
            windows: (deployment.replicas.schedule.iter())
                .map(|entry| Window {
                    days: entry.days.clone(),
                    from: entry.from,
                    to: entry.to,
                    zone: entry.zone.clone(),
                    min: entry.min,
                    max: entry.max,
                })
                .collect(),
            damping: Damping {
                cooldown_out: damping.cooldown_out,
                cooldown_in: damping.cooldown_in,
                stabilization: damping.stabilization,
                reversals: damping.flap_budget.reversals,
                per: damping.flap_budget.per,
            },
            max_age: catalogue.signals.max_age,
            activities: (catalogue.activities.values())
                .filter(|activity| activity.deployment == deployment.name)
                .map(|activity| ActivityPolicy::of(catalogue, activity))
                .collect(),
        }
    }

    /// The bounds at a time: the first window that it lies in overrides.
    /// A window's bound on one side moves the other side where they would cross.
    pub fn bounds_at(&self, now: Timestamp) -> Bounds {
        let Some(window) = self.windows.iter().find(|window| window.holds(now)) else {
            return self.bounds;
        };
        let max = window
            .max
            .unwrap_or(self.bounds.max.max(window.min.unwrap_or(0)));
        Bounds {
            min: window.min.unwrap_or(self.bounds.min).min(max),
            max,
        }
    }
}

// === impl Window ===

impl Window {
    /// Whether a time lies in the window, by the wall clock of its zone.
    pub fn holds(&self, now: Timestamp) -> bool {
        let local = now.to_zoned(self.zone.clone());
        let (today, time) = (local.weekday(), local.time());
        if self.from < self.to {
            return self.days.contains(&today) && self.from <= time && time < self.to;
        }
        (self.days.contains(&today) && self.from <= time)
            || (self.days.contains(&today.previous()) && time < self.to)
    }
}

// === impl ActivityPolicy ===

impl ActivityPolicy {
    fn of(catalogue: &Catalogue, activity: &Activity) -> Self {
        let alarm = |role| alarm::name(catalogue, activity, role);
        Self {
            name: activity.name.clone(),
            alarm_out: alarm(AlarmRole::Out),
            alarm_in: alarm(AlarmRole::In),
            alarm_starved: alarm(AlarmRole::Starved),
            above: activity.alarms.out.above,
            steps: (activity.alarms.out.steps.iter())
                .map(|step| (step.to, step.add))
                .collect(),
            remove: activity.alarms.in_.remove,
            starved_for: activity.alarms.starved_for,
            timeout: activity.worker.timeout,
        }
    }

    /// The step out for a wait, in replicas. A wait that is not known takes the
    /// smallest one.
    pub fn step(&self, wait: Option<Duration>, current: u32) -> u32 {
        let Some(wait) = wait else {
            return self.smallest_step(current);
        };
        (self.steps.iter())
            .find(|(to, _)| to.is_none_or(|to| wait < to))
            .or(self.steps.last())
            .map_or(1, |(_, add)| add.of(current))
    }

    /// The smallest step out, in replicas.
    pub fn smallest_step(&self, current: u32) -> u32 {
        (self.steps.iter())
            .map(|(_, add)| add.of(current))
            .min()
            .unwrap_or(1)
    }
}

#[cfg(test)]
mod tests {
    use stepfleet_activity::catalogue::{ReadOptions, parse};

    use super::*;

    const CATALOGUE: &str = r#"
version: 1
fleet: demo
aws: {account: "123456789012", region: eu-west-1}
signals: {max_age: 7m, period: 60s}
deployments:
  pods:
    mode: recommend
    replicas: {min: 2, max: 9, schedule: [{days: mon-fri, from: "06:00", to: "20:00", zone: Europe/Berlin, min: 5}]}
    damping: {cooldown: {out: 61s, in: 11m}, stabilization: 12m, flap_budget: {reversals: 3, per: 25h}}
  others: {}
activities:
  a:
    handler: x
    deployment: pods
    worker: {timeout: 31m}
    alarms:
      out: {above: 31s, for: 1m, steps: [{to: 60s, add: 2}, {add: 50%}]}
      in: {below: 200ms, for: 10m, remove: 7%}
      starved: {for: 4m}
  b: {handler: x, deployment: pods}
  c: {handler: x, deployment: others}
"#;

    #[test]
    fn a_policy_is_what_the_catalogue_says() {
        let catalogue = parse("f", CATALOGUE, &ReadOptions::default())
            .unwrap_or_else(|faults| panic!("{faults}"));
        let policy = Policy::of(&catalogue, &catalogue.deployments["pods"]);
        let seconds = Duration::from_secs;
        assert_eq!(policy.mode, Mode::Recommend);
        assert_eq!(policy.bounds, Bounds { min: 2, max: 9 });
        assert_eq!(policy.max_age, seconds(420));
        let damping = Damping {
            cooldown_out: seconds(61),
            cooldown_in: seconds(660),
            stabilization: seconds(720),
            reversals: 3,
            per: seconds(90_000),
        };
        assert_eq!(policy.damping, damping);
        // A Wednesday, 09:00 in Berlin; then a Sunday.
        let bounds = |at: &str| policy.bounds_at(at.parse().expect("a time"));
        assert_eq!(bounds("2026-01-07T08:00:00Z"), Bounds { min: 5, max: 9 });
        assert_eq!(bounds("2026-01-04T08:00:00Z"), Bounds { min: 2, max: 9 });

        let names: Vec<&str> = policy.activities.iter().map(|a| a.name.as_str()).collect();
        assert_eq!(names, ["a", "b"], "not those of another Deployment");
        let a = &policy.activities[0];
        assert_eq!(
            (
                a.alarm_out.as_str(),
                a.alarm_in.as_str(),
                a.alarm_starved.as_str()
            ),
            ("demo-a-out", "demo-a-in", "demo-a-starved")
        );
        assert_eq!(
            (a.above, a.starved_for, a.timeout),
            (seconds(31), seconds(240), seconds(1860))
        );
        // wait, replicas, step: absolute below a minute, percent rounded up above
        for (wait, replicas, step) in [(59, 4, 2), (60, 4, 2), (60, 5, 3), (600, 1, 1)] {
            assert_eq!(
                a.step(Some(seconds(wait)), replicas),
                step,
                "{wait} {replicas}"
            );
        }
        assert_eq!((a.remove.of(4), a.remove.of(15)), (1, 2), "rounded up too");
    }
}
