//! The rules, as tables.

mod bounds;
mod inwards;
mod outwards;

use std::time::Duration;

use jiff::civil::Weekday;
use stepfleet_activity::alarm::AlarmRole;
use stepfleet_activity::catalogue::Amount;

use super::*;
use crate::record::{AlarmRecord, BreachRecord, Level, Recommendation};

pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a time")
}

/// The time of all decisions here.
const NOW: i64 = 100_000;

pub(crate) fn activity(name: &str) -> ActivityPolicy {
    ActivityPolicy {
        name: name.to_owned(),
        alarm_out: format!("{name}-out"),
        alarm_in: format!("{name}-in"),
        alarm_starved: format!("{name}-starved"),
        above: Duration::from_secs(30),
        steps: vec![
            (Some(Duration::from_secs(60)), Amount::Percent(20.0)),
            (Some(Duration::from_secs(300)), Amount::Percent(50.0)),
            (None, Amount::Percent(100.0)),
        ],
        remove: Amount::Replicas(1),
        starved_for: Duration::from_secs(180),
        timeout: Duration::from_secs(900),
    }
}

pub(crate) fn policy() -> Policy {
    Policy {
        mode: Mode::Act,
        bounds: Bounds { min: 1, max: 20 },
        windows: Vec::new(),
        damping: Damping {
            cooldown_out: Duration::from_secs(60),
            cooldown_in: Duration::from_secs(600),
            stabilization: Duration::from_secs(600),
            reversals: 2,
            per: Duration::from_secs(86_400),
        },
        max_age: Duration::from_secs(900),
        activities: vec![activity("a")],
    }
}

/// A record with nothing behind it: no recommendations, all alarms at OK.
pub(crate) fn record(policy: &Policy) -> Record {
    let mut record = Record::new(4, at(0));
    record.recommendations.clear();
    for activity in &policy.activities {
        for alarm in [
            &activity.alarm_out,
            &activity.alarm_in,
            &activity.alarm_starved,
        ] {
            set(&mut record, alarm, Level::Ok);
        }
    }
    record
}

pub(crate) fn set(record: &mut Record, alarm: &str, level: Level) {
    let since = at(NOW - 120);
    record
        .alarms
        .insert(alarm.to_owned(), AlarmRecord { level, since });
}

pub(crate) fn observation(replicas: u32) -> Observation {
    Observation {
        replicas,
        autoscaled: Some(false),
        levels_read: Some(at(NOW - 60)),
        activities: BTreeMap::new(),
    }
}

fn flow(counts: &[(u32, u32)]) -> Flow {
    let period = Duration::from_secs(60);
    let length = i64::try_from(counts.len()).expect("few");
    Flow {
        from: at(NOW - 60 * length),
        period,
        counts: (counts.iter())
            .map(|(scheduled, started)| Count {
                scheduled: f64::from(*scheduled),
                started: f64::from(*started),
            })
            .collect(),
    }
}

struct World {
    record: Record,
    seen: Observation,
    policy: Policy,
}

impl World {
    fn wait(&mut self, seconds: u64) {
        let wait = Some(Duration::from_secs(seconds));
        self.seen.activities.entry("a".to_owned()).or_default().wait = wait;
    }

    fn flow(&mut self, counts: &[(u32, u32)]) {
        let flow = Some(flow(counts));
        self.seen.activities.entry("a".to_owned()).or_default().flow = flow;
    }

    fn two(&mut self) {
        self.policy.activities.push(activity("b"));
        for role in ["b-out", "b-in", "b-starved"] {
            set(&mut self.record, role, Level::Ok);
        }
    }
}

type Change = fn(&mut World);

/// Runs each case from 4 replicas, 1..=20, all alarms at OK.
fn check(cases: &[(&str, Change, &str, u32)]) {
    for (name, change, code, to) in cases {
        let policy = policy();
        let record = record(&policy);
        let mut world = World {
            record,
            seen: observation(4),
            policy,
        };
        change(&mut world);
        let decision = decide(&world.record, &world.seen, &world.policy, at(NOW));
        let got = match decision.action {
            Action::Scale { to, .. } => to,
            Action::Hold(_) => world.seen.replicas,
        };
        assert_eq!(
            (decision.action.code(), got),
            (*code, *to),
            "{name}: {}",
            decision.action.text()
        );
    }
}

