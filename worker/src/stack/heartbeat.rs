//! Beats while a task runs and until its report is accepted.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use stepfleet_activity::TaskToken;
use tokio::time::{Instant, sleep_until};
use tower::ServiceExt;
use tower_service::Service;

use super::{Received, layered};
use crate::backoff::Backoff;
use crate::lane::Lane;
use crate::meters::Ended;
use crate::sfn::Recovery;

layered! {
    /// Sends heartbeats while what it wraps runs, and drops that when a
    /// heartbeat says that the attempt is closed.
    Heartbeats
}

impl<S> Service<Received> for Heartbeats<S>
where
    S: Service<Received, Response = Ended, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Ended;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Ended, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, received: Received) -> Self::Future {
        let inner = self.inner.clone();
        let lane = Arc::clone(&self.lane);
        async move {
            let token = received.token.clone();
            tokio::select! {
                biased;
                ended = inner.oneshot(received) => ended,
                () = beat_until_closed(&lane, &token) => Ok(Ended::Closed),
            }
        }
        .boxed()
    }
}

/// Beats at a third of the state's heartbeat; a beat that fails is tried again
/// sooner, for as long as the task runs.
async fn beat_until_closed(lane: &Lane, token: &TaskToken) {
    let interval = lane.options.heartbeat_interval();
    let soon = (interval / 8).min(Duration::from_secs(1));
    let mut retry = Backoff::new(soon, interval);
    let mut next = Instant::now() + jittered(interval);
    loop {
        sleep_until(next).await;
        let wait = match lane.sfn.heartbeat(token).await {
            Ok(()) => {
                lane.meters.heartbeat("accepted");
                retry.reset();
                jittered(interval)
            }
            Err(error) => {
                lane.meters.heartbeat(error.kind());
                match error.recovery() {
                    Recovery::AbandonTask => return,
                    Recovery::Retry | Recovery::RetrySlowly | Recovery::GiveUp => {
                        lane.trouble.note(&lane.options, &error);
                        retry.next()
                    }
                }
            }
        };
        next = Instant::now() + wait;
    }
}

/// Never later than the interval, and not in step with other tasks.
fn jittered(interval: Duration) -> Duration {
    interval.mul_f64(rand::random_range(0.8..=1.0))
}
