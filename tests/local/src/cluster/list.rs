//! Lists, in pages where a client asks for pages.

use std::collections::HashMap;

use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::status::ApiError;
use super::store::{Object, Store};
use super::watch::Filter;

/// Answers a list. A page goes on after the last name of the one before, so an
/// object that came or went between two pages may be seen or not.
pub(crate) fn respond(
    store: &Store,
    filter: &Filter,
    query: &HashMap<String, String>,
) -> Result<Response, ApiError> {
    let text = |name: &str| query.get(name).map(String::as_str).unwrap_or_default();
    let (version, mut objects) = filter.list(store);
    if !text("continue").is_empty() {
        let after = read_token(text("continue"))?;
        objects.retain(|object| place(object) > after);
    }
    let limit = text("limit").parse().unwrap_or(0);
    let mut metadata = json!({"resourceVersion": version.to_string()});
    if limit > 0 && objects.len() > limit {
        metadata["remainingItemCount"] = json!(objects.len() - limit);
        metadata["continue"] = json!(token(&objects[limit - 1]));
        objects.truncate(limit);
    }
    let answer = json!({
        "kind": format!("{}List", filter.resource.kind),
        "apiVersion": filter.resource.api_version(),
        "metadata": metadata,
        "items": objects.iter().map(|object| Value::clone(object)).collect::<Vec<_>>(),
    });
    Ok(axum::Json(answer).into_response())
}

fn place(object: &Value) -> (String, String) {
    let text = |name: &str| {
        object["metadata"][name]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    (text("namespace"), text("name"))
}

fn token(last: &Object) -> String {
    let (namespace, name) = place(last);
    URL_SAFE_NO_PAD.encode(format!("{namespace}/{name}"))
}

fn read_token(token: &str) -> Result<(String, String), ApiError> {
    URL_SAFE_NO_PAD
        .decode(token)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .and_then(|text| {
            let (namespace, name) = text.split_once('/')?;
            Some((namespace.to_owned(), name.to_owned()))
        })
        .ok_or_else(|| ApiError::bad_request("continue: not a token of this server"))
}
