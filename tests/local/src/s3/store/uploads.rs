//! Uploads in parts. They end with the process: on AWS they stay until
//! somebody ends them, here nobody is there who would.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::PathBuf;

use jiff::Timestamp;
use md5::{Digest, Md5};

use super::{About, Condition, Index, ObjectInfo, Store, StoreError};

/// The least that a part has which is not the last.
const LEAST: u64 = 5 * 1024 * 1024;
/// Where parts lie; no bucket's name begins with a dot.
pub(super) const FOLDER: &str = ".uploads";

/// An upload that is neither completed nor aborted.
#[derive(Debug)]
pub(super) struct Upload {
    bucket: String,
    key: String,
    about: About,
    started: Timestamp,
    parts: BTreeMap<i32, Part>,
    /// Whether somebody deleted the key since.
    deleted: bool,
}

/// A part that is there.
#[derive(Debug, Clone)]
pub(in crate::s3) struct Part {
    pub(in crate::s3) etag: String,
    pub(in crate::s3) size: u64,
    pub(in crate::s3) last_modified: Timestamp,
}

/// An upload as it is listed.
#[derive(Debug)]
pub(in crate::s3) struct Started {
    pub(in crate::s3) key: String,
    pub(in crate::s3) id: String,
    pub(in crate::s3) at: Timestamp,
}

/// Which upload: bucket, key and id belong together.
#[derive(Debug, Clone, Copy)]
pub(in crate::s3) struct UploadAt<'a> {
    pub(in crate::s3) bucket: &'a str,
    pub(in crate::s3) key: &'a str,
    pub(in crate::s3) id: &'a str,
}

impl Upload {
    pub(super) fn is_of(&self, bucket: &str) -> bool {
        self.bucket == bucket
    }
}

impl Index {
    fn upload(&mut self, at: UploadAt<'_>) -> Result<&mut Upload, StoreError> {
        self.bucket(at.bucket)?;
        let found = self.uploads.get_mut(at.id);
        found
            .filter(|upload| upload.bucket == at.bucket && upload.key == at.key)
            .ok_or(StoreError::NoSuchUpload)
    }

    /// A conditional upload of this key has to begin again.
    pub(super) fn note_deletion(&mut self, bucket: &str, key: &str) {
        let uploads = self.uploads.values_mut();
        for upload in uploads.filter(|one| one.bucket == bucket && one.key == key) {
            upload.deleted = true;
        }
    }
}

impl Store {
    fn part(&self, id: &str, number: i32) -> PathBuf {
        self.root.join(FOLDER).join(id).join(number.to_string())
    }

    /// Starts an upload and gives its id.
    pub(in crate::s3) fn start_upload(
        &self,
        (bucket, key): (&str, &str),
        about: About,
    ) -> Result<String, StoreError> {
        let mut index = self.lock();
        index.bucket(bucket)?;
        let id = uuid::Uuid::new_v4().simple().to_string();
        fs::create_dir_all(self.root.join(FOLDER).join(&id))?;
        let upload = Upload {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            about,
            started: self.now(),
            parts: BTreeMap::new(),
            deleted: false,
        };
        index.uploads.insert(id.clone(), upload);
        Ok(id)
    }

    /// Takes a part; the same number again replaces it.
    pub(in crate::s3) fn put_part(
        &self,
        at: UploadAt<'_>,
        number: i32,
        body: &[u8],
    ) -> Result<Part, StoreError> {
        let part = Part {
            etag: hex::encode(Md5::digest(body)),
            size: body.len() as u64,
            last_modified: self.now(),
        };
        let mut index = self.lock();
        let upload = index.upload(at)?;
        fs::write(self.part(at.id, number), body)?;
        upload.parts.insert(number, part.clone());
        Ok(part)
    }

    /// The parts that are there, by number.
    pub(in crate::s3) fn parts(&self, at: UploadAt<'_>) -> Result<Vec<(i32, Part)>, StoreError> {
        let mut index = self.lock();
        let parts = index.upload(at)?.parts.iter();
        Ok(parts
            .map(|(number, part)| (*number, part.clone()))
            .collect())
    }

