//! Steps out: breaches and starvation.

use super::*;

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
