//! Why something ended badly.

use super::retry::name;

/// Why something ended badly, as Retry and Catch see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) error: Option<String>,
    pub(crate) cause: Option<String>,
}

// === impl Failure ===

impl Failure {
    pub(crate) fn new(error: &str, cause: impl Into<String>) -> Self {
        Self {
            error: Some(error.to_owned()),
            cause: Some(cause.into()),
        }
    }

    /// What no Retry and no Catch matches.
    pub(crate) fn runtime(cause: impl Into<String>) -> Self {
        Self::new(name::RUNTIME, cause)
    }

    /// What Retry and Catch match: a worker may fail without a name, which is a
    /// failure of the task.
    pub(crate) fn name(&self) -> &str {
        self.error.as_deref().unwrap_or(name::TASK_FAILED)
    }
}
