//! Files that cannot be loaded: moved to `failed/`, each beside a JSON that says
//! why. Every step may be repeated, and does nothing the second time.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use stepfleet_activity::{ActivityError, Area, Class, Clock};

use crate::outside::call::CallError;
use crate::outside::parts::{self, CopyLimits, Original};
use crate::outside::sns::Notice;
use crate::outside::{Answer, At, Conditional, Object, ObjectStore, PutIf, To};
use crate::s3_load::batch::{Batch, digest};
use crate::s3_load::config::Notify;
use crate::s3_load::input::LoadInput;
use crate::s3_load::keys::{self, FAILED};
use crate::s3_load::lease::Lease;
use crate::s3_load::signals::Signals;
use crate::s3_load::warehouse::BadFile;

/// What the warehouse keeps of a file's name (`file_name` of
/// `SYS_LOAD_ERROR_DETAIL`, `filename` of `STL_LOAD_ERRORS`).
const NAME_KEPT: usize = 256;
/// Files that a notice names.
const NAMED: usize = 20;
/// Characters that a report keeps of an offending value, and of what is added.
const VALUE: usize = 100;
const DETAIL: usize = 1_000;

/// A file that cannot be loaded, and why.
#[derive(Debug, Clone)]
pub(crate) struct Reject {
    pub(crate) file: Object,
    pub(crate) report: Report,
}

/// The JSON beside a file in `failed/`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Report {
    /// The batch that it stopped.
    pub(crate) batch_id: String,
    /// Where it was, to the letter.
    pub(crate) file: String,
    /// Where it should have gone.
    pub(crate) table: String,
    /// As the file came.
    pub(crate) etag: String,
    /// The first bad line; none where the warehouse names no place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) line: Option<String>,
    /// The column, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) column: Option<String>,
    /// What the warehouse says.
    pub(crate) reason: String,
    /// What stood there, or the beginning of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) value: Option<String>,
    /// The SQLSTATE, or the warehouse's own number of the error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) code: Option<String>,
    /// What the warehouse adds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) detail: Option<String>,
}

impl Reject {
    /// A file of the batch by what the warehouse calls it: its URL, or the
    /// beginning of it where no other file of the batch begins like that.
    pub(crate) fn named(batch: &Batch, bad: BadFile) -> Option<Self> {
        let url = |file: &Object| format!("s3://{}/{}", batch.input.bucket, file.key);
        let whole = |file: &&Object| url(file).trim_end() == bad.file;
        let file = batch.files.iter().find(whole).or_else(|| {
            let cut = bad.file.len() >= NAME_KEPT - 3;
            let mut like = batch.files.iter();
            let mut like = like
                .by_ref()
                .filter(|file| url(file).starts_with(&bad.file));
            match (cut, like.next(), like.next()) {
                (true, Some(file), None) => Some(file),
                _ => None,
            }
        })?;
        Some(Self::of_one(batch, file, bad))
    }

    /// A file of a batch, and what is said of it.
    pub(crate) fn of_one(batch: &Batch, file: &Object, bad: BadFile) -> Self {
        let said = |text: String| (!text.is_empty()).then_some(text);
        Self {
            file: file.clone(),
            report: Report {
                line: said(bad.line),
                column: said(bad.column),
                value: said(cut(&bad.value, VALUE)),
                code: said(bad.code),
                detail: said(cut(&bad.detail, DETAIL)),
                ..Report::new(batch, file, bad.reason)
            },
        }
    }

    /// The one file of a batch that the warehouse refuses without a place.
    pub(crate) fn alone(batch: &Batch, file: &Object, reason: &str) -> Self {
        Self {
            file: file.clone(),
            report: Report::new(batch, file, reason.to_owned()),
        }
    }

    /// Where the report about it is.
    pub(crate) fn report_key(&self, input: &LoadInput) -> String {
        input.key(FAILED, &format!("{}.json", id(&self.file)))
    }

    /// A line for people.
    pub(crate) fn place(&self) -> String {
        let Report {
            file, line, column, ..
        } = &self.report;
        let line = line.as_ref().map(|line| format!(", line {line}"));
        let column = column.as_ref().map(|column| format!(", column {column}"));
        format!(
            "file {file}{}{}: {}",
            line.unwrap_or_default(),
            column.unwrap_or_default(),
            self.report.reason
        )
    }
}

impl Report {
    fn new(batch: &Batch, file: &Object, reason: String) -> Self {
        Self {
            batch_id: batch.id.clone(),
            file: format!("s3://{}/{}", batch.input.bucket, file.key),
            table: batch.input.table.id().to_owned(),
            etag: file.etag.clone(),
            line: None,
            column: None,
            reason,
            value: None,
            code: None,
            detail: None,
        }
    }
}

/// As much of a text as a report keeps.
fn cut(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

/// Follows from the object alone, so that whoever sets a file aside again, under
/// another batch or on another day, finds the same place. One that was moved back
/// and fails once more is another object: what still clears away the first cannot
/// take the second with it.
pub(crate) fn id(file: &Object) -> String {
    let modified = file.modified.to_string();
    digest(&[&file.key, &file.etag, &modified])[..16].to_owned()
}

/// What setting aside needs of the outside.
#[derive(Debug)]
pub(crate) struct SetAside<'a, S, N> {
    pub(crate) store: &'a S,
    pub(crate) signals: &'a N,
    pub(crate) notify: Option<&'a Notify>,
    pub(crate) input: &'a LoadInput,
    pub(crate) limits: CopyLimits,
    pub(crate) clock: &'a dyn Clock,
    /// How many files were loaded beside those that failed.
    pub(crate) loaded_beside: u64,
}

