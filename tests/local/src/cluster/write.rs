//! Creating, replacing, patching and deleting objects, with their preconditions.

use serde_json::{Value, json};

use super::api::{Call, check};
use super::patch::PatchKind;
use super::resource::{DEPLOYMENTS, Key, PODS, Resource};
use super::status::ApiError;
use super::store::{Object, Store};

/// What Kubernetes gives a pod that says nothing.
const GRACE_SECONDS: u64 = 30;
/// The most letters of a name.
const MAX_NAME: usize = 253;

/// Creates an object, named or with `generateName`.
pub(crate) fn create(
    store: &Store,
    (resource, namespace): (&'static Resource, &str),
    body: &Value,
) -> Result<Object, ApiError> {
    let mut object = body.clone();
    let metadata = &object["metadata"];
    let text = |name: &str| metadata[name].as_str().unwrap_or_default();
    let name = match (text("name"), text("generateName")) {
        ("", "") => String::new(),
        ("", prefix) => format!("{prefix}{}", suffix()),
        (name, _) => name.to_owned(),
    };
    let key = Key::new(resource, namespace, &name);
    check_shape(&key, &object)?;
    if !text("resourceVersion").is_empty() {
        return Err(ApiError::bad_request(
            "resourceVersion should not be set on objects to be created",
        ));
    }
    let said = text("namespace");
    if !said.is_empty() && said != namespace {
        return Err(ApiError::bad_request(format!(
            "the namespace of the object ({said}) is not that of the request ({namespace})"
        )));
    }
    if resource.has_status {
        object["status"] = json!({});
    }
    default(resource, &mut object);
    store.create(&key, object)
}

/// Replaces all of an object but its status.
pub(crate) fn replace(store: &Store, key: &Key, body: &Value) -> Result<Object, ApiError> {
    check_shape(key, body)?;
    store.update(key, |object| {
        check(key, object, body)?;
        let status = object["status"].take();
        object.clone_from(body);
        keep(key.resource, object, status);
        Ok(())
    })
}

/// Patches an object; an apply creates what is missing and says so.
pub(crate) fn patch(store: &Store, key: &Key, call: &Call) -> Result<(Object, bool), ApiError> {
    let kind = PatchKind::from_content_type(&call.content_type)?;
    if kind == PatchKind::Apply {
        if call.text("fieldManager").is_empty() {
            return Err(ApiError::bad_request(
                "fieldManager is required for apply patch",
            ));
        }
        if store.get(key).is_err() {
            let mut object = call.body.clone();
            object["metadata"]["name"] = json!(key.name);
            let made = create(store, (key.resource, &key.namespace), &object)?;
            return Ok((made, true));
        }
    }
    let object = store.update(key, |object| {
        check(key, object, &call.body)?;
        let status = object["status"].clone();
        kind.apply(object, &call.body);
        check_shape(key, object)?;
        keep(key.resource, object, status);
        Ok(())
    })?;
    Ok((object, false))
}

/// Deletes an object. A pod is only marked: it goes when its process is gone.
pub(crate) fn delete(store: &Store, key: &Key, call: &Call) -> Result<Value, ApiError> {
    let preconditions = json!({"metadata": call.body["preconditions"]});
    if key.resource == &PODS {
        let grace = call.body["gracePeriodSeconds"]
            .as_u64()
            .or_else(|| call.text("gracePeriodSeconds").parse().ok());
        check(key, store.get(key)?.as_ref(), &preconditions)?;
        return mark_deleted(store, key, grace).map(|pod| Value::clone(&pod));
    }
    let object = store.remove(key, |object| check(key, object, &preconditions))?;
    Ok(json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": {
            "name": key.name,
            "group": key.resource.group,
            "kind": key.resource.plural,
            "uid": object["metadata"]["uid"],
        },
    }))
}

/// Marks a pod for deletion, or shortens the grace of one that is marked.
pub(crate) fn mark_deleted(
    store: &Store,
    key: &Key,
    grace: Option<u64>,
) -> Result<Object, ApiError> {
    let now = store.now();
    store.update(key, |pod| {
        let own = pod["spec"]["terminationGracePeriodSeconds"]
            .as_u64()
            .unwrap_or(GRACE_SECONDS);
        let grace = grace.unwrap_or(own);
        let metadata = &mut pod["metadata"];
        let before = metadata["deletionGracePeriodSeconds"].as_u64();
        if before.is_none_or(|before| grace < before) {
            metadata["deletionGracePeriodSeconds"] = json!(grace);
        }
        if metadata["deletionTimestamp"].is_null() {
            metadata["deletionTimestamp"] = json!(now);
        }
        Ok(())
    })
}

/// Five letters or digits, as Kubernetes appends them.
pub(crate) fn suffix() -> String {
    const LETTERS: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
    let bytes = uuid::Uuid::new_v4().into_bytes();
    bytes[..5]
        .iter()
        .map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()]))
        .collect()
}

/// What a write to the object itself leaves alone: the status, and the mark of deletion.
fn keep(resource: &Resource, object: &mut Value, status: Value) {
    if resource.has_status {
        object["status"] = status;
    }
    default(resource, object);
}

fn default(resource: &Resource, object: &mut Value) {
    if resource == &DEPLOYMENTS && object["spec"]["replicas"].is_null() {
        object["spec"]["replicas"] = json!(1);
    }
}

fn check_shape(key: &Key, object: &Value) -> Result<(), ApiError> {
    let resource = key.resource;
    let kind = object["kind"].as_str().unwrap_or(resource.kind);
    if kind != resource.kind {
        return Err(ApiError::bad_request(format!(
            "a {kind} was sent where a {} belongs",
            resource.kind
        )));
    }
    let invalid = |why: &str| Err(ApiError::invalid(resource, &key.name, why));
    let fits = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit();
    if key.name.is_empty()
        || key.name.len() > MAX_NAME
        || !key.name.starts_with(fits)
        || !key.name.ends_with(fits)
        || !key
            .name
            .chars()
            .all(|letter| fits(letter) || "-.".contains(letter))
    {
        return invalid("metadata.name: 1 to 253 of a-z, 0-9, '-' and '.'");
    }
    if let Some(name) = object["metadata"]["name"].as_str()
        && name != key.name
    {
        return invalid("metadata.name: not the name in the path");
    }
    if resource == &PODS && !has_container(&object["spec"]) {
        return invalid("spec.containers: a pod needs a container");
    }
    if resource == &DEPLOYMENTS {
        return check_deployment(object).or_else(invalid);
    }
    Ok(())
}

fn check_deployment(object: &Value) -> Result<(), &'static str> {
    let spec = &object["spec"];
    let replicas = &spec["replicas"];
    if !replicas.is_null() && replicas.as_u64().is_none() {
        return Err("spec.replicas: must be greater than or equal to 0");
    }
    if !has_container(&spec["template"]["spec"]) {
        return Err("spec.template.spec.containers: a pod needs a container");
    }
    let labels = &spec["template"]["metadata"]["labels"];
    match spec["selector"]["matchLabels"].as_object() {
        Some(wanted) if wanted.iter().all(|(name, value)| labels[name] == *value) => Ok(()),
        Some(_) => Err("spec.template.metadata.labels: `selector` does not match them"),
        None => Err("spec.selector.matchLabels: must be there"),
    }
}

fn has_container(spec: &Value) -> bool {
    spec["containers"]
        .as_array()
        .is_some_and(|containers| !containers.is_empty())
}
