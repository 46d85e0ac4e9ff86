//! Reports what became of a task, until that is accepted or the attempt is closed.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use stepfleet_activity::{ActivityError, Area, Output, TaskToken};
use tokio::time::{Instant, sleep_until};
use tower::ServiceExt;
use tower_service::Service;

use super::Received;
use crate::backoff::Backoff;
use crate::lane::Lane;
use crate::meters::Ended;
use crate::output;
use crate::sfn::{CallError, Recovery};

/// Reports the output or the failure of what is inside.
pub(super) async fn reported<S>(
    lane: Arc<Lane>,
    inner: S,
    received: Received,
) -> Result<Ended, Infallible>
where
    S: Service<Received, Response = Output, Error = ActivityError>,
{
    let token = received.token.clone();
    let attempt = received.attempt.clone();
    let most = received.cause;
    let report = match inner.oneshot(received).await {
        Ok(output) => output::fit(&lane, attempt.as_ref(), &output).await,
        Err(error) => Err(error),
    };
    let report = report.map_err(|error| match most {
        Some(most) => error.cut(most),
        None => error,
    });
    Ok(send(&lane, &token, report).await)
}

/// Reports until it is accepted or the attempt is closed.
async fn send(lane: &Lane, token: &TaskToken, mut report: Result<String, ActivityError>) -> Ended {
    let mut retry = Backoff::new(Duration::from_millis(250), Duration::from_secs(15));
    let mut retry_slowly = Backoff::new(Duration::from_secs(5), Duration::from_secs(30));
    loop {
        let answer = match &report {
            Ok(output) => lane.sfn.succeed(token, output).await,
            Err(error) => lane.sfn.fail(token, error).await,
        };
        let Err(error) = answer else {
            lane.meters.report("accepted");
            return accepted(&report);
        };
        lane.meters.report(error.kind());
        let wait = match error.recovery() {
            Recovery::AbandonTask => return Ended::Closed,
            Recovery::GiveUp if report.is_ok() => {
                report = Err(refused(&error));
                Duration::ZERO
            }
            Recovery::GiveUp | Recovery::RetrySlowly => retry_slowly.next(),
            Recovery::Retry => retry.next(),
        };
        lane.trouble.note(&lane.options, &error);
        tracing::warn!(
            "the report was not accepted, trying again: {}",
            error.chain()
        );
        lane.meters.reports_retried.inc();
        sleep_until(Instant::now() + wait).await;
    }
}

fn accepted(report: &Result<String, ActivityError>) -> Ended {
    match report {
        Ok(_) => Ended::Succeeded,
        Err(error) => {
            tracing::warn!(error = error.name(), "failed: {}", error.cause());
            Ended::Failed
        }
    }
}

fn refused(error: &CallError) -> ActivityError {
    let cause = format!("the output was refused: {}", error.chain());
    ActivityError::permanent(Area::ACTIVITY, cause)
}
