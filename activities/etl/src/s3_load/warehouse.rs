//! What the loader asks of a warehouse: a ledger, and rows that come with it.

use std::future::Future;
use std::time::Duration;

use crate::outside::Answer;
use crate::outside::data_api::{State, Statement};
use crate::s3_load::batch::Batch;

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
    /// For how long it was loaded already when this was read: by the warehouse's
    /// clock alone, whatever its time zone.
    pub(crate) age: Duration,
}

/// What the warehouse says a COPY loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Loaded {
    pub(crate) files: u64,
    pub(crate) rows: u64,
}

/// What the warehouse says is wrong with a file; what it does not say is empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct BadFile {
    /// Its URL, or what the warehouse keeps of it.
    pub(crate) file: String,
    pub(crate) line: String,
    pub(crate) column: String,
    pub(crate) reason: String,
    /// What stood there.
    pub(crate) value: String,
    /// The SQLSTATE, or the warehouse's own number of the error.
    pub(crate) code: String,
    pub(crate) detail: String,
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
    /// It was not loaded, and nobody says that it is its fault: a trigger's own
    /// error, a limit, a statement that took too long.
    Odd(BadFile),
}

/// A target that takes one file at a time.
pub(crate) trait FileTarget: Ledger {
    /// Loads the one file of a batch, and notes it in the ledger, in one
    /// transaction. What fails is a matter of the table or of the server.
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
