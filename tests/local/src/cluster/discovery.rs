//! What there is, as clients ask for it first.

use serde_json::{Value, json};

use super::resource::{RESOURCES, Resource};

const VERBS: [&str; 7] = [
    "create", "delete", "get", "list", "patch", "update", "watch",
];

/// Answers a path that is about the API and not about an object.
pub(crate) fn answer(path: &[&str]) -> Option<Value> {
    match path {
        ["version"] => Some(json!({
            "major": "1",
            "minor": "35",
            "gitVersion": "v1.35.0-stepfleet-local",
            "gitCommit": "",
            "gitTreeState": "",
            "buildDate": "1970-01-01T00:00:00Z",
            "goVersion": "",
            "compiler": "rustc",
            "platform": format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
        })),
        ["healthz" | "livez" | "readyz"] => Some(json!("ok")),
        ["api"] => Some(json!({
            "kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": [],
        })),
        ["apis"] => Some(json!({
            "kind": "APIGroupList", "apiVersion": "v1", "groups": groups(),
        })),
        ["api", version] => resources("", version),
        ["apis", group] => groups()
            .into_iter()
            .find(|known| known["name"] == *group)
            .map(|mut found| {
                found["kind"] = json!("APIGroup");
                found["apiVersion"] = json!("v1");
                found
            }),
        ["apis", group, version] => resources(group, version),
        _ => None,
    }
}

fn groups() -> Vec<Value> {
    let mut named: Vec<&Resource> = RESOURCES
        .into_iter()
        .filter(|resource| !resource.group.is_empty())
        .collect();
    named.dedup_by_key(|resource| resource.group);
    named
        .into_iter()
        .map(|resource| {
            let version = json!({
                "groupVersion": resource.api_version(), "version": resource.version,
            });
            json!({
                "name": resource.group, "versions": [version], "preferredVersion": version,
            })
        })
        .collect()
}

fn resources(group: &str, version: &str) -> Option<Value> {
    let found: Vec<&Resource> = RESOURCES
        .into_iter()
        .filter(|resource| resource.group == group && resource.version == version)
        .collect();
    let first = found.first()?;
    let listed: Vec<Value> = found
        .iter()
        .flat_map(|resource| entries(resource))
        .collect();
    Some(json!({
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": first.api_version(),
        "resources": listed,
    }))
}

fn entries(resource: &Resource) -> Vec<Value> {
    let entry = |name: String, verbs: &[&str]| {
        json!({
            "name": name,
            "singularName": resource.kind.to_lowercase(),
            "namespaced": true,
            "kind": resource.kind,
            "verbs": verbs,
        })
    };
    let mut entries = vec![entry(resource.plural.to_owned(), &VERBS)];
    if resource.has_status {
        entries.push(entry(format!("{}/status", resource.plural), &["get"]));
    }
    if resource.has_scale {
        let mut scale = entry(
            format!("{}/scale", resource.plural),
            &["get", "patch", "update"],
        );
        scale["kind"] = json!("Scale");
        scale["group"] = json!("autoscaling");
        scale["version"] = json!("v1");
        entries.push(scale);
    }
    entries
}
