//! One span and one set of numbers per task.

use std::convert::Infallible;
use std::sync::Arc;

use tokio::time::Instant;
use tower::ServiceExt;
use tower_service::Service;
use tracing::Instrument;

use super::Received;
use crate::lane::Lane;
use crate::meters::Ended;

/// Counts and times a task, and holds its slot until all inside has ended.
pub(super) fn spanned<S>(
    lane: Arc<Lane>,
    inner: S,
    received: Received,
) -> impl Future<Output = Result<Ended, Infallible>>
where
    S: Service<Received, Response = Ended, Error = Infallible>,
{
    let span = span(&lane, &received);
    counted(lane, inner, received).instrument(span)
}

async fn counted<S>(lane: Arc<Lane>, inner: S, received: Received) -> Result<Ended, Infallible>
where
    S: Service<Received, Response = Ended, Error = Infallible>,
{
    let _slot = Arc::clone(&received.slot);
    started(&lane, &received);
    let begun = Instant::now();
    let ended = inner.oneshot(received).await?;
    let took = begun.elapsed();
    lane.meters.ended(ended, took.as_secs_f64());
    tracing::info!(
        outcome = ended.as_str(),
        seconds = took.as_secs_f64(),
        "task ended"
    );
    Ok(ended)
}

fn span(lane: &Lane, received: &Received) -> tracing::Span {
    let attempt = received.attempt.as_ref();
    tracing::info_span!(
        "task",
        activity = %lane.options.name,
        token = received.token.short(),
        execution = attempt.map(|attempt| attempt.execution.as_str()),
        retry = attempt.map(|attempt| attempt.retry),
    )
}

fn started(lane: &Lane, received: &Received) {
    let meters = &lane.meters;
    meters.started.inc();
    let wait = received
        .attempt
        .as_ref()
        .and_then(|attempt| attempt.wait(lane.clock.now()));
    match wait {
        None => meters.wait_unknown.inc(),
        Some(wait) => {
            meters.wait.observe(wait.as_secs_f64());
            if lane.options.objective_wait.is_some_and(|late| wait > late) {
                meters.late.inc();
            }
        }
    }
}
