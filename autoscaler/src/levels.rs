//! What CloudWatch said of each alarm, and when. A signal is only held against
//! it, to see whether to ask again; it makes a level only where SNS signed it and
//! CloudWatch cannot be asked, until it can.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use crate::record::{AlarmRecord, Record};
use crate::signal::Signal;
use crate::time::after;

/// What `DescribeAlarms` says overrules every change that claims to be older
/// than the reading by more than this; a younger one may not have shown yet.
const SETTLED: Duration = Duration::from_secs(60);

/// One alarm, as CloudWatch last said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// When it was asked, by our clock.
    pub at: Timestamp,
    /// What it said; none for an alarm that does not exist.
    pub alarm: Option<AlarmRecord>,
}

/// The readings of all alarms, by name.
#[derive(Debug, Clone, Default)]
pub struct Levels(BTreeMap<String, Reading>);

/// What a signal would do to a level that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It says something else: CloudWatch is to be asked.
    Asks,
    /// It says what is known.
    Duplicate,
    /// What is known is newer, or overrules it.
    Late,
}

/// What CloudWatch made of a signal that it was asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It says the same.
    Confirmed,
    /// It says something newer.
    Late,
    /// It knows nothing of that.
    Unconfirmed,
}

// === impl Levels ===

impl Levels {
    /// What a signal would do.
    pub fn judge(&self, signal: &Signal) -> Verdict {
        let claimed = signal.change;
        let Some(reading) = self.0.get(&signal.alarm) else {
            return Verdict::Asks;
        };
        match reading.alarm {
            Some(known) if claimed.since < known.since => Verdict::Late,
            Some(known) if claimed.level == known.level => Verdict::Duplicate,
            _ if after(claimed.since, SETTLED) < reading.at => Verdict::Late,
            _ => Verdict::Asks,
        }
    }

    /// What CloudWatch said to a signal, now that it was asked.
    pub fn answer(&self, signal: &Signal) -> Answer {
        let known = self.0.get(&signal.alarm).and_then(|reading| reading.alarm);
        match known {
            Some(known) if known.level == signal.change.level => Answer::Confirmed,
            Some(known) if known.since > signal.change.since => Answer::Late,
            _ => Answer::Unconfirmed,
        }
    }

