//! The HTTP side: which request does what to which object.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::{Method, StatusCode, header};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::patch::PatchKind;
use super::resource::{Key, Resource};
use super::selector::Selector;
use super::status::ApiError;
use super::store::{Object, check_version};
use super::watch::{Filter, Span};
use super::{Cluster, discovery, list, process, scale, watch, write};

/// As Kubernetes: 3 MiB.
const MAX_BODY: usize = 3 * 1024 * 1024;
/// How long a watch lasts that says nothing of it.
const WATCH: Duration = Duration::from_secs(30 * 60);

/// What a path means.
struct Target {
    resource: &'static Resource,
    /// None: all of them.
    namespace: Option<String>,
    name: Option<String>,
    subresource: Option<String>,
}

/// A request that was read.
pub(crate) struct Call {
    pub(crate) query: HashMap<String, String>,
    pub(crate) content_type: String,
    pub(crate) body: Value,
}

/// Answers all requests.
pub(crate) async fn handle(State(cluster): State<Arc<Cluster>>, request: Request) -> Response {
    answer(&cluster, request)
        .await
        .unwrap_or_else(IntoResponse::into_response)
}

async fn answer(cluster: &Arc<Cluster>, request: Request) -> Result<Response, ApiError> {
    if !cluster.token.is_shown(request.headers()) {
        return Err(ApiError::unauthorized());
    }
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let segments: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    if method == Method::GET
        && let Some(answer) = discovery::answer(&segments)
    {
        return Ok(axum::Json(answer).into_response());
    }
    let target = Target::parse(&segments).ok_or_else(|| ApiError::no_such_path(&path))?;
    let call = Call::read(request).await?;
    if call.query.contains_key("dryRun") {
        return Err(ApiError::bad_request("stepfleet-local has no dryRun"));
    }
    let refused = || ApiError::method_not_allowed(method.as_str(), &path);
    match target.key() {
        None => collection(cluster, &target, (&method, &call)).ok_or_else(refused)?,
        Some(key) => match target.subresource.as_deref() {
            None => object(cluster, &key, (&method, &call)).ok_or_else(refused)?,
            Some("scale") if key.resource.has_scale => {
                scaled(cluster, &key, (&method, &call)).ok_or_else(refused)?
            }
            Some("status") if key.resource.has_status && method == Method::GET => {
                cluster.store.get(&key).map(ok)
            }
            Some("log") if key.resource.plural == "pods" && method == Method::GET => {
                log(cluster, &key).await
            }
            Some("status" | "log") => Err(refused()),
            Some(_) => Err(ApiError::no_such_path(&path)),
        },
    }
}

type Answer = Option<Result<Response, ApiError>>;

fn collection(cluster: &Cluster, target: &Target, (method, call): (&Method, &Call)) -> Answer {
    match *method {
        Method::GET if call.flag("watch") => Some(watching(cluster, target, call)),
        Method::GET => Some(
            filter(target, call)
                .and_then(|filter| list::respond(&cluster.store, &filter, &call.query)),
        ),
        Method::POST => {
            let namespace = target.namespace.as_deref()?;
            Some(
                write::create(&cluster.store, (target.resource, namespace), &call.body)
                    .map(created),
            )
        }
        _ => None,
    }
}

fn object(cluster: &Cluster, key: &Key, (method, call): (&Method, &Call)) -> Answer {
    let store = &cluster.store;
    match *method {
        Method::GET => Some(store.get(key).map(ok)),
        Method::PUT => Some(write::replace(store, key, &call.body).map(ok)),
        Method::PATCH => {
            Some(write::patch(store, key, call).map(
                |(object, new)| {
                    if new { created(object) } else { ok(object) }
                },
            ))
        }
        Method::DELETE => {
            Some(write::delete(store, key, call).map(|answer| axum::Json(answer).into_response()))
        }
        _ => None,
    }
}

fn scaled(cluster: &Cluster, key: &Key, (method, call): (&Method, &Call)) -> Answer {
    let store = &cluster.store;
    let result = match *method {
        Method::GET => store.get(key),
        Method::PUT => scale::write(store, key, &call.body),
        Method::PATCH => patched_scale(cluster, key, call),
        _ => return None,
    };
    Some(result.map(|deployment| axum::Json(scale::of(&deployment)).into_response()))
}

