//! The runtime on which handlers run.

use std::num::NonZeroUsize;

use tokio::runtime::{Handle, Runtime};

use crate::worker::RunError;

/// The runtime of the handlers, apart from the one that polls, beats and reports.
pub(crate) struct HandlerRuntime(Option<Runtime>);

impl HandlerRuntime {
    /// As many threads as the machine has cores, and never more than `slots`: a
    /// thread without a task costs wake-ups. Without `slots` there is no runtime.
    pub(crate) fn new(slots: Option<usize>) -> Result<Self, RunError> {
        let Some(slots) = slots else {
            return Ok(Self(None));
        };
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(slots.clamp(1, cores))
            .enable_all()
            .thread_name("handler")
            .build()
            .map_err(|error| RunError::Setup(error.to_string()))?;
        Ok(Self(Some(runtime)))
    }

    pub(crate) fn handle(&self) -> Option<Handle> {
        self.0.as_ref().map(|runtime| runtime.handle().clone())
    }
}

impl Drop for HandlerRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            // A handler that blocks its thread must not keep a cut worker alive.
            runtime.shutdown_background();
        }
    }
}
