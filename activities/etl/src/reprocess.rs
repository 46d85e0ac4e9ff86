//! Files in `failed/` go back to `incoming/`, where the next run takes them as a
//! new batch. Every step may be repeated, and does nothing the second time.

use serde::Serialize;
use serde_json::Value;

use crate::call::CallError;
use crate::failed::FAILED;
use crate::outside::{Answer, At, Conditional, Object, ObjectStore, To};
use crate::parts::{self, CopyLimits, Original};
use crate::s3;

/// Which files go back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reprocess {
    /// The bucket.
    pub bucket: String,
    /// What `incoming/` and `failed/` come after: empty, or ending in `/`.
    pub prefix: String,
    /// Only files whose names, after `incoming/`, begin like this.
    pub starting_with: String,
    /// Only say what would happen.
    pub dry_run: bool,
}

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// It is in `incoming/` again.
    Moved,
    /// It would be moved; nothing was done.
    WouldMove,
    /// Another object has its key in `incoming/`: it stays in `failed/`, and can
    /// be moved once that one is loaded.
    KeyTaken,
    /// A file of its key was loaded after it had failed: it stays in `failed/`,
    /// since only a person knows whether it is the same data.
    Superseded,
    /// Somebody else has moved, replaced or removed it meanwhile.
    Gone,
}

impl Fate {
    /// Whether the file is where it was to go, or would go there.
    pub fn is_done(self) -> bool {
        !matches!(self, Self::KeyTaken | Self::Superseded)
    }
}

/// A file of `failed/`, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reprocessed {
    /// Its key in `incoming/`.
    pub key: String,
    /// Its key in `failed/`.
    pub failed_key: String,
    /// What became of it.
    pub fate: Fate,
    /// The report that was beside it, if there was one.
    pub report: Option<Value>,
}

/// A call that failed; what was moved before stays moved, and doing it again
/// goes on from there.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct ReprocessError(#[from] CallError);

/// Moves files back; gives what became of each, by key.
///
/// # Errors
/// If a call to S3 fails.
pub async fn reprocess(
    client: &s3::Client,
    request: &Reprocess,
) -> Result<Vec<Reprocessed>, ReprocessError> {
    let limits = CopyLimits::default();
    let all = Run {
        store: client,
        request,
        limits,
    };
    Ok(all.run().await?)
}

/// Moving back, over any bucket.
#[derive(Debug)]
pub(crate) struct Run<'a, S> {
    pub(crate) store: &'a S,
    pub(crate) request: &'a Reprocess,
    pub(crate) limits: CopyLimits,
}

/// A file of `failed/`.
#[derive(Debug)]
struct Failed {
    object: Object,
    id: String,
    rest: String,
}

impl<S: ObjectStore> Run<'_, S> {
    pub(crate) async fn run(&self) -> Answer<Vec<Reprocessed>> {
        let folder = self.key(FAILED, "");
        let listed = self.list(&folder).await?;
        let files = listed.into_iter().filter_map(|object| {
            let (id, rest) = object.key.strip_prefix(&folder)?.split_once('/')?;
            let (id, rest) = (id.to_owned(), rest.to_owned());
            let wanted = rest.starts_with(&self.request.starting_with);
            wanted.then_some(Failed { object, id, rest })
        });
        let mut files: Vec<Failed> = files.collect();
        files.sort_by(|a, b| (&a.rest, &a.id).cmp(&(&b.rest, &b.id)));
        let processed = match files.is_empty() {
            true => Vec::new(),
            false => self.list(&self.key("processed", "")).await?,
        };
        let mut all = Vec::with_capacity(files.len());
        for file in files {
            all.push(self.one(&file, &processed).await?);
        }
        Ok(all)
    }

    async fn one(&self, file: &Failed, processed: &[Object]) -> Answer<Reprocessed> {
        let report = self.key(FAILED, &format!("{}.json", file.id));
        let report = self.store.get(self.at(&report)).await?;
        let read = report.as_ref();
        Ok(Reprocessed {
            key: self.key("incoming", &file.rest),
            failed_key: file.object.key.clone(),
            report: read.and_then(|(body, _)| serde_json::from_slice(body).ok()),
            fate: self
                .take(file, processed, report.map(|(_, etag)| etag))
                .await?,
        })
    }

    async fn take(
        &self,
        file: &Failed,
        processed: &[Object],
        report: Option<String>,
    ) -> Answer<Fate> {
        match self.loaded_since(file, processed) {
            // An earlier run has died after the copy, and the loader was there.
            Some(true) if self.request.dry_run => return Ok(Fate::WouldMove),
            Some(true) => return self.clear(file, report).await,
            Some(false) => return Ok(Fate::Superseded),
            None => {}
        }
        let to = self.key("incoming", &file.rest);
        let there = self.list(&to).await?;
        let there = there.into_iter().find(|object| object.key == to);
        match there {
            // An earlier run has died after the copy.
            Some(there) if there.etag == file.object.etag => {}
            Some(_) => return Ok(Fate::KeyTaken),
            None if self.request.dry_run => return Ok(Fate::WouldMove),
            None => {
                let original = Original {
                    at: self.at(&file.object.key),
                    etag: &file.object.etag,
                    bytes: file.object.size,
                };
                match parts::copy(self.store, original, To::new(&to), self.limits).await? {
                    Conditional::Done(()) => {}
                    Conditional::Refused => return Ok(Fate::KeyTaken),
                    Conditional::Missing => return Ok(Fate::Gone),
                }
            }
        }
        if self.request.dry_run {
            return Ok(Fate::WouldMove);
        }
        self.clear(file, report).await
    }

    /// Whether a file of this key was loaded after this one had failed, and
    /// whether it was this one.
    fn loaded_since(&self, file: &Failed, processed: &[Object]) -> Option<bool> {
        let folder = self.key("processed", "");
        let later = processed.iter().filter(|object| {
            // The day and the batch come before the name.
            let rest = object.key.strip_prefix(&folder);
            let rest = rest.and_then(|rest| rest.splitn(3, '/').nth(2));
            rest == Some(&file.rest) && object.modified >= file.object.modified
        });
        let mut later = later.peekable();
        later.peek()?;
        Some(later.any(|object| object.etag == file.object.etag))
    }

    /// The report goes first: a file without a report is found by the next run,
    /// a report without a file by nobody.
    async fn clear(&self, file: &Failed, report: Option<String>) -> Answer<Fate> {
        if let Some(etag) = report {
            let key = self.key(FAILED, &format!("{}.json", file.id));
            self.store.delete(self.at(&key), &etag).await?;
        }
        let object = &file.object;
        self.store
            .delete(self.at(&object.key), &object.etag)
            .await?;
        Ok(Fate::Moved)
    }

    fn key(&self, folder: &str, rest: &str) -> String {
        format!("{}{folder}/{rest}", self.request.prefix)
    }

    fn at<'b>(&'b self, key: &'b str) -> At<'b> {
        At {
            bucket: &self.request.bucket,
            key,
        }
    }

    async fn list(&self, prefix: &str) -> Answer<Vec<Object>> {
        self.store.list(&self.request.bucket, prefix).await
    }
}
