//! Laws that hold for every record, observation and policy.

use std::time::Duration;

use proptest::prelude::*;

use super::tests::{activity, at, observation, policy, record};
use super::*;
use crate::record::{AlarmRecord, BreachRecord, Level, Recommendation};

const NOW: i64 = 100_000;

fn level() -> impl Strategy<Value = Option<Level>> {
    prop_oneof![
        Just(None),
        Just(Some(Level::Unknown)),
        Just(Some(Level::Ok)),
        Just(Some(Level::Alarm)),
    ]
}

fn ago() -> impl Strategy<Value = Option<Timestamp>> {
    proptest::option::of((0i64..2000).prop_map(|ago| at(NOW - ago)))
}

prop_compose! {
    fn records()(
        levels in proptest::collection::vec(level(), 6),
        last in (ago(), ago(), ago()),
        reversals in 0usize..4,
        recommended in proptest::collection::vec((0i64..900, 1u32..30), 0..4),
        breach in proptest::option::of((0i64..900, 1u32..30)),
        starved in any::<bool>(),
    ) -> Record {
        let mut record = record(&policy());
        record.alarms.clear();
        let names = ["a-out", "a-in", "a-starved", "b-out", "b-in", "b-starved"];
        for (name, level) in names.iter().zip(levels) {
            if let Some(level) = level {
                let since = at(NOW - 100);
                record.alarms.insert((*name).to_owned(), AlarmRecord { level, since });
            }
        }
        (record.last_out, record.last_in) = (last.0, last.1);
        record.changed_by_hand = last.2.filter(|at| at.as_second() % 3 == 0);
        record.reversals = vec![at(NOW - 50); reversals];
        record.recommendations = recommended.into_iter()
            .map(|(ago, replicas)| Recommendation { at: at(NOW - ago), replicas })
            .collect();
        record.breach = breach.map(|(ago, replicas)| BreachRecord { at: at(NOW - ago), replicas });
        if starved {
            record.starved.insert("b".to_owned(), at(NOW - 10));
        }
        record
    }
}

prop_compose! {
    fn observations()(
        replicas in 0u32..40,
        autoscaled in proptest::option::weighted(0.9, proptest::bool::weighted(0.1)),
        read in any::<bool>(),
        wait in proptest::option::of(0u64..1000),
        flow in proptest::option::of(proptest::collection::vec((0u8..2, 0u8..2), 6)),
    ) -> Observation {
        let flow = flow.map(|counts| Flow {
            from: at(NOW - 360),
            period: Duration::from_secs(60),
            counts: counts.into_iter()
                .map(|(scheduled, started)| Count { scheduled: scheduled.into(), started: started.into() })
                .collect(),
        });
        let mut seen = observation(replicas);
        seen.autoscaled = autoscaled;
        seen.levels_read = read.then_some(at(NOW - 30));
        let wait = wait.map(Duration::from_secs);
        seen.activities.insert("a".to_owned(), Seen { wait, flow: flow.clone() });
        seen.activities.insert("b".to_owned(), Seen { wait: None, flow });
        seen
    }
}

prop_compose! {
    fn policies()(min in 1u32..10, more in 0u32..20, two in any::<bool>()) -> Policy {
        let mut policy = policy();
        policy.bounds = Bounds { min, max: min + more };
        if two {
            policy.activities.push(activity("b"));
        }
        policy
    }
}

/// Whether any activity is in breach or starved, by the naive reading.
fn breached(record: &Record, seen: &Observation, policy: &Policy) -> bool {
    policy.activities.iter().any(|activity| {
        let alarm = |name: &str| {
            record
                .alarms
                .get(name)
                .is_some_and(|a| a.level == Level::Alarm)
        };
        let flow = seen
            .activities
            .get(&activity.name)
            .and_then(|a| a.flow.as_ref());
        alarm(&activity.alarm_out)
            || alarm(&activity.alarm_starved)
            || record.starved.contains_key(&activity.name)
            || flow.is_some_and(|flow| starves(flow, activity.starved_for, at(NOW)))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn the_laws(record in records(), seen in observations(), policy in policies()) {
        let decision = decide(&record, &seen, &policy, at(NOW));
        let Action::Scale { from, to, why } = decision.action else { return Ok(()) };
        let Bounds { min, max } = policy.bounds;
        prop_assert_eq!(from, seen.replicas);
        prop_assert_ne!(from, to, "a step is a step");
        prop_assert!((min..=max).contains(&to), "never outside the bounds");
        prop_assert!(seen.replicas > 0, "zero is paused");
        prop_assert_ne!(seen.autoscaled, Some(true));
        let cooling = |last: Option<Timestamp>, span| last.is_some_and(|last| at(NOW) < crate::time::after(last, span));
        let Damping { cooldown_out, cooldown_in, reversals, .. } = policy.damping;
        prop_assert!(!cooling(record.changed_by_hand, cooldown_in));
        if to > from {
            let raised = matches!(why, Why::BelowMin { .. });
            prop_assert!(raised == (from < min), "bounds speak first");
            prop_assert!(raised || !cooling(record.last_out, cooldown_out), "no step inside a cooldown");
            prop_assert!(raised || breached(&record, &seen, &policy), "out needs a breach");
            return Ok(());
        }
        prop_assert!(!breached(&record, &seen, &policy), "never against the breach, out beats in");
        prop_assert!(!cooling(record.last_out, cooldown_in) && !cooling(record.last_in, cooldown_in));
        prop_assert_eq!(seen.autoscaled, Some(false), "unknown never scales in");
        for activity in &policy.activities {
            let flow = seen.activities.get(&activity.name).and_then(|a| a.flow.as_ref());
            let known = |name: &str| record.alarms.get(name).is_some_and(|a| a.level != Level::Unknown);
            prop_assert!(known(&activity.alarm_out), "unknown never scales in");
            prop_assert!(known(&activity.alarm_starved) || flow.is_some(), "starved is known to be off");
        }
        if matches!(why, Why::Quiet { .. }) {
            prop_assert!(from <= max);
            prop_assert!(record.reversals_since(at(NOW), policy.damping.per) < reversals);
            let floor = record.highest_recommendation(at(NOW), policy.damping.stabilization);
            prop_assert!(floor.is_none_or(|floor| to >= floor));
        }
    }

    #[test]
    fn a_larger_wait_never_asks_for_less(short in 0u64..2000, more in 0u64..2000, current in 1u32..500) {
        let activity = activity("a");
        let step = |seconds| activity.step(Some(Duration::from_secs(seconds)), current);
        prop_assert!(step(short) <= step(short + more));
        prop_assert!(activity.smallest_step(current) <= step(short));
        prop_assert_eq!(activity.step(None, current), activity.smallest_step(current));
    }
}
