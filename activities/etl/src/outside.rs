//! Everything the loader asks of the outside, in its own terms: each service
//! stands behind a trait, and its SDK is named in one file only.

use std::future::Future;

use jiff::Timestamp;

use crate::batch::Batch;
use crate::call::CallError;

/// What a call answers with.
pub(crate) type Answer<T> = Result<T, CallError>;

/// An object as a listing shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Object {
    pub(crate) key: String,
    /// Without its quotes.
    pub(crate) etag: String,
    pub(crate) size: u64,
    pub(crate) modified: Timestamp,
}

/// One object's address.
#[derive(Debug, Clone, Copy)]
pub(crate) struct At<'a> {
    pub(crate) bucket: &'a str,
    pub(crate) key: &'a str,
}

/// What must hold for a put to take effect.
#[derive(Debug, Clone, Copy)]
pub(crate) enum PutIf<'a> {
    /// There is no such object.
    Absent,
    /// The object has this ETag.
    Match(&'a str),
}

/// How a call with a precondition ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Conditional<T> {
    /// It took effect.
    Done(T),
    /// The precondition did not hold.
    Refused,
    /// There is no such object.
    Missing,
}

/// Where a copy goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct To<'a> {
    pub(crate) key: &'a str,
    /// Whether it is refused where an object is already.
    pub(crate) absent: bool,
}

impl<'a> To<'a> {
    /// To a key whose object, if there is one, is an earlier copy of the same.
    pub(crate) fn over(key: &'a str) -> Self {
        Self { key, absent: false }
    }

    /// To a key that nobody else may have taken.
    pub(crate) fn new(key: &'a str) -> Self {
        Self { key, absent: true }
    }
}

/// A copy in parts that was begun; it is not seen before it is completed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Upload<'a> {
    pub(crate) bucket: &'a str,
    /// Where the whole will be.
    pub(crate) to: To<'a>,
    pub(crate) id: &'a str,
}

/// A range of bytes, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    /// Counted from 1.
    pub(crate) number: i32,
    pub(crate) first: u64,
    pub(crate) last: u64,
}

/// The bucket.
pub(crate) trait ObjectStore: Clone + Send + Sync + 'static {
    /// All objects under a prefix, to the last page.
    fn list(&self, bucket: &str, prefix: &str) -> impl Future<Output = Answer<Vec<Object>>> + Send;
    /// The body and the ETag.
    fn get(&self, at: At<'_>) -> impl Future<Output = Answer<Option<(Vec<u8>, String)>>> + Send;
    /// The first bytes, so many at most, and the ETag.
    fn beginning(
        &self,
        at: At<'_>,
        most: usize,
    ) -> impl Future<Output = Answer<Option<(Vec<u8>, String)>>> + Send;
    /// Writes, if the precondition holds; the answer is the new ETag.
    fn put(
        &self,
        at: At<'_>,
        body: Vec<u8>,
        condition: PutIf<'_>,
    ) -> impl Future<Output = Answer<Conditional<String>>> + Send;
    /// Copies within the bucket in one request, if the source has this ETag.
    fn copy(
        &self,
        from: At<'_>,
        etag: &str,
        to: To<'_>,
    ) -> impl Future<Output = Answer<Conditional<()>>> + Send;
    /// Begins a copy in parts, if the source has this ETag; the answer is its
    /// id. Gives up what was begun for the same key before.
    fn begin(
        &self,
        from: At<'_>,
        etag: &str,
        to: &str,
    ) -> impl Future<Output = Answer<Conditional<String>>> + Send;
    /// Copies a part, if the source has this ETag; the answer is the part's own.
    fn copy_part(
        &self,
        from: (At<'_>, &str),
        upload: Upload<'_>,
        part: Part,
    ) -> impl Future<Output = Answer<Conditional<String>>> + Send;
    /// Makes an object of the parts with these ETags, in order.
    fn complete(
        &self,
        upload: Upload<'_>,
        etags: &[String],
    ) -> impl Future<Output = Answer<Conditional<()>>> + Send;
    /// Gives a copy in parts up.
    fn abort(&self, upload: Upload<'_>) -> impl Future<Output = Answer<()>> + Send;
    /// Deletes, if the object has this ETag.
    fn delete(
        &self,
        at: At<'_>,
        etag: &str,
    ) -> impl Future<Output = Answer<Conditional<()>>> + Send;
}

/// Where a statement is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Not at its end yet.
    Running,
    /// Committed.
    Finished,
    /// Rolled back by its own fault.
    Failed,
    /// Rolled back because somebody cancelled it.
    Cancelled,
}

impl State {
    /// Whether it has ended and left nothing.
    pub(crate) fn is_rolled_back(self) -> bool {
        matches!(self, Self::Failed | Self::Cancelled)
    }
}

/// A statement in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Statement {
    pub(crate) id: String,
    pub(crate) state: State,
}

