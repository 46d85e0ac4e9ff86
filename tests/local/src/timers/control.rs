//! `/_stepfleet/clock`: reads the time, and moves it on.

use std::time::Duration;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use stepfleet_activity::catalogue::read_config;
use tokio::time::{Instant, sleep_until};

use crate::Context;
use crate::context::Span;

/// Where it is.
pub(crate) const PATH: &str = "/_stepfleet/clock";
/// What everybody who was woken may take before the next step.
const SETTLE: Duration = Duration::from_millis(5);
/// The most steps of one call: half a minute of settling.
const MOST_STEPS: u128 = 6_000;

/// What `POST` takes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Move {
    advance: Span,
    step: Option<Span>,
}

/// `GET` tells the time; `POST {"advance": "9h"}` moves it on.
pub(crate) fn router(context: Context) -> Router {
    Router::new()
        .route(PATH, get(read).post(advance))
        .with_state(context)
}

async fn read(State(context): State<Context>) -> Json<Value> {
    Json(shown(&context))
}

async fn advance(
    State(context): State<Context>,
    body: String,
) -> Result<Json<Value>, (StatusCode, String)> {
    let refused = |message: String| (StatusCode::BAD_REQUEST, format!("{message}\n"));
    let (advance, step) = checked(&body, context.timers.left()).map_err(refused)?;
    let mut left = advance;
    while !left.is_zero() {
        let step = step.min(left);
        context.timers.advance(step);
        left -= step;
        sleep_until(Instant::now() + SETTLE).await;
    }
    Ok(Json(shown(&context)))
}

/// How far, and in steps of what.
fn checked(body: &str, most: Duration) -> Result<(Duration, Duration), String> {
    let value: Value = serde_json::from_str(body).map_err(|error| {
        format!("the body is not JSON: {error}; allowed is {{\"advance\": \"9h\"}}")
    })?;
    let Move { advance, step } =
        read_config(&value).map_err(|fault| match fault.path.as_str() {
            "" => fault.message,
            path => format!("{path}: {}", fault.message),
        })?;
    let advance = advance.0;
    if advance > most {
        return Err(format!(
            "advance: found {}, allowed is up to {} more: time goes ten years ahead",
            humantime::format_duration(advance),
            humantime::format_duration(most),
        ));
    }
    let step = step.map_or(advance, |step| step.0);
    let steps = advance.as_nanos().div_ceil(step.as_nanos().max(1));
    if steps > MOST_STEPS {
        return Err(format!(
            "step: found {}, which makes {steps} steps; allowed are up to {MOST_STEPS}",
            humantime::format_duration(step),
        ));
    }
    Ok((advance, step))
}

fn shown(context: &Context) -> Value {
    let ahead = context.timers.ahead();
    json!({
        "now": context.clock.now().to_string(),
        "ahead": humantime::format_duration(ahead).to_string(),
        "aheadSeconds": ahead.as_secs_f64(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_move_says_how_far_and_in_which_steps() {
        let hour = Duration::from_secs(3600);
        let minute = Duration::from_secs(60);
        let table = [
            (r#"{"advance": "1h"}"#, Ok((hour, hour))),
            (r#"{"advance": "1h", "step": "1m"}"#, Ok((hour, minute))),
            (r#"{"advance": "0s"}"#, Ok((Duration::ZERO, Duration::ZERO))),
            ("nine hours", Err("not JSON")),
            ("{}", Err("`advance` is missing")),
            (r#"{"advance": 9}"#, Err("advance: found the number 9")),
            (r#"{"advance": "-1h"}"#, Err("advance: found")),
            (r#"{"advance": "1h", "by": "1m"}"#, Err("by")),
            (r#"{"advance": "2days"}"#, Err("allowed is up to 1day")),
            (r#"{"advance": "1h", "step": "1ms"}"#, Err("3600000 steps")),
        ];
        for (body, expected) in table {
            let got = checked(body, 24 * hour);
            match (got, expected) {
                (Ok(got), Ok(expected)) => assert_eq!(got, expected, "{body}"),
                (Err(got), Err(expected)) => assert!(got.contains(expected), "{body}: {got}"),
                (got, _) => panic!("{body}: {got:?}"),
            }
        }
    }
}
