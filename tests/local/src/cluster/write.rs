//! Creating, replacing, patching and deleting objects, with their preconditions.

use serde_json::{Value, json};

use super::api::{Call, check};
use super::patch::PatchKind;
use super::resource::{DEPLOYMENTS, Key, PODS, Resource};
use super::shape;
use super::status::ApiError;
use super::store::{Object, Store};

/// What Kubernetes gives a pod that says nothing.
const GRACE_SECONDS: u64 = 30;

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
    admit(store, &key, &object)?;
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
    admit(store, key, body)?;
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
            shape::check_maps(key, &call.body, &shape::MAPS)?;
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
        admit(store, key, object)?;
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

/// Whether an object may be: it is of the form that everything here relies on, and
/// its pods run what pods may.
fn admit(store: &Store, key: &Key, object: &Value) -> Result<(), ApiError> {
    shape::check(key, object)?;
    let spec = match key.resource {
        resource if resource == &PODS => &object["spec"],
        resource if resource == &DEPLOYMENTS => &object["spec"]["template"]["spec"],
        _ => return Ok(()),
    };
    let checked = store.programs.check(spec);
    checked.map_err(|why| ApiError::forbidden(key, &why))
}
