//! What is known of an object, and what has to hold of it.

use std::collections::BTreeMap;
use std::io;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What is known of an object without its body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectInfo {
    /// Its key.
    pub key: String,
    /// MD5 of the body in hex, without quotes; of one that came in parts, the
    /// MD5 of theirs and their number.
    pub etag: String,
    /// Bytes.
    pub size: u64,
    /// Whole seconds, as S3 has them.
    pub last_modified: Timestamp,
    /// What its writer said of it.
    #[serde(default)]
    pub about: About,
    /// The sizes of its parts, where it came in parts.
    #[serde(default)]
    pub(in crate::s3) parts: Vec<u64>,
    /// The name of its files; grows, so that of two records the later wins.
    pub(super) file: u64,
}

impl ObjectInfo {
    /// Grows with every change in the store, so with every change of a key.
    pub(in crate::s3) fn change(&self) -> u64 {
        self.file
    }
}

/// What a writer says of an object: kept, and told to readers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// `Content-Encoding`.
    pub content_encoding: Option<String>,
    /// `Content-Disposition`.
    pub content_disposition: Option<String>,
    /// `Content-Language`.
    pub content_language: Option<String>,
    /// `Cache-Control`.
    pub cache_control: Option<String>,
    /// The `x-amz-meta-` headers, by the rest of their names.
    pub metadata: BTreeMap<String, String>,
}

impl About {
    /// As S3 tells it where nobody said.
    pub(in crate::s3) fn content_type(&self) -> String {
        let said = self.content_type.as_deref();
        said.unwrap_or("binary/octet-stream").to_owned()
    }
}

/// What is written.
pub(in crate::s3) struct Object<'a> {
    pub(in crate::s3) body: &'a [u8],
    pub(in crate::s3) about: About,
}

/// What has to hold of the object that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// Nothing.
    None,
    /// `If-None-Match: *`.
    Absent,
    /// `If-Match: *`.
    Present,
    /// `If-Match` with an ETag, without quotes.
    Etag(String),
}

impl Condition {
    /// Whether it holds of what is there.
    pub(super) fn check(&self, there: Option<&ObjectInfo>) -> Result<(), StoreError> {
        match (self, there) {
            (Self::None, _) | (Self::Absent, None) | (Self::Present, Some(_)) => Ok(()),
            (Self::Absent, Some(_)) => Err(StoreError::Precondition),
            (Self::Etag(_) | Self::Present, None) => Err(StoreError::NoSuchKey),
            (Self::Etag(etag), Some(info)) if *etag == info.etag => Ok(()),
            (Self::Etag(_), Some(_)) => Err(StoreError::Precondition),
        }
    }
}

/// Why the store refuses.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no such bucket.
    #[error("the bucket does not exist: create it first")]
    NoSuchBucket,
    /// There is no such key.
    #[error("the key does not exist")]
    NoSuchKey,
    /// There is no such upload.
    #[error("the upload does not exist: it is completed or aborted, or its id is wrong")]
    NoSuchUpload,
    /// The condition does not hold.
    #[error("at least one of the preconditions did not hold")]
    Precondition,
    /// The key was deleted during a conditional upload in parts.
    #[error("the key was deleted during the upload: start it again with CreateMultipartUpload")]
    Conflict,
    /// A part that is named was not uploaded, or not with that ETag.
    #[error("part {0} was not uploaded, or has another ETag")]
    InvalidPart(i32),
    /// The parts are not named in ascending order.
    #[error("the parts are not in ascending order")]
    InvalidPartOrder,
    /// A part that is not the last is under 5 MiB.
    #[error("part {0} is under 5 MiB, which only the last one may be")]
    TooSmall(i32),
    /// The bucket is there already.
    #[error("the bucket is there already")]
    BucketExists,
    /// The bucket has objects.
    #[error("the bucket is not empty: delete its objects first")]
    NotEmpty,
    /// A file could not be read or written.
    #[error("a file of the store: {0}")]
    Io(#[from] io::Error),
}
