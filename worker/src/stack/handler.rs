//! Runs the handler on a runtime of its own and catches its panics.

use std::any::Any;
use std::sync::Arc;

use stepfleet_activity::{ActivityError, ActivityTask, CancelSafety, Class, Output, names};
use tokio::task::JoinError;
use tokio_util::task::AbortOnDropHandle;
use tower::ServiceExt;
use tower_service::Service;
use tracing::Instrument;

use super::Received;
use crate::lane::Lane;

/// Runs the handler apart: one that blocks its thread stops no poll, no heartbeat
/// and no report.
pub(super) async fn apart<S>(
    lane: Arc<Lane>,
    handler: S,
    received: Received,
) -> Result<Output, ActivityError>
where
    S: Service<ActivityTask, Response = Output, Error = ActivityError> + Send + 'static,
    S::Future: Send,
{
    let task = received.task?;
    let slot = received.slot;
    let running = async move {
        // Dropped after the handler's future: the slot is free only when that is gone.
        let _slot = slot;
        handler.oneshot(task).await
    };
    let running = lane.handlers.spawn(running.in_current_span());
    let ended = match lane.options.cancel {
        CancelSafety::CancelSafe => AbortOnDropHandle::new(running).await,
        // Dropping a plain handle lets the handler run to its end.
        CancelSafety::RunsToEnd => running.await,
    };
    ended.unwrap_or_else(|error| Err(not_ended(error)))
}

fn not_ended(error: JoinError) -> ActivityError {
    match error.try_into_panic() {
        Ok(panic) => ActivityError::named(
            names::PANIC,
            Class::Permanent,
            format!("the handler panicked: {}", said(&*panic)),
        ),
        Err(_) => ActivityError::named(
            names::SHUTDOWN,
            Class::Transient,
            "the worker's runtime stopped before the handler ended",
        ),
    }
}

fn said(panic: &(dyn Any + Send)) -> &str {
    if let Some(text) = panic.downcast_ref::<&'static str>() {
        text
    } else if let Some(text) = panic.downcast_ref::<String>() {
        text
    } else {
        "no message"
    }
}