    /// Takes what CloudWatch said of these names when it was asked at that time.
    /// The alarms whose level is another than before.
    pub fn learn<'a>(
        &mut self,
        at: Timestamp,
        names: &'a [String],
        described: &BTreeMap<String, AlarmRecord>,
    ) -> Vec<&'a str> {
        let mut changed = Vec::new();
        for name in names {
            let alarm = described.get(name).copied();
            let before = self.0.insert(name.clone(), Reading { at, alarm });
            let level = |alarm: Option<AlarmRecord>| alarm.map(|alarm| alarm.level);
            if before.is_none_or(|before| level(before.alarm) != level(alarm)) {
                changed.push(name.as_str());
            }
        }
        changed
    }

    /// Takes the word of a signal that SNS signed, since CloudWatch does not answer.
    /// When that was asked stays as it was: it is no less due for that, and what it
    /// says next counts, whatever the time.
    pub fn believe(&mut self, signal: &Signal) {
        let known = self.0.get(&signal.alarm);
        let at = known.map_or(Timestamp::MIN, |reading| reading.at);
        let alarm = Some(signal.change);
        self.0.insert(signal.alarm.clone(), Reading { at, alarm });
    }

    /// Forgets everything: others decided meanwhile.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Forgets alarms that left the catalogue.
    pub fn keep(&mut self, there: impl Fn(&str) -> bool) {
        self.0.retain(|name, _| there(name));
    }

    /// When the one that was read longest ago was read; none while one of them
    /// never was.
    pub fn oldest<'a>(&self, names: impl Iterator<Item = &'a str>) -> Option<Timestamp> {
        let read = names.map(|name| self.0.get(name).map(|reading| reading.at));
        // A time that is not there is the least.
        read.min().flatten()
    }

    /// The names that are asked about, and beside them those read longest ago,
    /// as many as one call takes: it costs no more.
    pub fn filled<'a>(
        &self,
        asked: &BTreeSet<&'a str>,
        all: impl Iterator<Item = &'a str>,
        most: usize,
    ) -> Vec<String> {
        let mut others: Vec<&str> = all.filter(|name| !asked.contains(name)).collect();
        others.sort_by_key(|name| self.0.get(*name).map(|reading| reading.at));
        let room = most.saturating_sub(asked.len());
        let names = asked.iter().copied().chain(others.into_iter().take(room));
        names.map(str::to_owned).collect()
    }

    /// Puts what was read of an alarm into a record. What was not read stays.
    pub fn write(&self, record: &mut Record, alarm: &str) {
        match self.0.get(alarm).map(|reading| reading.alarm) {
            Some(Some(change)) => {
                record.alarms.insert(alarm.to_owned(), change);
            }
            Some(None) => {
                record.alarms.remove(alarm);
            }
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::record::Level::{self, Alarm, Ok, Unknown};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    fn change(level: Level, second: i64) -> AlarmRecord {
        let since = at(second);
        AlarmRecord { level, since }
    }

    fn signal(level: Level, second: i64) -> Signal {
        Signal {
            alarm: "a".to_owned(),
            deployment: "d".to_owned(),
            change: change(level, second),
        }
    }

    /// What was read at that second.
    fn read(alarm: Option<AlarmRecord>, second: i64) -> Levels {
        let mut levels = Levels::default();
        let described = alarm.map(|alarm| ("a".to_owned(), alarm));
        let names = ["a".to_owned()];
        levels.learn(at(second), &names, &described.into_iter().collect());
        levels
    }

    #[test]
    fn a_signal_asks_only_where_it_could_change_something() {
        use Verdict::{Asks, Duplicate, Late};
        // name, what is known, when it was read, what comes, verdict
        let ok = Some(change(Ok, 100));
        let cases = [
            ("a change", ok, 500, signal(Alarm, 501), Asks),
            ("the same level", ok, 500, signal(Ok, 501), Duplicate),
            ("a repeat", ok, 500, signal(Ok, 100), Duplicate),
            ("before what is known", ok, 110, signal(Alarm, 99), Late),
            ("older, the same level", ok, 110, signal(Ok, 99), Late),
            ("just a minute before", ok, 500, signal(Alarm, 440), Asks),
            ("overruled, though newer", ok, 500, signal(Alarm, 439), Late),
            ("ahead of time", ok, 500, signal(Alarm, 799), Asks),
            ("ahead, and overruled", ok, 860, signal(Alarm, 799), Late),
            ("an alarm that is gone", None, 500, signal(Alarm, 501), Asks),
            ("gone, and overruled", None, 500, signal(Alarm, 400), Late),
            ("no data", ok, 500, signal(Unknown, 501), Asks),
        ];
        for (name, known, when, signal, want) in cases {
            assert_eq!(read(known, when).judge(&signal), want, "{name}");
        }
        let never = Levels::default();
        assert_eq!(never.judge(&signal(Ok, 1)), Asks, "never read");
    }

    #[test]
    fn cloudwatch_confirms_outruns_or_does_not_know() {
        let cases = [
            ("the same", Some(change(Alarm, 7)), Answer::Confirmed),
            ("over again", Some(change(Ok, 8)), Answer::Late),
            ("never was", Some(change(Ok, 6)), Answer::Unconfirmed),
            ("no such alarm", None, Answer::Unconfirmed),
        ];
        for (name, known, want) in cases {
            assert_eq!(read(known, 9).answer(&signal(Alarm, 7)), want, "{name}");
        }
    }

    #[test]
    fn a_signed_word_counts_until_cloudwatch_says_otherwise() {
        let mut levels = read(Some(change(Ok, 100)), 500);
        levels.believe(&signal(Alarm, 520));
        let names = || std::iter::once("a");
        let mut record = Record::new(1, at(0));
        levels.write(&mut record, "a");
        assert_eq!(record.alarms["a"], change(Alarm, 520));
        assert_eq!(levels.oldest(names()), Some(at(500)), "as due as before");
        // What was signed before that and comes again changes nothing.
        assert_eq!(levels.judge(&signal(Ok, 510)), Verdict::Late);
        let described = BTreeMap::from([("a".to_owned(), change(Ok, 100))]);
        let asked = ["a".to_owned()];
        assert_eq!(levels.learn(at(525), &asked, &described), ["a"]);
        levels.write(&mut record, "a");
        assert_eq!(record.alarms["a"], change(Ok, 100), "older, and it counts");
        let mut never = Levels::default();
        never.believe(&signal(Alarm, 520));
        assert_eq!(never.oldest(names()), Some(Timestamp::MIN), "overdue");
    }

    #[test]
    fn a_record_has_what_was_read_and_only_that() {
        let mut record = Record::new(1, at(0));
        record.alarms.insert("a".to_owned(), change(Alarm, 900));
        Levels::default().write(&mut record, "a");
        assert_eq!(record.alarms["a"].level, Alarm, "not read: as it was");
        read(Some(change(Ok, 100)), 950).write(&mut record, "a");
        assert_eq!(record.alarms["a"], change(Ok, 100), "older, and read later");
        read(None, 951).write(&mut record, "a");
        assert!(!record.alarms.contains_key("a"), "it does not exist");
    }

    #[test]
    fn a_call_is_filled_with_what_was_read_longest_ago() {
        let names: Vec<String> = ["a", "b", "c", "d"].map(str::to_owned).into();
        let mut levels = Levels::default();
        let changed = |levels: &mut Levels, second, names| {
            levels.learn(at(second), names, &BTreeMap::new()).len()
        };
        let all = || names.iter().map(String::as_str);
        assert_eq!(levels.oldest(all()), None);
        assert_eq!(changed(&mut levels, 5, &names[..3]), 3, "the first time");
        assert_eq!(changed(&mut levels, 7, &names[..1]), 0);
        assert_eq!(levels.oldest(all()), None, "d never was");
        assert_eq!(levels.oldest(all().take(3)), Some(at(5)));
        let asked = BTreeSet::from(["b"]);
        assert_eq!(levels.filled(&asked, all(), 3), ["b", "d", "c"]);
        assert_eq!(levels.filled(&asked, all(), 9), ["b", "d", "c", "a"]);
        assert_eq!(levels.filled(&asked, all(), 1), ["b"]);
        levels.keep(|name| name != "d");
        assert_eq!(levels.oldest(all().take(3)), Some(at(5)));
        levels.clear();
        assert_eq!(levels.oldest(all()), None);
    }

    proptest! {
        /// Whatever a signal says: if it asks, only the reading decides, and after
        /// a reading later than a minute behind it, it never asks again.
        #[test]
        fn a_reading_silences_every_signal_a_minute_before_it(
            known in (0u8..3, 0i64..2000),
            when in 0i64..2000,
            claimed in (0u8..3, 0i64..2000),
        ) {
            let level = |index: u8| [Ok, Alarm, Unknown][usize::from(index)];
            let levels = read(Some(change(level(known.0), known.1)), when);
            let verdict = levels.judge(&signal(level(claimed.0), claimed.1));
            if claimed.1 + 60 < when {
                prop_assert_ne!(verdict, Verdict::Asks);
            }
            if verdict == Verdict::Asks {
                prop_assert_ne!(level(claimed.0), level(known.0));
            }
        }
    }
}
