//! Bad input as a person gives it: a clear error, the right exit code, and
//! nothing is left running.

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::json;
use tokio::time::timeout;

use crate::process::{Environment, Process, Worker, command, get, until};

/// Nothing here has anything to wait for; the SDKs' own retries are the longest.
const SOON: Duration = Duration::from_secs(120);

const GOOD: &str = "version: 1
fleet: refusals
aws: {account: \"123456789012\", region: eu-west-1}
warehouses:
  main: {workgroup: analytics, database: dev}
deployments:
  workers: {replicas: {min: 1, max: 2}}
activities:
  load:
    handler: etl.s3-load
    deployment: workers
    objective: {wait: 5s}
    config: {warehouse: main}
";

/// What a person types, what the exit code is, and what is said.
struct Case {
    line: String,
    environment: Environment,
    code: i32,
    says: Vec<String>,
}

fn case(line: impl Into<String>, code: i32, says: &[&str]) -> Case {
    Case {
        line: line.into(),
        environment: Environment::new(),
        code,
        says: says.iter().map(|part| (*part).to_owned()).collect(),
    }
}

impl Case {
    fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.insert(name.to_owned(), value.into());
        self
    }

    fn with_keys(self) -> Self {
        self.with("AWS_ACCESS_KEY_ID", "local")
            .with("AWS_SECRET_ACCESS_KEY", "local")
    }

    /// Binary, arguments and environment, with nothing of the machine's in it.
    fn parts(&self, home: &Path) -> (&str, Vec<&str>, Environment) {
        let mut words = self.line.split_whitespace();
        let binary = words.next().expect("a binary");
        let mut environment = self.environment.clone();
        environment.insert("HOME".to_owned(), home.display().to_string());
        environment.insert("AWS_EC2_METADATA_DISABLED".to_owned(), "true".to_owned());
        (binary, words.collect(), environment)
    }

    /// Starts what is to go on in spite of everything.
    fn start(&self, home: &Path) -> Process {
        let (binary, args, environment) = self.parts(home);
        let log = home.join(format!("{binary}.log"));
        Process::start(binary, &args, &environment, log)
    }

    async fn check(&self, home: &Path) {
        let (binary, args, environment) = self.parts(home);
        let ran = timeout(SOON, command(binary, &args, &environment).output());
        let ran = ran
            .await
            .unwrap_or_else(|_| panic!("it goes on: {}", self.line));
        let ran = ran.expect("the binary starts");
        let said = String::from_utf8_lossy(&ran.stderr);
        assert_eq!(ran.status.code(), Some(self.code), "{}\n{said}", self.line);
        for part in &self.says {
            assert!(
                said.contains(part),
                "{}: no {part:?} in:\n{said}",
                self.line
            );
        }
        assert!(!said.contains("panicked"), "{}\n{said}", self.line);
    }
}

async fn check(cases: Vec<Case>, home: &Path) {
    for case in cases {
        case.check(home).await;
    }
}

/// A folder that PostgreSQL's user may enter, with catalogues good and bad.
fn folder() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("a folder");
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).expect("permissions");
    let write = |name: &str, text: &[u8]| {
        fs::write(folder.path().join(name), text).expect("a file");
    };
    write("good.yaml", GOOD.as_bytes());
    write(
        "handler.yaml",
        GOOD.replace("etl.s3-load", "etl.s3-laod").as_bytes(),
    );
    write(
        "config.yaml",
        GOOD.replace("{warehouse: main}", "{warehouse: man}")
            .as_bytes(),
    );
    write(
        "broken.yaml",
        GOOD.replace("version: 1", "version: [1").as_bytes(),
    );
    write(
        "short.yaml",
        GOOD.replace("warehouses:", "signals: {period: 10s}\nwarehouses:")
            .as_bytes(),
    );
    write("bytes.yaml", b"version: \xff\xfe");
    let path = folder.path().display().to_string();
    (folder, path)
}

/// A folder with a PostgreSQL whose `initdb` fails.
fn without_initdb(folder: &Path) {
    let programs = folder.join("no-initdb");
    fs::create_dir(&programs).expect("a folder");
    for program in ["initdb", "postgres"] {
        let path = programs.join(program);
        fs::write(&path, "#!/bin/sh\necho no such locale >&2\nexit 1\n").expect("a file");
        fs::set_permissions(&path, Permissions::from_mode(0o755)).expect("permissions");
    }
}

