//! Faults on request: what AWS does to its callers on a bad day.
//!
//! A `plan::Plan` says what goes wrong with which calls, and which of them;
//! `apply` stands in front of every protocol and does it. Nothing happens
//! until a plan is told, by `--faults FILE` or over HTTP.

mod answer;
pub(crate) mod apply;
mod call;
mod caller;
pub(crate) mod control;
mod names;
mod plan;
mod raw;
mod rule;
mod s3;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use self::plan::Plan;

/// The plan of what goes wrong; all clones have the same.
#[derive(Debug, Clone, Default)]
pub struct Faults(Arc<Mutex<Arc<Plan>>>);

/// What keeps a plan from being one: all of it, a line each.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PlanError(String);

// === impl Faults ===

impl Faults {
    /// The plan of a file.
    ///
    /// # Errors
    /// The file cannot be read, or says what is not allowed.
    pub fn read(path: &Path) -> Result<Self, PlanError> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| {
            PlanError(format!("--faults {name}: the file cannot be read: {error}"))
        })?;
        let faults = Self::default();
        faults.replace(&name, &text)?;
        Ok(faults)
    }

    /// Takes another plan in place of the one before; all counts begin anew.
    /// `name` is what its faults are said of.
    ///
    /// # Errors
    /// It says what is not allowed; the one before stays.
    pub fn replace(&self, name: &str, text: &str) -> Result<(), PlanError> {
        let plan = Plan::parse(text)
            .map_err(|faults| PlanError(faults.map_lines(|fault| format!("{name}: {fault}"))))?;
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(plan);
        Ok(())
    }

    /// Nothing goes wrong any more.
    pub fn clear(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::default();
    }

    /// The plan, and what came of it: how many calls each fault matched, and
    /// how many it struck.
    pub fn report(&self) -> Value {
        self.plan().report()
    }

    fn plan(&self) -> Arc<Plan> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
