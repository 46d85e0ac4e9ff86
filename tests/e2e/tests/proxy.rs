//! A proxy of HTTP that counts the calls through it and holds one of them. Whoever
//! calls sees what a dead network shows, nothing, until the call is released.
//! And one that only makes statements slow.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::State;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::gate::{Call, Gate, When};
use crate::process::http;

const POLL: &str = "GetActivityTask";
/// What a worker calls by the clock and not in the course of a load.
const BY_THE_CLOCK: &str = "SendTaskHeartbeat";
/// What is asked again until it has changed: all the times count as one call.
const LOOKS: [&str; 2] = ["DescribeStatement", "ReceiveMessage"];
/// What sends the warehouse something to do.
const STATEMENTS: [&str; 2] = ["ExecuteStatement", "BatchExecuteStatement"];

type Plain = Client<HttpConnector, Full<Bytes>>;

/// What passes through to one address.
pub(crate) struct Proxy {
    pub(crate) url: String,
    shared: Arc<Shared>,
    _server: JoinSet<()>,
}

struct Shared {
    upstream: String,
    client: Plain,
    gate: Gate,
    /// The last task that was handed out.
    token: Mutex<Option<String>>,
}

impl Proxy {
    /// Passes everything on to `upstream`, until the call comes that is to be held.
    pub(crate) async fn start(upstream: &str, hold: Option<(Call, When)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let shared = Arc::new(Shared {
            upstream: upstream.to_owned(),
            client: http(),
            gate: Gate::new(hold),
            token: Mutex::default(),
        });
        let router = Router::new()
            .fallback(handle)
            .with_state(Arc::clone(&shared));
        let mut server = JoinSet::new();
        server.spawn(async move {
            axum::serve(listener, router).await.expect("a server");
        });
        Self {
            url,
            shared,
            _server: server,
        }
    }

    /// The names of all calls so far.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.shared.gate.calls()
    }

    /// The token of the last task that was handed out, also if its worker never saw it.
    pub(crate) fn token(&self) -> Option<String> {
        let token = self.shared.token.lock();
        token.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until the call is held; gives its name.
    pub(crate) async fn held(&self) -> String {
        self.shared.gate.held().await
    }

    /// Lets the held call go on, and waits until it has had its effect.
    pub(crate) async fn release(&self) {
        self.shared.gate.release().await;
    }
}

/// Makes statements slow on an AWS that cannot be told to: each one comes to it
/// late, and all else at once.
pub(crate) struct Slow {
    pub(crate) url: String,
    _server: JoinSet<()>,
}

impl Slow {
    /// Passes everything on to `upstream`; listens at a port of `host`.
    pub(crate) async fn start((host, upstream): (&str, &str), lag: Duration) -> Self {
        let listener = TcpListener::bind((host, 0)).await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let (client, upstream) = (http(), Arc::<str>::from(upstream));
        // Who hangs up has hung up on AWS too: nobody is handed a task in vain.
        let router = Router::new().fallback(move |request: Request<Body>| async move {
            if STATEMENTS.contains(&name(&request).as_str()) {
                sleep_until(Instant::now() + lag).await;
            }
            seen(forward((&client, &upstream), request).await)
        });
        let mut server = JoinSet::new();
        server.spawn(async move {
            axum::serve(listener, router).await.expect("a server");
        });
        Self {
            url,
            _server: server,
        }
    }
}

impl Shared {
    fn count(&self, name: &str) -> Option<When> {
        if name == BY_THE_CLOCK {
            return None;
        }
        self.gate.count(name, LOOKS.contains(&name))
    }

    fn note_token(&self, answer: &[u8]) {
        let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
        if let Some(token) = answer["taskToken"].as_str() {
            let mut known = self.token.lock().unwrap_or_else(PoisonError::into_inner);
            *known = Some(token.to_owned());
        }
    }
}

/// What has begun goes on, also when the caller hangs up: the network carries
/// on what a dead process has sent.
async fn handle(State(shared): State<Arc<Shared>>, request: Request<Body>) -> Response<Body> {
    let passed = tokio::spawn(pass(shared, request)).await;
    passed.expect("it does not panic")
}

async fn pass(shared: Arc<Shared>, request: Request<Body>) -> Response<Body> {
    let gate = &shared.gate;
    gate.open().await;
    let name = name(&request);
    let hold = shared.count(&name);
    if hold == Some(When::Before) {
        gate.hold(&name).await;
    }
    let answer = forward((&shared.client, &shared.upstream), request).await;
    if name == POLL
        && let Ok(answer) = &answer
    {
        shared.note_token(answer.body());
    }
    if hold == Some(When::After) {
        gate.hold(&name).await;
    }
    if hold.is_some() {
        gate.passed();
    }
    gate.open().await;
    seen(answer)
}

/// What a caller sees of an answer, or of its absence.
fn seen(answer: Result<Response<Bytes>, String>) -> Response<Body> {
    match answer {
        Ok(answer) => answer.map(Body::from),
        Err(error) => {
            let mut answer = Response::new(Body::from(error));
            *answer.status_mut() = StatusCode::BAD_GATEWAY;
            answer
        }
    }
}

async fn forward(
    (client, upstream): (&Plain, &str),
    request: Request<Body>,
) -> Result<Response<Bytes>, String> {
    let (mut parts, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await;
    let path = (parts.uri.path_and_query()).map_or("/", |path| path.as_str());
    let url = format!("{upstream}{path}");
    parts.uri = url.parse().map_err(|error| format!("{url}: {error}"))?;
    parts.headers.remove(header::TRANSFER_ENCODING);
    let body = Full::new(body.map_err(|error| error.to_string())?);
    let request = Request::from_parts(parts, body);
    let answer = client.request(request).await;
    let (mut parts, body) = answer.map_err(|error| format!("{error:?}"))?.into_parts();
    let body = body.collect().await.map_err(|error| error.to_string())?;
    parts.headers.remove(header::TRANSFER_ENCODING);
    Ok(Response::from_parts(parts, body.to_bytes()))
}

/// The operation, or method and folder of S3, or method and last part of the path.
fn name(request: &Request<Body>) -> String {
    const FOLDERS: [&str; 5] = ["incoming", "processed", "failed", "manifests", "leases"];
    let target = request.headers().get("x-amz-target");
    if let Some(target) = target.and_then(|target| target.to_str().ok()) {
        return target.rsplit('.').next().unwrap_or(target).to_owned();
    }
    let uri = request.uri().to_string();
    let path = request.uri().path();
    let last = path.rsplit('/').next().unwrap_or_default();
    let of = FOLDERS.iter().find(|folder| uri.contains(**folder));
    let subject = of.map_or(last, |folder| *folder);
    format!("{} {subject}", request.method())
}
