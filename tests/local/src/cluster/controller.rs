//! The controller of Deployments: as many pods as asked for, of the template as it is.
//!
//! There is no ReplicaSet between: a pod's owner is its Deployment, and the
//! template it is of is told by the label `pod-template-hash`.

use std::cmp::Reverse;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::resource::{DEPLOYMENTS, Key, PODS};
use super::scale;
use super::store::{Object, Store};
use super::write::{mark_deleted, suffix};
use super::{pod, write};

const HASH_LABEL: &str = "pod-template-hash";

/// A Deployment and the pods that it has.
struct Family<'a> {
    store: &'a Store,
    deployment: &'a Value,
    key: Key,
    hash: String,
    /// Pods that are not on their way out.
    active: Vec<Object>,
    terminating: usize,
}

/// Takes one step for each Deployment, and ends the pods of those that are gone.
pub(crate) fn reconcile(store: &Store) {
    let (_, deployments) = store.list(&DEPLOYMENTS, None);
    let (_, pods) = store.list(&PODS, None);
    for deployment in &deployments {
        let mut family = Family::new(store, deployment, &pods);
        family.step();
        family.tell();
    }
    for pod in &pods {
        let Some(owner) = owner(pod) else { continue };
        let known = |deployment: &Object| deployment["metadata"]["uid"] == owner;
        if !deployments.iter().any(known) {
            end(store, pod);
        }
    }
}

/// Whether a pod is ready.
pub(crate) fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    conditions
        .into_iter()
        .flatten()
        .any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

/// Whether a pod is on its way out.
pub(crate) fn is_terminating(pod: &Value) -> bool {
    !pod["metadata"]["deletionTimestamp"].is_null()
}

// === impl Family ===

impl<'a> Family<'a> {
    fn new(store: &'a Store, deployment: &'a Value, pods: &[Object]) -> Self {
        let text = |name: &str| deployment["metadata"][name].as_str().unwrap_or_default();
        let uid = text("uid");
        let (terminating, active): (Vec<Object>, Vec<Object>) = pods
            .iter()
            .filter(|pod| owner(pod) == Some(uid))
            .cloned()
            .partition(|pod| is_terminating(pod));
        Self {
            store,
            deployment,
            key: Key::new(&DEPLOYMENTS, text("namespace"), text("name")),
            hash: template_hash(&deployment["spec"]["template"]),
            active,
            terminating: terminating.len(),
        }
    }

    /// Creates what is missing and ends what is too much. While pods of an older
    /// template are there, one more than wanted may run, and none is missing.
    fn step(&mut self) {
        let wanted = usize::try_from(scale::replicas(self.deployment)).unwrap_or(usize::MAX);
        let new = self.active.iter().filter(|pod| self.is_new(pod)).count();
        let old = self.active.len() - new;
        let missing = wanted.saturating_sub(new);
        let create = if old == 0 {
            missing
        } else {
            missing.min((wanted + 1).saturating_sub(self.active.len()))
        };
        for _ in 0..create {
            self.create_pod();
        }
        let ready = self.active.iter().filter(|pod| is_ready(pod)).count();
        let mut spare = ready.saturating_sub(wanted);
        let mut excess = new.saturating_sub(wanted);
        for pod in self.in_order_of_leaving() {
            let go = if self.is_new(&pod) {
                let go = excess > 0;
                excess -= usize::from(go);
                go
            } else if is_ready(&pod) {
                let go = spare > 0;
                spare -= usize::from(go);
                go
            } else {
                true
            };
            if go {
                self.end_pod(&pod);
            }
        }
    }

    /// Not ready first, then the newest.
    fn in_order_of_leaving(&self) -> Vec<Object> {
        let mut pods = self.active.clone();
        pods.sort_by_key(|pod| {
            let metadata = &pod["metadata"];
            let made = metadata["creationTimestamp"].as_str().unwrap_or_default();
            (is_ready(pod), Reverse(made.to_owned()))
        });
        pods
    }

