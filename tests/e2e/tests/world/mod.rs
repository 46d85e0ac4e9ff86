//! AWS as the scenarios see it, over the real SDKs, and what they keep there.

mod executions;
mod warehouse;

use std::path::{Path, PathBuf};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::config::Credentials;
use http_body_util::Full;
use nix::unistd::Pid;
use serde_json::json;
use tempfile::TempDir;

use crate::process::{Environment, Process, Server, Worker, command, http};

pub(crate) const ACCOUNT: &str = "123456789012";
pub(crate) const REGION: &str = "eu-west-1";
const DATABASE: &str = "dev";
const WORKGROUP: &str = "analytics";

/// The files of a load: awkward names, six rows, each `id,amount`.
pub(crate) const FILES: [(&str, &str); 3] = [
    ("a.csv", "1,10\n2,20\n"),
    ("b/b 'x'+.csv", "3,30\n"),
    ("c.csv", "4,40\n5,50\n6,60\n"),
];

/// One machine's AWS, or the one at `STEPFLEET_ENDPOINT`, with a catalogue.
pub(crate) struct World {
    // Ends before its folder goes.
    _server: Option<Server>,
    dir: TempDir,
    fleet: String,
    environment: Environment,
    pub(crate) endpoint: String,
    heartbeat: &'static str,
    /// The lines of warehouses beside `main`.
    warehouses: String,
    /// Where the warehouse `files` is.
    postgres: Option<String>,
    /// The lines of activities that are no loaders.
    pub(crate) more: String,
    pub(crate) s3: aws_sdk_s3::Client,
    data: aws_sdk_redshiftdata::Client,
    sfn: aws_sdk_sfn::Client,
}

impl World {
    /// A fleet with these activities; every statement takes `latency`, and what
    /// a dead worker leaves behind is taken up after `heartbeat`.
    pub(crate) async fn start(
        fleet: &str,
        activities: &[String],
        (latency, heartbeat): (&str, &'static str),
    ) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let (server, environment) = match std::env::var("STEPFLEET_ENDPOINT") {
            Ok(endpoint) => (None, environment(&endpoint)),
            Err(_) => {
                let args = ["--statement-latency", latency];
                let server = Server::start(dir.path(), &args).await;
                let environment = server.environment.clone();
                (Some(server), environment)
            }
        };
        let fleet = format!("{fleet}-{}", Pid::this());
        let mut world = Self::on(dir, (server, environment), fleet).await;
        world.heartbeat = heartbeat;
        world.set_up(activities).await;
        world
    }

    /// The same on an AWS that is there, with an empty bucket and nothing else.
    pub(crate) async fn on(
        dir: TempDir,
        (server, environment): (Option<Server>, Environment),
        fleet: String,
    ) -> Self {
        let endpoint = environment["AWS_ENDPOINT_URL"].clone();
        let aws = config(&endpoint).await;
        let world = Self {
            _server: server,
            s3: s3(&aws),
            data: aws_sdk_redshiftdata::Client::new(&aws),
            sfn: aws_sdk_sfn::Client::new(&aws),
            dir,
            fleet,
            environment,
            endpoint,
            heartbeat: "30s",
            warehouses: String::new(),
            postgres: None,
            more: String::new(),
        };
        let bucket = world.s3.create_bucket().bucket(&world.fleet).send().await;
        bucket.expect("a bucket");
        world
    }

    /// The name of the fleet, of its bucket, and of its namespace.
    pub(crate) fn fleet(&self) -> &str {
        &self.fleet
    }

    /// Whether this AWS is there for others too.
    pub(crate) fn is_shared(&self) -> bool {
        self._server.is_none()
    }

    /// The folder that goes with the scenario.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// What a process finds in its environment to reach this AWS.
    pub(crate) fn environment(&self) -> &Environment {
        &self.environment
    }

    /// Where the catalogue is.
    pub(crate) fn catalogue(&self) -> PathBuf {
        self.dir.path().join("fleet.yaml")
    }

    /// Writes a catalogue of these activities, and makes what `etl-worker setup` does.
    pub(crate) async fn set_up(&mut self, activities: &[String]) {
        self.set_up_as(activities, MAIN).await;
    }

    /// The same with this config of the loader.
    pub(crate) async fn set_up_as(&mut self, activities: &[String], config: &str) {
        let all = activities
            .iter()
            .map(|name| (name.clone(), config.to_owned()));
        self.set_up_each(&all.collect::<Vec<_>>()).await;
    }

    /// The same with a config for each.
    pub(crate) async fn set_up_each(&self, activities: &[(String, String)]) {
        let text = catalogue((&self.fleet, self.heartbeat), &self.warehouses, activities);
        let text = text + &self.more;
        std::fs::write(self.catalogue(), text).expect("a catalogue");
        self.set_up_catalogue().await;
    }

