//! The rules, as tables.

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
fn out() {
    check(&[
        ("nothing", |_| {}, "no-breach", 4),
        (
            "wait unknown: smallest step",
            |w| set(&mut w.record, "a-out", Level::Alarm),
            "breach",
            5,
        ),
        (
            "first step",
            |w| {
                set(&mut w.record, "a-out", Level::Alarm);
                w.wait(59)
            },
            "breach",
            5,
        ),
        (
            "second step at its bound",
            |w| {
                set(&mut w.record, "a-out", Level::Alarm);
                w.wait(60)
            },
            "breach",
            6,
        ),
        (
            "last step",
            |w| {
                set(&mut w.record, "a-out", Level::Alarm);
                w.wait(3000)
            },
            "breach",
            8,
        ),
        (
            "rounded up",
            |w| {
                set(&mut w.record, "a-out", Level::Alarm);
                w.wait(40);
                w.seen.replicas = 6
            },
            "breach",
            8,
        ),
        (
            "clamped",
            |w| {
                set(&mut w.record, "a-out", Level::Alarm);
                w.wait(3000);
                w.seen.replicas = 15
            },
            "breach",
            20,
        ),
        (
            "at max",
            |w| {
                set(&mut w.record, "a-out", Level::Alarm);
                w.seen.replicas = 20
            },
            "at-max",
            20,
        ),
        (
            "above max holds, never in",
            |w| {
                set(&mut w.record, "a-out", Level::Alarm);
                w.seen.replicas = 25
            },
            "at-max",
            25,
        ),
        (
            "cooling down",
            |w| {
                set(&mut w.record, "a-out", Level::Alarm);
                w.record.last_out = Some(at(NOW - 59))
            },
            "cooling-down",
            4,
        ),
        (
            "again after the cooldown",
            |w| {
                set(&mut w.record, "a-out", Level::Alarm);
                w.record.last_out = Some(at(NOW - 60))
            },
            "breach",
            5,
        ),
        (
            "a step in does not delay a step out",
            |w| {
                set(&mut w.record, "a-out", Level::Alarm);
                w.record.last_in = Some(at(NOW - 1))
            },
            "breach",
            5,
        ),
        (
            "out beats in",
            |w| {
                set(&mut w.record, "a-out", Level::Alarm);
                set(&mut w.record, "a-in", Level::Alarm)
            },
            "breach",
            5,
        ),
        (
            "out if any",
            |w| {
                w.two();
                set(&mut w.record, "b-out", Level::Alarm);
                set(&mut w.record, "a-in", Level::Alarm)
            },
            "breach",
            5,
        ),
        (
            "a breach that nobody confirmed for long",
            |w| {
                set(&mut w.record, "a-out", Level::Alarm);
                w.seen.levels_read = Some(at(NOW - 900));
                w.record.alarms.get_mut("a-out").expect("there").since = at(NOW - 900);
            },
            "unknown",
            4,
        ),
    ]);
}

#[test]
fn starved() {
    check(&[
        (
            "by the alarm",
            |w| set(&mut w.record, "a-starved", Level::Alarm),
            "starved",
            5,
        ),
        (
            "by the latch",
            |w| {
                w.record.starved.insert("a".into(), at(NOW - 100));
            },
            "starved",
            5,
        ),
        (
            "by the flow, though arrivals stopped",
            |w| w.flow(&[(5, 0), (0, 0), (0, 0), (0, 0), (0, 0), (0, 0)]),
            "starved",
            5,
        ),
        (
            "not yet",
            |w| w.flow(&[(0, 0), (0, 0), (0, 0), (5, 0), (0, 0), (0, 0)]),
            "no-breach",
            4,
        ),
        (
            "something started",
            |w| w.flow(&[(5, 0), (0, 0), (0, 0), (0, 0), (0, 1), (0, 0)]),
            "no-breach",
            4,
        ),
        (
            "latched: no step in",
            |w| {
                w.record.starved.insert("a".into(), at(NOW));
                set(&mut w.record, "a-in", Level::Alarm);
                w.record.last_out = Some(at(NOW))
            },
            "cooling-down",
            4,
        ),
        (
            "unknown: no step in",
            |w| {
                set(&mut w.record, "a-in", Level::Alarm);
                w.record.alarms.remove("a-starved");
            },
            "unknown",
            4,
        ),
        (
            "worked out to be off",
            |w| {
                set(&mut w.record, "a-in", Level::Alarm);
                w.record.alarms.remove("a-starved");
                w.flow(&[(0, 0), (1, 1)])
            },
            "quiet",
            3,
        ),
    ]);
}

