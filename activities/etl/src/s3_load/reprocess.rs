//! Files in `failed/` go back to `incoming/`, where the next run takes them as a
//! new batch. Every step may be repeated, and does nothing the second time.

use serde::Serialize;
use serde_json::Value;

use crate::outside::call::CallError;
use crate::outside::deleting::{ConditionalDelete, Store};
use crate::outside::parts::{self, CopyLimits, Original};
use crate::outside::s3;
use crate::outside::{Answer, At, Conditional, Object, ObjectStore, To};
use crate::s3_load::keys::{self, FAILED, PROCESSED};

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
    /// How objects are deleted.
    pub conditional_delete: ConditionalDelete,
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
    /// Its name was too long for `failed/`, and its report, which has the whole of
    /// it, is missing: it stays.
    Nameless,
    /// Somebody else has moved, replaced or removed it meanwhile.
    Gone,
}

impl Fate {
    /// Whether the file is where it was to go, or would go there.
    pub fn is_done(self) -> bool {
        !matches!(self, Self::KeyTaken | Self::Superseded | Self::Nameless)
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
    let store = Store::new(client.clone(), request.conditional_delete);
    let all = Run {
        store: &store,
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

/// What a file is judged by.
#[derive(Debug, Clone, Copy)]
struct Known<'a> {
    /// Its name after `incoming/`.
    rest: &'a str,
    /// All of `processed/`.
    processed: &'a [Object],
}

/// A file of `failed/`.
#[derive(Debug)]
struct Failed {
    object: Object,
    id: String,
    /// Its name after `incoming/`; none where only its report would say it.
    rest: Option<String>,
    /// The name in `failed/`.
    found: String,
}

impl Failed {
    fn name(&self) -> &str {
        self.rest.as_deref().unwrap_or(&self.found)
    }
}

impl<S: ObjectStore> Run<'_, S> {
    pub(crate) async fn run(&self) -> Answer<Vec<Reprocessed>> {
        let folder = self.key(FAILED, "");
        let mut files = Vec::new();
        for object in self.list(&folder).await? {
            if let Some(file) = self.failed(object, &folder).await? {
                files.push(file);
            }
        }
        files.sort_by(|a, b| (a.name(), &a.id).cmp(&(b.name(), &b.id)));
        let processed = match files.is_empty() {
            true => Vec::new(),
            false => self.list(&self.key(PROCESSED, "")).await?,
        };
        let mut all = Vec::with_capacity(files.len());
        for file in files {
            all.push(self.one(&file, &processed).await?);
        }
        Ok(all)
    }

    /// The file that an object of `failed/` is, if it is one that is asked for.
    async fn failed(&self, object: Object, folder: &str) -> Answer<Option<Failed>> {
        let rest = object.key.strip_prefix(folder);
        let Some((id, found)) = rest.and_then(|rest| rest.split_once('/')) else {
            return Ok(None);
        };
        let (id, found) = (id.to_owned(), found.to_owned());
        let rest = match keys::may_be_cut(&object.key) {
            true => self.said_in_report(&id, &found).await?,
            false => Some(found.clone()),
        };
        let file = Failed {
            object,
            id,
            rest,
            found,
        };
        let wanted = file.name().starts_with(&self.request.starting_with);
        Ok(wanted.then_some(file))
    }

    /// The whole of a name that may be cut, as its report has it.
    async fn said_in_report(&self, id: &str, found: &str) -> Answer<Option<String>> {
        let report = self.key(FAILED, &format!("{id}.json"));
        let Some((body, _)) = self.store.get(self.at(&report)).await? else {
            return Ok(None);
        };
        let report: Value = serde_json::from_slice(&body).unwrap_or_default();
        let incoming = format!("s3://{}/{}", self.request.bucket, self.key("incoming", ""));
        let rest = report["file"]
            .as_str()
            .and_then(|file| file.strip_prefix(&incoming));
        Ok(rest
            .filter(|rest| keys::is_name_of(found, rest))
            .map(str::to_owned))
    }

    async fn one(&self, file: &Failed, processed: &[Object]) -> Answer<Reprocessed> {
        let report = self.key(FAILED, &format!("{}.json", file.id));
        let report = self.store.get(self.at(&report)).await?;
        let read = report.as_ref();
        Ok(Reprocessed {
            key: self.key("incoming", file.name()),
            failed_key: file.object.key.clone(),
            report: read.and_then(|(body, _)| serde_json::from_slice(body).ok()),
            fate: match &file.rest {
                Some(rest) => {
                    let report = report.map(|(_, etag)| etag);
                    let known = Known { rest, processed };
                    self.take(file, known, report).await?
                }
                None => Fate::Nameless,
            },
        })
    }

    async fn take(&self, file: &Failed, known: Known<'_>, report: Option<String>) -> Answer<Fate> {
        match self.loaded_since(file, known) {
            // An earlier run has died after the copy, and the loader was there.
            Some(true) if self.request.dry_run => return Ok(Fate::WouldMove),
            Some(true) => return self.clear(file, report).await,
            Some(false) => return Ok(Fate::Superseded),
            None => {}
        }
        let to = self.key("incoming", known.rest);
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
    fn loaded_since(&self, file: &Failed, known: Known<'_>) -> Option<bool> {
        let folder = self.key(PROCESSED, "");
        let later = known.processed.iter().filter(|object| {
            // The day and the batch come before the name.
            let rest = object.key.strip_prefix(&folder);
            let rest = rest.and_then(|rest| rest.splitn(3, '/').nth(2));
            rest.is_some_and(|rest| keys::is_name_of(rest, known.rest))
                && object.modified >= file.object.modified
        });
        let mut later = later.peekable();
        later.peek()?;
        Some(later.any(|object| object.etag == file.object.etag))
    }

    /// The report goes first: a file without a report is found by the next run,
    /// a report without a file by nobody. Only where the report alone has the
    /// file's name it goes last: what stays after a crash then is a text.
    async fn clear(&self, file: &Failed, report: Option<String>) -> Answer<Fate> {
        let report_key = self.key(FAILED, &format!("{}.json", file.id));
        let report = report.map(|etag| (self.at(&report_key), etag));
        let object = (self.at(&file.object.key), file.object.etag.clone());
        let order = match file.rest.as_ref() == Some(&file.found) {
            true => [report, Some(object)],
            false => [Some(object), report],
        };
        for (at, etag) in order.into_iter().flatten() {
            self.store.delete(at, &etag).await?;
        }
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
