//! What faults ask of Step Functions.

use std::sync::Arc;

use super::StepFunctions;
use super::reports::read_token;

// === impl StepFunctions ===

impl StepFunctions {
    /// The activity of an open task.
    pub(crate) fn activity_of(&self, token: &str) -> Option<Arc<str>> {
        let (_, id) = read_token(token)?;
        let state = self.lock();
        let attempt = state.attempts.get(&id)?;
        attempt.order.target.activity().cloned()
    }
}
