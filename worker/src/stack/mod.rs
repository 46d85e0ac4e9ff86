//! The tower stack of one activity, from the outside in: span, heartbeat,
//! report, limits, and the handler apart from all of them with its panics caught.
//!
//! The report is inside the heartbeat, so that beats go on until it is accepted.

mod handler;
mod heartbeat;
mod limits;
mod report;
mod share;
mod span;

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Context, Poll};

use stepfleet_activity::{
    ActivityError, ActivityTask, Attempt, Class, Envelope, EnvelopeError, Output, Progress,
    TaskContext, TaskToken, names,
};
use tower::ServiceBuilder;
use tower::layer::layer_fn;
use tower::util::BoxCloneSyncService;
use tower_service::Service;

use crate::lane::{Lane, Slot};
use crate::meters::Ended;
use crate::poller::Polled;

/// An activity's own code, boxed.
pub(crate) type Handler = BoxCloneSyncService<ActivityTask, Output, ActivityError>;
/// The whole stack: it reports by itself, so it cannot fail.
pub(crate) type Stack = BoxCloneSyncService<Received, Ended, Infallible>;

/// A task on its way through the stack.
pub(crate) struct Received {
    token: TaskToken,
    attempt: Option<Attempt>,
    /// What the handler gets, or why the input is none.
    task: Result<ActivityTask, ActivityError>,
    /// The bytes that its cause may have, where others are carried beside it.
    cause: Option<usize>,
    slot: Arc<Slot>,
}

impl Received {
    /// Reads the input's envelope. A bad input is a task too: it is reported.
    pub(crate) fn new(lane: &Lane, polled: Polled) -> Self {
        let Polled {
            task: raw,
            mut slot,
        } = polled;
        slot.occupy();
        let received = lane.clock.now();
        let envelope = opened(|| Envelope::parse(&raw.input));
        let attempt = match &envelope {
            Ok(envelope) => envelope.attempt.clone(),
            Err(_) => None,
        };
        let timeout = jiff::SignedDuration::try_from(lane.options.timeout).unwrap_or_default();
        let context = TaskContext {
            attempt: attempt.clone(),
            received,
            deadline: received.saturating_add(timeout).unwrap_or(received),
            heartbeat_interval: lane.options.heartbeat_interval(),
            progress: Progress::default(),
        };
        let task = envelope.map(|envelope| ActivityTask {
            name: Arc::clone(&lane.options.name),
            token: raw.token.clone(),
            input: envelope.input,
            context,
        });
        Self {
            cause: share::of(&raw.input),
            token: raw.token,
            attempt,
            task,
            slot: Arc::new(slot),
        }
    }
}

/// An envelope that cannot be read fails its task, and a panic of ours over it does no
/// more: it must not end the poller, and with it every other task.
fn opened(
    read: impl FnOnce() -> Result<Envelope, EnvelopeError>,
) -> Result<Envelope, ActivityError> {
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(read) => {
            read.map_err(|error| ActivityError::named(names::BAD_INPUT, Class::Permanent, error))
        }
        Err(_) => {
            let cause = "the worker panicked over the input's envelope";
            Err(ActivityError::named(names::PANIC, Class::Permanent, cause))
        }
    }
}

/// Builds the stack round a handler.
pub(crate) fn stack(lane: &Arc<Lane>, handler: Handler) -> Stack {
    let service = ServiceBuilder::new()
        .layer(layer_fn(|inner| around(lane, inner, span::spanned)))
        .layer(layer_fn(|inner| around(lane, inner, heartbeat::beating)))
        .layer(layer_fn(|inner| around(lane, inner, report::reported)))
        .layer(layer_fn(|inner| around(lane, inner, limits::limited)))
        .layer(layer_fn(|inner| around(lane, inner, handler::apart)))
        .service(handler);
    BoxCloneSyncService::new(service)
}

fn around<S, F>(lane: &Arc<Lane>, inner: S, run: F) -> Around<S, F> {
    Around {
        lane: Arc::clone(lane),
        inner,
        run,
    }
}

/// A layer's service: `run` goes round `inner` for each task. It is always ready,
/// since readiness was the slot.
#[derive(Clone)]
struct Around<S, F> {
    lane: Arc<Lane>,
    inner: S,
    run: F,
}

// === impl Around ===

impl<S, F, Fut, R, E> Service<Received> for Around<S, F>
where
    S: Clone,
    F: Fn(Arc<Lane>, S, Received) -> Fut,
    Fut: Future<Output = Result<R, E>>,
{
    type Response = R;
    type Error = E;
    type Future = Fut;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), E>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, received: Received) -> Fut {
        (self.run)(Arc::clone(&self.lane), self.inner.clone(), received)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_over_an_envelope_is_its_tasks_failure() {
        let failed = opened(|| panic!("a fault of ours")).expect_err("failed");
        assert_eq!(failed.name(), "Worker.Panic");
        let bad = opened(|| Envelope::parse("{")).expect_err("not JSON");
        assert_eq!(bad.name(), "Worker.BadInput");
    }
}
