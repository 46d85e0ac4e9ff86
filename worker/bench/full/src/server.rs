//! A scripted Step Functions that answers at once, or holds every poll open.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::Context as _;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::IntoResponse;
use axum::routing::post;
use tokio::net::TcpListener;
use tokio::sync::Notify;

/// What the server has seen; the measuring side waits on `changed`.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    polls: AtomicU64,
    open: AtomicU64,
    done: AtomicU64,
    hold: AtomicBool,
    changed: Notify,
}

impl Seen {
    /// Holds polls open instead of answering them.
    pub(crate) fn hold_polls(&self) {
        self.hold.store(true, Ordering::Relaxed);
    }

    /// Waits until so many polls have come.
    pub(crate) async fn polls(&self, count: u64) {
        self.until(|| self.polls.load(Ordering::Relaxed) >= count)
            .await;
    }

    /// Waits until so many polls are open at once.
    pub(crate) async fn open(&self, count: u64) {
        self.until(|| self.open.load(Ordering::Relaxed) >= count)
            .await;
    }

    /// Waits until so many tasks were reported.
    pub(crate) async fn done(&self, count: u64) {
        self.until(|| self.done.load(Ordering::Relaxed) >= count)
            .await;
    }

    async fn until(&self, reached: impl Fn() -> bool) {
        loop {
            let changed = self.changed.notified();
            if reached() {
                return;
            }
            changed.await;
        }
    }
}

/// Starts the server on a free port; gives its URL and what it sees.
pub(crate) async fn start() -> anyhow::Result<(String, Arc<Seen>)> {
    let seen = Arc::new(Seen::default());
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .context("a free port on loopback")?;
    let url = format!("http://{}", listener.local_addr()?);
    let router = Router::new()
        .route("/", post(answer))
        .with_state(seen.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok((url, seen))
}

async fn answer(State(seen): State<Arc<Seen>>, headers: HeaderMap) -> impl IntoResponse {
    let target = headers
        .get("x-amz-target")
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let body = match target.rsplit('.').next() {
        Some("GetActivityTask") => {
            let number = seen.polls.fetch_add(1, Ordering::Relaxed);
            if seen.hold.load(Ordering::Relaxed) {
                seen.open.fetch_add(1, Ordering::Relaxed);
                seen.changed.notify_waiters();
                std::future::pending::<()>().await;
            }
            format!(
                r#"{{"taskToken":"AAAAKgAAAAIAAAAAAAAAA{number:040}","input":"{{\"number\":{number}}}"}}"#
            )
        }
        Some("SendTaskSuccess") => {
            seen.done.fetch_add(1, Ordering::Relaxed);
            "{}".to_owned()
        }
        _ => "{}".to_owned(),
    };
    seen.changed.notify_waiters();
    ([(header::CONTENT_TYPE, "application/x-amz-json-1.0")], body)
}
