//! One port for all AWS services: routes by target, path and signature scope.

mod cbor;
mod hooks;
mod json;
pub(crate) mod query;
mod wire;

use std::sync::Arc;

pub use self::hooks::{Absent, HttpService, JsonService};
pub(crate) use self::query::scope as query_scope;
pub(crate) use self::wire::{Line, Wire};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};

use serde_json::Value;

use crate::cloudwatch::CloudWatch;
use crate::faults::{Faults, apply};
use crate::secrets::Secrets;
use crate::sfn::StepFunctions;
use crate::sns::{CERTIFICATE_PATH, Sns};
use crate::sqs::Sqs;
use crate::{AwsError, Context};

/// The largest request of everything but S3: a batch of messages is 1 MiB.
const BODY_LIMIT: usize = 16 * 1024 * 1024;
/// The largest request that faults can look into or repeat, S3's too.
const LARGEST_REPEATED: usize = 256 * 1024 * 1024;

/// The services behind the port.
#[derive(Clone)]
pub struct Services {
    /// Who and where they pretend to be.
    pub context: Context,
    /// Activities, state machines, executions.
    pub sfn: Arc<StepFunctions>,
    /// Metrics and alarms.
    pub cloudwatch: Arc<CloudWatch>,
    /// Topics.
    pub sns: Arc<Sns>,
    /// Queues.
    pub sqs: Arc<Sqs>,
    /// Buckets: whatever no other service takes.
    pub s3: Arc<dyn HttpService>,
    /// Secrets.
    pub secrets: Arc<Secrets>,
    /// The Redshift Data API.
    pub redshift: Arc<dyn JsonService>,
    /// What goes wrong.
    pub faults: Faults,
}

/// Every AWS service on one port.
pub fn router(services: Services) -> Router {
    Router::new().fallback(route).with_state(Arc::new(services))
}

/// What a request is spoken in; each has its own form of an answer.
pub(crate) enum Protocol {
    Cbor { operation: String },
    Json { target: String },
    Query,
    Page,
    S3,
}

fn protocol(request: &Request<Body>) -> Protocol {
    let path = request.uri().path();
    if let Some(operation) = path.strip_prefix("/service/GraniteServiceVersion20100801/operation/")
    {
        return Protocol::Cbor {
            operation: operation.to_owned(),
        };
    }
    if let Some(target) = text(request.headers(), "x-amz-target") {
        return Protocol::Json {
            target: target.to_owned(),
        };
    }
    let form = text(request.headers(), header::CONTENT_TYPE.as_str())
        .is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
    if form && request.method() == Method::POST && path == "/" {
        return Protocol::Query;
    }
    if path.starts_with("/_stepfleet/") {
        return Protocol::Page;
    }
    Protocol::S3
}

async fn route(State(services): State<Arc<Services>>, request: Request<Body>) -> Response<Body> {
    let id = uuid::Uuid::new_v4().to_string();
    let spoken = protocol(&request);
    let mut response = apply::answer(&services, (&spoken, &id), request).await;
    let name = HeaderName::from_static("x-amzn-requestid");
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().entry(name).or_insert(value);
    }
    response
}

/// Has a request answered by whom it is for.
pub(crate) async fn dispatch(
    services: &Services,
    (spoken, id): (&Protocol, &str),
    request: Request<Body>,
) -> Response<Body> {
    match spoken {
        Protocol::Cbor { operation } => cbor::answer(services, operation, request).await,
        Protocol::Json { target } => json::answer(services, target, request).await,
        Protocol::Query => query::answer(services, id, request).await,
        Protocol::Page => page(services, request.uri().path()),
        Protocol::S3 => services.s3.handle(request).await,
    }
}

/// An error in the form of the protocol that was spoken.
pub(crate) fn refusal(spoken: &Protocol, id: &str, error: AwsError) -> Response<Body> {
    match spoken {
        Protocol::Cbor { .. } => cbor::refusal(error),
        Protocol::Json { target } => {
            let service = target.split('.').next().unwrap_or_default();
            json::refusal(service, error)
        }
        Protocol::Query => query::refusal(id, &error),
        Protocol::Page => respond(status(&error), "text/plain", format!("{error}\n")),
        Protocol::S3 => {
            let mut xml = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error>".to_owned();
            query::element(&mut xml, "Code", error.code);
            query::element(&mut xml, "Message", &error.message);
            query::element(&mut xml, "RequestId", id);
            xml.push_str("</Error>");
            respond(status(&error), "application/xml", xml)
        }
    }
}

fn page(services: &Services, path: &str) -> Response<Body> {
    if path == CERTIFICATE_PATH {
        let pem = services.sns.certificate().to_owned();
        return respond(StatusCode::OK, "application/x-pem-file", pem);
    }
    respond(
        StatusCode::NOT_FOUND,
        "text/plain",
        format!("stepfleet-local has no page {path}\n"),
    )
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Reads the body of a request and gives it back with it.
pub(crate) async fn whole(request: Request<Body>) -> Result<(Request<Body>, Bytes), AwsError> {
    let (parts, body) = request.into_parts();
    let bytes = axum::body::to_bytes(body, LARGEST_REPEATED)
        .await
        .map_err(|error| AwsError::validation(format!("the request's body: {error}")))?;
    let request = Request::from_parts(parts, Body::from(bytes.clone()));
    Ok((request, bytes))
}

/// A CBOR request's body as JSON, for a look at it.
pub(crate) async fn decoded(headers: &HeaderMap, bytes: &Bytes) -> Option<Value> {
    let mut copy = Request::new(Body::from(bytes.clone()));
    *copy.headers_mut() = headers.clone();
    let bytes = body(copy).await.ok()?;
    cbor::decode(&bytes).ok()
}

/// Reads the whole body, unpacked: the SDKs compress large metric puts.
async fn body(request: Request<Body>) -> Result<Bytes, AwsError> {
    let gzip = text(request.headers(), header::CONTENT_ENCODING.as_str()) == Some("gzip");
    let bytes = axum::body::to_bytes(request.into_body(), BODY_LIMIT)
        .await
        .map_err(|error| AwsError::validation(format!("the request's body: {error}")))?;
    if !gzip {
        return Ok(bytes);
    }
    let mut unpacked = Vec::new();
    let decoder = flate2::read::GzDecoder::new(bytes.as_ref());
    std::io::Read::read_to_end(
        &mut std::io::Read::take(decoder, BODY_LIMIT as u64),
        &mut unpacked,
    )
    .map_err(|error| AwsError::validation(format!("the request's gzip body: {error}")))?;
    Ok(unpacked.into())
}

fn respond(status: StatusCode, kind: &'static str, body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn status(error: &AwsError) -> StatusCode {
    StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}
