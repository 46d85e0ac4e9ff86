//! Processes of the real binaries, and what is asked of them over HTTP.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep_until, timeout};

/// What a process finds in its environment.
pub(crate) type Environment = BTreeMap<String, String>;

/// How long a process may take to be there.
const START: Duration = Duration::from_secs(120);
/// How long a server may take to end its pods and PostgreSQL when it is told twice.
const END: Duration = Duration::from_secs(10);
/// Between the first two looks, and at the most: many wait at once, and what
/// takes long is not worth many looks.
const LOOK: Duration = Duration::from_millis(50);
const LAST_LOOK: Duration = Duration::from_secs(1);

/// Looks until there is something to see.
pub(crate) async fn until<T>(
    what: &str,
    within: Duration,
    look: impl AsyncFnMut() -> Option<T>,
) -> T {
    match until_or_none(within, look).await {
        Some(seen) => seen,
        None => panic!("waited {within:?} for: {what}"),
    }
}

/// Looks until there is something to see, or the time is over.
pub(crate) async fn until_or_none<T>(
    within: Duration,
    mut look: impl AsyncFnMut() -> Option<T>,
) -> Option<T> {
    let end = Instant::now() + within;
    let mut pause = LOOK;
    loop {
        if let Some(seen) = look().await {
            return Some(seen);
        }
        if Instant::now() > end {
            return None;
        }
        sleep_until(Instant::now() + pause).await;
        pause = LAST_LOOK.min(pause * 3 / 2);
    }
}

/// A client for plain HTTP.
pub(crate) fn http() -> Client<HttpConnector, Full<Bytes>> {
    Client::builder(TokioExecutor::new()).build_http()
}

/// Status and body of a GET; none where nobody answers.
pub(crate) async fn get(url: &str) -> Option<(u16, String)> {
    answered(http::Request::get(url)).await
}

async fn answered(request: http::request::Builder) -> Option<(u16, String)> {
    let request = request.body(Full::default()).expect("a request");
    let answer = http().request(request).await.ok()?;
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.ok()?.to_bytes();
    Some((status, String::from_utf8_lossy(&body).into_owned()))
}

/// The JSON that a GET answers with.
pub(crate) async fn get_json(url: &str) -> Option<Value> {
    parsed(get(url).await?)
}

/// The same for who shows a token.
pub(crate) async fn get_json_with(url: &str, token: &str) -> Option<Value> {
    let request = http::Request::get(url).header("authorization", format!("Bearer {token}"));
    parsed(answered(request).await?)
}

fn parsed((status, body): (u16, String)) -> Option<Value> {
    (status == 200)
        .then(|| serde_json::from_str(&body).ok())
        .flatten()
}

/// A port that was free just now.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}

/// A process that is killed when it is dropped; its output goes to a file.
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a binary with this environment and what is needed to run at all.
    pub(crate) fn start(
        binary: &str,
        args: &[&str],
        environment: &Environment,
        log: PathBuf,
    ) -> Self {
        let file = File::create(&log).expect("a log");
        let child = command(binary, args, environment)
            .stdout(file.try_clone().expect("a log"))
            .stderr(file)
            .spawn()
            .expect("the binary starts");
        Self { child, log }
    }

    /// What it has said so far.
    pub(crate) fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = self.child.id().expect("it has not ended yet");
        let pid = Pid::from_raw(i32::try_from(pid).expect("a pid"));
        kill(pid, signal).expect("a signal to a process of ours");
    }

    /// Its exit code; none if a signal ended it.
    pub(crate) async fn ended(&mut self, within: Duration) -> Option<i32> {
        match timeout(within, self.child.wait()).await {
            Ok(status) => status.expect("a child of ours").code(),
            Err(_) => panic!("it still runs after {within:?}:\n{}", self.said()),
        }
    }
}

/// A binary with this environment and nothing else but what is needed to run.
pub(crate) fn command(binary: &str, args: &[&str], environment: &Environment) -> Command {
    let binaries = stepfleet_e2e::binaries().expect("the binaries");
    let mut command = Command::new(binaries.join(binary));
    command
        .args(args)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .envs(environment)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// A worker, and where it tells how it is.
pub(crate) struct Worker {
    pub(crate) process: Process,
    pub(crate) url: String,
}

impl Worker {
    /// A process that is one, or will be: waits until it polls.
    pub(crate) async fn new(process: Process) -> Self {
        let worker = Self::serving(process).await;
        worker
            .wait_for("an open poll", |load| load["polls_open"] == 1)
            .await;
        worker
    }

    /// Waits only until its port is served.
    pub(crate) async fn serving(process: Process) -> Self {
        let url = until("a worker's port", START, async || {
            let said = process.said();
            let mut lines =
                (said.lines()).filter_map(|line| serde_json::from_str::<Value>(line).ok());
            lines.find_map(|line| Some(format!("http://{}", line["address"].as_str()?)))
        })
        .await;
        Self { process, url }
    }

    /// Waits until `/load` says so of the one activity; gives what it said.
    pub(crate) async fn wait_for(&self, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let url = format!("{}/load", self.url);
        until(what, START, async || {
            let load = get_json(&url).await?;
            let mut activity = load["activities"][0].clone();
            activity["draining"] = load["draining"].clone();
            holds(&activity).then_some(activity)
        })
        .await
    }
}

/// `stepfleet-local serve` on free ports.
pub(crate) struct Server {
    process: Process,
    /// What it says a process needs to speak to it.
    pub(crate) environment: Environment,
}

impl Server {
    /// Starts it in a folder, and waits until it is ready.
    pub(crate) async fn start(dir: &Path, args: &[&str]) -> Self {
        let dir_text = dir.display().to_string();
        let mut all = vec!["serve", "--dir", &dir_text];
        all.extend(["--cluster-listen", "127.0.0.1:0"]);
        if args.contains(&"--listen") {
            // Where the pods of a real cluster reach it.
            all.push("--allow-remote");
        } else {
            all.extend(["--listen", "127.0.0.1:0"]);
        }
        all.extend(args);
        let log = dir.join("serve.log");
        let file = File::create(&log).expect("a log");
        let mut child = command("stepfleet-local", &all, &Environment::new())
            .stdout(Stdio::piped())
            .stderr(file)
            .spawn()
            .expect("stepfleet-local starts");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let mut server = Self {
            process: Process { child, log },
            environment: Environment::new(),
        };
        let ready = timeout(START, async {
            while let Ok(Some(line)) = lines.next_line().await {
                if line == "ready" {
                    return true;
                }
                server.environment.extend(export(&line));
            }
            false
        });
        let ready = ready.await.unwrap_or(false);
        assert!(ready, "it is not ready:\n{}", server.process.said());
        server
    }
}

/// The name and the value of a line like `export NAME='value'`.
fn export(line: &str) -> Option<(String, String)> {
    let (name, value) = line.strip_prefix("export ")?.split_once('=')?;
    Some((name.to_owned(), value.trim_matches('\'').to_owned()))
}

impl Drop for Server {
    /// A kill alone would leave its pods and its PostgreSQL behind: it ends
    /// them when it is told twice.
    #[expect(clippy::disallowed_methods, reason = "waits for a process's end")]
    fn drop(&mut self) {
        let end = Instant::now() + END;
        while let Ok(None) = self.process.child.try_wait() {
            if Instant::now() > end {
                return;
            }
            self.process.signal(Signal::SIGTERM);
            std::thread::sleep(LOOK);
        }
    }
}
