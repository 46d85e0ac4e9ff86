//! The `scale` subresource of a Deployment.

use serde_json::{Value, json};

use super::resource::Key;
use super::shape::MAX_REPLICAS;
use super::status::ApiError;
use super::store::{Object, Store, check_version};

/// A Deployment's scale. Its version is the Deployment's: each change of the
/// status makes an older one stale.
pub(crate) fn of(deployment: &Value) -> Value {
    let metadata = &deployment["metadata"];
    let labels = deployment["spec"]["selector"]["matchLabels"].as_object();
    let selector: Vec<String> = labels
        .into_iter()
        .flatten()
        .map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default()))
        .collect();
    json!({
        "apiVersion": "autoscaling/v1",
        "kind": "Scale",
        "metadata": {
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "uid": metadata["uid"],
            "resourceVersion": metadata["resourceVersion"],
            "creationTimestamp": metadata["creationTimestamp"],
        },
        "spec": {"replicas": replicas(deployment)},
        "status": {
            "replicas": deployment["status"]["replicas"].as_u64().unwrap_or(0),
            "selector": selector.join(","),
        },
    })
}

/// The replicas that a Deployment asks for.
pub(crate) fn replicas(deployment: &Value) -> u64 {
    deployment["spec"]["replicas"].as_u64().unwrap_or(1)
}

/// Sets the replicas as a scale says, if its version is still the Deployment's.
pub(crate) fn write(store: &Store, key: &Key, scale: &Value) -> Result<Object, ApiError> {
    let wanted = &scale["spec"]["replicas"];
    // Absent is zero, as in Kubernetes: the field is left out of JSON when it is 0.
    let wanted = match wanted {
        Value::Null => Some(0),
        wanted => wanted.as_u64().filter(|count| *count <= MAX_REPLICAS),
    };
    let Some(wanted) = wanted else {
        let why = "spec.replicas: must be a whole number from 0 to 1000";
        return Err(ApiError::invalid(key.resource, &key.name, why));
    };
    store.update(key, |deployment| {
        check_version(key, deployment, scale)?;
        deployment["spec"]["replicas"] = json!(wanted);
        Ok(())
    })
}