#[test]
fn inwards() {
    check(&[
        (
            "one step",
            |w| set(&mut w.record, "a-in", Level::Alarm),
            "quiet",
            3,
        ),
        (
            "idle is known to be quiet",
            |w| w.flow(&[(0, 0); 6]),
            "quiet",
            3,
        ),
        (
            "at min",
            |w| {
                set(&mut w.record, "a-in", Level::Alarm);
                w.seen.replicas = 1
            },
            "at-min",
            1,
        ),
        (
            "in only if all",
            |w| {
                w.two();
                set(&mut w.record, "a-in", Level::Alarm)
            },
            "no-breach",
            4,
        ),
        (
            "all",
            |w| {
                w.two();
                set(&mut w.record, "a-in", Level::Alarm);
                set(&mut w.record, "b-in", Level::Alarm)
            },
            "quiet",
            3,
        ),
        (
            "cooldown from a step in",
            |w| {
                set(&mut w.record, "a-in", Level::Alarm);
                w.record.last_in = Some(at(NOW - 599))
            },
            "cooling-down",
            4,
        ),
        (
            "cooldown from a step out",
            |w| {
                set(&mut w.record, "a-in", Level::Alarm);
                w.record.last_in = Some(at(NOW - 900));
                w.record.last_out = Some(at(NOW - 599))
            },
            "cooling-down",
            4,
        ),
        (
            "cooled down",
            |w| {
                set(&mut w.record, "a-in", Level::Alarm);
                w.record.last_out = Some(at(NOW - 600))
            },
            "quiet",
            3,
        ),
        (
            "out unknown",
            |w| {
                set(&mut w.record, "a-in", Level::Alarm);
                set(&mut w.record, "a-out", Level::Unknown)
            },
            "unknown",
            4,
        ),
        (
            "levels not read for long",
            |w| {
                set(&mut w.record, "a-in", Level::Alarm);
                w.seen.levels_read = None;
                w.policy.max_age = Duration::from_secs(60)
            },
            "unknown",
            4,
        ),
        (
            "a hand's HPA unknown",
            |w| {
                set(&mut w.record, "a-in", Level::Alarm);
                w.seen.autoscaled = None
            },
            "autoscaled-unknown",
            4,
        ),
    ]);
}

#[test]
fn damping() {
    check(&[
        (
            "recommended lately",
            |w| {
                set(&mut w.record, "a-in", Level::Alarm);
                w.record.recommendations = vec![Recommendation {
                    at: at(NOW - 500),
                    replicas: 4,
                }];
            },
            "stabilizing",
            4,
        ),
        (
            "the step is shortened",
            |w| {
                set(&mut w.record, "a-in", Level::Alarm);
                w.seen.replicas = 10;
                w.policy.activities[0].remove = Amount::Replicas(5);
                w.record.recommendations = vec![Recommendation {
                    at: at(NOW - 500),
                    replicas: 8,
                }];
            },
            "quiet",
            8,
        ),
        (
            "recommended long ago",
            |w| {
                set(&mut w.record, "a-in", Level::Alarm);
                w.record.recommendations = vec![Recommendation {
                    at: at(NOW - 630),
                    replicas: 9,
                }];
            },
            "quiet",
            3,
        ),
        (
            "flap budget used up",
            |w| {
                set(&mut w.record, "a-in", Level::Alarm);
                w.record.reversals = vec![at(NOW - 80_000), at(NOW - 5000)];
            },
            "flap-budget",
            4,
        ),
        (
            "flap budget refilled",
            |w| {
                set(&mut w.record, "a-in", Level::Alarm);
                w.record.reversals = vec![at(NOW - 86_400), at(NOW - 5000)];
            },
            "quiet",
            3,
        ),
        (
            "flap budget never holds out",
            |w| {
                set(&mut w.record, "a-out", Level::Alarm);
                w.record.reversals = vec![at(NOW - 1); 9];
            },
            "breach",
            5,
        ),
        (
            "a breach at this count a moment ago",
            |w| {
                set(&mut w.record, "a-in", Level::Alarm);
                w.record.breach = Some(BreachRecord {
                    at: at(NOW - 599),
                    replicas: 3,
                });
            },
            "anticipated-reversal",
            4,
        ),
        (
            "a breach at a lower count",
            |w| {
                set(&mut w.record, "a-in", Level::Alarm);
                w.record.breach = Some(BreachRecord {
                    at: at(NOW - 599),
                    replicas: 2,
                });
            },
            "quiet",
            3,
        ),
        (
            "the rest would be in breach",
            |w| {
                set(&mut w.record, "a-in", Level::Alarm);
                w.seen.replicas = 2;
                w.wait(15);
            },
            "anticipated-reversal",
            2,
        ),
    ]);
}