    /// Moves the time of this AWS on, if it is ours.
    pub(crate) async fn advance(&self, by: &str) {
        if self.is_shared() {
            return;
        }
        let url = format!("{}/_stepfleet/clock", self.endpoint);
        let body = json!({"advance": by, "step": "10s"}).to_string();
        let mut request = http::Request::post(url);
        if let Ok(token) = std::fs::read_to_string(self.dir.path().join("control-token")) {
            request = request.header("authorization", format!("Bearer {}", token.trim()));
        }
        let request = request.body(Full::from(body));
        let answer = http().request(request.expect("a request")).await;
        assert_eq!(answer.expect("an answer").status(), 200);
    }

    /// Makes what `etl-worker setup` does of the catalogue that is there.
    pub(crate) async fn set_up_catalogue(&self) {
        let path = self.catalogue().display().to_string();
        let args = ["setup", "--allow-short-periods", "--catalogue", &path];
        let made = command("etl-worker", &args, &self.environment)
            .output()
            .await;
        let made = made.expect("etl-worker starts");
        let said = String::from_utf8_lossy(&made.stderr);
        assert!(made.status.success(), "{said}");
    }

    /// A worker for one activity that reaches AWS at `endpoint`.
    pub(crate) fn worker_at(&self, who: (&str, &str), endpoint: &str) -> Process {
        self.start_worker(who, endpoint, &self.catalogue())
    }

    /// The same, which reaches the warehouse `files` at another address.
    pub(crate) fn worker_between(
        &self,
        who: (&str, &str),
        endpoint: &str,
        postgres: &str,
    ) -> Process {
        let text = std::fs::read_to_string(self.catalogue()).expect("a catalogue");
        let address = self.postgres().expect("an open PostgreSQL");
        let catalogue = self.dir.path().join(format!("{}-{}.yaml", who.0, who.1));
        std::fs::write(&catalogue, text.replace(address, postgres)).expect("a catalogue");
        self.start_worker(who, endpoint, &catalogue)
    }

    fn start_worker(
        &self,
        (activity, name): (&str, &str),
        endpoint: &str,
        catalogue: &Path,
    ) -> Process {
        let mut environment = self.environment.clone();
        environment.insert("AWS_ENDPOINT_URL".to_owned(), endpoint.to_owned());
        environment.insert("POD_NAME".to_owned(), format!("{activity}-{name}"));
        let catalogue = catalogue.display().to_string();
        let args = [
            "--catalogue",
            catalogue.as_str(),
            "--activity",
            activity,
            "--listen",
            "127.0.0.1:0",
            "--log-format",
            "json",
        ];
        let log = self.dir.path().join(format!("{activity}-{name}.log"));
        Process::start("etl-worker", &args, &environment, log)
    }

    /// Another command of the worker's binary, which reaches AWS at `endpoint`.
    pub(crate) fn start_command(&self, args: &[&str], (name, endpoint): (&str, &str)) -> Process {
        let mut environment = self.environment.clone();
        environment.insert("AWS_ENDPOINT_URL".to_owned(), endpoint.to_owned());
        let catalogue = self.catalogue().display().to_string();
        let mut all = args.to_vec();
        all.extend(["--catalogue", catalogue.as_str()]);
        let log = self.dir.path().join(format!("{name}.log"));
        Process::start("etl-worker", &all, &environment, log)
    }

    /// A worker for one activity that polls already.
    pub(crate) async fn worker(&self, activity: &str, name: &str) -> Worker {
        Worker::new(self.worker_at((activity, name), &self.endpoint)).await
    }
}

/// The SDK's settings, with keys that any one-machine AWS takes.
pub(crate) async fn config(endpoint: &str) -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .credentials_provider(Credentials::new("local", "local", None, None, "test"))
        .endpoint_url(endpoint)
        .load()
        .await
}

/// An S3 client with bucket names in the path.
fn s3(aws: &SdkConfig) -> aws_sdk_s3::Client {
    let config = aws_sdk_s3::config::Builder::from(aws).force_path_style(true);
    aws_sdk_s3::Client::from_conf(config.build())
}

/// What a process finds in its environment to reach the AWS there.
pub(crate) fn environment(endpoint: &str) -> Environment {
    [
        ("AWS_ENDPOINT_URL", endpoint),
        ("AWS_ACCESS_KEY_ID", "local"),
        ("AWS_SECRET_ACCESS_KEY", "local"),
        ("AWS_REGION", REGION),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

/// The loader's config, if a scenario has none of its own.
const MAIN: &str = "warehouse: main";

/// The activities are all the loader, one task at a time.
fn catalogue(
    (fleet, heartbeat): (&str, &str),
    warehouses: &str,
    activities: &[(String, String)],
) -> String {
    let mut text = format!(
        "version: 1
fleet: {fleet}
aws: {{account: \"{ACCOUNT}\", region: {REGION}}}
warehouses:
  main: {{workgroup: {WORKGROUP}, database: {DATABASE}}}
{warehouses}deployments:
  workers: {{replicas: {{min: 1, max: 2}}}}
activities:
"
    );
    for (activity, config) in activities {
        text.push_str(&format!(
            "  {activity}:
    handler: etl.s3-load
    deployment: workers
    worker: {{slots: 1, pollers: {{min: 1, max: 1}}, heartbeat: {heartbeat}, timeout: 10m}}
    objective: {{wait: 5s}}
    config: {{settle: 0s, {config}}}
"
        ));
    }
    text
}
