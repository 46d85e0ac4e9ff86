//! `/_stepfleet/faults`: reads, replaces and drops the plan while it runs.

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;
use serde_json::Value;

use super::Faults;

/// Where it is.
const PATH: &str = "/_stepfleet/faults";

/// `GET` tells what came of the plan, `PUT` replaces it, `DELETE` ends it.
pub(crate) fn router(faults: Faults) -> Router {
    Router::new()
        .route(PATH, get(read).put(replace).delete(clear))
        .with_state(faults)
}

async fn read(State(faults): State<Faults>) -> Json<Value> {
    Json(faults.report())
}

async fn replace(
    State(faults): State<Faults>,
    text: String,
) -> Result<Json<Value>, (StatusCode, String)> {
    match faults.replace("the plan", &text) {
        Ok(()) => Ok(Json(faults.report())),
        Err(error) => Err((StatusCode::BAD_REQUEST, format!("{error}\n"))),
    }
}

async fn clear(State(faults): State<Faults>) -> StatusCode {
    faults.clear();
    StatusCode::NO_CONTENT
}
