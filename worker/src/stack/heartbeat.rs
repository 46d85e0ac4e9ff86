//! Beats while a task runs and until its report is accepted.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use stepfleet_activity::TaskToken;
use tokio::time::{Instant, sleep_until};
use tower::ServiceExt;
use tower_service::Service;

use super::Received;
use crate::backoff::Backoff;
use crate::lane::Lane;
use crate::meters::Ended;
use crate::sfn::Recovery;

/// Sends heartbeats while what is inside runs, and drops that when a heartbeat
/// says that the attempt is closed.
pub(super) async fn beating<S>(
    lane: Arc<Lane>,
    inner: S,
    received: Received,
) -> Result<Ended, Infallible>
where
    S: Service<Received, Response = Ended, Error = Infallible>,
{
    let token = received.token.clone();
    tokio::select! {
        biased;
        ended = inner.oneshot(received) => ended,
        () = beat_until_closed(&lane, &token) => Ok(Ended::Closed),
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
