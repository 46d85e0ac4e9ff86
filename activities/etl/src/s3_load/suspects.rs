//! Files that were tried, failed and stay: the next run begins with others, so
//! that they starve nobody, however many they are.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::outside::Object;
use crate::s3_load::failed;

/// The most that are noted one by one.
const MOST: usize = 5_000;

/// What runs tell the next ones of these files; it stands in the lease.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Suspects {
    /// Their ids, and the one that was tried longest ago first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tried: Vec<String>,
    /// Everything that is as old as this was tried: where they were too many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    up_to: Option<Timestamp>,
}

impl Suspects {
    pub(crate) fn is_none(&self) -> bool {
        self.tried.is_empty() && self.up_to.is_none()
    }

    /// These files as they are to be tried, with how many of them were not yet:
    /// those come first, as they were; then the others, the one that was tried
    /// longest ago first.
    pub(crate) fn order(&self, files: &[Object]) -> (Vec<Object>, usize) {
        if self.is_none() {
            return (files.to_vec(), files.len());
        }
        let places = self.tried.iter().zip(1..);
        let places: BTreeMap<&str, usize> = places.map(|(id, at)| (id.as_str(), at)).collect();
        let place = |file: &Object| {
            let noted = places.get(failed::id(file).as_str()).copied();
            noted.or_else(|| (Some(file.modified) <= self.up_to).then_some(0))
        };
        let mut placed: Vec<(Option<usize>, &Object)> =
            files.iter().map(|file| (place(file), file)).collect();
        // Stable, and none is less than some.
        placed.sort_by_key(|(place, _)| *place);
        let untried = placed.partition_point(|(place, _)| place.is_none());
        let files = placed.into_iter().map(|(_, file)| file.clone());
        (files.collect(), untried)
    }

    /// After a run: `held` have failed and stay, and what does not wait any more
    /// is forgotten.
    pub(crate) fn note(&mut self, held: &[Object], waiting: &[Object]) {
        if held.is_empty() && self.is_none() {
            return;
        }
        let ids: BTreeMap<String, Timestamp> = waiting
            .iter()
            .map(|file| (failed::id(file), file.modified))
            .collect();
        let held: Vec<String> = held.iter().map(failed::id).collect();
        self.tried
            .retain(|id| ids.contains_key(id) && !held.contains(id));
        self.tried
            .extend(held.into_iter().filter(|id| ids.contains_key(id)));
        if self.tried.len() > MOST {
            let newest = self.tried.iter().filter_map(|id| ids.get(id)).max();
            self.up_to = self.up_to.max(newest.copied());
            self.tried.clear();
        }
        let waits = |up_to: &Timestamp| waiting.iter().any(|file| file.modified <= *up_to);
        self.up_to = self.up_to.filter(waits);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(at: i64) -> Object {
        Object {
            key: format!("incoming/{at:05}.csv"),
            etag: "e".to_owned(),
            size: 1,
            modified: Timestamp::from_second(at).expect("a time"),
        }
    }

    fn order(suspects: &Suspects, files: &[Object]) -> (Vec<i64>, usize) {
        let (files, untried) = suspects.order(files);
        let files = files.iter().map(|file| file.modified.as_second());
        (files.collect(), untried)
    }

    #[test]
    fn what_was_tried_comes_last_and_what_was_tried_longest_ago_first_of_it() {
        let all: Vec<Object> = (0..6).map(file).collect();
        let mut suspects = Suspects::default();
        assert_eq!(order(&suspects, &all), (vec![0, 1, 2, 3, 4, 5], 6));
        suspects.note(&[file(1), file(0)], &all);
        assert_eq!(order(&suspects, &all), (vec![2, 3, 4, 5, 1, 0], 4));
        suspects.note(&[file(2), file(1)], &all);
        assert_eq!(order(&suspects, &all), (vec![3, 4, 5, 0, 2, 1], 3));
        // Loaded, moved, or replaced: it is no suspect any more.
        suspects.note(&[], &all[2..]);
        assert_eq!(order(&suspects, &all[2..]), (vec![3, 4, 5, 2], 3));
        suspects.note(&[], &all[3..]);
        assert!(suspects.is_none());
    }

    #[test]
    fn what_is_noted_is_bounded_and_starves_nobody() {
        let all: Vec<Object> = (0..20_000).map(file).collect();
        let (mut suspects, mut runs) = (Suspects::default(), 0);
        // Each run tries 200 that fail; the last file is a good one.
        loop {
            runs += 1;
            let (files, _) = suspects.order(&all);
            let tried = &files[..200];
            if tried.contains(&file(19_999)) {
                break;
            }
            suspects.note(tried, &all);
            let size = serde_json::to_vec(&suspects).expect("JSON").len();
            assert!(size < 120_000, "{size} bytes after {runs} runs");
            assert!(runs < 101, "it is starved");
        }
        assert_eq!(runs, 100);
        suspects.note(&[], &[]);
        assert!(suspects.is_none(), "all are gone");
    }
}
