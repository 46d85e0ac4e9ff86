//! Buckets and objects: an index in memory, a body and its record in files.

mod object;
mod uploads;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::ops::{Bound, Range};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use md5::{Digest, Md5};
use stepfleet_activity::Clock;

pub(super) use self::object::Object;
pub use self::object::{About, Condition, ObjectInfo, StoreError};
use self::uploads::{FOLDER, Upload};
pub(super) use self::uploads::{Started, UploadAt};

type Bucket = BTreeMap<String, ObjectInfo>;

#[derive(Debug, Default)]
struct Index {
    buckets: BTreeMap<String, Bucket>,
    uploads: BTreeMap<String, Upload>,
    /// Counts the changes.
    changes: u64,
}

impl Index {
    fn bucket(&mut self, name: &str) -> Result<&mut Bucket, StoreError> {
        self.buckets.get_mut(name).ok_or(StoreError::NoSuchBucket)
    }

    fn next(&mut self) -> u64 {
        self.changes += 1;
        self.changes
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
                && name != FOLDER
            {
                let bucket = read_bucket(&entry.path(), &mut index.changes)?;
                index.buckets.insert(name, bucket);
            }
        }
        if root.join(FOLDER).exists() {
            fs::remove_dir_all(root.join(FOLDER))?;
        }
        // What was deleted has no record, and yet its number is taken: later
        // numbers are higher also after a restart.
        let started = u64::try_from(clock.now().as_microsecond()).unwrap_or(0);
        index.changes = index.changes.max(started);
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

    pub(super) fn has(&self, bucket: &str) -> bool {
        self.lock().buckets.contains_key(bucket)
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
        index.uploads.retain(|_, upload| !upload.is_of(name));
        Ok(())
    }

    /// All objects with a prefix: for what needs them all.
    pub(super) fn list(&self, bucket: &str, prefix: &str) -> Result<Vec<ObjectInfo>, StoreError> {
        let mut index = self.lock();
        Ok(index
            .bucket(bucket)?
            .range(prefix.to_owned()..)
            .take_while(|(key, _)| key.starts_with(prefix))
            .map(|(_, info)| info.clone())
            .collect())
    }

    /// Shows every key of every bucket, uncopied: `work` holds up all others.
    pub(super) fn each_key(&self, work: impl FnMut(&str)) {
        let index = self.lock();
        let keys = index.buckets.values().flat_map(Bucket::keys);
        keys.map(String::as_str).for_each(work);
    }

    /// Looks through a bucket: `work` gets what gives the first object behind
    /// a place, each at the cost of a search.
    pub(super) fn walk<T>(
        &self,
        bucket: &str,
        work: impl FnOnce(&mut dyn FnMut(Bound<&str>) -> Option<ObjectInfo>) -> T,
    ) -> Result<T, StoreError> {
        let mut index = self.lock();
        let bucket = index.bucket(bucket)?;
        Ok(work(&mut |from| {
            let mut found = bucket.range::<str, _>((from, Bound::Unbounded));
            found.next().map(|(_, info)| info.clone())
        }))
    }

    pub(super) fn head(&self, bucket: &str, key: &str) -> Result<ObjectInfo, StoreError> {
        let mut index = self.lock();
        let found = index.bucket(bucket)?.get(key).cloned();
        found.ok_or(StoreError::NoSuchKey)
    }

    /// The object, and its body as it is now: what is written or deleted later
    /// does not change what is read.
    pub(super) fn get(&self, bucket: &str, key: &str) -> Result<(ObjectInfo, Body), StoreError> {
        let mut index = self.lock();
        let info = index.bucket(bucket)?.get(key).cloned();
        let info = info.ok_or(StoreError::NoSuchKey)?;
        let file = File::open(self.path(bucket, info.file, "body"))?;
        Ok((info, Body(file)))
    }

    pub(super) fn put(
        &self,
        (bucket, key): (&str, &str),
        Object { body, about }: Object<'_>,
        condition: &Condition,
    ) -> Result<ObjectInfo, StoreError> {
        let etag = hex::encode(Md5::digest(body));
        let mut index = self.lock();
        condition.check(index.bucket(bucket)?.get(key))?;
        let info = ObjectInfo {
            key: key.to_owned(),
            etag,
            size: body.len() as u64,
            last_modified: self.now(),
            about,
            parts: Vec::new(),
            file: index.next(),
        };
        fs::write(self.path(bucket, info.file, "body"), body)?;
        self.record(bucket, &info)?;
        self.replace(&mut index, bucket, info.clone())?;
        Ok(info)
    }

    /// The number of the change, where there was something to delete.
    pub(super) fn delete(
        &self,
        bucket: &str,
        key: &str,
        condition: &Condition,
    ) -> Result<Option<u64>, StoreError> {
        let mut index = self.lock();
        let old = index.bucket(bucket)?.get(key).cloned();
        condition.check(old.as_ref())?;
        let Some(old) = old else { return Ok(None) };
        self.forget(bucket, old.file)?;
        index.bucket(bucket)?.remove(key);
        index.note_deletion(bucket, key);
        Ok(Some(index.next()))
    }

    /// In whole seconds.
    fn now(&self) -> Timestamp {
        let second = self.clock.now().as_second();
        Timestamp::from_second(second).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// Takes an object over whose files are written, and drops those of what
    /// it replaces.
    fn replace(&self, index: &mut Index, bucket: &str, info: ObjectInfo) -> Result<(), StoreError> {
        let old = index.bucket(bucket)?.insert(info.key.clone(), info);
        old.map_or(Ok(()), |old| Ok(self.forget(bucket, old.file)?))
    }

    /// Behind the body, and by a rename: what has a record is whole.
    fn record(&self, bucket: &str, info: &ObjectInfo) -> io::Result<()> {
        let draft = self.path(bucket, info.file, "draft");
        fs::write(&draft, serde_json::to_vec(info)?)?;
        fs::rename(draft, self.path(bucket, info.file, "json"))
    }

    fn forget(&self, bucket: &str, file: u64) -> io::Result<()> {
        fs::remove_file(self.path(bucket, file, "json"))?;
        fs::remove_file(self.path(bucket, file, "body"))
    }
}

/// An open file: it stays as it is when its name is gone.
pub(super) struct Body(File);

impl Body {
    /// The bytes of a range that is within it.
    pub(super) fn read(mut self, range: Range<u64>) -> io::Result<Vec<u8>> {
        let length = range.end.saturating_sub(range.start);
        let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
        self.0.seek(SeekFrom::Start(range.start))?;
        self.0.take(length).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// Of two records of one key, which a kill between write and removal leaves,
/// the later one counts.
fn read_bucket(folder: &Path, changes: &mut u64) -> io::Result<Bucket> {
    let mut bucket = Bucket::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_none_or(|kind| kind != "json") {
            continue;
        }
        let info: ObjectInfo = serde_json::from_slice(&fs::read(&path)?)?;
        *changes = info.file.max(*changes);
        if bucket
            .get(&info.key)
            .is_none_or(|other| other.file < info.file)
        {
            bucket.insert(info.key.clone(), info);
        }
    }
    Ok(bucket)
}
