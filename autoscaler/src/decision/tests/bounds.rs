//! What goes before all steps: pauses, hands, bounds and their schedule.

use super::*;

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
