//! What a binary says of each handler it has: name, config, input, cancellation.

use serde::Serialize;
use serde_json::Value;

use crate::Catalogue;
use crate::catalogue::Activity;

/// What happens when a handler's future is dropped because its attempt is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CancelSafety {
    /// Dropping the future at any await leaves nothing half-done.
    CancelSafe,
    /// The handler must run to its end; the worker waits and reports nothing.
    RunsToEnd,
}

/// What a handler's config says wrongly: where (a path inside `config`, like
/// `max_files`) and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigFault {
    /// Path inside `config`; empty for the whole.
    pub path: String,
    /// What was found and what is allowed.
    pub message: String,
    /// What was probably meant.
    pub suggestion: Option<String>,
}

impl ConfigFault {
    /// A fault at a path inside `config`: what was found and what is allowed.
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            message: message.into(),
            suggestion: None,
        }
    }
}

/// What a binary says of one of its handlers.
#[derive(Clone, Copy)]
pub struct HandlerSpec {
    /// The name that `handler:` in the catalogue says, like `etl.s3-load`.
    pub name: &'static str,
    /// What it does, in a line.
    pub summary: &'static str,
    /// Whether its future may be dropped.
    pub cancel: CancelSafety,
    /// The JSON Schema of its `config`.
    pub config_schema: fn() -> Value,
    /// The JSON Schema of its input.
    pub input_schema: fn() -> Value,
    /// Reads an activity's `config` by the handler's own type and says what is wrong
    /// with it, also with what it names or meets elsewhere in the catalogue.
    pub check_config: fn(&Activity, &Catalogue) -> Result<(), Vec<ConfigFault>>,
}

impl std::fmt::Debug for HandlerSpec {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("HandlerSpec")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