#[test]
fn the_latch_holds_until_something_starts_or_the_timeout_passes() {
    let policy = policy();
    let seen = |counts: &[(u32, u32)]| {
        let mut seen = observation(4);
        let flow = Some(flow(counts));
        seen.activities
            .insert("a".to_owned(), Seen { wait: None, flow });
        seen
    };
    let waiting = [(5, 0), (0, 0), (0, 0), (0, 0), (0, 0), (0, 0)];
    let mut record = record(&policy);
    record.latch(&seen(&waiting), &policy, at(NOW));
    assert_eq!(record.starved.get("a"), Some(&at(NOW)));
    record.latch(&seen(&[(0, 0); 6]), &policy, at(NOW + 300));
    assert!(
        record.starved.contains_key("a"),
        "arrivals stopped, tasks still wait"
    );
    let mut later = record.clone();
    later.latch(&seen(&[(0, 0); 6]), &policy, at(NOW + 900));
    assert!(later.starved.is_empty(), "no task outlives its timeout");
    let mut started = seen(&[(0, 2)]);
    let flow = started
        .activities
        .get_mut("a")
        .and_then(|a| a.flow.as_mut())
        .expect("there");
    flow.from = at(NOW + 60);
    record.latch(&started, &policy, at(NOW + 120));
    assert!(record.starved.is_empty(), "something started");
}

#[test]
fn an_alarm_of_starvation_is_latched_only_where_the_flow_agrees_or_is_not_known() {
    let policy = policy();
    // name, what was measured, whether the alarm is latched
    type Counts = &'static [(u32, u32)];
    let cases: [(&str, Option<Counts>, bool); 6] = [
        ("not known", None, true),
        ("nothing to start", Some(&[(0, 0); 6]), false),
        (
            "tasks wait",
            Some(&[(0, 0), (0, 0), (0, 0), (1, 0), (1, 0), (1, 0)]),
            true,
        ),
        (
            "one just came",
            Some(&[(0, 0), (0, 0), (0, 0), (0, 0), (0, 0), (1, 0)]),
            true,
        ),
        (
            "tasks start",
            Some(&[(1, 1), (1, 1), (1, 1), (1, 1), (1, 1), (1, 1)]),
            false,
        ),
        (
            "none start any more",
            Some(&[(9, 9), (0, 0), (0, 0), (1, 0), (1, 0), (1, 0)]),
            true,
        ),
    ];
    for (name, counts, latched) in cases {
        let mut record = record(&policy);
        let alarm = policy.activities[0].alarm_starved.clone();
        set(&mut record, &alarm, Level::Alarm);
        let mut seen = observation(4);
        let flow = counts.map(flow);
        seen.activities
            .insert("a".to_owned(), Seen { wait: None, flow });
        record.latch(&seen, &policy, at(NOW));
        // Somebody set it, or not: it is OK again at the next evaluation.
        set(&mut record, &alarm, Level::Ok);
        assert_eq!(record.starved.contains_key("a"), latched, "{name}");
    }
}

#[test]
fn reasons_name_their_numbers() {
    let hold = Hold::Unknown {
        activity: "a".into(),
        role: AlarmRole::Starved,
    };
    assert!(hold.to_string().contains("`starved` of a"), "{hold}");
    let hold = Hold::CoolingDown {
        out: false,
        until: at(60),
    };
    assert_eq!(
        hold.to_string(),
        "the next step in waits until 1970-01-01T00:01:00Z"
    );
}

/// The boundary that this folder is: no runtime, no AWS, no cluster, no clock.
#[test]
fn the_core_names_no_runtime_no_aws_and_no_cluster() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files: Vec<_> = (std::fs::read_dir(folder.join("decision")).expect("the folder"))
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| !path.ends_with("tests"))
        .collect();
    files.extend(["levels.rs", "record.rs", "time.rs"].map(|name| folder.join(name)));
    assert!(files.len() > 5, "{files:?}");
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a source file");
        for word in ["tokio", "aws_", "kube", "k8s_openapi", "Clock", "::now("] {
            let found = text
                .lines()
                .find(|line| line.contains(word) && !line.trim_start().starts_with("//"));
            assert_eq!(found, None, "{} names {word}", file.display());
        }
    }
}
