//! Ends a task at its timeout, and when the worker is told to stop at once.

use std::convert::identity;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::FutureExt;
use futures::future::BoxFuture;
use stepfleet_activity::{ActivityError, Class, Output, names};
use tower::ServiceExt;
use tower_service::Service;

use super::{Received, layered};
use crate::shutdown::Phase;

layered! {
    /// Fails with `Worker.Timeout` at the activity's timeout and with
    /// `Worker.Shutdown` at a second signal; both drop what it wraps.
    Limits
}

impl<S> Service<Received> for Limits<S>
where
    S: Service<Received, Response = Output, Error = ActivityError> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Output;
    type Error = ActivityError;
    type Future = BoxFuture<'static, Result<Output, ActivityError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ActivityError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, received: Received) -> Self::Future {
        let inner = self.inner.clone();
        let lane = Arc::clone(&self.lane);
        async move {
            if lane.shutdown.phase() >= Phase::Failing {
                return Err(shutdown());
            }
            let timeout = lane.options.timeout;
            let running = tokio::time::timeout(timeout, inner.oneshot(received));
            tokio::select! {
                biased;
                ended = running => ended.map_err(|_| timed_out(timeout)).and_then(identity),
                () = lane.shutdown.reached(Phase::Failing) => Err(shutdown()),
            }
        }
        .boxed()
    }
}

fn timed_out(timeout: std::time::Duration) -> ActivityError {
    let cause = format!("the attempt ran for longer than the activity's timeout of {timeout:?}");
    ActivityError::named(names::TIMEOUT, Class::Transient, cause)
}

fn shutdown() -> ActivityError {
    let cause = "the worker was told to stop at once; the task may be run again";
    ActivityError::named(names::SHUTDOWN, Class::Transient, cause)
}
