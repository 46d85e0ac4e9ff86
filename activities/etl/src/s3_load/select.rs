//! Which files are loaded next: pure.

use std::time::Duration;

use jiff::Timestamp;

use crate::outside::Object;
use crate::s3_load::input::LoadInput;
use crate::s3_load::matching::Taken;
use crate::s3_load::signals::Unprocessed;

/// All that a listing of `incoming/` has.
#[derive(Debug, Default)]
pub(crate) struct Listed {
    /// What is to be loaded, oldest first (tie: key).
    pub(crate) files: Vec<Object>,
    pub(crate) ignored: Ignored,
}

/// The keys that are not loaded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Ignored {
    pub(crate) count: u64,
    /// One of them; no marker, if there is another.
    pub(crate) example: Option<String>,
    /// Whether all of them are markers, which many tools leave.
    only_markers: bool,
}

impl Ignored {
    fn add(&mut self, key: &str, is_marker: bool) {
        let first = self.count == 0;
        if first || self.only_markers && !is_marker {
            self.example = Some(key.to_owned());
            self.only_markers = is_marker;
        }
        self.count += 1;
    }

    /// Says it once, with an example.
    pub(crate) fn log(&self, table: &str) {
        let (ignored, example) = (self.count, self.example.as_deref());
        match (example, self.only_markers) {
            (None, _) => {}
            (Some(key), true) => {
                tracing::info!(table, ignored, key, "markers under incoming/ are ignored");
            }
            (Some(key), false) => tracing::warn!(
                table,
                ignored,
                key,
                "keys under incoming/ are ignored: `match` does not take them"
            ),
        }
    }
}

/// Takes a listing apart; every key of it is in one of the two.
pub(crate) fn sort(input: &LoadInput, listed: Vec<Object>) -> Listed {
    let mut sorted = Listed::default();
    for object in listed {
        match input.takes(&object.key) {
            Taken::Yes => sorted.files.push(object),
            taken => sorted.ignored.add(&object.key, taken == Taken::Marker),
        }
    }
    let files = &mut sorted.files;
    files.sort_by(|a, b| (a.modified, &a.key).cmp(&(b.modified, &b.key)));
    sorted
}

/// Whether an object has been there for the settle time.
pub(crate) fn settled(object: &Object, now: Timestamp, settle: Duration) -> bool {
    Duration::try_from(now.duration_since(object.modified)).is_ok_and(|age| age >= settle)
}

/// The first files within both limits; one over the limit of bytes goes alone.
pub(crate) fn select(files: &[Object], max_files: usize, max_bytes: u64) -> Vec<Object> {
    let mut bytes = 0u64;
    files
        .iter()
        .take(max_files)
        .enumerate()
        .take_while(|(at, object)| {
            bytes = bytes.saturating_add(object.size);
            *at == 0 || bytes <= max_bytes
        })
        .map(|(_, object)| object.clone())
        .collect()
}

/// What waits.
pub(crate) fn unprocessed<'a>(
    files: impl IntoIterator<Item = &'a Object>,
    ignored: &Ignored,
    now: Timestamp,
) -> Unprocessed {
    let mut waiting = Unprocessed {
        ignored: ignored.count,
        ..Unprocessed::default()
    };
    for object in files {
        waiting.files += 1;
        waiting.bytes = waiting.bytes.saturating_add(object.size);
        let age = now.duration_since(object.modified).as_secs_f64();
        waiting.oldest_seconds = waiting.oldest_seconds.max(age);
    }
    waiting
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(key: &str, size: u64, second: i64) -> Object {
        Object {
            key: key.to_owned(),
            etag: "e".to_owned(),
            size,
            modified: Timestamp::from_second(second).expect("a time"),
        }
    }

    #[test]
    fn the_oldest_go_first_whatever_their_key() {
        let input = r#"{"bucket": "land", "table": "public.t", "format": "csv", "match": "*.csv"}"#;
        let input: LoadInput = serde_json::from_str(input).expect("an input");
        let listed = vec![
            object("incoming/", 0, 1),
            object("incoming/a.csv", 1, 9),
            object("incoming/b.csv", 1, 9),
            object("incoming/z.csv", 1, 2),
            object("incoming/z.csv.bak", 1, 1),
            object("incoming/z/_SUCCESS", 0, 1),
        ];
        let sorted = sort(&input, listed);
        let keys: Vec<_> = sorted.files.iter().map(|object| &object.key).collect();
        assert_eq!(keys, ["incoming/z.csv", "incoming/a.csv", "incoming/b.csv"]);
        let ignored = Ignored {
            count: 3,
            example: Some("incoming/z.csv.bak".to_owned()),
            only_markers: false,
        };
        assert_eq!(sorted.ignored, ignored);
    }

    proptest::proptest! {
        #[test]
        fn a_selection_is_a_prefix_within_both_limits(
            sizes in proptest::collection::vec(0u64..100, 0..30), max_files in 1usize..20, max_bytes in 1u64..500
        ) {
            let files: Vec<Object> = sizes.iter().map(|size| object("k", *size, 0)).collect();
            let chosen = select(&files, max_files, max_bytes);
            let bytes: u64 = chosen.iter().map(|object| object.size).sum();
            proptest::prop_assert_eq!(&files[..chosen.len()], &chosen[..]);
            proptest::prop_assert!(chosen.len() <= max_files);
            proptest::prop_assert!(bytes <= max_bytes || chosen.len() == 1);
            proptest::prop_assert!(files.is_empty() || !chosen.is_empty());
            if let Some(next) = files.get(chosen.len()) {
                proptest::prop_assert!(chosen.len() == max_files || bytes + next.size > max_bytes);
            }
        }
    }
}