fn patched_scale(cluster: &Cluster, key: &Key, call: &Call) -> Result<Object, ApiError> {
    let kind = PatchKind::from_content_type(&call.content_type)?;
    let mut wanted = scale::of(cluster.store.get(key)?.as_ref());
    // Only a version that the patch itself names is a precondition.
    wanted["metadata"]["resourceVersion"] = Value::Null;
    kind.apply(&mut wanted, &call.body);
    scale::write(&cluster.store, key, &wanted)
}

async fn log(cluster: &Cluster, key: &Key) -> Result<Response, ApiError> {
    cluster.store.get(key)?;
    let text = tokio::fs::read(cluster.log_path(&key.name)).await;
    Ok(text.unwrap_or_default().into_response())
}

fn watching(cluster: &Cluster, target: &Target, call: &Call) -> Result<Response, ApiError> {
    let since = match call.text("resourceVersion") {
        "" | "0" => None,
        text => Some(text.parse().map_err(|_| {
            ApiError::bad_request(format!("resourceVersion {text:?} is not a number"))
        })?),
    };
    let seconds = call.text("timeoutSeconds").parse().ok();
    let span = Span {
        since,
        bookmarks: call.flag("allowWatchBookmarks"),
        until: Instant::now() + seconds.map_or(WATCH, process::span),
    };
    let filter = filter(target, call)?;
    Ok(watch::respond(Arc::clone(&cluster.store), filter, span))
}

fn filter(target: &Target, call: &Call) -> Result<Filter, ApiError> {
    Ok(Filter {
        resource: target.resource,
        namespace: target.namespace.clone(),
        selector: Selector::parse(call.text("labelSelector"), call.text("fieldSelector"))?,
    })
}

fn ok(object: Object) -> Response {
    axum::Json(object).into_response()
}

fn created(object: Object) -> Response {
    (StatusCode::CREATED, axum::Json(object)).into_response()
}

// === impl Target ===

impl Target {
    fn parse(segments: &[&str]) -> Option<Self> {
        let (group, version, rest) = match segments {
            ["api", version, rest @ ..] => ("", version, rest),
            ["apis", group, version, rest @ ..] => (*group, version, rest),
            _ => return None,
        };
        let (namespace, rest) = match rest {
            ["namespaces", namespace, rest @ ..] => (Some((*namespace).to_owned()), rest),
            rest => (None, rest),
        };
        let (plural, rest) = rest.split_first()?;
        if rest.len() > 2 || (namespace.is_none() && !rest.is_empty()) {
            return None;
        }
        Some(Self {
            resource: Resource::find(group, version, plural)?,
            namespace,
            name: rest.first().map(|name| (*name).to_owned()),
            subresource: rest.get(1).map(|name| (*name).to_owned()),
        })
    }

    fn key(&self) -> Option<Key> {
        let name = self.name.as_deref()?;
        Some(Key::new(self.resource, self.namespace.as_deref()?, name))
    }
}

// === impl Call ===

impl Call {
    async fn read(request: Request) -> Result<Self, ApiError> {
        let query = serde_urlencoded::from_str(request.uri().query().unwrap_or_default())
            .map_err(|error| ApiError::bad_request(error.to_string()))?;
        let content_type = request
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned();
        let bytes = axum::body::to_bytes(request.into_body(), MAX_BODY)
            .await
            .map_err(|error| ApiError::bad_request(error.to_string()))?;
        let body = if bytes.is_empty() {
            json!({})
        } else {
            serde_json::from_slice(&bytes)
                .map_err(|error| ApiError::bad_request(format!("the body is not JSON: {error}")))?
        };
        if !body.is_object() {
            return Err(ApiError::bad_request("the body is not a JSON object"));
        }
        Ok(Self {
            query,
            content_type,
            body,
        })
    }

    pub(crate) fn text(&self, name: &str) -> &str {
        self.query.get(name).map_or("", String::as_str)
    }

    fn flag(&self, name: &str) -> bool {
        matches!(self.text(name), "true" | "1")
    }
}

/// Refuses a write to an object that is no longer the one that was read.
pub(crate) fn check(key: &Key, current: &Value, given: &Value) -> Result<(), ApiError> {
    check_version(key, current, given)?;
    match given["metadata"]["uid"].as_str() {
        Some(uid) if !uid.is_empty() && current["metadata"]["uid"] != uid => {
            Err(ApiError::conflict(
                key,
                "the UID in the precondition does not match the UID in record",
            ))
        }
        _ => Ok(()),
    }
}
