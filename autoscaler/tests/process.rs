//! The binary as people run it: exit codes, what it says, and how it ends.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Method, Response};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep_until, timeout};

const CATALOGUE: &str = "version: 1\nfleet: demo\naws: {account: \"123456789012\", region: eu-west-1}\n\
    deployments:\n  pods: {replicas: {min: 2, max: 5}}\nactivities:\n  a: {handler: x, deployment: pods}\n";
const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/prod/leases/demo-autoscaler";
const SCALE: &str = "/apis/apps/v1/namespaces/prod/deployments/pods/scale";

/// A command with nothing of this machine's in its environment.
fn autoscaler(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_autoscaler"));
    (command.env_clear())
        .envs([
            ("AWS_ACCESS_KEY_ID", "any"),
            ("AWS_SECRET_ACCESS_KEY", "any"),
        ])
        .env("HOME", folder)
        .env("POD_NAME", "me")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

fn catalogue(folder: &Path, text: &str) -> PathBuf {
    let path = folder.join("fleet.yaml");
    std::fs::write(&path, text).expect("written");
    path
}

fn said(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

/// Arguments, exit code, what stdout has, what stderr has.
type Case<'a> = (&'a [&'a str], i32, &'a [&'a str], &'a [&'a str]);

#[tokio::test]
async fn exit_codes_and_what_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = catalogue(folder.path(), CATALOGUE);
    let good = path.to_str().expect("text");
    let overlay = folder.path().join("overlay.yaml");
    let text = "deployments: {pods: {replicas: {max: 1}}}\n";
    std::fs::write(&overlay, text).expect("written");
    let overlay = overlay.to_str().expect("text");
    let faulty = folder.path().join("faulty.yaml");
    let text = CATALOGUE.replace("min: 2, max: 5", "min: 7, max: 5");
    std::fs::write(&faulty, text.replace("handler: x", "handlr: x")).expect("written");
    let faulty = faulty.to_str().expect("text");
    let short = folder.path().join("short.yaml");
    std::fs::write(&short, format!("{CATALOGUE}signals: {{period: 10s}}\n")).expect("written");
    let short = short.to_str().expect("text");
    let taken = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let taken = taken.local_addr().expect("an address").to_string();
    let cases: &[Case<'_>] = &[
        (&["--help"], 0, &["run", "check"], &[]),
        (
            &["run", "--help"],
            0,
            &["--tick", "15s", "<fleet>-signals"],
            &[],
        ),
        (&["--version"], 0, &["autoscaler"], &[]),
        (&[], 64, &[], &["Usage"]),
        (&["rum"], 64, &[], &["run"]),
        (&["check"], 64, &[], &["--catalogue"]),
        (
            &["check", "--catalogue", good, "--catalogue", overlay],
            64,
            &[],
            &["replicas.min", "found min 2 above max 1"],
        ),
        (
            &["check", "--catalogue", "none.yaml"],
            64,
            &[],
            &["none.yaml"],
        ),
        (
            &["check", "--catalogue", faulty],
            64,
            &[],
            &["min", "handler", "faulty.yaml"],
        ),
        (
            &["check", "--catalogue", good],
            0,
            &["fleet demo: 1 deployments, 1 activities, 3 alarms"],
            &[],
        ),
        (
            &["check", "--catalogue", short],
            64,
            &[],
            &["--allow-short-periods"],
        ),
        (
            &["check", "--catalogue", short, "--allow-short-periods"],
            0,
            &["demo"],
            &[],
        ),
        (
            &["run", "--catalogue", faulty],
            64,
            &[],
            &["min", "handler"],
        ),
        (
            &["run", "--catalogue", good, "--tick", "999ms"],
            64,
            &[],
            &["at least 1s"],
        ),
        (
            &["run", "--catalogue", good, "--tick", "soon"],
            64,
            &[],
            &["--tick"],
        ),
        (
            &["run", "--catalogue", good, "--listen", "here"],
            64,
            &[],
            &["--listen"],
        ),
        (
            &["run", "--catalogue", good, "--listen", &taken],
            1,
            &[],
            &["choose another --listen"],
        ),
        (
            &["run", "--catalogue", good, "--listen", "127.0.0.1:0"],
            1,
            &[],
            &["KUBECONFIG"],
        ),
    ];
    for (arguments, code, out, err) in cases {
        let output = autoscaler(folder.path()).args(*arguments).output().await;
        let (got, stdout, stderr) = said(&output.expect("it runs"));
        assert_eq!(got, Some(*code), "{arguments:?}: {stdout}{stderr}");
        for word in *out {
            assert!(stdout.contains(word), "{arguments:?}: {word} in {stdout}");
        }
        for word in *err {
            assert!(stderr.contains(word), "{arguments:?}: {word} in {stderr}");
        }
    }
}

/// A cluster's objects by path, and an AWS without alarms or messages.
#[derive(Default)]
struct Outside {
    objects: BTreeMap<String, Value>,
    version: u64,
    /// Whether Leases may be touched.
    denied: bool,
}

type Shared = Arc<Mutex<Outside>>;

async fn serve(outside: Shared) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let router = Router::new().fallback(answer).with_state(outside);
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

async fn answer(State(outside): State<Shared>, request: Request) -> Response<Body> {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.expect("a body");
    let path = head.uri.path().to_owned();
    if path.contains("/operation/") {
        // An empty map, as CloudWatch's protocol writes it.
        let response = Response::builder().header("smithy-protocol", "rpc-v2-cbor");
        return response.body(Body::from(vec![0xa0])).expect("a response");
    }
    if head.headers.contains_key("x-amz-target") {
        let wait =
            serde_json::from_slice::<Value>(&body).expect("JSON")["WaitTimeSeconds"].as_u64();
        sleep_until(Instant::now() + Duration::from_secs(wait.unwrap_or(0))).await;
        return Response::new(Body::from("{}"));
    }
    let (code, object) = kubernetes(&outside, (&head.method, &path), &body);
    let response = Response::builder().status(code);
    let response = response.header("content-type", "application/json");
    response
        .body(Body::from(object.to_string()))
        .expect("a response")
}

fn kubernetes(outside: &Shared, (method, path): (&Method, &str), body: &[u8]) -> (u16, Value) {
    let refused = |code: u16| {
        (
            code,
            json!({"kind": "Status", "status": "Failure", "message": "no", "code": code}),
        )
    };
    let mut outside = outside.lock().expect("a lock");
    if outside.denied && path.contains("/leases") {
        return refused(403);
    }
    if method == Method::GET {
        return match outside.objects.get(path) {
            Some(object) => (200, object.clone()),
            None => refused(404),
        };
    }
    let mut object: Value = serde_json::from_slice(body).expect("JSON");
    let path = match object["metadata"]["name"].as_str() {
        Some(name) if method == Method::POST => format!("{path}/{name}"),
        _ => path.to_owned(),
    };
    let current = outside
        .objects
        .get(&path)
        .map(|old| old["metadata"]["resourceVersion"].clone());
    if current.is_some_and(|version| version != object["metadata"]["resourceVersion"]) {
        return refused(409);
    }
    outside.version += 1;
    object["metadata"]["resourceVersion"] = outside.version.to_string().into();
    outside.objects.insert(path, object.clone());
    (200, object)
}

/// The binary, running against the outside.
struct Running {
    child: Child,
    port: SocketAddr,
    _folder: tempfile::TempDir,
}

async fn run(outside: &Shared) -> Running {
    let folder = tempfile::tempdir().expect("a folder");
    let address = serve(Arc::clone(outside)).await;
    let config = json!({"apiVersion": "v1", "kind": "Config", "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": format!("http://{address}")}}],
        "users": [{"name": "u", "user": {}}]});
    let kubeconfig = folder.path().join("kubeconfig");
    std::fs::write(&kubeconfig, config.to_string()).expect("written");
    let free = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = free.local_addr().expect("an address");
    drop(free);
    let child = autoscaler(folder.path())
        .args([
            "run",
            "--namespace",
            "prod",
            "--tick",
            "1s",
            "--queue-url",
            "http://queue",
        ])
        .args(["--listen", &port.to_string(), "--catalogue"])
        .arg(catalogue(folder.path(), CATALOGUE))
        .env("KUBECONFIG", kubeconfig)
        .env("AWS_ENDPOINT_URL", format!("http://{address}"))
        .spawn()
        .expect("it starts");
    Running {
        child,
        port,
        _folder: folder,
    }
}

impl Running {
    async fn get(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(self.port).await.ok()?;
        let request = format!("GET {path} HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await.ok()?;
        Some(text)
    }

    /// Waits until `/readyz` says this.
    async fn readyz(&self, what: &str) -> String {
        let mut last = None;
        for _ in 0..300 {
            last = self.get("/readyz").await;
            if let Some(text) = last.clone().filter(|text| text.contains(what)) {
                return text;
            }
            sleep_until(Instant::now() + Duration::from_millis(50)).await;
        }
        panic!("/readyz never said {what}, but {last:?}");
    }

    async fn terminate(self) -> (Option<i32>, String) {
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok());
        kill(Pid::from_raw(pid.expect("it runs")), Signal::SIGTERM).expect("a signal");
        let ended = timeout(Duration::from_secs(20), self.child.wait_with_output()).await;
        let (code, _, stderr) = said(&ended.expect("it ends").expect("an end"));
        (code, stderr)
    }
}

#[tokio::test]
async fn sigterm_hands_the_lease_back_and_says_so() {
    let outside = Shared::default();
    let scale = json!({"kind": "Scale", "apiVersion": "autoscaling/v1",
        "metadata": {"name": "pods", "resourceVersion": "0"}, "spec": {"replicas": 1}});
    let put = |scale| {
        outside
            .lock()
            .expect("a lock")
            .objects
            .insert(SCALE.to_owned(), scale)
    };
    put(scale);
    let running = run(&outside).await;
    running.readyz("200 OK").await;
    let held = |what: &str| outside.lock().expect("a lock").objects[LEASE]["spec"][what].clone();
    assert_eq!(
        (held("holderIdentity"), held("leaseTransitions")),
        (json!("me"), json!(1))
    );
    let health = running.get("/healthz").await.expect("an answer");
    assert!(health.starts_with("HTTP/1.1 200"), "{health}");
    let decisions = running.get("/decisions").await.expect("an answer");
    assert!(decisions.contains("below-min"), "{decisions}");
    let metrics = running.get("/metrics").await.expect("an answer");
    assert!(
        metrics.contains("stepfleet_autoscaler_leader 1"),
        "{metrics}"
    );

    let (code, log) = running.terminate().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("stopped: the Lease is released"), "{log}");
    assert_eq!(held("holderIdentity"), json!(""), "others take it at once");
    let scaled = outside.lock().expect("a lock").objects[SCALE]["spec"]["replicas"].clone();
    assert_eq!(scaled, 2, "the lower bound");

    // The next one leads at once, under a later epoch.
    let running = run(&outside).await;
    running.readyz("200 OK").await;
    assert_eq!(
        (held("holderIdentity"), held("leaseTransitions")),
        (json!("me"), json!(2))
    );
    outside.lock().expect("a lock").denied = true;
    let (code, log) = running.terminate().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("the Lease could not be released"), "{log}");
    assert!(!log.contains("the Lease is released"), "{log}");
}

#[tokio::test]
async fn a_lease_that_cannot_be_reached_is_the_reason_in_readyz() {
    let outside = Shared::default();
    outside.lock().expect("a lock").denied = true;
    let running = run(&outside).await;
    let said = running
        .readyz("the Lease demo-autoscaler cannot be reached")
        .await;
    assert!(
        said.starts_with("HTTP/1.1 503") && said.contains("role does not allow it"),
        "{said}"
    );
    let (code, log) = running.terminate().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("the Lease could not be released"), "{log}");
}
