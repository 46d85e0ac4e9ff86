//! Runs the handler on a runtime of its own and catches its panics.

use std::any::Any;
use std::task::{Context, Poll};

use futures::FutureExt;
use futures::future::BoxFuture;
use stepfleet_activity::{ActivityError, ActivityTask, CancelSafety, Class, Output, names};
use tokio::task::JoinError;
use tokio_util::task::AbortOnDropHandle;
use tower::ServiceExt;
use tower_service::Service;
use tracing::Instrument;

use super::{Received, layered};

layered! {
    /// Runs what it wraps apart: a handler that blocks its thread stops no poll,
    /// no heartbeat and no report.
    Apart
}

impl<S> Service<Received> for Apart<S>
where
    S: Service<ActivityTask, Response = Output, Error = ActivityError> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Output;
    type Error = ActivityError;
    type Future = BoxFuture<'static, Result<Output, ActivityError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ActivityError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, received: Received) -> Self::Future {
        let task = match received.task {
            Ok(task) => task,
            Err(error) => return futures::future::err(error).boxed(),
        };
        let handler = self.inner.clone();
        let lane = std::sync::Arc::clone(&self.lane);
        let slot = received.slot;
        async move {
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
        .boxed()
    }
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
