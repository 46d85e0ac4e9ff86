//! Buckets and objects: an index in memory, a body and its record in files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{fs, io};

use jiff::Timestamp;
use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};
use stepfleet_activity::Clock;

/// What is known of an object without its body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectInfo {
    /// Its key.
    pub key: String,
    /// MD5 of the body in hex, without quotes.
    pub etag: String,
    /// Bytes.
    pub size: u64,
    /// Whole seconds, as S3 has them.
    pub last_modified: Timestamp,
    /// What its writer said of it.
    #[serde(default)]
    pub about: About,
    /// The name of its files; grows, so that of two records the later wins.
    file: u64,
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
    pub(super) fn content_type(&self) -> String {
        let said = self.content_type.as_deref();
        said.unwrap_or("binary/octet-stream").to_owned()
    }
}

/// What is written.
pub(super) struct Object<'a> {
    pub(super) body: &'a [u8],
    pub(super) about: About,
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

/// Why the store refuses.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no such bucket.
    #[error("the bucket does not exist: create it first")]
    NoSuchBucket,
    /// There is no such key.
    #[error("the key does not exist")]
    NoSuchKey,
    /// The condition does not hold.
    #[error("at least one of the preconditions did not hold")]
    Precondition,
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

type Bucket = BTreeMap<String, ObjectInfo>;

#[derive(Debug, Default)]
struct Index {
    buckets: BTreeMap<String, Bucket>,
    next_file: u64,
}

impl Index {
    fn bucket(&mut self, name: &str) -> Result<&mut Bucket, StoreError> {
        self.buckets.get_mut(name).ok_or(StoreError::NoSuchBucket)
    }
}

/// Everything that is kept, under one lock: no condition is checked apart from
/// its effect.
#[derive(Debug)]
pub(super) struct Store {
    root: PathBuf,
    clock: Arc<dyn Clock>,
    index: Mutex<Index>,
}

