//! Where a file goes when it leaves `incoming/`. A key has up to 1,024 bytes, and
//! these folders are longer than that one: a name that would not fit is cut, and
//! ends in a digest of the whole. What follows from a file stays the same for
//! whoever moves it again.

use crate::s3_load::batch::digest;
use crate::s3_load::input::LoadInput;
use crate::s3_load::warehouse::LedgerRow;

/// The folder of the files that are loaded.
pub(crate) const PROCESSED: &str = "processed";
/// The folder of the files that cannot be loaded.
pub(crate) const FAILED: &str = "failed";

/// The longest key that S3 takes, in bytes of UTF-8.
pub(crate) const LONGEST: usize = 1024;
/// How much of a digest stands in a key.
const SHORT: usize = 16;
/// What comes before the digest of a name that was cut.
const CUT: char = '~';

/// A key in `incoming/` without what all of them begin with.
pub(crate) fn rest<'a>(input: &LoadInput, key: &'a str) -> &'a str {
    key.strip_prefix(&input.key("incoming", "")).unwrap_or(key)
}

/// Where a loaded file goes: `processed/<day>/<batch>/<name>`, with a shorter
/// batch, and then a shorter name, only where it would be too long.
pub(crate) fn processed(input: &LoadInput, row: &LedgerRow) -> String {
    let rest = rest(input, &row.key);
    let key = |batch: &str, name: &str| input.key(PROCESSED, &format!("{}/{batch}/{name}", row.dt));
    let whole = key(&row.batch_id, rest);
    if whole.len() <= LONGEST {
        return whole;
    }
    let batch = row.batch_id.get(..SHORT).unwrap_or(&row.batch_id);
    let folder = key(batch, "");
    format!("{folder}{}", name(rest, &folder))
}

/// Where a file that cannot be loaded goes: `failed/<id>/<name>`.
pub(crate) fn failed(input: &LoadInput, id: &str, key: &str) -> String {
    let folder = input.key(FAILED, &format!("{id}/"));
    format!("{folder}{}", name(rest(input, key), &folder))
}

/// The name, or as much of it as fits behind the folder, with its digest.
fn name(rest: &str, folder: &str) -> String {
    let room = LONGEST.saturating_sub(folder.len());
    if rest.len() <= room {
        return rest.to_owned();
    }
    let mark = mark(rest);
    let mut end = room.saturating_sub(mark.len()).min(rest.len());
    while !rest.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{mark}", &rest[..end])
}

fn mark(rest: &str) -> String {
    format!("{CUT}{}", &digest(&[rest])[..SHORT])
}

/// Whether a name in another folder is that of this file, cut or whole.
pub(crate) fn is_name_of(found: &str, rest: &str) -> bool {
    let cut = || found.strip_suffix(&mark(rest));
    found == rest || cut().is_some_and(|begin| rest.starts_with(begin))
}

/// Whether the name at the end of this key may be cut: it says no more than that
/// it is not whole.
pub(crate) fn may_be_cut(key: &str) -> bool {
    let is_digest = |end: &str| {
        let hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        end.len() == SHORT && end.bytes().all(hex)
    };
    // A character that does not fit has up to four bytes.
    key.len() > LONGEST - 4 && key.rsplit_once(CUT).is_some_and(|(_, end)| is_digest(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(prefix: &str) -> LoadInput {
        let input = serde_json::json!({"bucket": "land", "prefix": prefix, "table": "public.t", "format": "csv"});
        serde_json::from_value(input).expect("an input")
    }

    fn row(key: &str) -> LedgerRow {
        LedgerRow {
            batch_id: digest(&["batch"]),
            key: key.to_owned(),
            etag: "e".to_owned(),
            dt: "2026-01-02".to_owned(),
            bytes: 1,
            verified: true,
            age: std::time::Duration::ZERO,
        }
    }

    /// What was moved before moves to the same place.
    #[test]
    fn a_name_that_fits_is_as_it_always_was() {
        let row = row("p/incoming/a/b.csv");
        let want = format!("p/processed/2026-01-02/{}/a/b.csv", row.batch_id);
        assert_eq!(processed(&input("p/"), &row), want);
        let longest = format!("p/incoming/{}", "x".repeat(LONGEST - 88));
        let row = self::row(&longest);
        let moved = processed(&input("p/"), &row);
        assert_eq!(moved.len(), LONGEST);
        assert!(moved.contains(&row.batch_id), "the last that fits");
        let moved = processed(&input("p/"), &self::row(&format!("{longest}x")));
        assert!(moved.len() == LONGEST - 47 && !may_be_cut(&moved), "whole");
        assert_eq!(
            failed(&input(""), "0123", "incoming/a.csv"),
            "failed/0123/a.csv"
        );
    }

    proptest::proptest! {
        #[test]
        fn every_key_that_s3_takes_has_a_place(
            prefix in "([a-z]{1,50}/){0,9}", name in "[a-z/é日~]{1,1100}", other in "[a-z]{1,3}"
        ) {
            let input = input(&prefix);
            let mut end = (LONGEST - input.key("incoming", "").len()).min(name.len());
            while !name.is_char_boundary(end) {
                end -= 1;
            }
            let rest = &name[..end];
            let key = input.key("incoming", rest);
            let id = &digest(&[&key])[..SHORT];
            let folders = [input.key(PROCESSED, ""), input.key(FAILED, "")];
            for (to, skip) in [(processed(&input, &row(&key)), 2), (failed(&input, id, &key), 1)] {
                proptest::prop_assert!(to.len() <= LONGEST, "{}", to.len());
                let folder = &folders[skip % 2];
                let found = to.strip_prefix(folder).expect("its folder");
                let found = found.splitn(skip + 1, '/').nth(skip).expect("a name");
                proptest::prop_assert!(is_name_of(found, rest));
                proptest::prop_assert!(found == rest || may_be_cut(&to));
                let changed = format!("{rest}{other}");
                proptest::prop_assert!(!is_name_of(found, &changed));
            }
        }
    }
}
