//! One span and one set of numbers per task.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::time::Instant;
use tower::ServiceExt;
use tower_service::Service;
use tracing::Instrument;

use super::{Received, layered};
use crate::lane::Lane;
use crate::meters::Ended;

layered! {
    /// Counts and times a task, and holds its slot until all inside has ended.
    Spanned
}

impl<S> Service<Received> for Spanned<S>
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
        let span = span(&lane, &received);
        async move {
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
        .instrument(span)
        .boxed()
    }
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
