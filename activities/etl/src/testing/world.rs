//! A bucket with S3's conditions, and what the warehouse and CloudWatch hold.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use stepfleet_activity::{Class, Clock as _, VirtualClock};

use super::statements::Db;
use crate::LoadInput;
use crate::outside::call::CallError;
use crate::outside::sns::Notice;
use crate::outside::{Answer, At, Conditional, Object, Part, PutIf, To, Upload};
use crate::s3_load::keys;
use crate::s3_load::signals::Unprocessed;

/// What happens in the world just before a call takes effect.
type Hook = Box<dyn FnOnce(&World) + Send>;

/// An object as it is stored.
#[derive(Debug, Clone)]
struct Stored {
    body: Vec<u8>,
    modified: Timestamp,
    /// Follows from the content, as S3's does: the same bytes again give the same.
    etag: String,
}

/// What a multipart upload has so far: parts by their numbers.
type Parts = Vec<(i32, Vec<u8>)>;

/// The uploads under way by key and id, and how many there were.
type Uploads = (BTreeMap<(String, String), Parts>, u32);

/// Everything outside of the worker; it outlives the worker's crash.
#[derive(Clone)]
pub(super) struct World {
    pub(super) clock: Arc<VirtualClock>,
    objects: Arc<Mutex<BTreeMap<String, Stored>>>,
    uploads: Arc<Mutex<Uploads>>,
    pub(super) db: Arc<Mutex<Db>>,
    published: Arc<Mutex<Vec<Unprocessed>>>,
    notices: Arc<Mutex<Vec<Notice>>>,
    /// Whether the topic takes nothing.
    pub(super) mute: Arc<AtomicBool>,
    hooks: Arc<Mutex<VecDeque<(&'static str, Hook)>>>,
    /// What this store does otherwise than S3, if anything.
    pub(super) lacks: Arc<Mutex<Option<(Condition, Lack)>>>,
}

/// A condition that S3 keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Condition {
    PutAbsent,
    PutMatch,
    Begins,
    CopySource,
    CopyAbsent,
    Part,
    Delete,
}

/// How a store lacks one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lack {
    /// It answers that it has no such thing.
    Refused,
    /// It lets every call pass.
    Ignored,
}

