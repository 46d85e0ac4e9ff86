//! One secret. No `Debug`: a value never gets into a log.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::invalid_parameter;
use super::requests::Tag;
use crate::AwsError;

/// The label of the version that is told unless another is asked for.
pub(super) const CURRENT: &str = "AWSCURRENT";
/// The label of the one that had it before.
const PREVIOUS: &str = "AWSPREVIOUS";
/// The most bytes of a value.
const LARGEST: usize = 65_536;

/// A secret with all its versions.
pub(super) struct Secret {
    pub(super) arn: String,
    pub(super) name: String,
    pub(super) description: Option<String>,
    pub(super) tags: Vec<Tag>,
    pub(super) versions: BTreeMap<String, Version>,
    /// Which version has a label.
    labels: BTreeMap<String, String>,
    created: Timestamp,
    pub(super) changed: Timestamp,
    pub(super) accessed: Option<Timestamp>,
    /// When it was deleted, and when it cannot be restored any more.
    pub(super) deleted: Option<Timestamp>,
    pub(super) gone: Option<Timestamp>,
}

/// A value, and when it came.
pub(super) struct Version {
    text: Option<String>,
    /// In Base64.
    bytes: Option<String>,
    created: Timestamp,
}

impl Version {
    /// None where there is no value.
    pub(super) fn read(
        text: Option<String>,
        bytes: Option<String>,
        created: Timestamp,
    ) -> Result<Option<Self>, AwsError> {
        let size = match (&text, &bytes) {
            (None, None) => return Ok(None),
            (Some(text), None) => text.len(),
            (None, Some(bytes)) => {
                let bytes = STANDARD.decode(bytes);
                let bytes = bytes.map_err(|_| invalid_parameter("SecretBinary is in Base64"))?;
                bytes.len()
            }
            (Some(_), Some(_)) => {
                return Err(invalid_parameter(
                    "You can't specify both a binary secret value and a string secret value in \
                     the same secret.",
                ));
            }
        };
        if size == 0 || size > LARGEST {
            return Err(invalid_parameter(&format!(
                "a secret's value has 1 to {LARGEST} bytes, not {size}"
            )));
        }
        Ok(Some(Self {
            text,
            bytes,
            created,
        }))
    }

    pub(super) fn of_text(text: &str, created: Timestamp) -> Self {
        Self {
            text: Some(text.to_owned()),
            bytes: None,
            created,
        }
    }
}

impl Secret {
    pub(super) fn new(arn: String, name: &str, created: Timestamp) -> Self {
        Self {
            arn,
            name: name.to_owned(),
            description: None,
            tags: Vec::new(),
            versions: BTreeMap::new(),
            labels: BTreeMap::new(),
            created,
            changed: created,
            accessed: None,
            deleted: None,
            gone: None,
        }
    }

    /// Whether a version has this id and this value: then a call was made twice.
    pub(super) fn has(&self, id: &str, version: Option<&Version>) -> bool {
        let known = self.versions.get(id).map(|one| (&one.text, &one.bytes));
        known.is_some() && known == version.map(|one| (&one.text, &one.bytes))
    }

    /// Adds a version. Each label leaves the version that had it; the first
    /// version is the current one, whatever was said.
    pub(super) fn add(&mut self, id: &str, version: Version, labels: &[String]) {
        let mut labels: BTreeSet<&str> = labels.iter().map(String::as_str).collect();
        if self.versions.is_empty() {
            labels.insert(CURRENT);
        }
        self.versions.insert(id.to_owned(), version);
        for label in labels {
            let before = self.labels.insert(label.to_owned(), id.to_owned());
            if let Some(before) = before.filter(|_| label == CURRENT) {
                self.labels.insert(PREVIOUS.to_owned(), before);
            }
        }
    }

    pub(super) fn stages(&self, id: &str) -> Vec<&str> {
        let labels = self.labels.iter().filter(|(_, of)| *of == id);
        labels.map(|(label, _)| label.as_str()).collect()
    }

    /// Which secret an answer is about, and which version.
    pub(super) fn named(&self, id: Option<&str>) -> Value {
        let mut named = json!({"ARN": self.arn, "Name": self.name});
        if let Some(id) = id {
            named["VersionId"] = id.into();
        }
        named
    }

    /// A value: of the version with this id or label, or of the current one.
    pub(super) fn told(
        &self,
        (id, label): (Option<&str>, Option<&str>),
    ) -> Result<Value, AwsError> {
        let missing = |what: String| {
            AwsError::new(
                "ResourceNotFoundException",
                format!("Secrets Manager can't find the specified secret value for {what}"),
            )
        };
        let labelled = |label: &str| {
            let id = self.labels.get(label);
            id.ok_or_else(|| missing(format!("staging label: {label}")))
        };
        let found = match (id, label) {
            (None, label) => labelled(label.unwrap_or(CURRENT))?,
            (Some(id), None) => id,
            (Some(id), Some(label)) if labelled(label)? == id => id,
            (Some(_), Some(_)) => {
                return Err(AwsError::new(
                    "InvalidRequestException",
                    "You provided a VersionStage that is not associated to the provided VersionId.",
                ));
            }
        };
        let version = self.versions.get(found);
        let version = version.ok_or_else(|| missing(format!("VersionId: {found}")))?;
        let mut told = self.named(Some(found));
        told["VersionStages"] = json!(self.stages(found));
        told["CreatedDate"] = json!(seconds(version.created));
        if let Some(text) = &version.text {
            told["SecretString"] = text.as_str().into();
        }
        if let Some(bytes) = &version.bytes {
            told["SecretBinary"] = bytes.as_str().into();
        }
        Ok(told)
    }

    /// Everything but its values; the member with the versions has two names.
    pub(super) fn described(&self, versions: &str) -> Value {
        let mut told = self.named(None);
        let labelled = self.versions.keys().map(|id| (id, self.stages(id)));
        let labelled = labelled.filter(|(_, stages)| !stages.is_empty());
        told[versions] = json!(labelled.collect::<BTreeMap<_, _>>());
        told["CreatedDate"] = json!(seconds(self.created));
        told["LastChangedDate"] = json!(seconds(self.changed));
        for (name, at) in [
            ("LastAccessedDate", self.accessed),
            ("DeletedDate", self.deleted),
        ] {
            if let Some(at) = at {
                told[name] = json!(seconds(at));
            }
        }
        if let Some(description) = &self.description {
            told["Description"] = description.as_str().into();
        }
        if !self.tags.is_empty() {
            told["Tags"] = json!(self.tags);
        }
        told
    }
}

/// Seconds since 1970, with milliseconds.
pub(super) fn seconds(at: Timestamp) -> f64 {
    #[expect(
        clippy::cast_precision_loss,
        reason = "milliseconds fit until the year 287396"
    )]
    let millis = at.as_millisecond() as f64;
    millis / 1000.0
}
