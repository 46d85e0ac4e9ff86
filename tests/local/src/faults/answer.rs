//! Faults of what a call receives: a poll's task, a receive's messages.

use axum::body::Body;
use http::Response;
use http::header::CONTENT_LENGTH;
use http_body_util::BodyExt as _;
use serde_json::Value;

use super::call::Call;
use super::plan::Plan;
use super::rule::Act;
use crate::server::Services;

/// Loses what was received, or sees to it that it is received again.
pub(super) async fn strike(
    services: &Services,
    (plan, call): (&Plan, &Call),
    response: Response<Body>,
) -> Response<Body> {
    let rules = plan.rules.iter();
    let rules = rules.filter(|rule| rule.takes_answers(call) && rule.matches(call));
    let rules: Vec<_> = rules.collect();
    if rules.is_empty() || !response.status().is_success() {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let bytes = match body.collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => return Response::from_parts(parts, Body::empty()),
    };
    let received: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let messages = received["Messages"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    if messages.is_empty() && received["taskToken"].is_null() {
        return Response::from_parts(parts, Body::from(bytes));
    }
    let mut lost = false;
    for rule in rules {
        // The answer is there: whose call it was makes no difference to it.
        if !rule.counts(None) {
            continue;
        }
        rule.struck();
        if let Act::Lose = rule.act {
            lost = true;
        } else {
            let ids = messages.iter().filter_map(|one| one["MessageId"].as_str());
            let ids: Vec<&str> = ids.collect();
            let mut named = call.resources.iter();
            if let Some(queue) = named.find(|name| name.contains('/')) {
                services.sqs.deliver_again(queue, &ids);
            }
        }
    }
    let body = if lost { "{}".into() } else { bytes };
    parts.headers.remove(CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(body))
}
