//! The form of an object: what everything here relies on, whoever sent it.

use serde_json::Value;

use super::resource::{DEPLOYMENTS, Key, PODS};
use super::status::ApiError;

/// The most letters of a name.
const MAX_NAME: usize = 253;
/// The most processes that a Deployment makes of this machine.
pub(crate) const MAX_REPLICAS: u64 = 1000;
/// What is a map, where it is there at all.
pub(crate) const MAPS: [&str; 5] = [
    "",
    "/metadata",
    "/metadata/annotations",
    "/metadata/labels",
    "/spec",
];
/// The same of a Deployment's template.
const TEMPLATE_MAPS: [&str; 6] = [
    "/spec/selector",
    "/spec/template",
    "/spec/template/metadata",
    "/spec/template/metadata/annotations",
    "/spec/template/metadata/labels",
    "/spec/template/spec",
];

/// Whether an object is of the form that everything here relies on.
pub(crate) fn check(key: &Key, object: &Value) -> Result<(), ApiError> {
    let resource = key.resource;
    check_maps(key, object, &MAPS)?;
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
        check_maps(key, object, &TEMPLATE_MAPS)?;
        return check_deployment(object).or_else(invalid);
    }
    Ok(())
}

fn check_deployment(object: &Value) -> Result<(), &'static str> {
    let spec = &object["spec"];
    let replicas = &spec["replicas"];
    let many = replicas
        .as_u64()
        .is_none_or(|replicas| replicas > MAX_REPLICAS);
    if !replicas.is_null() && many {
        return Err("spec.replicas: must be 0 to 1000");
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

/// Whether what is to be a map at these paths is one, where it is there at all.
pub(crate) fn check_maps(key: &Key, object: &Value, maps: &[&str]) -> Result<(), ApiError> {
    let wrong = maps.iter().find(|path| {
        let found = object.pointer(path);
        found.is_some_and(|found| !found.is_null() && !found.is_object())
    });
    wrong.map_or(Ok(()), |path| {
        let path = path.trim_start_matches('/').replace('/', ".");
        let why = format!("{path}: must be a map");
        Err(ApiError::invalid(key.resource, &key.name, &why))
    })
}

fn has_container(spec: &Value) -> bool {
    spec["containers"]
        .as_array()
        .is_some_and(|containers| !containers.is_empty())
}