impl Store {
    pub(super) fn open(root: PathBuf, clock: Arc<dyn Clock>) -> io::Result<Self> {
        fs::create_dir_all(&root)?;
        let mut index = Index::default();
        for entry in fs::read_dir(&root)? {
            let entry = entry?;
            if let Ok(name) = entry.file_name().into_string()
                && entry.file_type()?.is_dir()
            {
                let bucket = read_bucket(&entry.path(), &mut index.next_file)?;
                index.buckets.insert(name, bucket);
            }
        }
        Ok(Self {
            root,
            clock,
            index: Mutex::new(index),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, bucket: &str, file: u64, kind: &str) -> PathBuf {
        self.root.join(bucket).join(format!("{file}.{kind}"))
    }

    pub(super) fn buckets(&self) -> Vec<String> {
        self.lock().buckets.keys().cloned().collect()
    }

    pub(super) fn create_bucket(&self, name: &str) -> Result<(), StoreError> {
        let mut index = self.lock();
        if index.buckets.contains_key(name) {
            return Err(StoreError::BucketExists);
        }
        fs::create_dir_all(self.root.join(name))?;
        index.buckets.insert(name.to_owned(), Bucket::new());
        Ok(())
    }

    pub(super) fn delete_bucket(&self, name: &str) -> Result<(), StoreError> {
        let mut index = self.lock();
        if !index.bucket(name)?.is_empty() {
            return Err(StoreError::NotEmpty);
        }
        fs::remove_dir_all(self.root.join(name))?;
        index.buckets.remove(name);
        Ok(())
    }

    pub(super) fn list(&self, bucket: &str, prefix: &str) -> Result<Vec<ObjectInfo>, StoreError> {
        let mut index = self.lock();
        Ok(index
            .bucket(bucket)?
            .range(prefix.to_owned()..)
            .take_while(|(key, _)| key.starts_with(prefix))
            .map(|(_, info)| info.clone())
            .collect())
    }

    pub(super) fn head(&self, bucket: &str, key: &str) -> Result<ObjectInfo, StoreError> {
        let mut index = self.lock();
        let found = index.bucket(bucket)?.get(key).cloned();
        found.ok_or(StoreError::NoSuchKey)
    }

    pub(super) fn get(&self, bucket: &str, key: &str) -> Result<(ObjectInfo, Vec<u8>), StoreError> {
        let mut index = self.lock();
        let info = index.bucket(bucket)?.get(key).cloned();
        let info = info.ok_or(StoreError::NoSuchKey)?;
        let body = fs::read(self.path(bucket, info.file, "body"))?;
        Ok((info, body))
    }

    pub(super) fn put(
        &self,
        (bucket, key): (&str, &str),
        Object { body, about }: Object<'_>,
        condition: &Condition,
    ) -> Result<ObjectInfo, StoreError> {
        let etag = hex::encode(Md5::digest(body));
        let mut index = self.lock();
        let old = index.bucket(bucket)?.get(key).cloned();
        check(old.as_ref(), condition)?;
        index.next_file += 1;
        let info = ObjectInfo {
            key: key.to_owned(),
            etag,
            size: body.len() as u64,
            last_modified: Timestamp::from_second(self.clock.now().as_second())
                .unwrap_or(Timestamp::UNIX_EPOCH),
            about,
            file: index.next_file,
        };
        self.write(bucket, &info, body)?;
        index.bucket(bucket)?.insert(key.to_owned(), info.clone());
        if let Some(old) = old {
            self.forget(bucket, old.file)?;
        }
        Ok(info)
    }

    /// `true` where there was something to delete.
    pub(super) fn delete(
        &self,
        bucket: &str,
        key: &str,
        condition: &Condition,
    ) -> Result<bool, StoreError> {
        let mut index = self.lock();
        let old = index.bucket(bucket)?.get(key).cloned();
        check(old.as_ref(), condition)?;
        let Some(old) = old else { return Ok(false) };
        self.forget(bucket, old.file)?;
        index.bucket(bucket)?.remove(key);
        Ok(true)
    }

    /// The body first, then the record by a rename: what has a record is whole.
    fn write(&self, bucket: &str, info: &ObjectInfo, body: &[u8]) -> io::Result<()> {
        fs::write(self.path(bucket, info.file, "body"), body)?;
        let draft = self.path(bucket, info.file, "draft");
        fs::write(&draft, serde_json::to_vec(info)?)?;
        fs::rename(draft, self.path(bucket, info.file, "json"))
    }

    fn forget(&self, bucket: &str, file: u64) -> io::Result<()> {
        fs::remove_file(self.path(bucket, file, "json"))?;
        fs::remove_file(self.path(bucket, file, "body"))
    }
}

/// Whether a condition holds of what is there.
pub(super) fn check(there: Option<&ObjectInfo>, condition: &Condition) -> Result<(), StoreError> {
    match (condition, there) {
        (Condition::None, _) | (Condition::Absent, None) | (Condition::Present, Some(_)) => Ok(()),
        (Condition::Absent, Some(_)) => Err(StoreError::Precondition),
        (Condition::Etag(_) | Condition::Present, None) => Err(StoreError::NoSuchKey),
        (Condition::Etag(etag), Some(info)) if *etag == info.etag => Ok(()),
        (Condition::Etag(_), Some(_)) => Err(StoreError::Precondition),
    }
}

/// Of two records of one key, which a kill between write and removal leaves,
/// the later one counts.
fn read_bucket(folder: &Path, next_file: &mut u64) -> io::Result<Bucket> {
    let mut bucket = Bucket::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_none_or(|kind| kind != "json") {
            continue;
        }
        let info: ObjectInfo = serde_json::from_slice(&fs::read(&path)?)?;
        *next_file = info.file.max(*next_file);
        if bucket
            .get(&info.key)
            .is_none_or(|other| other.file < info.file)
        {
            bucket.insert(info.key.clone(), info);
        }
    }
    Ok(bucket)
}
