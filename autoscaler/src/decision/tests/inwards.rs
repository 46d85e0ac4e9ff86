//! Steps in, and what damps steps.

use super::*;

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