fn not_there() -> CallError {
    CallError {
        what: "a call".to_owned(),
        reason: "NotImplemented: there is no such condition".to_owned(),
        class: Class::Permanent,
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn name(upload: Upload<'_>) -> (String, String) {
    (upload.to.key.to_owned(), upload.id.to_owned())
}

pub(super) fn input() -> LoadInput {
    serde_json::from_str(
        r#"{"bucket": "land", "prefix": "p/", "table": "public.t", "format": "csv"}"#,
    )
    .expect("an input")
}

/// How the files come into the warehouse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Statements,
    Procedure,
    OneByOne,
}

impl Way {
    pub(super) const ALL: [Self; 3] = [Self::Statements, Self::Procedure, Self::OneByOne];
}

impl World {
    /// With files that have settled.
    pub(super) fn loading(way: Way, files: &[(&str, &str)]) -> Self {
        let world = Self::new();
        lock(&world.db).procedure = way == Way::Procedure;
        lock(&world.db).one_by_one = way == Way::OneByOne;
        for (name, body) in files {
            world.arrive(name, body);
        }
        world.pass(60);
        world
    }

    /// Some seconds before midnight, so that what is resumed later is resumed
    /// on another day.
    pub(super) fn new() -> Self {
        let now = "2026-03-01T23:58:00Z".parse().expect("a time");
        Self {
            clock: Arc::new(VirtualClock::new(now)),
            objects: Arc::default(),
            uploads: Arc::default(),
            db: Arc::default(),
            published: Arc::default(),
            notices: Arc::default(),
            mute: Arc::default(),
            hooks: Arc::default(),
            lacks: Arc::default(),
        }
    }

    pub(super) fn pass(&self, seconds: i64) {
        self.clock.advance(SignedDuration::from_secs(seconds));
    }

    /// Writes a file to `incoming/`.
    pub(super) fn arrive(&self, name: &str, body: &str) {
        self.write(&format!("p/incoming/{name}"), body.as_bytes().to_vec());
    }

    pub(super) fn remove(&self, name: &str) {
        self.remove_key(&format!("p/incoming/{name}"));
    }

    pub(super) fn remove_key(&self, key: &str) {
        lock(&self.objects).remove(key);
    }

    /// Lets `hook` happen just before the next call of that name.
    pub(super) fn before(&self, call: &'static str, hook: impl FnOnce(&Self) + Send + 'static) {
        lock(&self.hooks).push_back((call, Box::new(hook)));
    }

    pub(super) fn happen(&self, call: &str) {
        let hook = {
            let mut hooks = lock(&self.hooks);
            let at = hooks.iter().position(|(wanted, _)| *wanted == call);
            at.and_then(|at| hooks.remove(at))
        };
        if let Some((_, hook)) = hook {
            hook(self);
        }
    }

    pub(super) fn keys(&self, folder: &str) -> Vec<String> {
        let folder = format!("p/{folder}/");
        let objects = lock(&self.objects);
        let keys = objects.keys().filter_map(|key| key.strip_prefix(&folder));
        keys.map(str::to_owned).collect()
    }

    pub(super) fn body(&self, key: &str) -> Option<Vec<u8>> {
        lock(&self.objects)
            .get(key)
            .map(|stored| stored.body.clone())
    }

    pub(super) fn published(&self) -> Vec<Unprocessed> {
        lock(&self.published).clone()
    }

    /// Nothing lost, nothing doubled, nothing left over.
    pub(super) fn assert_loaded_once(&self, files: &[(&str, &str)], what: &str) {
        let mut wanted: Vec<&str> = files.iter().flat_map(|(_, body)| body.lines()).collect();
        wanted.sort_unstable();
        let db = lock(&self.db);
        let mut rows = db.rows("public.t");
        rows.sort_unstable();
        assert_eq!(rows, wanted, "{what}: rows");
        assert_eq!(db.ledger_len(), files.len(), "{what}: rows of the ledger");
        assert!(db.all_verified(), "{what}: not verified");
        drop(db);
        assert_eq!(
            self.keys("incoming"),
            Vec::<String>::new(),
            "{what}: incoming"
        );
        assert_eq!(self.unfinished(), 0, "{what}: parts that nobody completes");
        assert_eq!(self.keys("leases"), Vec::<String>::new(), "{what}: leases");
        let moved = self.keys("processed");
        assert_eq!(moved.len(), files.len(), "{what}: moved {moved:?}");
        for (name, body) in files {
            let there = moved.iter().any(|key| {
                let found = key.splitn(3, '/').nth(2);
                found.is_some_and(|found| keys::is_name_of(found, name))
                    && self.body(&format!("p/processed/{key}")).as_deref() == Some(body.as_bytes())
            });
            assert!(there, "{what}: {name} is not among {moved:?}");
        }
    }

    /// The files in `failed/`, with or without a report.
    pub(super) fn failed_names(&self) -> Vec<String> {
        let keys = self.keys("failed");
        let names = keys.iter().filter_map(|key| key.split_once('/'));
        names.map(|(_, name)| name.to_owned()).collect()
    }

    /// The files in `failed/`, each with the report beside it.
    pub(super) fn failed(&self) -> Vec<(String, Value)> {
        let keys = self.keys("failed");
        let (files, reports): (Vec<_>, Vec<_>) = keys.iter().partition(|key| key.contains('/'));
        assert_eq!(files.len(), reports.len(), "{keys:?}");
        let mut failed: Vec<(String, Value)> = files
            .iter()
            .map(|key| {
                let (id, name) = key.split_once('/').expect("a folder");
                let report = self.body(&format!("p/failed/{id}.json")).expect("a report");
                let report = serde_json::from_slice(&report).expect("JSON");
                (name.to_owned(), report)
            })
            .collect();
        failed.sort_by(|a, b| a.0.cmp(&b.0));
        failed
    }
}

/// The bucket's answers.
impl World {
    fn write(&self, key: &str, body: Vec<u8>) -> String {
        let modified = self.clock.now();
        let etag = hex::encode(&Sha256::digest(&body)[..16]);
        assert!(key.len() <= keys::LONGEST, "KeyTooLongError: {key}");
        let stored = Stored {
            body,
            modified,
            etag: etag.clone(),
        };
        lock(&self.objects).insert(key.to_owned(), stored);
        etag
    }

    pub(super) fn etag(&self, key: &str) -> Option<String> {
        let objects = lock(&self.objects);
        objects.get(key).map(|stored| stored.etag.clone())
    }

    pub(super) fn list(&self, prefix: &str) -> Vec<Object> {
        let objects = lock(&self.objects);
        let found = objects.iter().filter(|(key, _)| key.starts_with(prefix));
        found
            .map(|(key, stored)| Object {
                key: key.clone(),
                etag: stored.etag.clone(),
                size: stored.body.len() as u64,
                modified: stored.modified,
            })
            .collect()
    }

    pub(super) fn get(&self, at: At<'_>) -> Option<(Vec<u8>, String)> {
        self.body(at.key).zip(self.etag(at.key))
    }

    pub(super) fn begins(&self, at: At<'_>, etag: &str, bytes: u64) -> Conditional<Vec<u8>> {
        let bytes = usize::try_from(bytes).expect("few");
        match self.get(at) {
            None => Conditional::Missing,
            Some((_, found)) if found != etag => Conditional::Refused,
            Some((body, _)) => Conditional::Done(body.into_iter().take(bytes).collect()),
        }
    }

    pub(super) fn put(
        &self,
        at: At<'_>,
        body: Vec<u8>,
        condition: PutIf<'_>,
    ) -> Conditional<String> {
        match (condition, self.etag(at.key)) {
            (PutIf::Absent, None) => Conditional::Done(self.write(at.key, body)),
            (PutIf::Match(wanted), Some(found)) if wanted == found => {
                Conditional::Done(self.write(at.key, body))
            }
            (PutIf::Match(_), None) => Conditional::Missing,
            _ => Conditional::Refused,
        }
    }

    pub(super) fn copy(&self, from: At<'_>, etag: &str, to: To<'_>) -> Conditional<()> {
        match self.get(from) {
            None => Conditional::Missing,
            Some((_, found)) if found != etag => Conditional::Refused,
            Some(_) if self.is_taken(to) => Conditional::Refused,
            Some((body, _)) => {
                self.write(to.key, body);
                Conditional::Done(())
            }
        }
    }

    pub(super) fn begin(&self, from: At<'_>, etag: &str, to: &str) -> Conditional<String> {
        match self.etag(from.key) {
            None => Conditional::Missing,
            Some(found) if found != etag => Conditional::Refused,
            Some(_) => {
                let (uploads, serial) = &mut *lock(&self.uploads);
                uploads.retain(|(key, _), _| key != to);
                *serial += 1;
                let id = serial.to_string();
                uploads.insert((to.to_owned(), id.clone()), Vec::new());
                Conditional::Done(id)
            }
        }
    }

    pub(super) fn copy_part(
        &self,
        (from, etag): (At<'_>, &str),
        upload: Upload<'_>,
        part: Part,
    ) -> Conditional<String> {
        let body = match self.get(from) {
            None => return Conditional::Missing,
            Some((_, found)) if found != etag => return Conditional::Refused,
            Some((body, _)) => body,
        };
        let at = |byte: u64| usize::try_from(byte).expect("a small file");
        let piece = body[at(part.first)..=at(part.last)].to_vec();
        let (uploads, _) = &mut *lock(&self.uploads);
        let Some(pieces) = uploads.get_mut(&name(upload)) else {
            return Conditional::Missing;
        };
        pieces.push((part.number, piece));
        Conditional::Done(part.number.to_string())
    }

    fn is_taken(&self, to: To<'_>) -> bool {
        to.absent && self.etag(to.key).is_some()
    }

    pub(super) fn complete(&self, upload: Upload<'_>, etags: &[String]) -> Conditional<()> {
        if self.is_taken(upload.to) {
            return Conditional::Refused;
        }
        let pieces = lock(&self.uploads).0.remove(&name(upload));
        let mut pieces = pieces.expect("an upload of ours");
        pieces.sort_unstable();
        let numbers: Vec<String> = pieces.iter().map(|(at, _)| at.to_string()).collect();
        assert_eq!(numbers, etags, "every part, in order");
        let body = pieces.into_iter().flat_map(|(_, piece)| piece).collect();
        self.write(upload.to.key, body);
        Conditional::Done(())
    }

    pub(super) fn abort(&self, upload: Upload<'_>) {
        lock(&self.uploads).0.remove(&name(upload));
    }

    /// How many copies in parts were neither completed nor given up.
    pub(super) fn unfinished(&self) -> usize {
        lock(&self.uploads).0.len()
    }

    /// As S3 does, or as a store that lacks this.
    pub(super) fn delete(&self, at: At<'_>, etag: &str) -> Answer<Conditional<()>> {
        let lack = self.lack(Condition::Delete);
        if lack == Some(Lack::Refused) {
            return Err(not_there());
        }
        Ok(match self.etag(at.key) {
            None => Conditional::Missing,
            Some(found) if found != etag && lack.is_none() => Conditional::Refused,
            Some(_) => {
                self.remove_key(at.key);
                Conditional::Done(())
            }
        })
    }

    fn lack(&self, condition: Condition) -> Option<Lack> {
        let lacks = lock(&self.lacks);
        let lack = lacks.filter(|(of, _)| *of == condition);
        lack.map(|(_, lack)| lack)
    }

    /// A call with a condition, on a store that may lack it.
    pub(super) fn lacking<T>(
        &self,
        condition: Condition,
        (kept, let_pass): (impl FnOnce() -> T, impl FnOnce() -> T),
    ) -> Answer<T> {
        match self.lack(condition) {
            None => Ok(kept()),
            Some(Lack::Ignored) => Ok(let_pass()),
            Some(Lack::Refused) => Err(not_there()),
        }
    }

    pub(super) fn publish(&self, waiting: Unprocessed) {
        lock(&self.published).push(waiting);
    }

    pub(super) fn notify(&self, notice: &Notice) -> Answer<()> {
        if self.mute.load(Ordering::SeqCst) {
            return Err(CallError {
                what: "notify".to_owned(),
                reason: "the topic takes nothing".to_owned(),
                class: Class::Transient,
            });
        }
        lock(&self.notices).push(notice.clone());
        Ok(())
    }

    pub(super) fn notices(&self) -> Vec<Notice> {
        lock(&self.notices).clone()
    }
}
