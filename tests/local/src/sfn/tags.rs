//! Tags of activities and state machines.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::input::check_size;
use super::{State, StepFunctions};
use crate::AwsError;
use crate::context::read;

/// The most tags of one resource.
const MOST: usize = 50;

/// By their keys.
pub(super) type Tags = BTreeMap<String, String>;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Tag {
    key: String,
    #[serde(default)]
    value: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Add {
    resource_arn: String,
    tags: Vec<Tag>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Remove {
    resource_arn: String,
    tag_keys: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct List {
    resource_arn: String,
}

// === impl StepFunctions ===

impl StepFunctions {
    pub(super) fn tag_resource(&self, body: Value) -> Result<Value, AwsError> {
        let Add { resource_arn, tags } = read(body)?;
        let added = check_tags(tags)?;
        let mut state = self.lock();
        let tags = state.tags_of(&resource_arn)?;
        let mut all = tags.clone();
        all.extend(added);
        check_count(all.len())?;
        *tags = all;
        Ok(json!({}))
    }

    pub(super) fn untag_resource(&self, body: Value) -> Result<Value, AwsError> {
        let Remove {
            resource_arn,
            tag_keys,
        } = read(body)?;
        let mut state = self.lock();
        let tags = state.tags_of(&resource_arn)?;
        tags.retain(|key, _| !tag_keys.contains(key));
        Ok(json!({}))
    }

    pub(super) fn list_tags(&self, body: Value) -> Result<Value, AwsError> {
        let List { resource_arn } = read(body)?;
        let mut state = self.lock();
        let tags = state.tags_of(&resource_arn)?.iter();
        let shown = tags.map(|(key, value)| json!({"key": key, "value": value}));
        Ok(json!({"tags": shown.collect::<Vec<_>>()}))
    }
}

// === impl State ===

impl State {
    fn tags_of(&mut self, arn: &str) -> Result<&mut Tags, AwsError> {
        let known = self.machines.contains_key(arn) || self.activities.contains_key(arn);
        if known {
            return Ok(self.tags.entry(arn.to_owned()).or_default());
        }
        Err(AwsError::new(
            "ResourceNotFound",
            format!("Resource not found: '{arn}'"),
        ))
    }
}

/// # Errors
/// `TooManyTags`, or `ValidationException` for one that is too long.
pub(super) fn check_tags(tags: Vec<Tag>) -> Result<Tags, AwsError> {
    for tag in &tags {
        check_size("tags.key", tag.key.chars().count(), 128)?;
        check_size("tags.value", tag.value.chars().count(), 256)?;
        if tag.key.is_empty() {
            return Err(AwsError::validation("tags.key must not be empty"));
        }
    }
    let tags: Tags = tags.into_iter().map(|tag| (tag.key, tag.value)).collect();
    check_count(tags.len())?;
    Ok(tags)
}

fn check_count(count: usize) -> Result<(), AwsError> {
    if count <= MOST {
        return Ok(());
    }
    Err(AwsError::new(
        "TooManyTags",
        format!("a resource has at most {MOST} tags, not {count}"),
    ))
}
