//! The shapes of Secrets Manager's requests.

use serde::{Deserialize, Serialize};

use super::invalid_parameter;
use crate::AwsError;

/// `CreateSecret`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Create {
    pub(super) name: String,
    pub(super) client_request_token: Option<String>,
    pub(super) description: Option<String>,
    pub(super) secret_string: Option<String>,
    pub(super) secret_binary: Option<String>,
    #[serde(default)]
    pub(super) tags: Vec<Tag>,
}

/// A tag.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Tag {
    key: String,
    value: String,
}

/// `PutSecretValue`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Put {
    pub(super) secret_id: String,
    pub(super) client_request_token: Option<String>,
    pub(super) secret_string: Option<String>,
    pub(super) secret_binary: Option<String>,
    #[serde(default = "current")]
    pub(super) version_stages: Vec<String>,
}

fn current() -> Vec<String> {
    vec![super::CURRENT.to_owned()]
}

/// `GetSecretValue`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Get {
    pub(super) secret_id: String,
    pub(super) version_id: Option<String>,
    pub(super) version_stage: Option<String>,
}

/// `DescribeSecret` and `RestoreSecret`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Named {
    pub(super) secret_id: String,
}

/// `DeleteSecret`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Delete {
    pub(super) secret_id: String,
    pub(super) recovery_window_in_days: Option<i64>,
    pub(super) force_delete_without_recovery: Option<bool>,
}

/// `ListSecrets`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct List {
    pub(super) max_results: Option<usize>,
    pub(super) next_token: Option<String>,
    pub(super) include_planned_deletion: Option<bool>,
}

/// Whether a secret may be called this.
pub(super) fn check_name(name: &str) -> Result<(), AwsError> {
    let letters = |c: char| c.is_ascii_alphanumeric() || "/_+=.@-".contains(c);
    if (1..=512).contains(&name.len()) && name.chars().all(letters) {
        return Ok(());
    }
    Err(invalid_parameter(&format!(
        "Invalid name. Must be a valid name containing alphanumeric characters, or any of the \
         following: -/_+=.@!, not {name:?}"
    )))
}
