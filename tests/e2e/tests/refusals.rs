//! Bad input as a person gives it: a clear error, the right exit code, and
//! nothing is left running.

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use tokio::time::timeout;

use crate::process::{Environment, command};

/// Nothing here has anything to wait for; the SDKs' own retries are the longest.
const SOON: Duration = Duration::from_secs(40);

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

    async fn check(&self, home: &Path) {
        let mut words = self.line.split_whitespace();
        let binary = words.next().expect("a binary");
        let args: Vec<&str> = words.collect();
        let mut environment = self.environment.clone();
        environment.insert("HOME".to_owned(), home.display().to_string());
        environment.insert("AWS_EC2_METADATA_DISABLED".to_owned(), "true".to_owned());
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

#[tokio::test]
async fn the_worker_refuses_what_it_cannot_serve() {
    let (folder, at) = folder();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = taken.local_addr().expect("an address").to_string();
    let worker = |rest: &str| format!("etl-worker {}", rest.replace('@', &at));
    let cases = vec![
        case("etl-worker", 64, &["--catalogue"]),
        case(
            worker("--catalogue @/none.yaml"),
            64,
            &["none.yaml", "cannot read"],
        ),
        case(worker("--catalogue @"), 64, &["cannot read"]),
        case(worker("--catalogue @/bytes.yaml"), 64, &["bytes.yaml"]),
        case(worker("--catalogue @/broken.yaml"), 64, &["broken.yaml"]),
        case(
            worker("--catalogue @/short.yaml"),
            64,
            &["signals.period", "10s", "60s"],
        ),
        case(
            worker("--catalogue @/handler.yaml"),
            64,
            &["etl.s3-laod", "etl.s3-load"],
        ),
        case(
            worker("check --catalogue @/handler.yaml"),
            64,
            &["etl.s3-laod"],
        ),
        case(
            worker("--catalogue @/good.yaml --activity laod"),
            64,
            &["laod", "load"],
        ),
        case(
            worker("--catalogue @/good.yaml --listen localhost"),
            64,
            &["--listen"],
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
            &["no AWS credentials", "AWS_ACCESS_KEY_ID"],
        ),
        case(
            worker("--catalogue @/config.yaml --listen 127.0.0.1:0"),
            64,
            &["man", "main"],
        )
        .with_keys(),
        case(
            worker("setup --catalogue @/good.yaml"),
            1,
            &["create activity"],
        )
        .with_keys()
        .with("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
    ];
    check(cases, folder.path()).await;
}

#[tokio::test]
async fn the_autoscaler_refuses_what_it_cannot_scale() {
    let (folder, at) = folder();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = taken.local_addr().expect("an address").to_string();
    let autoscaler = |rest: &str| format!("autoscaler {}", rest.replace('@', &at));
    let cases = vec![
        case("autoscaler", 64, &["run", "check"]),
        case("autoscaler run", 64, &["--catalogue"]),
        case(
            autoscaler("run --catalogue @/none.yaml"),
            64,
            &["none.yaml", "cannot read"],
        ),
        case(
            autoscaler("check --catalogue @/bytes.yaml"),
            64,
            &["bytes.yaml"],
        ),
        case(
            autoscaler("check --catalogue @/broken.yaml"),
            64,
            &["broken.yaml"],
        ),
        case(
            autoscaler("check --catalogue @/short.yaml"),
            64,
            &["signals.period"],
        ),
        case(
            autoscaler("run --catalogue @/good.yaml --tick 5ms"),
            64,
            &["--tick", "1s"],
        ),
        case(
            autoscaler(&format!("run --catalogue @/good.yaml --listen {taken}")),
            1,
            &["cannot listen on", &taken, "--listen"],
        ),
        case(
            autoscaler("run --catalogue @/good.yaml --listen 127.0.0.1:0"),
            1,
            &["kubeconfig"],
        )
        .with("KUBECONFIG", format!("{at}/none")),
    ];
    check(cases, folder.path()).await;
}

#[tokio::test]
async fn the_local_aws_refuses_what_it_cannot_be() {
    let (folder, at) = folder();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = taken.local_addr().expect("an address").to_string();
    // What PostgreSQL does not start with: a data folder of another version.
    fs::create_dir_all(folder.path().join("old/postgres")).expect("a folder");
    fs::write(folder.path().join("old/postgres/PG_VERSION"), "1\n").expect("a file");
    fs::write(folder.path().join("old/postgres-password"), "x").expect("a file");
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
    let cases = vec![
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
            &["--cluster-listen", &taken],
        ),
        case(serve("--dir @/good.yaml FREE"), 1, &["--dir", "good.yaml"]),
        case(
            serve("--dir @/used FREE"),
            1,
            &["another stepfleet-local runs in it"],
        ),
        case(
            serve("--dir @/a FREE --catalogue @/none.yaml"),
            64,
            &["none.yaml"],
        ),
        case(
            serve("--dir @/a FREE --catalogue @/short.yaml"),
            64,
            &["signals.period"],
        ),
        case(
            serve("--dir @/a FREE --statement-latency soon"),
            64,
            &["--statement-latency"],
        ),
        case(
            serve("--dir @/a FREE --warehouse postgres://127.0.0.1:1/none"),
            1,
            &["127.0.0.1"],
        ),
        case(serve("--dir @/old FREE"), 1, &["postgresql.conf"]),
    ];
    check(cases, folder.path()).await;
}