/// A statement looked at closely.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Description {
    pub(crate) state: State,
    pub(crate) error: Option<String>,
    /// The query id of the COPY into the target.
    pub(crate) copy_query: Option<i64>,
}

/// A file in the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LedgerRow {
    pub(crate) batch_id: String,
    pub(crate) key: String,
    pub(crate) etag: String,
    /// The UTC day of the load, which is a folder of `processed/`.
    pub(crate) dt: String,
    pub(crate) bytes: u64,
    pub(crate) verified: bool,
}

/// What the warehouse says a COPY loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Loaded {
    pub(crate) files: u64,
    pub(crate) rows: u64,
}

/// What the warehouse says is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BadFile {
    /// Its URL, or what the warehouse keeps of it.
    pub(crate) file: String,
    pub(crate) line: String,
    pub(crate) column: String,
    pub(crate) reason: String,
}

/// Which files are loaded: the one authority on it.
pub(crate) trait Ledger: Clone + Send + Sync + 'static {
    /// The ledger's rows for these keys of a table and a bucket, with any ETag.
    fn ledger(
        &self,
        table: &str,
        bucket: &str,
        keys: &[String],
    ) -> impl Future<Output = Answer<Vec<LedgerRow>>> + Send;
}

/// What came of a file that was loaded by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FileOutcome {
    /// Its rows, so many, and its row in the ledger are in.
    Loaded(u64),
    /// It was in the ledger already, and nothing was done.
    Already,
    /// It cannot be loaded, and nothing of it stays.
    Bad(BadFile),
}

/// A target that takes one file at a time.
pub(crate) trait FileTarget: Ledger {
    /// Loads the one file of a batch, and notes it in the ledger, in one transaction.
    fn load(
        &self,
        batch: &Batch,
        body: Vec<u8>,
    ) -> impl Future<Output = Answer<FileOutcome>> + Send;
}

/// A warehouse that loads many files at once.
pub(crate) trait Warehouse: Ledger {
    /// Submits the load as one transaction under the batch's name; the same
    /// token answers with the statement that it has made before.
    fn submit(&self, batch: &Batch, token: &str) -> impl Future<Output = Answer<String>> + Send;
    /// All statements submitted under a batch's name.
    fn statements(&self, batch_id: &str) -> impl Future<Output = Answer<Vec<Statement>>> + Send;
    /// Asks for a statement's end. Fails where there is nothing to cancel any more.
    fn cancel(&self, id: &str) -> impl Future<Output = Answer<()>> + Send;
    /// Where a statement is.
    fn describe(&self, id: &str) -> impl Future<Output = Answer<Description>> + Send;
    /// How many files of a batch the ledger has.
    fn ledgered_files(&self, batch_id: &str) -> impl Future<Output = Answer<u64>> + Send;
    /// What a COPY loaded.
    fn loaded(&self, query: i64) -> impl Future<Output = Answer<Option<Loaded>>> + Send;
    /// What the last COPY of a batch loaded, found by the manifest that it read.
    fn loaded_by_manifest(
        &self,
        batch_id: &str,
    ) -> impl Future<Output = Answer<Option<Loaded>>> + Send;
    /// Where the last COPY of a batch failed, if files are at fault: the first
    /// place of each. Its query is known, or is found by the manifest.
    fn bad_files(
        &self,
        batch_id: &str,
        query: Option<i64>,
    ) -> impl Future<Output = Answer<Vec<BadFile>>> + Send;
    /// Marks a batch's rows verified.
    fn mark_verified(
        &self,
        batch_id: &str,
        loaded: Loaded,
    ) -> impl Future<Output = Answer<()>> + Send;
}

/// What waits in `incoming/`.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Unprocessed {
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    pub(crate) oldest_seconds: f64,
}

/// What people are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Notice {
    pub(crate) subject: String,
    pub(crate) message: String,
}

/// Where the loader says what it sees.
pub(crate) trait Signals: Send + Sync {
    /// Publishes what waits for a table.
    fn publish(&self, table: &str, waiting: Unprocessed)
    -> impl Future<Output = Answer<()>> + Send;
    /// Tells the subscribers of a topic.
    fn notify(&self, topic: &str, notice: &Notice) -> impl Future<Output = Answer<()>> + Send;
}
