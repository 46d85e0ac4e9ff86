//! A proxy that counts the calls through it and holds one of them: before its
//! effect or after it, and with it everything that comes later. Whoever calls
//! sees what a dead network shows, nothing, until the call is released.

use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::State;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::process::http;

const POLL: &str = "GetActivityTask";
/// What a worker calls by the clock and not in the course of a load.
const BY_THE_CLOCK: &str = "SendTaskHeartbeat";
/// What is asked again until it has changed: all the times count as one call.
const LOOK: &str = "DescribeStatement";

/// Before or after the call has its effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// It is not passed on.
    Before,
    /// It is passed on; its answer is not.
    After,
}

/// A call: by its number, counted from 1, or the first one of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Call {
    Number(usize),
    Named(String),
}

/// What passes through to one address.
pub(crate) struct Proxy {
    pub(crate) url: String,
    shared: Arc<Shared>,
    _server: JoinSet<()>,
}

struct Shared {
    upstream: String,
    client: Client<HttpConnector, Full<Bytes>>,
    hold: Option<(Call, When)>,
    calls: Mutex<Vec<String>>,
    /// The last task that was handed out.
    token: Mutex<Option<String>>,
    phase: watch::Sender<Phase>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    /// The call has not come yet.
    Open,
    /// It has, and is held; its name.
    Held(String),
    /// It may go on.
    Released,
    /// It has had its effect, and all that comes later passes.
    Passed,
}

impl Proxy {
    /// Passes everything on to `upstream`, until the call comes that is to be held.
    pub(crate) async fn start(upstream: &str, hold: Option<(Call, When)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let shared = Arc::new(Shared {
            upstream: upstream.to_owned(),
            client: http(),
            hold,
            calls: Mutex::default(),
            token: Mutex::default(),
            phase: watch::Sender::new(Phase::Open),
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
        let calls = self.shared.calls.lock();
        calls.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The token of the last task that was handed out, also if its worker never saw it.
    pub(crate) fn token(&self) -> Option<String> {
        let token = self.shared.token.lock();
        token.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until the call is held; gives its name.
    pub(crate) async fn held(&self) -> String {
        let phase = (self.shared)
            .wait_for(|phase| matches!(phase, Phase::Held(_)))
            .await;
        let Phase::Held(name) = phase else {
            unreachable!("it was waited for")
        };
        name
    }

    /// Lets the held call go on, and waits until it has had its effect.
    pub(crate) async fn release(&self) {
        self.shared.phase.send_replace(Phase::Released);
        self.shared.wait_for(|phase| *phase == Phase::Passed).await;
    }
}

impl Shared {
    async fn wait_for(&self, wanted: impl FnMut(&Phase) -> bool) -> Phase {
        let mut phase = self.phase.subscribe();
        let phase = phase.wait_for(wanted).await.expect("the sender is there");
        phase.clone()
    }

    /// Counts a call; says whether it is the one, and when it is held.
    fn count(&self, name: &str) -> Option<When> {
        if name == BY_THE_CLOCK {
            return None;
        }
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        if name == LOOK && calls.last().is_some_and(|last| last == name) {
            return None;
        }
        calls.push(name.to_owned());
        let (call, when) = self.hold.as_ref()?;
        let meant = match call {
            Call::Number(number) => *number == calls.len(),
            Call::Named(wanted) => {
                wanted == name && calls.iter().filter(|call| *call == name).count() == 1
            }
        };
        meant.then_some(*when)
    }

    fn note_token(&self, answer: &[u8]) {
        let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
        if let Some(token) = answer["taskToken"].as_str() {
            let mut known = self.token.lock().unwrap_or_else(PoisonError::into_inner);
            *known = Some(token.to_owned());
        }
    }

    async fn hold(&self, name: &str) {
        self.phase.send_replace(Phase::Held(name.to_owned()));
        self.wait_for(|phase| *phase == Phase::Released).await;
    }

    /// Nothing passes while a call is held.
    async fn open(&self) {
        self.wait_for(|phase| matches!(phase, Phase::Open | Phase::Passed))
            .await;
    }
}

/// What has begun goes on, also when the caller hangs up: the network carries
/// on what a dead process has sent.
async fn handle(State(shared): State<Arc<Shared>>, request: Request<Body>) -> Response<Body> {
    let passed = tokio::spawn(pass(shared, request)).await;
    passed.expect("it does not panic")
}

async fn pass(shared: Arc<Shared>, request: Request<Body>) -> Response<Body> {
    shared.open().await;
    let name = name(&request);
    let hold = shared.count(&name);
    if hold == Some(When::Before) {
        shared.hold(&name).await;
    }
    let answer = forward(&shared, request).await;
    if name == POLL
        && let Ok(answer) = &answer
    {
        shared.note_token(answer.body());
    }
    if hold == Some(When::After) {
        shared.hold(&name).await;
    }
    if hold.is_some() {
        shared.phase.send_replace(Phase::Passed);
    }
    shared.open().await;
    match answer {
        Ok(answer) => answer.map(Body::from),
        Err(error) => {
            let mut answer = Response::new(Body::from(error));
            *answer.status_mut() = StatusCode::BAD_GATEWAY;
            answer
        }
    }
}

async fn forward(shared: &Shared, request: Request<Body>) -> Result<Response<Bytes>, String> {
    let (mut parts, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await;
    let path = (parts.uri.path_and_query()).map_or("/", |path| path.as_str());
    let url = format!("{}{path}", shared.upstream);
    parts.uri = url.parse().map_err(|error| format!("{url}: {error}"))?;
    parts.headers.remove(header::TRANSFER_ENCODING);
    let body = Full::new(body.map_err(|error| error.to_string())?);
    let request = Request::from_parts(parts, body);
    let answer = shared.client.request(request).await;
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