    fn is_new(&self, pod: &Value) -> bool {
        pod["metadata"]["labels"][HASH_LABEL] == self.hash
    }

    fn create_pod(&mut self) {
        let template = &self.deployment["spec"]["template"];
        let mut metadata = match &template["metadata"] {
            Value::Object(metadata) => Value::Object(metadata.clone()),
            _ => json!({}),
        };
        let name = format!("{}-{}-{}", self.key.name, self.hash, suffix());
        metadata["name"] = json!(name);
        metadata["labels"][HASH_LABEL] = json!(self.hash);
        metadata["ownerReferences"] = json!([{
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "name": self.key.name,
            "uid": self.deployment["metadata"]["uid"],
            "controller": true,
            "blockOwnerDeletion": true,
        }]);
        let object = json!({"metadata": metadata, "spec": template["spec"]});
        match write::create(self.store, (&PODS, &self.key.namespace), &object) {
            Ok(pod) => self.active.push(pod),
            Err(error) => {
                tracing::warn!(deployment = self.key.name, %error, "cannot create a pod");
            }
        }
    }

    fn end_pod(&mut self, pod: &Object) {
        end(self.store, pod);
        self.active
            .retain(|active| active["metadata"]["uid"] != pod["metadata"]["uid"]);
        self.terminating += 1;
    }

    /// Writes the status; zeros are left out, as in Kubernetes.
    fn tell(&self) {
        let ready = self.active.iter().filter(|pod| is_ready(pod)).count();
        let updated = self.active.iter().filter(|pod| self.is_new(pod)).count();
        let wanted = usize::try_from(scale::replicas(self.deployment)).unwrap_or(usize::MAX);
        let counts = [
            ("replicas", self.active.len()),
            ("readyReplicas", ready),
            ("availableReplicas", ready),
            ("updatedReplicas", updated),
            (
                "unavailableReplicas",
                self.active.len().saturating_sub(ready),
            ),
            ("terminatingReplicas", self.terminating),
        ];
        let mut status: Map<String, Value> = counts
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .map(|(name, count)| (name.to_owned(), json!(count)))
            .collect();
        let generation = &self.deployment["metadata"]["generation"];
        status.insert("observedGeneration".to_owned(), generation.clone());
        let now = self.store.now();
        // Deleted meanwhile: then there is no status to keep.
        let _ = self.store.update(&self.key, |deployment| {
            let known = deployment["status"]["conditions"].take();
            let available = pod::condition(&known, ("Available", ready >= wanted), &now);
            status.insert("conditions".to_owned(), json!([available]));
            deployment["status"] = Value::Object(status);
            Ok(())
        });
    }
}

fn end(store: &Store, pod: &Value) {
    if is_terminating(pod) {
        return;
    }
    let text = |name: &str| pod["metadata"][name].as_str().unwrap_or_default();
    // Gone meanwhile is what is wanted.
    let _ = mark_deleted(
        store,
        &Key::new(&PODS, text("namespace"), text("name")),
        None,
    );
}

/// The uid of the Deployment that a pod is of.
fn owner(pod: &Value) -> Option<&str> {
    let owners = pod["metadata"]["ownerReferences"].as_array()?;
    let owner = owners.iter().find(|owner| owner["kind"] == "Deployment")?;
    owner["uid"].as_str()
}

/// Tells a template from another. What is null or empty does not count, since a
/// typed client that writes back what it read adds or drops such fields.
fn template_hash(template: &Value) -> String {
    let digest = Sha256::digest(meaningful(template).to_string());
    hex::encode(&digest[..5])
}

fn meaningful(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| (name.clone(), meaningful(value)))
            .filter(|(_, value)| !value.is_null() && *value != json!({}) && *value != json!([]))
            .collect::<Map<_, _>>()
            .into(),
        Value::Array(items) => items.iter().map(meaningful).collect(),
        other => other.clone(),
    }
}
