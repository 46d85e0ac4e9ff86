//! What a worker says of itself: `/metrics`, `/healthz`, `/readyz`, `/load`.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use jiff::Timestamp;
use prometheus::TextEncoder;
use serde::{Deserialize, Serialize};

use crate::lane::Lane;
use crate::meters::{Ended, Meters};
use crate::shutdown::{Phase, ShutdownHandle};

/// What `/load` answers: counters since the start, so that any reader at any
/// cadence gets rates.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Load {
    /// The pod's name, or host and process.
    pub worker: String,
    /// When the counters began.
    pub since: Timestamp,
    /// Whether the worker takes no new task.
    pub draining: bool,
    /// Each activity that this worker serves.
    pub activities: Vec<ActivityLoad>,
}

/// One activity in [`Load`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ActivityLoad {
    /// Its name in the catalogue.
    pub activity: String,
    /// Tasks that may run at once.
    pub slots: i64,
    /// Slots whose task is not reported yet.
    pub busy: i64,
    /// Polls open now.
    pub polls_open: i64,
    /// Tasks received.
    pub started_total: u64,
    /// Tasks ended: succeeded, failed or closed.
    pub finished_total: u64,
    /// Tasks whose failure was reported.
    pub failed_total: u64,
    /// Known waits, summed up.
    pub wait_seconds_sum: f64,
    /// Time spent on ended tasks, summed up.
    pub run_seconds_sum: f64,
    /// Tasks that waited longer than the objective.
    pub late_total: u64,
    /// Tasks whose wait is not known.
    pub unknown_wait_total: u64,
}

/// What the port tells of.
pub(crate) struct Status {
    pub(crate) worker: Arc<str>,
    pub(crate) since: Timestamp,
    pub(crate) meters: Meters,
    pub(crate) lanes: Vec<Arc<Lane>>,
    pub(crate) shutdown: ShutdownHandle,
}

impl Status {
    fn draining(&self) -> bool {
        self.shutdown.phase() >= Phase::Draining
    }

    fn load(&self) -> Load {
        Load {
            worker: self.worker.to_string(),
            since: self.since,
            draining: self.draining(),
            activities: self.lanes.iter().map(|lane| load(lane)).collect(),
        }
    }
}

fn load(lane: &Lane) -> ActivityLoad {
    let meters = &lane.meters;
    let finished = Ended::ALL.map(|ended| meters.ended_count(ended));
    ActivityLoad {
        activity: lane.options.name.to_string(),
        slots: meters.slots.get(),
        busy: meters.busy.get(),
        polls_open: meters.polls_open.get(),
        started_total: meters.started.get(),
        finished_total: finished.iter().sum(),
        failed_total: meters.ended_count(Ended::Failed),
        wait_seconds_sum: meters.wait.get_sample_sum(),
        run_seconds_sum: meters.run_seconds.get(),
        late_total: meters.late.get(),
        unknown_wait_total: meters.wait_unknown.get(),
    }
}

/// The routes.
pub(crate) fn router(status: Arc<Status>) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route(
            "/load",
            get(async |State(status): State<Arc<Status>>| axum::Json(status.load())),
        )
        .with_state(status)
}

async fn readyz(State(status): State<Arc<Status>>) -> (StatusCode, String) {
    let mut reasons: Vec<String> = status
        .lanes
        .iter()
        .filter_map(|lane| lane.trouble.get())
        .collect();
    if status.draining() {
        reasons.push("draining: no new task is taken".to_owned());
    }
    if reasons.is_empty() {
        (StatusCode::OK, "ok\n".to_owned())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, reasons.join("\n") + "\n")
    }
}

async fn metrics(State(status): State<Arc<Status>>) -> (StatusCode, String) {
    status.meters.draining.set(status.draining().into());
    match TextEncoder::new().encode_to_string(&status.meters.registry.gather()) {
        Ok(text) => (StatusCode::OK, text),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
    }
}
