//! A batch: the files of one load, under a name that follows from them.

use std::collections::BTreeSet;

use serde_json::json;
use sha2::{Digest, Sha256};

use crate::outside::Object;
use crate::s3_load::codec::Codec;
use crate::s3_load::input::LoadInput;
use crate::s3_load::warehouse::LedgerRow;

/// The loads before of files that come again: each by key and batch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Before(BTreeSet<(String, String)>);

impl Before {
    pub(crate) fn add(&mut self, row: &LedgerRow) {
        self.0.insert((row.key.clone(), row.batch_id.clone()));
    }

    pub(crate) fn has(&self, row: &LedgerRow) -> bool {
        self.0.contains(&(row.key.clone(), row.batch_id.clone()))
    }

    /// How many rows of the ledger these are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The batches of one key.
    pub(crate) fn of(&self, key: &str) -> Vec<String> {
        let own = self.0.iter().filter(|(of, _)| of == key);
        own.map(|(_, id)| id.clone()).collect()
    }
}

/// The files of one load.
#[derive(Debug, Clone)]
pub(crate) struct Batch {
    /// A hash over the table and the sorted (key, etag): the same files give the same name.
    pub(crate) id: String,
    pub(crate) input: LoadInput,
    pub(crate) files: Vec<Object>,
    /// How all of them are packed.
    pub(crate) codec: Codec,
    /// What is in the ledger of these files already, where they are loaded again.
    pub(crate) before: Before,
    /// The UTC day of the load, stored in the ledger: a move that is resumed
    /// after midnight must find the same folder.
    pub(crate) dt: String,
}

impl Batch {
    pub(crate) fn new(input: &LoadInput, files: Vec<Object>, dt: String) -> Self {
        let mut names: Vec<(&str, &str)> = files
            .iter()
            .map(|file| (file.key.as_str(), file.etag.as_str()))
            .collect();
        names.sort_unstable();
        let mut parts = vec![input.bucket.as_str(), input.table.id()];
        for (key, etag) in names {
            parts.extend([key, etag]);
        }
        Self {
            id: digest(&parts),
            input: input.clone(),
            before: Before::default(),
            codec: input.compression().of_all().unwrap_or_default(),
            files,
            dt,
        }
    }

    /// With files that are packed in this way.
    pub(crate) fn packed(self, codec: Codec) -> Self {
        Self { codec, ..self }
    }

    /// With what the ledger has of its files before this load. The name follows
    /// from that too: the same files loaded again are another batch, and whoever
    /// tries that again finds the same one.
    pub(crate) fn again(self, before: &Before) -> Self {
        let keys: BTreeSet<&str> = self.files.iter().map(|file| file.key.as_str()).collect();
        let mut own = before.0.clone();
        own.retain(|(key, _)| keys.contains(key.as_str()));
        if own.is_empty() {
            return self;
        }
        let mut parts = vec![self.id.as_str(), "again"];
        for (key, id) in &own {
            parts.extend([key.as_str(), id.as_str()]);
        }
        Self {
            id: digest(&parts),
            before: Before(own),
            ..self
        }
    }

    pub(crate) fn keys(&self) -> Vec<String> {
        self.files.iter().map(|file| file.key.clone()).collect()
    }

    pub(crate) fn manifest_key(&self) -> String {
        self.input.key("manifests", &format!("{}.json", self.id))
    }

    pub(crate) fn list_key(&self) -> String {
        self.input
            .key("manifests", &format!("{}.files.json", self.id))
    }

    /// What COPY reads: a missing file is an error, never skipped.
    pub(crate) fn manifest(&self) -> Vec<u8> {
        let entries: Vec<_> = self
            .files
            .iter()
            .map(|file| json!({"url": format!("s3://{}/{}", self.input.bucket, file.key), "mandatory": true}))
            .collect();
        json!({ "entries": entries }).to_string().into_bytes()
    }

    /// What becomes the ledger's rows, as JSON lines: 200 long keys would not
    /// fit into a statement.
    pub(crate) fn list(&self) -> Vec<u8> {
        let mut lines = String::new();
        for file in &self.files {
            let line = json!({
                "batch_id": self.id, "bucket": self.input.bucket, "object_key": file.key,
                "etag": file.etag, "bytes": file.size,
            });
            lines.push_str(&line.to_string());
            lines.push('\n');
        }
        lines.into_bytes()
    }

    /// The idempotency key of the next attempt: after a failure the same token
    /// would answer with the failed statement.
    pub(crate) fn token(&self, failed: usize) -> String {
        digest(&[&self.id, &failed.to_string()])
    }
}

/// SHA-256 in hex: 64 characters, which is the most that a client token may have.
/// Each part is counted, so that no two lists of parts look alike.
pub(crate) fn digest(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hex::encode(hash.finalize())
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn batch(names: &[(&str, &str)]) -> Batch {
        let input: LoadInput =
            serde_json::from_str(r#"{"bucket": "land", "table": "public.t", "format": "csv"}"#)
                .expect("an input");
        let files = names
            .iter()
            .map(|(key, etag)| Object {
                key: (*key).to_owned(),
                etag: (*etag).to_owned(),
                size: 1,
                modified: Timestamp::UNIX_EPOCH,
            })
            .collect();
        Batch::new(&input, files, "2026-01-01".to_owned())
    }

    #[test]
    fn the_name_follows_from_the_files_and_not_from_their_order() {
        let one = batch(&[("a", "1"), ("b", "2")]);
        assert_eq!(one.id, batch(&[("b", "2"), ("a", "1")]).id);
        assert_ne!(one.id, batch(&[("a", "1"), ("b", "3")]).id);
        assert_ne!(batch(&[("a", "b1")]).id, batch(&[("ab", "1")]).id);
        assert_eq!(one.id.len(), 64);
        assert_ne!(one.token(0), one.token(1));
    }

    #[test]
    fn the_same_files_again_are_another_batch_that_follows_from_the_ledger() {
        let row = |key: &str, batch_id: &str| LedgerRow {
            batch_id: batch_id.to_owned(),
            key: key.to_owned(),
            etag: "1".to_owned(),
            dt: String::new(),
            bytes: 1,
            verified: true,
            age: std::time::Duration::ZERO,
        };
        let before = |rows: &[LedgerRow]| {
            let mut before = Before::default();
            rows.iter().for_each(|row| before.add(row));
            before
        };
        let one = || batch(&[("a", "1"), ("b", "2")]);
        let others = before(&[row("c", "x")]);
        assert_eq!(one().again(&others).id, one().id, "of no file of it");
        let again = one().again(&before(&[row("a", "x"), row("c", "x")]));
        assert_ne!(again.id, one().id);
        assert_eq!(
            (again.before.len(), again.before.of("a")),
            (1, vec!["x".to_owned()])
        );
        let third = one().again(&before(&[row("a", "x"), row("a", &again.id)]));
        assert!(third.id != again.id && third.before.len() == 2);
        assert!(third.before.has(&row("a", "x")) && !third.before.has(&row("b", "x")));
    }

    #[test]
    fn any_key_stands_in_the_manifest_as_it_is() {
        let batch = batch(&[("a 'b'+\"é\\\n.csv", "1")]);
        let manifest: serde_json::Value = serde_json::from_slice(&batch.manifest()).expect("JSON");
        assert_eq!(manifest["entries"][0]["url"], "s3://land/a 'b'+\"é\\\n.csv");
        assert_eq!(manifest["entries"][0]["mandatory"], true);
        let list = String::from_utf8(batch.list()).expect("text");
        assert_eq!(list.lines().count(), 1, "a line break in a key is escaped");
    }
}
