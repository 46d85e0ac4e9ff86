//! Which executions some arrivals ask for: pure.
//!
//! Time is cut into windows. All that arrives in one window wakes one execution,
//! which is started after the window's end and after the settle time, and is
//! named by the window: whoever starts it, and how often, there is one. Its
//! listing comes after everything that it stands for, so one that exists already
//! has seen it.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::event::Arrival;
use crate::s3_load::batch::digest;
use crate::s3_load::input::LoadInput;
use crate::s3_load::matching::Taken;

/// How far the clocks of S3 and ours may be apart.
const SKEW: Duration = Duration::from_secs(2);

/// An execution that is asked for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Wake {
    /// Not to be started before.
    pub(crate) due: Timestamp,
    /// Of the loads that are known.
    pub(crate) load: usize,
}

impl Wake {
    /// The same for every event of the window, whoever sees it: at most 80
    /// characters of the allowed ones.
    pub(crate) fn name(&self, load: &LoadInput) -> String {
        let id = digest(&[&load.bucket, &load.prefix, load.table.id()]);
        format!("s3-{}-{}", &id[..16], self.due.as_second())
    }
}

/// The execution that an arrival asks for; none where nobody loads it.
pub(crate) fn wake(
    arrival: &Arrival,
    loads: &[LoadInput],
    (settle, window): (Duration, Duration),
) -> Option<Wake> {
    let load = loads.iter().position(|load| {
        load.bucket == arrival.bucket
            && arrival.key.starts_with(&load.key("incoming", ""))
            && load.takes(&arrival.key) == Taken::Yes
    })?;
    let settled = arrival
        .at
        .saturating_add(SignedDuration::try_from(settle.saturating_add(SKEW)).ok()?)
        .ok()?;
    let window = i64::try_from(window.as_secs().max(1)).ok()?;
    // The end of the window that it is in, never its beginning.
    let end = (settled.as_second().div_euclid(window) + 1).checked_mul(window)?;
    Some(Wake {
        due: Timestamp::from_second(end).ok()?,
        load,
    })
}

/// Of several events of one key only the latest counts: it wakes after the others.
pub(crate) fn latest(arrivals: Vec<Arrival>) -> Vec<Arrival> {
    let mut latest: BTreeMap<(String, String), Arrival> = BTreeMap::new();
    for arrival in arrivals {
        match latest.entry((arrival.bucket.clone(), arrival.key.clone())) {
            Entry::Occupied(mut known) if arrival.is_later_than(known.get()) => {
                known.insert(arrival);
            }
            Entry::Occupied(_) => {}
            Entry::Vacant(new) => {
                new.insert(arrival);
            }
        }
    }
    latest.into_values().collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::event::{Said, read};
    use super::*;

    fn loads() -> Vec<LoadInput> {
        [("land", "a/"), ("land", ""), ("other", "a/")]
            .map(|(bucket, prefix)| {
                let load = json!({"bucket": bucket, "prefix": prefix, "table": "public.t", "format": "csv", "match": ["*.csv", "part-*"]});
                serde_json::from_value(load).expect("a load")
            })
            .into()
    }

    fn arrival(bucket: &str, key: &str, (second, sequencer): (i64, &str)) -> Arrival {
        let at = Timestamp::from_second(second).expect("a time");
        let event = json!({"Records": [{
            "eventName": "ObjectCreated:Put", "eventTime": at.to_string(),
            "s3": {"bucket": {"name": bucket}, "object": {"key": key, "sequencer": sequencer}},
        }]});
        match read(&event.to_string()) {
            Said::Arrivals(mut arrivals) => arrivals.remove(0),
            Said::Nonsense(why) => panic!("{why}"),
        }
    }

    const TERMS: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(30));

    #[test]
    fn an_arrival_wakes_the_load_of_its_prefix_and_nobody_else() {
        for (bucket, key, want) in [
            ("land", "a/incoming/x.csv", Some(0)),
            ("land", "incoming/x.csv", Some(1)),
            ("other", "a/incoming/b/x.csv", Some(2)),
            ("land", "b/incoming/x.csv", None),
            ("land", "a/processed/2026-01-01/1/x.csv", None),
            ("land", "a/incoming/part-00000-x", Some(0)),
            ("land", "a/incoming/x.csv.bak", None),
            ("land", "a/incoming/_SUCCESS", None),
            ("land", "a/incoming/x/", None),
            ("nobody", "a/incoming/x.csv", None),
        ] {
            let woken = wake(&arrival(bucket, key, (100, "1")), &loads(), TERMS);
            assert_eq!(woken.map(|wake| wake.load), want, "{bucket}/{key}");
        }
    }

    #[test]
    fn a_windows_events_have_one_name_and_another_windows_another() {
        let loads = loads();
        let name = |second| {
            let arrival = arrival("land", "a/incoming/x.csv", (second, "1"));
            let woken = wake(&arrival, &loads, TERMS).expect("a wake");
            woken.name(&loads[woken.load])
        };
        // 12 s are settling and skew.
        assert_eq!(name(108), name(137));
        assert_ne!(name(137), name(138));
        assert!(name(108).ends_with("-150") && name(138).ends_with("-180"));
        assert!(name(i64::from(u32::MAX)).len() <= 80);
    }

    proptest::proptest! {
        /// Else an execution of that name could have listed before the object was there.
        #[test]
        fn nobody_is_woken_before_the_file_has_settled(
            second in 0i64..4_000_000_000, settle in 0u64..100_000, window in 0u64..1_000
        ) {
            let terms = (Duration::from_secs(settle), Duration::from_secs(window));
            let woken = wake(&arrival("land", "incoming/x.csv", (second, "1")), &loads(), terms);
            let due = woken.expect("a wake").due.as_second();
            let settled = second + i64::try_from(settle).expect("small");
            proptest::prop_assert!(due > settled);
            proptest::prop_assert!(due <= settled + 3 + i64::try_from(window.max(1)).expect("small"));
        }
    }

    #[test]
    fn of_one_keys_events_the_latest_counts_in_any_order() {
        let one = arrival("land", "a/incoming/x.csv", (100, "0A"));
        let two = arrival("land", "a/incoming/x.csv", (160, "0B"));
        let other = arrival("land", "a/incoming/y.csv", (100, "01"));
        for order in [
            [&one, &two, &other],
            [&two, &other, &one],
            [&other, &two, &one],
        ] {
            let found = latest(order.into_iter().cloned().collect());
            assert_eq!(found.len(), 2);
            assert!(found.contains(&two) && found.contains(&other));
        }
    }
}