/// What became of files that were to be set aside.
#[derive(Debug, Default)]
pub(crate) struct Aside {
    /// These were moved.
    pub(crate) moved: Vec<Object>,
    /// Why others could not be.
    pub(crate) stuck: Option<ActivityError>,
}

impl<S: ObjectStore, N: Signals> SetAside<'_, S, N> {
    /// Moves the files to `failed/`; gives those that were moved. A file leaves
    /// `incoming/` only after people were told: a crash in between, or a topic
    /// that takes nothing, makes the next attempt find the file again and tell
    /// again.
    pub(crate) async fn run(
        &self,
        rejects: &[Reject],
        lease: &mut Lease,
    ) -> Result<Aside, ActivityError> {
        let (mut copied, mut aside) = (Vec::new(), Aside::default());
        for reject in rejects {
            lease.keep(self.store).await?;
            match self.copy(reject).await {
                Ok(true) => copied.push(reject),
                Ok(false) => {}
                // What may not be read, may not be copied: it stays, and holds up
                // none of the others.
                Err(error) if error.class == Class::Permanent => {
                    aside.stuck.get_or_insert_with(|| stuck(reject, &error));
                }
                Err(error) => return Err(error.into()),
            }
        }
        if !copied.is_empty() {
            self.tell(&copied).await?;
        }
        for reject in copied {
            lease.keep(self.store).await?;
            let from = self.from(&reject.file);
            if self.store.delete(from, &reject.file.etag).await? != Conditional::Refused {
                aside.moved.push(reject.file.clone());
            }
        }
        Ok(aside)
    }

    fn from<'b>(&'b self, file: &'b Object) -> At<'b> {
        At {
            bucket: &self.input.bucket,
            key: &file.key,
        }
    }

    /// The report, and the file itself; an object that was replaced is a new
    /// file, stays, and takes nothing with it.
    async fn copy(&self, reject: &Reject) -> Answer<bool> {
        let id = id(&reject.file);
        let report_key = reject.report_key(self.input);
        let report = At {
            bucket: &self.input.bucket,
            key: &report_key,
        };
        let body = json!(Filed {
            report: reject.report.clone(),
            failed_at: self.clock.now(),
            loaded_beside: self.loaded_beside,
        });
        let body = format!("{body:#}\n").into_bytes();
        let written = self.store.put(report, body, PutIf::Absent).await?;
        let to = keys::failed(self.input, &id, &reject.file.key);
        let original = Original {
            at: self.from(&reject.file),
            etag: &reject.file.etag,
            bytes: reject.file.size,
        };
        let copied = parts::copy(self.store, original, To::over(&to), self.limits).await?;
        if copied == Conditional::Done(()) {
            return Ok(true);
        }
        if let Conditional::Done(etag) = written {
            self.store.delete(report, &etag).await?;
        }
        Ok(false)
    }

    /// Tells people, if so many files are in `failed/` by now.
    async fn tell(&self, rejects: &[&Reject]) -> Answer<()> {
        let Some(notify) = self.notify else {
            return Ok(());
        };
        let folder = self.input.key(FAILED, "");
        let listed = self.store.list(&self.input.bucket, &folder).await?;
        let files = listed.iter().filter(|object| {
            let rest = object.key.strip_prefix(&folder);
            rest.is_some_and(|rest| rest.contains('/'))
        });
        let files = files.count() as u64;
        if files < notify.failed_files {
            return Ok(());
        }
        let notice = notice(self.input, rejects, files);
        self.signals.notify(&notify.topic, &notice).await
    }
}

fn stuck(reject: &Reject, error: &CallError) -> ActivityError {
    let cause = format!(
        "{}; it stays in incoming/, and the others were loaded, since it cannot be moved to failed/ either: {error}",
        reject.place()
    );
    ActivityError::permanent(Area::LOAD, cause)
}

/// A report as it stands in `failed/`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Filed {
    #[serde(flatten)]
    pub(crate) report: Report,
    pub(crate) failed_at: Timestamp,
    /// How many files were loaded by the run that found this one at fault: where
    /// there are none, it speaks of the table too.
    #[serde(default)]
    pub(crate) loaded_beside: u64,
}

/// SNS takes a subject of up to 99 ASCII characters without line breaks.
fn notice(input: &LoadInput, rejects: &[&Reject], files: u64) -> Notice {
    let mut subject = format!("stepfleet: {files} failed files of {}", input.table.id());
    subject.truncate(99);
    let reports: Vec<&Report> = rejects.iter().map(|reject| &reject.report).collect();
    let message = json!({
        "event": "failed-files",
        "bucket": input.bucket,
        "folder": input.key(FAILED, ""),
        "table": input.table.id(),
        "failed_files": files,
        "set_aside": reports.len(),
        "first": &reports[..reports.len().min(NAMED)],
        "then": "mend the table or the files; etl-worker reprocess moves them back to incoming/",
    });
    Notice {
        subject,
        message: format!("{message:#}"),
    }
}

/// The one place of each, as an error says it.
pub(crate) fn places<'a>(rejects: impl IntoIterator<Item = &'a Reject>) -> String {
    let places: BTreeSet<String> = rejects.into_iter().map(Reject::place).collect();
    let places: Vec<String> = places.into_iter().take(NAMED).collect();
    places.join("; ")
}
