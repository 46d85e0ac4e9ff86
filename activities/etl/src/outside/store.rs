//! What is asked of a bucket, in our own terms: every write has its precondition.

use std::future::Future;

use jiff::Timestamp;

use super::call::Answer;

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
    /// The ETag, if there is such an object.
    fn etag(&self, at: At<'_>) -> impl Future<Output = Answer<Option<String>>> + Send;
    /// The body and the ETag.
    fn get(&self, at: At<'_>) -> impl Future<Output = Answer<Option<(Vec<u8>, String)>>> + Send;
    /// The first bytes, so many at most, if the object has this ETag.
    fn begins(
        &self,
        from: At<'_>,
        etag: &str,
        bytes: u64,
    ) -> impl Future<Output = Answer<Conditional<Vec<u8>>>> + Send;
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
    /// Deletes, whatever is there.
    fn remove(&self, at: At<'_>) -> impl Future<Output = Answer<()>> + Send;
}
