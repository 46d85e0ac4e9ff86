//! What plugs into the port from elsewhere.

use async_trait::async_trait;
use axum::body::Body;
use http::{Request, Response, StatusCode};
use serde_json::Value;

use super::respond;
use crate::AwsError;

/// A service that speaks AWS JSON.
#[async_trait]
pub trait JsonService: Send + Sync {
    /// Answers an operation.
    async fn call(&self, operation: &str, body: Value) -> Result<Value, AwsError>;
}

/// A service that speaks HTTP as it is.
#[async_trait]
pub trait HttpService: Send + Sync {
    /// Answers a request.
    async fn handle(&self, request: Request<Body>) -> Response<Body>;
}

/// In place of a service that is not started: refuses by name.
#[derive(Debug, Clone, Copy)]
pub struct Absent(
    /// The service's name.
    pub &'static str,
);

#[async_trait]
impl JsonService for Absent {
    async fn call(&self, operation: &str, _body: Value) -> Result<Value, AwsError> {
        Err(AwsError::unknown_operation(self.0, operation))
    }
}

#[async_trait]
impl HttpService for Absent {
    async fn handle(&self, request: Request<Body>) -> Response<Body> {
        let (method, path) = (request.method(), request.uri().path());
        let refusal = format!("stepfleet-local has no {} here: {method} {path}\n", self.0);
        respond(StatusCode::NOT_IMPLEMENTED, "text/plain", refusal)
    }
}