#[test]
fn authority_and_bounds() {
    check(&[
        (
            "zero by hand",
            |w| {
                w.seen.replicas = 0;
                set(&mut w.record, "a-out", Level::Alarm)
            },
            "paused",
            0,
        ),
        (
            "a hand",
            |w| {
                w.record.changed_by_hand = Some(at(NOW - 599));
                set(&mut w.record, "a-out", Level::Alarm)
            },
            "changed-by-hand",
            4,
        ),
        (
            "a hand, long ago",
            |w| {
                w.record.changed_by_hand = Some(at(NOW - 600));
                set(&mut w.record, "a-out", Level::Alarm)
            },
            "breach",
            5,
        ),
        (
            "an HPA",
            |w| {
                w.seen.autoscaled = Some(true);
                set(&mut w.record, "a-out", Level::Alarm)
            },
            "autoscaled",
            4,
        ),
        (
            "HPA unknown does not hold out",
            |w| {
                w.seen.autoscaled = None;
                set(&mut w.record, "a-out", Level::Alarm)
            },
            "breach",
            5,
        ),
        (
            "mode recommend",
            |w| {
                w.policy.mode = Mode::Recommend;
                set(&mut w.record, "a-out", Level::Alarm)
            },
            "recommended",
            4,
        ),
        (
            "min raised, no signal",
            |w| w.policy.bounds.min = 7,
            "below-min",
            7,
        ),
        (
            "min raised, cooling down, unknown",
            |w| {
                w.policy.bounds.min = 7;
                w.record.last_out = Some(at(NOW));
                w.record.alarms.clear()
            },
            "below-min",
            7,
        ),
        (
            "max lowered, no signal",
            |w| w.policy.bounds.max = 2,
            "above-max",
            2,
        ),
        (
            "max lowered, unknown",
            |w| {
                w.policy.bounds.max = 2;
                w.record.alarms.clear()
            },
            "unknown",
            4,
        ),
        (
            "max lowered, cooling down",
            |w| {
                w.policy.bounds.max = 2;
                w.record.last_out = Some(at(NOW))
            },
            "cooling-down",
            4,
        ),
    ]);
}

#[test]
fn windows_follow_the_wall_clock_of_their_zone() {
    let zone = jiff::tz::TimeZone::get("Europe/Berlin").expect("a zone");
    let window = |from: i8, to: i8| Window {
        days: vec![Weekday::Saturday],
        from: jiff::civil::time(from, 0, 0, 0),
        to: jiff::civil::time(to, 0, 0, 0),
        zone: zone.clone(),
        min: Some(5),
        max: None,
    };
    // 2026-03-28 is a Saturday; on the 29th clocks go from 02:00 to 03:00.
    let cases = [
        (
            "start, inclusive",
            window(6, 20),
            "2026-03-28T05:00:00Z",
            true,
        ),
        ("before", window(6, 20), "2026-03-28T04:59:59Z", false),
        (
            "end, exclusive",
            window(6, 20),
            "2026-03-28T19:00:00Z",
            false,
        ),
        ("another day", window(6, 20), "2026-03-27T12:00:00Z", false),
        (
            "over midnight, summer time",
            window(22, 4),
            "2026-03-29T01:59:00Z",
            true,
        ),
        (
            "over midnight, ended",
            window(22, 4),
            "2026-03-29T02:00:00Z",
            false,
        ),
        (
            "over midnight, the night before",
            window(22, 4),
            "2026-03-28T01:00:00Z",
            false,
        ),
    ];
    for (name, window, now, inside) in cases {
        let now: Timestamp = now.parse().expect("a time");
        assert_eq!(window.holds(now), inside, "{name}");
        let mut policy = policy();
        policy.windows = vec![window];
        assert_eq!(
            policy.bounds_at(now).min,
            if inside { 5 } else { 1 },
            "{name}"
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
        .filter(|path| !path.ends_with("tests.rs"))
        .collect();
    files.extend(["fold.rs", "record.rs", "time.rs"].map(|name| folder.join(name)));
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
