//! From signals to levels: the newest change of each alarm wins.

use crate::record::{AlarmRecord, Level, Record};

/// What a signal did to the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Folded {
    /// It is the newest of its alarm.
    Newest,
    /// It was there already.
    Duplicate,
    /// A newer one was there already.
    Late,
}

/// Folds one alarm's change of state into the record. SQS repeats and loses
/// order; folding the same changes in any order, any number of times, ends in
/// the same record.
pub fn fold(record: &mut Record, alarm: &str, change: AlarmRecord) -> Folded {
    match record.alarms.get(alarm) {
        Some(known) if change.since < known.since => return Folded::Late,
        Some(known) if *known == change => return Folded::Duplicate,
        // Two states at one instant: the more cautious one, whatever came first.
        Some(known)
            if change.since == known.since && weight(known.level) >= weight(change.level) =>
        {
            return Folded::Duplicate;
        }
        _ => {}
    }
    record.alarms.insert(alarm.to_owned(), change);
    Folded::Newest
}

/// Folds what `DescribeAlarms` says of an alarm. It may lag behind a signal, so
/// the newer wins here too; an alarm that is not there any more is unknown.
pub fn reread(record: &mut Record, alarm: &str, described: Option<AlarmRecord>) {
    match described {
        Some(change) => {
            fold(record, alarm, change);
        }
        None => {
            record.alarms.remove(alarm);
        }
    }
}

const fn weight(level: Level) -> u8 {
    match level {
        Level::Ok => 0,
        Level::Unknown => 1,
        Level::Alarm => 2,
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;

    fn change(level: Level, second: i64) -> AlarmRecord {
        let since = Timestamp::from_second(second).expect("a time");
        AlarmRecord { level, since }
    }

    #[test]
    fn a_table_of_orders() {
        use Folded::{Duplicate, Late, Newest};
        use Level::{Alarm, Ok};
        // name, what comes, what it did, level at the end
        let cases = [
            ("alarm, ok", [(Alarm, 1), (Ok, 2)], [Newest, Newest], Ok),
            ("late alarm", [(Ok, 2), (Alarm, 1)], [Newest, Late], Ok),
            (
                "repeat",
                [(Alarm, 1), (Alarm, 1)],
                [Newest, Duplicate],
                Alarm,
            ),
            ("at once", [(Ok, 1), (Alarm, 1)], [Newest, Newest], Alarm),
            (
                "at once, swapped",
                [(Alarm, 1), (Ok, 1)],
                [Newest, Duplicate],
                Alarm,
            ),
        ];
        for (name, changes, did, level) in cases {
            let mut record = Record::new(1, Timestamp::UNIX_EPOCH);
            let folded = changes.map(|(level, at)| fold(&mut record, "a", change(level, at)));
            assert_eq!(folded, did, "{name}");
            assert_eq!(record.alarms["a"].level, level, "{name}");
        }
    }

    #[test]
    fn an_alarm_that_is_gone_is_unknown_until_it_speaks_again() {
        let mut record = Record::new(1, Timestamp::UNIX_EPOCH);
        fold(&mut record, "a", change(Level::Ok, 5));
        reread(&mut record, "a", None);
        assert!(!record.alarms.contains_key("a"));
        reread(&mut record, "a", Some(change(Level::Ok, 5)));
        assert_eq!(record.alarms["a"].level, Level::Ok);
        reread(&mut record, "a", Some(change(Level::Alarm, 4)));
        assert_eq!(record.alarms["a"].level, Level::Ok, "a read may lag behind");
    }

    proptest! {
        #[test]
        fn order_and_repeats_change_nothing(
            changes in proptest::collection::vec((0u8..3, 0u8..2, 0i64..6), 0..12).prop_flat_map(|changes| {
                (Just(changes.clone()), Just(changes).prop_shuffle())
            })
        ) {
            let (ordered, shuffled) = changes;
            let run = |list: &[(u8, u8, i64)]| {
                let mut record = Record::new(1, Timestamp::UNIX_EPOCH);
                for (level, alarm, at) in list {
                    let level = [Level::Ok, Level::Alarm, Level::Unknown][usize::from(*level)];
                    fold(&mut record, ["a", "b"][usize::from(*alarm)], change(level, *at));
                }
                record
            };
            let once = run(&ordered);
            prop_assert_eq!(&once, &run(&shuffled));
            let twice: Vec<_> = ordered.iter().chain(&shuffled).copied().collect();
            prop_assert_eq!(&once, &run(&twice));
        }
    }
}
