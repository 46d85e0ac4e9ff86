//! All objects, one counter of versions over all of them, and a bounded history
//! of what changed. It knows no kind: an object is a JSON value with `metadata`.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde_json::{Value, json};
use stepfleet_activity::Clock;
use tokio::sync::watch;

use super::programs::Programs;
use super::resource::{Key, Resource};
use super::status::ApiError;

/// How many changes a watch can be behind.
const HISTORY: usize = 4096;

/// An object as it was at one version.
pub(crate) type Object = Arc<Value>;

/// What happened at one version.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) version: u64,
    pub(crate) key: Key,
    /// None if it was created.
    pub(crate) before: Option<Object>,
    /// None if it was removed.
    pub(crate) after: Option<Object>,
}

/// All objects.
#[derive(Debug)]
pub(crate) struct Store {
    /// What pods may run.
    pub(crate) programs: Programs,
    clock: Arc<dyn Clock>,
    inner: Mutex<Inner>,
    newest: watch::Sender<u64>,
}

#[derive(Debug)]
struct Inner {
    version: u64,
    objects: BTreeMap<Key, Object>,
    history: VecDeque<Change>,
}

// === impl Store ===

impl Store {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            programs: Programs::default(),
            clock,
            inner: Mutex::new(Inner {
                // Nothing is of version 0: clients ask for it where they know none.
                version: 1,
                objects: BTreeMap::new(),
                history: VecDeque::new(),
            }),
            newest: watch::Sender::new(1),
        }
    }

    /// Tells each new version.
    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    /// The time as objects say it: whole seconds.
    pub(crate) fn now(&self) -> String {
        seconds(self.clock.now())
    }

    pub(crate) fn create(&self, key: &Key, mut object: Value) -> Result<Object, ApiError> {
        let mut inner = self.lock();
        if inner.objects.contains_key(key) {
            return Err(ApiError::already_exists(key));
        }
        object["apiVersion"] = json!(key.resource.api_version());
        object["kind"] = json!(key.resource.kind);
        let metadata = &mut object["metadata"];
        metadata["name"] = json!(key.name);
        metadata["namespace"] = json!(key.namespace);
        metadata["uid"] = json!(uuid::Uuid::new_v4().to_string());
        metadata["creationTimestamp"] = json!(self.now());
        if key.resource.has_status {
            metadata["generation"] = json!(1);
        }
        Ok(self.commit(&mut inner, key, Some(object)))
    }

    pub(crate) fn get(&self, key: &Key) -> Result<Object, ApiError> {
        let inner = self.lock();
        inner
            .objects
            .get(key)
            .cloned()
            .ok_or_else(|| ApiError::not_found(key))
    }

    /// The objects of a kind, by namespace and name, and the version they are of.
    pub(crate) fn list(
        &self,
        resource: &'static Resource,
        namespace: Option<&str>,
    ) -> (u64, Vec<Object>) {
        let inner = self.lock();
        let objects = inner
            .objects
            .iter()
            .filter(|(key, _)| {
                key.resource == resource && namespace.is_none_or(|wanted| wanted == key.namespace)
            })
            .map(|(_, object)| Arc::clone(object))
            .collect();
        (inner.version, objects)
    }

    /// Changes one object as a whole, or not at all. What says who it is stays;
    /// a change that changes nothing makes no version.
    pub(crate) fn update(
        &self,
        key: &Key,
        edit: impl FnOnce(&mut Value) -> Result<(), ApiError>,
    ) -> Result<Object, ApiError> {
        let mut inner = self.lock();
        let before = inner
            .objects
            .get(key)
            .cloned()
            .ok_or_else(|| ApiError::not_found(key))?;
        let mut after = Value::clone(&before);
        edit(&mut after)?;
        keep_identity(&before, &mut after);
        if after == *before {
            return Ok(before);
        }
        if key.resource.has_status && after["spec"] != before["spec"] {
            let generation = before["metadata"]["generation"].as_i64().unwrap_or(0);
            after["metadata"]["generation"] = json!(generation + 1);
        }
        Ok(self.commit(&mut inner, key, Some(after)))
    }

    /// Removes one object if `allowed` says so.
    pub(crate) fn remove(
        &self,
        key: &Key,
        allowed: impl FnOnce(&Value) -> Result<(), ApiError>,
    ) -> Result<Object, ApiError> {
        let mut inner = self.lock();
        let object = inner
            .objects
            .get(key)
            .cloned()
            .ok_or_else(|| ApiError::not_found(key))?;
        allowed(&object)?;
        Ok(self.commit(&mut inner, key, None))
    }

    /// What changed after a version, oldest first.
    pub(crate) fn changes_since(&self, version: u64) -> Result<Vec<Change>, ApiError> {
        let inner = self.lock();
        // The versions are consecutive: the one before the oldest is the last that is complete.
        let reaches = inner
            .history
            .front()
            .map_or(inner.version, |oldest| oldest.version - 1);
        if version < reaches {
            return Err(ApiError::expired(version, reaches));
        }
        let skip = usize::try_from(version - reaches).unwrap_or(usize::MAX);
        Ok(inner.history.iter().skip(skip).cloned().collect())
    }

    /// Puts an object in its place, or takes it away, as the next version.
    fn commit(&self, inner: &mut Inner, key: &Key, after: Option<Value>) -> Object {
        inner.version += 1;
        let version = inner.version;
        let after = after.map(|mut object| {
            object["metadata"]["resourceVersion"] = json!(version.to_string());
            Arc::new(object)
        });
        let before = match &after {
            Some(object) => inner.objects.insert(key.clone(), Arc::clone(object)),
            None => inner.objects.remove(key),
        };
        let told = after.clone().or_else(|| before.clone());
        inner.history.push_back(Change {
            version,
            key: key.clone(),
            before,
            after,
        });
        if inner.history.len() > HISTORY {
            inner.history.pop_front();
        }
        self.newest.send_replace(version);
        told.unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Refuses a write whose `metadata.resourceVersion` is not the object's.
pub(crate) fn check_version(key: &Key, current: &Value, given: &Value) -> Result<(), ApiError> {
    match given["metadata"]["resourceVersion"].as_str() {
        Some(version)
            if !version.is_empty() && current["metadata"]["resourceVersion"] != version =>
        {
            Err(ApiError::conflict(
                key,
                "the object has been modified; please apply your changes to the latest version \
                 and try again",
            ))
        }
        _ => Ok(()),
    }
}

/// A time as objects say it.
pub(crate) fn seconds(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn keep_identity(before: &Value, after: &mut Value) {
    for name in ["apiVersion", "kind"] {
        after[name] = before[name].clone();
    }
    if !after["metadata"].is_object() {
        after["metadata"] = json!({});
    }
    for name in [
        "name",
        "namespace",
        "uid",
        "creationTimestamp",
        "generation",
        "deletionTimestamp",
        "resourceVersion",
    ] {
        match &before["metadata"][name] {
            Value::Null => {}
            value => after["metadata"][name] = value.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use stepfleet_activity::SystemClock;

    use super::super::resource::{DEPLOYMENTS, PODS};
    use super::*;

    fn store() -> Store {
        Store::new(Arc::new(SystemClock))
    }

    #[test]
    fn a_change_of_the_spec_is_a_generation_and_any_change_is_a_version() {
        let store = store();
        let key = Key::new(&DEPLOYMENTS, "default", "a");
        let made = store
            .create(&key, json!({"spec": {"replicas": 1}}))
            .unwrap();
        let told = |object: &Value| {
            let metadata = &object["metadata"];
            (
                metadata["resourceVersion"].as_str().unwrap().to_owned(),
                metadata["generation"].as_i64().unwrap(),
            )
        };
        assert_eq!(told(&made), ("2".into(), 1));
        let cases = [
            ("/status/replicas", json!(1), ("3", 1)),
            ("/spec/replicas", json!(2), ("4", 2)),
            ("/spec/replicas", json!(2), ("4", 2)),
            ("/metadata/uid", json!("mine"), ("4", 2)),
        ];
        for (path, value, (version, generation)) in cases {
            let object = store
                .update(&key, |object| {
                    let (parent, name) = path.rsplit_once('/').unwrap();
                    let parent = parent.trim_start_matches('/');
                    object[parent][name] = value.clone();
                    Ok(())
                })
                .unwrap();
            assert_eq!(told(&object), (version.into(), generation), "{path}");
        }
    }

    #[test]
    fn the_history_is_bounded_and_says_when_it_does_not_reach() {
        let store = store();
        let key = Key::new(&PODS, "default", "a");
        store.create(&key, json!({})).unwrap();
        for count in 0..HISTORY {
            store
                .update(&key, |object| {
                    object["count"] = json!(count);
                    Ok(())
                })
                .unwrap();
        }
        assert_eq!(
            store.changes_since(1).unwrap_err(),
            ApiError::expired(1, 2),
            "the first change is forgotten"
        );
        let changes = store.changes_since(2).unwrap();
        assert_eq!(changes.len(), HISTORY);
        assert_eq!(changes[0].version, 3);
        let newest = changes.last().unwrap().version;
        assert!(store.changes_since(newest).unwrap().is_empty());
    }
}
