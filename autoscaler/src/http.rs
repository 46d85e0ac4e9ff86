//! `/metrics`, `/healthz`, `/readyz` and `/decisions` on one port.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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

/// What readiness depends on: never on what strangers send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    /// The Lease was reached by the last try, whoever holds it.
    Lease,
    /// The queue answered the last poll.
    Queue,
    /// `DescribeAlarms` answered the last time it was time to ask.
    Alarms,
    /// The last cycle decided for every Deployment.
    Cycle,
}

/// What is still to come when we begin to lead.
const NOT_YET: [(Part, &str); 3] = [
    (Part::Queue, "the signal queue was not asked yet"),
    (Part::Alarms, "the alarms were not read yet"),
    (Part::Cycle, "the first cycle has not ended"),
];

/// What the loop, the Lease's keeper and the queue's poller tell the port.
pub(crate) struct Shared {
    pub(crate) metrics: Metrics,
    decisions: Mutex<VecDeque<Row>>,
    /// Why we are not ready: nothing in it, and we are.
    unready: Mutex<BTreeMap<Part, String>>,
}

impl Shared {
    pub(crate) fn new(metrics: Metrics) -> Self {
        let shared = Self {
            metrics,
            decisions: Mutex::default(),
            unready: Mutex::default(),
        };
        shared.unready(Part::Lease, "the Lease was not reached yet".to_owned());
        shared.lead();
        shared
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

    /// This part is as it should be.
    pub(crate) fn ready(&self, part: Part) {
        self.lock_unready().remove(&part);
    }

    /// This part is not, and why.
    pub(crate) fn unready(&self, part: Part, why: String) {
        self.lock_unready().insert(part, why);
    }

    /// A leader is ready when all parts have worked once.
    pub(crate) fn lead(&self) {
        let mut unready = self.lock_unready();
        unready.extend(NOT_YET.map(|(part, why)| (part, why.to_owned())));
    }

    /// Standing by takes a Lease that can be reached, and no more.
    pub(crate) fn stand_by(&self) {
        self.lock_unready().clear();
    }

    /// Why we are not ready, if we are not.
    pub(crate) fn why_unready(&self) -> Option<String> {
        let unready = self.lock_unready();
        let reasons: Vec<&str> = unready.values().map(String::as_str).collect();
        (!reasons.is_empty()).then(|| reasons.join("\n"))
    }

    fn lock_unready(&self) -> MutexGuard<'_, BTreeMap<Part, String>> {
        self.unready.lock().unwrap_or_else(PoisonError::into_inner)
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
    match shared.why_unready() {
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
