//! `/metrics`, `/healthz`, `/readyz` and `/decisions` on one port.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use jiff::Timestamp;
use serde::Serialize;

use crate::metrics::Metrics;

/// How many decisions are kept for readers.
const KEPT: usize = 500;

/// One decision, for readers. Only those that changed something or their reason.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    pub(crate) at: Timestamp,
    pub(crate) deployment: String,
    pub(crate) from: u32,
    pub(crate) to: u32,
    pub(crate) action: &'static str,
    pub(crate) reason: &'static str,
    pub(crate) text: String,
}

/// What the loop tells the port.
pub(crate) struct Shared {
    pub(crate) metrics: Metrics,
    decisions: Mutex<VecDeque<Row>>,
    unready: Mutex<Option<String>>,
}

impl Shared {
    pub(crate) fn new(metrics: Metrics) -> Self {
        Self {
            metrics,
            decisions: Mutex::default(),
            unready: Mutex::new(Some("the first cycle has not ended".to_owned())),
        }
    }

    pub(crate) fn decided(&self, row: Row) {
        let mut rows = self
            .decisions
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if rows.len() == KEPT {
            rows.pop_front();
        }
        rows.push_back(row);
    }

    /// Ready, or why not.
    pub(crate) fn ready(&self, unready: Option<String>) {
        *self.unready.lock().unwrap_or_else(PoisonError::into_inner) = unready;
    }
}

pub(crate) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route(
            "/metrics",
            get(async |State(shared): State<Arc<Shared>>| shared.metrics.text()),
        )
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/decisions", get(decisions))
        .with_state(shared)
}

async fn readyz(State(shared): State<Arc<Shared>>) -> (StatusCode, String) {
    let unready = shared
        .unready
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    match unready.as_ref() {
        None => (StatusCode::OK, "ready\n".to_owned()),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
    }
}

async fn decisions(State(shared): State<Arc<Shared>>) -> Json<Vec<Row>> {
    let rows = shared
        .decisions
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    Json(rows.iter().cloned().collect())
}