    /// Every open upload of a bucket: by key, then by when it was started.
    pub(in crate::s3) fn uploads(&self, bucket: &str) -> Result<Vec<Started>, StoreError> {
        let mut index = self.lock();
        index.bucket(bucket)?;
        let uploads = index.uploads.iter().filter(|(_, one)| one.bucket == bucket);
        let mut all: Vec<Started> = uploads
            .map(|(id, upload)| Started {
                key: upload.key.clone(),
                id: id.clone(),
                at: upload.started,
            })
            .collect();
        all.sort_by(|a, b| (&a.key, a.at, &a.id).cmp(&(&b.key, b.at, &b.id)));
        Ok(all)
    }

    /// Forgets an upload and its parts.
    pub(in crate::s3) fn abort_upload(&self, at: UploadAt<'_>) -> Result<(), StoreError> {
        let mut index = self.lock();
        index.upload(at)?;
        index.uploads.remove(at.id);
        Ok(fs::remove_dir_all(self.root.join(FOLDER).join(at.id))?)
    }

    /// Makes an object of the parts that are named. An upload that is refused
    /// stays, so that its parts can be named better.
    pub(in crate::s3) fn complete_upload(
        &self,
        at: UploadAt<'_>,
        named: &[(i32, Option<String>)],
        condition: &Condition,
    ) -> Result<ObjectInfo, StoreError> {
        let mut index = self.lock();
        let upload = index.upload(at)?;
        let parts = chosen(upload, named)?;
        let (about, deleted) = (upload.about.clone(), upload.deleted);
        let old = index.bucket(at.bucket)?.get(at.key).cloned();
        if deleted && *condition != Condition::None {
            return Err(StoreError::Conflict);
        }
        condition.check(old.as_ref())?;
        let info = ObjectInfo {
            key: at.key.to_owned(),
            etag: together(&parts)?,
            size: parts.iter().map(|(_, part)| part.size).sum(),
            last_modified: self.now(),
            about,
            parts: parts.iter().map(|(_, part)| part.size).collect(),
            file: index.next(),
        };
        let mut body = File::create(self.path(at.bucket, info.file, "body"))?;
        for (number, _) in &parts {
            io::copy(&mut File::open(self.part(at.id, *number))?, &mut body)?;
        }
        self.record(at.bucket, &info)?;
        self.replace(&mut index, at.bucket, info.clone())?;
        index.uploads.remove(at.id);
        fs::remove_dir_all(self.root.join(FOLDER).join(at.id))?;
        Ok(info)
    }
}

/// The parts that are named, each as it is there.
fn chosen(
    upload: &Upload,
    named: &[(i32, Option<String>)],
) -> Result<Vec<(i32, Part)>, StoreError> {
    if !named.is_sorted_by(|(one, _), (next, _)| one < next) {
        return Err(StoreError::InvalidPartOrder);
    }
    let mut parts = Vec::new();
    for (at, (number, etag)) in named.iter().enumerate() {
        let part = upload.parts.get(number);
        let part = part.filter(|part| etag.as_ref().is_none_or(|etag| *etag == part.etag));
        let part = part.ok_or(StoreError::InvalidPart(*number))?;
        if part.size < LEAST && at + 1 < named.len() {
            return Err(StoreError::TooSmall(*number));
        }
        parts.push((*number, part.clone()));
    }
    Ok(parts)
}

/// The MD5 of the parts' MD5s, and their number.
fn together(parts: &[(i32, Part)]) -> Result<String, StoreError> {
    let mut sum = Md5::new();
    for (number, part) in parts {
        let one = hex::decode(&part.etag).map_err(|_| StoreError::InvalidPart(*number))?;
        sum.update(one);
    }
    Ok(format!("{}-{}", hex::encode(sum.finalize()), parts.len()))
}
