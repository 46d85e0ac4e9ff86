//! Patches: merge (RFC 7396), strategic merge and, alike, apply.

use serde_json::{Map, Value};

use super::status::ApiError;

/// How a patch is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PatchKind {
    /// Lists are replaced.
    Merge,
    /// Lists of named things are merged by name.
    Strategic,
    /// As strategic, and creates what is missing. Who owns which field is not
    /// kept: nothing here is written by two managers.
    Apply,
}

// === impl PatchKind ===

impl PatchKind {
    /// From the request's content type.
    pub(crate) fn from_content_type(content_type: &str) -> Result<Self, ApiError> {
        match content_type.split(';').next().unwrap_or_default().trim() {
            "application/merge-patch+json" => Ok(Self::Merge),
            "application/strategic-merge-patch+json" => Ok(Self::Strategic),
            "application/apply-patch+yaml" => Ok(Self::Apply),
            other => Err(ApiError::unsupported_patch(other)),
        }
    }

    /// Changes `target` as the patch says.
    pub(crate) fn apply(self, target: &mut Value, patch: &Value) {
        let Value::Object(patch) = patch else {
            target.clone_from(patch);
            return;
        };
        if !target.is_object() {
            *target = Value::Object(Map::new());
        }
        let Value::Object(fields) = target else {
            return;
        };
        for (name, value) in patch {
            if value.is_null() {
                fields.remove(name);
                continue;
            }
            let field = fields.entry(name.clone()).or_insert(Value::Null);
            match (self, field, value) {
                (Self::Merge, field, value) => self.apply(field, value),
                (_, Value::Array(old), Value::Array(new)) => match merge_key(old, new) {
                    Some(key) => self.merge_list(old, new, key),
                    None => old.clone_from(new),
                },
                (_, field, value) => self.apply(field, value),
            }
        }
    }

    fn merge_list(self, old: &mut Vec<Value>, new: &[Value], key: &str) {
        for item in new {
            let place = old.iter().position(|known| known[key] == item[key]);
            match (place, item["$patch"] == "delete") {
                (Some(place), true) => {
                    old.remove(place);
                }
                (Some(place), false) => self.apply(&mut old[place], item),
                (None, true) => {}
                (None, false) => old.push(item.clone()),
            }
        }
    }
}

/// The field that tells the items of both lists apart, if they have one.
fn merge_key(old: &[Value], new: &[Value]) -> Option<&'static str> {
    ["name", "containerPort", "type", "uid"]
        .into_iter()
        .find(|key| {
            old.iter()
                .chain(new)
                .all(|item| item.get(*key).is_some_and(|value| !value.is_null()))
        })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn patches_change_what_they_name() {
        let before = json!({"spec": {"replicas": 1, "paused": true, "containers": [
            {"name": "a", "image": "one"}, {"name": "b"},
        ], "args": ["x"]}});
        let patch = json!({"spec": {"replicas": 2, "paused": null, "containers": [
            {"name": "a", "command": ["c"]},
        ], "args": ["y"]}});
        let merged = json!({"spec": {"replicas": 2, "containers": [
            {"name": "a", "command": ["c"]},
        ], "args": ["y"]}});
        let strategic = json!({"spec": {"replicas": 2, "containers": [
            {"name": "a", "image": "one", "command": ["c"]}, {"name": "b"},
        ], "args": ["y"]}});
        for (kind, want) in [
            (PatchKind::Merge, &merged),
            (PatchKind::Strategic, &strategic),
            (PatchKind::Apply, &strategic),
        ] {
            let mut object = before.clone();
            kind.apply(&mut object, &patch);
            assert_eq!(object, *want, "{kind:?}");
        }
    }

    #[test]
    fn an_item_is_deleted_by_its_directive() {
        let mut object = json!({"list": [{"name": "a"}, {"name": "b"}]});
        let patch = json!({"list": [{"name": "a", "$patch": "delete"}]});
        PatchKind::Strategic.apply(&mut object, &patch);
        assert_eq!(object, json!({"list": [{"name": "b"}]}));
    }
}
