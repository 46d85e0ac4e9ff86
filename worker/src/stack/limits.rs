//! Ends a task at its timeout, and when the worker is told to stop at once.

use std::convert::identity;
use std::sync::Arc;

use stepfleet_activity::{ActivityError, Class, Output, names};
use tower::ServiceExt;
use tower_service::Service;

use super::Received;
use crate::lane::Lane;
use crate::shutdown::Phase;

/// Fails with `Worker.Timeout` at the activity's timeout and with
/// `Worker.Shutdown` at a second signal; both drop what is inside.
pub(super) async fn limited<S>(
    lane: Arc<Lane>,
    inner: S,
    received: Received,
) -> Result<Output, ActivityError>
where
    S: Service<Received, Response = Output, Error = ActivityError>,
{
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

fn timed_out(timeout: std::time::Duration) -> ActivityError {
    let cause = format!("the attempt ran for longer than the activity's timeout of {timeout:?}");
    ActivityError::named(names::TIMEOUT, Class::Transient, cause)
}

fn shutdown() -> ActivityError {
    let cause = "the worker was told to stop at once; the task may be run again";
    ActivityError::named(names::SHUTDOWN, Class::Transient, cause)
}
