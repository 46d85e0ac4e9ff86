//! What of a listing is loaded already: pure.

use jiff::{SignedDuration, Timestamp};

use crate::outside::Object;
use crate::s3_load::batch::Before;
use crate::s3_load::warehouse::LedgerRow;

/// The settled files of a listing by what the ledger has of them.
#[derive(Debug, Default)]
pub(crate) struct Split {
    /// Loaded by an earlier run that could not move them.
    pub(crate) leftovers: Vec<LedgerRow>,
    /// Loaded and moved before, and here again with the same bytes.
    pub(crate) already: Vec<LedgerRow>,
    /// To be loaded.
    pub(crate) fresh: Vec<Object>,
    /// What the ledger has of those that are to be loaded again.
    pub(crate) before: Before,
    /// Whether what is here again is to be loaded again.
    reload: bool,
}

impl Split {
    /// Of nothing yet.
    pub(crate) fn new(reload: bool) -> Self {
        Self {
            reload,
            ..Self::default()
        }
    }

    /// A file with its rows of the ledger, read at that time.
    ///
    /// A file that was listed, loaded and not moved was there before its row. One
    /// that is younger than its last row has come again: the same object cannot
    /// be. So whoever loads it again, and dies before the move, leaves a row that
    /// is younger than the file, and nobody loads it a third time.
    pub(crate) fn add(&mut self, object: &Object, rows: Vec<&LedgerRow>, read: Timestamp) {
        let Some(last) = rows.iter().min_by_key(|row| row.age) else {
            self.fresh.push(object.clone());
            return;
        };
        let age = SignedDuration::try_from(last.age).unwrap_or(SignedDuration::MAX);
        let loaded = read.saturating_sub(age).unwrap_or(Timestamp::MIN);
        if object.modified <= loaded {
            self.leftovers.push((*last).clone());
        } else if self.reload {
            self.fresh.push(object.clone());
            rows.into_iter().for_each(|row| self.before.add(row));
        } else {
            self.already.push((*last).clone());
        }
    }

    /// All that is only to be moved.
    pub(crate) fn loaded(&self) -> Vec<LedgerRow> {
        [self.leftovers.as_slice(), &self.already].concat()
    }

    /// Says what came again, with an example.
    pub(crate) fn log(&self, table: &str) {
        if let Some(first) = self.already.first() {
            let (already, key) = (self.already.len(), first.key.as_str());
            tracing::info!(
                table,
                already,
                key,
                "files that were loaded before came again and are moved away; `reload: true` in the input loads such files once more"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_file_is_fresh_left_over_or_here_again() {
        let at = |second| Timestamp::from_second(second).expect("a time");
        let object = |second| Object {
            key: "k".to_owned(),
            etag: "e".to_owned(),
            size: 1,
            modified: at(second),
        };
        let row = |id: &str, age| LedgerRow {
            batch_id: id.to_owned(),
            key: "k".to_owned(),
            etag: "e".to_owned(),
            dt: String::new(),
            bytes: 1,
            verified: true,
            age: Duration::from_secs(age),
        };
        // Read at 1000; leftovers, already, fresh, and rows of before.
        for (modified, rows, reload, want) in [
            (900, vec![], true, [0, 0, 1, 0]),
            (900, vec![row("a", 50)], false, [1, 0, 0, 0]),
            (900, vec![row("a", 50)], true, [1, 0, 0, 0]),
            (950, vec![row("a", 50)], true, [1, 0, 0, 0]),
            (951, vec![row("a", 50)], false, [0, 1, 0, 0]),
            (951, vec![row("a", 50)], true, [0, 0, 1, 1]),
            // The last load counts.
            (951, vec![row("a", 80), row("b", 20)], true, [1, 0, 0, 0]),
            (990, vec![row("a", 80), row("b", 20)], true, [0, 0, 1, 2]),
        ] {
            let mut split = Split::new(reload);
            split.add(&object(modified), rows.iter().collect(), at(1_000));
            let found = [
                split.leftovers.len(),
                split.already.len(),
                split.fresh.len(),
                split.before.len(),
            ];
            assert_eq!(found, want, "{modified} {rows:?} {reload}");
            assert!(split.loaded().iter().all(|row| row.age <= rows[0].age));
        }
    }
}
