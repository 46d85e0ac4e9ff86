//! The status page: server-rendered, charts as SVG, nothing from outside.
//!
//! A sampler fills a [`Status`]; [`router`] serves it below `/_stepfleet/`.
//! Executions are looked up when somebody looks.

mod chart;
mod execution;
mod html;
mod rows;
mod runs;
pub(crate) mod sampler;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::{Query, State};
use axum::response::{Html, Redirect};
use axum::routing::get;
use http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::sfn::StepFunctions;

/// How many samples are kept: an hour and a half at one a second.
const KEPT: usize = 5_400;

/// How the fleet stood at one moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Sample {
    /// When.
    pub at: Timestamp,
    /// Tasks that wait for a worker.
    pub waiting: usize,
    /// Tasks that run.
    pub running: usize,
    /// Polls that are open.
    pub polls: usize,
    /// The age of the oldest waiting task, in seconds.
    pub oldest_wait: f64,
    /// Replicas that the Deployments ask for.
    pub replicas: usize,
    /// Pods that are ready.
    pub ready: usize,
}

/// One alarm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AlarmRow {
    /// Its name.
    pub name: String,
    /// `OK`, `ALARM` or `INSUFFICIENT_DATA`.
    pub state: String,
    /// Since when.
    pub since: Timestamp,
    /// Why.
    pub reason: String,
}

/// One decision of the autoscaler.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecisionRow {
    /// When.
    pub at: Timestamp,
    /// Of which Deployment.
    pub deployment: String,
    /// The count before.
    pub from: u32,
    /// The count after.
    pub to: u32,
    /// `scale-out`, `scale-in` or `hold`.
    pub action: String,
    /// The reason's code.
    pub reason: String,
    /// The reason in a sentence, with its numbers.
    pub text: String,
}

/// Objects below the prefixes that the loader uses, over all buckets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Files {
    /// Waiting to be loaded.
    pub incoming: usize,
    /// Loaded and moved.
    pub processed: usize,
    /// Set aside.
    pub failed: usize,
}

/// Executions by how they stand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Executions {
    /// Running.
    pub running: usize,
    /// Succeeded.
    pub succeeded: usize,
    /// Failed, timed out or stopped.
    pub failed: usize,
}

/// One activity.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ActivityRow {
    /// Its name.
    pub name: String,
    /// Tasks that wait for a worker.
    pub waiting: usize,
    /// Tasks that run.
    pub running: usize,
    /// Polls that are open.
    pub polls: usize,
    /// The age of its oldest waiting task, in seconds.
    pub oldest_wait: f64,
}

/// One Deployment of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeploymentRow {
    /// Its name.
    pub name: String,
    /// Replicas that it asks for.
    pub replicas: u32,
    /// Its pods that are ready.
    pub ready: usize,
}

/// One execution.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ExecutionRow {
    /// Its ARN.
    pub arn: String,
    /// Its name.
    pub name: String,
    /// The name of its state machine.
    pub machine: String,
    /// `RUNNING`, `SUCCEEDED`, `FAILED`, `TIMED_OUT` or `ABORTED`.
    pub status: String,
    /// When it was started.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// Why it failed: the error's name.
    pub error: Option<String>,
    /// Why it failed: in words.
    pub cause: Option<String>,
}

/// What the page shows.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Status {
    /// What runs here, in a line.
    pub title: String,
    /// The past, oldest first.
    pub samples: VecDeque<Sample>,
    /// All alarms, by name.
    pub alarms: Vec<AlarmRow>,
    /// The last decisions, newest first.
    pub decisions: Vec<DecisionRow>,
    /// Files by state.
    pub files: Files,
    /// Executions by how they stand.
    pub executions: Executions,
    /// All activities, by name.
    pub activities: Vec<ActivityRow>,
    /// The catalogue's Deployments, by name.
    pub deployments: Vec<DeploymentRow>,
    /// The last executions of those that are asked for, newest first.
    pub runs: Vec<ExecutionRow>,
}

/// Which executions are shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Show {
    #[default]
    All,
    Running,
    Failed,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
struct Asked {
    #[serde(default)]
    show: Show,
}

#[derive(Debug, Deserialize)]
struct One {
    arn: String,
}

/// What the pages are made from.
#[derive(Debug, Clone)]
struct Pages {
    board: Board,
    sfn: Arc<StepFunctions>,
}

impl Pages {
    async fn status(&self, show: Show) -> Status {
        Status {
            runs: runs::last(&self.sfn, show).await,
            ..self.board.read()
        }
    }
}

/// A [`Status`] that a sampler writes and the page reads.
#[derive(Debug, Clone, Default)]
pub struct Board(Arc<Mutex<Status>>);

impl Board {
    /// Changes what the page shows.
    pub fn update(&self, change: impl FnOnce(&mut Status)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Adds a sample, and lets the oldest go where there are too many.
    pub fn push(&self, sample: Sample) {
        self.update(|status| {
            if status.samples.len() == KEPT {
                status.samples.pop_front();
            }
            status.samples.push_back(sample);
        });
    }

    /// What the page shows now.
    pub fn read(&self) -> Status {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// The page (`/_stepfleet/`), its changing part (`/_stepfleet/fragment`), the same as JSON
/// (`/_stepfleet/status.json`), and one execution (`/_stepfleet/execution?arn=`).
pub fn router(board: Board, sfn: Arc<StepFunctions>) -> Router {
    Router::new()
        .route(
            "/_stepfleet",
            get(|| async { Redirect::permanent("/_stepfleet/") }),
        )
        .route(
            "/_stepfleet/",
            get(
                async |State(pages): State<Pages>, Query(asked): Query<Asked>| {
                    Html(html::page(&pages.status(asked.show).await, asked.show))
                },
            ),
        )
        .route(
            "/_stepfleet/fragment",
            get(
                async |State(pages): State<Pages>, Query(asked): Query<Asked>| {
                    Html(html::fragment(&pages.status(asked.show).await, asked.show))
                },
            ),
        )
        .route(
            "/_stepfleet/status.json",
            get(
                async |State(pages): State<Pages>, Query(asked): Query<Asked>| {
                    axum::Json(pages.status(asked.show).await)
                },
            ),
        )
        .route("/_stepfleet/execution", get(execution))
        .with_state(Pages { board, sfn })
}

async fn execution(
    State(pages): State<Pages>,
    Query(one): Query<One>,
) -> (StatusCode, Html<String>) {
    match runs::whole(&pages.sfn, &one.arn).await {
        Ok(run) => (StatusCode::OK, Html(execution::page(&run))),
        Err(error) => (StatusCode::NOT_FOUND, Html(execution::missing(&error))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_sample_goes_when_there_are_too_many() {
        let board = Board::default();
        for waiting in 0..=KEPT {
            board.push(Sample {
                waiting,
                ..Sample::default()
            });
        }
        let samples = board.read().samples;
        assert_eq!(
            (samples.len(), samples[0].waiting, samples[KEPT - 1].waiting),
            (KEPT, 1, KEPT)
        );
    }
}