fn taken_port() -> (TcpListener, String) {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    (taken, address)
}

/// What is wrong with the catalogue, in whichever binary reads it with `words`.
fn catalogues(words: &str, at: &str) -> Vec<Case> {
    let case =
        |name: &str, says: &[&str]| case(format!("{words} --catalogue {at}{name}"), 64, says);
    vec![
        case(
            "/none.yaml",
            &["/none.yaml: cannot read this file", "No such file"],
        ),
        case("", &["cannot read this file"]),
        case("/bytes.yaml", &["/bytes.yaml"]),
        case(
            "/broken.yaml",
            &["/broken.yaml:2:6: ", "not YAML", "fleet: refusals"],
        ),
        case(
            "/short.yaml",
            &[
                "/short.yaml:4:19: signals.period: ",
                "10s",
                "--allow-short-periods",
            ],
        ),
    ]
}

#[tokio::test]
async fn the_worker_refuses_what_it_cannot_serve() {
    let (folder, at) = folder();
    let (_taken, taken) = taken_port();
    let worker = |rest: &str| format!("etl-worker {}", rest.replace('@', &at));
    let handler = [
        "/handler.yaml:10:14: activities.load.handler: ",
        "`etl.s3-laod`",
        "did you mean `etl.s3-load`",
    ];
    let mut cases = catalogues("etl-worker", &at);
    cases.extend(catalogues("etl-worker check", &at));
    cases.extend([
        case("etl-worker", 64, &["--catalogue"]),
        case(worker("--catalogue @/handler.yaml"), 64, &handler),
        case(worker("check --catalogue @/handler.yaml"), 64, &handler),
        case(
            worker("--catalogue @/good.yaml --activity laod"),
            64,
            &["\"laod\"", "load"],
        ),
        case(
            worker("--catalogue @/good.yaml --listen localhost"),
            64,
            &["--listen", "localhost"],
        ),
        case(
            worker("--catalogue @/good.yaml --listen 127.0.0.1:70000"),
            64,
            &["--listen", "70000"],
        ),
        case(
            worker("--catalogue @/good.yaml --log-format xml"),
            64,
            &["xml", "json"],
        ),
        case(
            worker(&format!("--catalogue @/good.yaml --listen {taken}")),
            1,
            &["cannot listen on", &taken, "--listen"],
        )
        .with_keys(),
        case(
            worker("--catalogue @/good.yaml --listen 127.0.0.1:0"),
            1,
            &["no AWS credentials", "AWS_PROFILE", "AWS_ACCESS_KEY_ID"],
        ),
        case(
            worker("--catalogue @/config.yaml --listen 127.0.0.1:0"),
            64,
            &["activities.load.config.warehouse", "`man`", "main"],
        )
        .with_keys(),
        case(
            worker("setup --catalogue @/good.yaml"),
            1,
            &["create activity refusals-load"],
        )
        .with_keys()
        .with("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
    ]);
    check(cases, folder.path()).await;
}

#[tokio::test]
async fn the_autoscaler_refuses_what_it_cannot_scale() {
    let (folder, at) = folder();
    let (_taken, taken) = taken_port();
    let run = |rest: &str| format!("autoscaler run --catalogue {at}/good.yaml {rest}");
    let mut cases = catalogues("autoscaler run", &at);
    cases.extend(catalogues("autoscaler check", &at));
    cases.extend([
        case("autoscaler", 64, &["run", "check"]),
        case("autoscaler run", 64, &["--catalogue"]),
        case(run("--tick 5ms"), 64, &["--tick", "1s"]),
        case(run("--listen 127.0.0.1:70000"), 64, &["--listen", "70000"]),
        case(
            run(&format!("--listen {taken}")),
            1,
            &["cannot listen on", &taken, "--listen"],
        ),
        case(
            run("--listen 127.0.0.1:0"),
            1,
            &["no KUBECONFIG", "nowhere"],
        )
        .with("KUBECONFIG", format!("{at}/nowhere")),
    ]);
    check(cases, folder.path()).await;
}

#[tokio::test]
async fn the_local_aws_refuses_what_it_cannot_be() {
    let (folder, at) = folder();
    let (_taken, taken) = taken_port();
    // What PostgreSQL does not start with: a data folder of another version.
    fs::create_dir_all(folder.path().join("old/postgres")).expect("a folder");
    fs::write(folder.path().join("old/postgres/PG_VERSION"), "1\n").expect("a file");
    fs::write(folder.path().join("old/postgres-password"), "x").expect("a file");
    without_initdb(folder.path());
    fs::create_dir(folder.path().join("used")).expect("a folder");
    let lock = fs::File::create(folder.path().join("used/lock")).expect("a file");
    lock.try_lock().expect("a lock");
    let serve = |rest: &str| {
        let free = "--listen 127.0.0.1:0 --cluster-listen 127.0.0.1:0";
        format!(
            "stepfleet-local serve {}",
            rest.replace('@', &at).replace("FREE", free)
        )
    };
    let mut cases = catalogues(&serve("--dir @/a FREE"), &at);
    cases.extend([
        case("stepfleet-local", 64, &["serve", "demo"]),
        case(
            serve("--dir @/a --listen localhost"),
            64,
            &["--listen", "127.0.0.1:4566"],
        ),
        case(
            serve(&format!("--dir @/a --no-warehouse --listen {taken}")),
            1,
            &["--listen", &taken, "cannot listen"],
        ),
        case(
            serve(&format!(
                "--dir @/a --no-warehouse --listen 127.0.0.1:0 --cluster-listen {taken}"
            )),
            1,
            &["--cluster-listen", &taken, "cannot listen"],
        ),
        case(serve("--dir @/good.yaml FREE"), 1, &["--dir", "good.yaml"]),
        case(
            serve("--dir @/used FREE"),
            1,
            &["/used", "another stepfleet-local runs in it"],
        ),
        case(
            serve("--dir @/a FREE --statement-latency soon"),
            64,
            &["--statement-latency"],
        ),
        case(
            serve("--dir @/a FREE --warehouse postgres://127.0.0.1:1/none"),
            1,
            &["PostgreSQL", "refused"],
        ),
        case(
            serve("--dir @/a FREE"),
            1,
            &["initdb failed", "no such locale"],
        )
        .with("PATH", format!("{at}/no-initdb:/usr/bin:/bin")),
        case(
            serve("--dir @/old FREE"),
            1,
            &[
                "PostgreSQL does not start",
                "postgresql.conf",
                "/old/postgres.log",
            ],
        ),
    ]);
    check(cases, folder.path()).await;
}

/// What may come back by itself is said, and waited for.
#[tokio::test]
async fn an_endpoint_that_nobody_answers_at_is_said_and_waited_for() {
    let (folder, at) = folder();
    let worker =
        format!("etl-worker --catalogue {at}/good.yaml --listen 127.0.0.1:0 --log-format json");
    let worker = (case(worker, 0, &[]).with_keys()).with("AWS_ENDPOINT_URL", "http://127.0.0.1:1");
    let mut worker = Worker::serving(worker.start(folder.path())).await;
    let ready = format!("{}/readyz", worker.url);
    let said = until("trouble in /readyz", SOON, async || {
        let (status, said) = get(&ready).await?;
        (status == 503).then_some(said)
    })
    .await;
    assert!(
        said.contains("load: Step Functions is unavailable"),
        "{said}"
    );
    assert!(
        said.contains("check the network and AWS_ENDPOINT_URL"),
        "{said}"
    );
    worker.process.signal(Signal::SIGTERM);
    assert_eq!(worker.process.ended(SOON).await, Some(0));

    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "x",
        "clusters": [{"name": "x", "cluster": {"server": "http://127.0.0.1:1"}}],
        "users": [{"name": "x", "user": {}}],
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
    });
    fs::write(folder.path().join("kubeconfig"), kubeconfig.to_string()).expect("a file");
    let autoscaler = format!("autoscaler run --catalogue {at}/good.yaml --listen 127.0.0.1:0");
    let autoscaler = case(autoscaler, 0, &[]).with("KUBECONFIG", format!("{at}/kubeconfig"));
    let mut autoscaler = autoscaler.with_keys().start(folder.path());
    until("what is in the way", SOON, async || {
        let said = autoscaler.said();
        let named = said.contains("the Lease refusals-autoscaler cannot be reached");
        (named && said.contains("http://127.0.0.1:1/")).then_some(())
    })
    .await;
    autoscaler.signal(Signal::SIGTERM);
    assert_eq!(
        autoscaler.ended(SOON).await,
        Some(0),
        "{}",
        autoscaler.said()
    );
}
