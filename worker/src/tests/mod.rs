//! The laws of a worker, against a scripted Step Functions under paused time.

mod drain;
mod fake;
mod polls;
mod status;
mod tasks;

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use stepfleet_activity::TaskContext;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use crate::http::{Load, Status, router};
use crate::runtime::HandlerRuntime;
use crate::worker::serve;
use crate::{ActivityError, ActivityOptions, Exit, ShutdownHandle, Worker, handler_fn};
use fake::Fake;

const ARN: &str = "arn:aws:states:eu-west-1:123456789012:activity:test-x";

/// A worker that serves a scripted Step Functions.
struct Running {
    status: Arc<Status>,
    shutdown: ShutdownHandle,
    exit: JoinHandle<Exit>,
}

fn options() -> ActivityOptions {
    ActivityOptions::new(ARN)
        .named("x")
        .heartbeat(secs(30))
        .timeout(secs(600))
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

async fn wait(duration: Duration) {
    sleep_until(Instant::now() + duration).await;
}

impl Running {
    /// Starts a worker whose drain deadline is 15 minutes.
    fn start<F, Fut>(fake: &Fake, options: ActivityOptions, handler: F) -> Self
    where
        F: Fn(Value, TaskContext) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<Value, ActivityError>> + Send + 'static,
    {
        let builder = Worker::builder()
            .step_functions(fake.clone())
            .outputs(fake.clone())
            .handlers_on(Handle::current())
            .activity(options, handler_fn(handler));
        let shutdown = ShutdownHandle::new();
        let own = HandlerRuntime::new(None).expect("none of its own");
        let (status, stacks) = builder.lanes(&shutdown, &own).expect("lanes");
        let serving = Arc::clone(&status);
        let exit = tokio::spawn(async move { serve(&serving, stacks, secs(900)).await });
        Self {
            status,
            shutdown,
            exit,
        }
    }

    /// One page of the status port.
    async fn get(&self, path: &str) -> (u16, String) {
        use tower::ServiceExt;
        let request = axum::http::Request::get(path)
            .body(axum::body::Body::empty())
            .expect("a request");
        let answer = router(Arc::clone(&self.status)).oneshot(request).await;
        let answer = answer.expect("infallible");
        let code = answer.status().as_u16();
        let body = axum::body::to_bytes(answer.into_body(), usize::MAX).await;
        let body = String::from_utf8(body.expect("a body").to_vec()).expect("UTF-8");
        (code, body)
    }

    async fn load(&self) -> Load {
        serde_json::from_str(&self.get("/load").await.1).expect("a load")
    }

    /// The value of a series in `/metrics`.
    async fn metric(&self, series: &str) -> f64 {
        let (_, text) = self.get("/metrics").await;
        let line = text.lines().find_map(|line| line.strip_prefix(series));
        line.map_or(0.0, |value| value.trim().parse().expect("a number"))
    }
}
