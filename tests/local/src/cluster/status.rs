//! A refusal as Kubernetes answers it: a `Status` object.

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::{Value, json};

use super::resource::{Key, Resource};

/// What the API refuses.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct ApiError {
    code: u16,
    reason: &'static str,
    message: String,
    details: Value,
}

impl ApiError {
    fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            reason,
            message: message.into(),
            details: json!({}),
        }
    }

    fn about(mut self, key: &Key) -> Self {
        self.details = json!({
            "name": key.name, "group": key.resource.group, "kind": key.resource.plural,
        });
        self
    }

    pub(crate) fn not_found(key: &Key) -> Self {
        let message = format!("{} \"{}\" not found", key.resource.qualified(), key.name);
        Self::new(404, "NotFound", message).about(key)
    }

    pub(crate) fn no_such_path(path: &str) -> Self {
        let message = format!("stepfleet-local serves nothing at {path}");
        Self::new(404, "NotFound", message)
    }

    pub(crate) fn already_exists(key: &Key) -> Self {
        let message = format!(
            "{} \"{}\" already exists",
            key.resource.qualified(),
            key.name
        );
        Self::new(409, "AlreadyExists", message).about(key)
    }

    /// A precondition, by version or uid, does not hold: read again, then decide again.
    pub(crate) fn conflict(key: &Key, why: &str) -> Self {
        let message = format!(
            "Operation cannot be fulfilled on {} \"{}\": {why}",
            key.resource.qualified(),
            key.name
        );
        Self::new(409, "Conflict", message).about(key)
    }

    /// Nobody who speaks here without the token of the KUBECONFIG.
    pub(crate) fn unauthorized() -> Self {
        let message = "Unauthorized: show the token of the KUBECONFIG that stepfleet-local wrote";
        Self::new(401, "Unauthorized", message)
    }

    /// What this cluster never runs.
    pub(crate) fn forbidden(key: &Key, why: &str) -> Self {
        let message = format!(
            "{} \"{}\" is forbidden: {why}",
            key.resource.qualified(),
            key.name
        );
        Self::new(403, "Forbidden", message).about(key)
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    pub(crate) fn invalid(resource: &Resource, name: &str, why: &str) -> Self {
        let message = format!("{} \"{name}\" is invalid: {why}", resource.kind);
        Self::new(422, "Invalid", message)
    }

    pub(crate) fn method_not_allowed(method: &str, path: &str) -> Self {
        let message = format!("stepfleet-local does not allow {method} at {path}");
        Self::new(405, "MethodNotAllowed", message)
    }

    pub(crate) fn unsupported_patch(content_type: &str) -> Self {
        let message = format!(
            "stepfleet-local has no patch of type {content_type:?}: \
             send a merge, strategic merge or apply patch"
        );
        Self::new(415, "UnsupportedMediaType", message)
    }

    /// The history does not reach back that far: list again.
    pub(crate) fn expired(asked: u64, oldest: u64) -> Self {
        let message = format!("too old resource version: {asked} ({oldest})");
        Self::new(410, "Expired", message)
    }

    pub(crate) fn to_status(&self) -> Value {
        json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "details": self.details,
            "code": self.code,
        })
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let code = StatusCode::from_u16(self.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (code, axum::Json(self.to_status())).into_response()
    }
}
