//! AWS as the scenarios see it, over the real SDKs, and what they keep there.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_redshiftdata::types::{Field, StatusString};
use aws_sdk_s3::config::Credentials;
use aws_sdk_sfn::types::ExecutionStatus;
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::process::{Environment, Process, Server, Worker, command, until, until_or_none};

pub(crate) const ACCOUNT: &str = "123456789012";
pub(crate) const REGION: &str = "eu-west-1";
const DATABASE: &str = "dev";
const WORKGROUP: &str = "analytics";
/// How long a statement may take that nothing holds up.
const STATEMENT: Duration = Duration::from_secs(60);

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
    /// The lines of activities that are no loaders.
    pub(crate) more: String,
    pub(crate) s3: aws_sdk_s3::Client,
    data: aws_sdk_redshiftdata::Client,
    sfn: aws_sdk_sfn::Client,
}

/// A table and the prefix of its files.
pub(crate) struct Target<'a> {
    world: &'a World,
    name: String,
    landed: Mutex<Vec<(&'static str, &'static str)>>,
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
        let warehouses = &self.warehouses;
        let mut text = catalogue(
            (&self.fleet, self.heartbeat),
            activities,
            (warehouses, config),
        );
        text.push_str(&self.more);
        std::fs::write(self.catalogue(), text).expect("a catalogue");
        self.set_up_catalogue().await;
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

    /// Makes the PostgreSQL under the one-machine Redshift a warehouse of its own
    /// kind, `files`; says whether there is one.
    pub(crate) async fn open_postgres(&mut self) -> bool {
        if self._server.is_none() {
            return false;
        }
        let role = format!("loader_{}", Pid::this());
        let make = format!("CREATE ROLE {role} LOGIN SUPERUSER PASSWORD 'e2e'");
        self.query(make).await;
        let rows =
            self.query("SELECT inet_server_port(), current_database()::varchar(63)".to_owned());
        let rows = rows.await;
        let [Field::LongValue(port), Field::StringValue(database)] = &rows[..] else {
            panic!("{rows:?}");
        };
        self.warehouses = format!(
            "  files: {{postgres: \"127.0.0.1:{port}\", user: {role}, password_env: E2E_PASSWORD, database: {database}}}\n"
        );
        self.environment
            .insert("E2E_PASSWORD".to_owned(), "e2e".to_owned());
        true
    }

    /// A worker for one activity that reaches AWS at `endpoint`.
    pub(crate) fn worker_at(&self, (activity, name): (&str, &str), endpoint: &str) -> Process {
        let mut environment = self.environment.clone();
        environment.insert("AWS_ENDPOINT_URL".to_owned(), endpoint.to_owned());
        environment.insert("POD_NAME".to_owned(), format!("{activity}-{name}"));
        let catalogue = self.catalogue().display().to_string();
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

    /// Another command of the worker's binary, which goes on until it is told to end.
    pub(crate) fn start_command(&self, name: &str) -> Process {
        let catalogue = self.catalogue().display().to_string();
        let args = [name, "--catalogue", catalogue.as_str()];
        let log = self.dir.path().join(format!("{name}.log"));
        Process::start("etl-worker", &args, &self.environment, log)
    }

    /// A worker for one activity that polls already.
    pub(crate) async fn worker(&self, activity: &str, name: &str) -> Worker {
        Worker::new(self.worker_at((activity, name), &self.endpoint)).await
    }

    /// A table that [`World::targets`] has made, and its prefix.
    pub(crate) fn target(&self, name: &str) -> Target<'_> {
        Target {
            world: self,
            name: name.to_owned(),
            landed: Mutex::default(),
        }
    }

    /// Makes tables; names are unique within the fleet.
    pub(crate) async fn targets(&self, names: &[String]) -> Vec<Target<'_>> {
        let targets: Vec<_> = names.iter().map(|name| self.target(name)).collect();
        let sqls: Vec<String> = (targets.iter())
            .map(|target| format!("CREATE TABLE {} (id bigint, amount bigint)", target.table()))
            .collect();
        for sqls in sqls.chunks(40) {
            let made = (self.data.batch_execute_statement())
                .database(DATABASE)
                .workgroup_name(WORKGROUP)
                .set_sqls(Some(sqls.to_vec()))
                .send()
                .await;
            self.finished(made.expect("accepted").id()).await;
        }
        targets
    }

    /// The one row of numbers that a query gives.
    async fn numbers(&self, sql: String) -> Vec<i64> {
        let row = self.query(sql).await;
        let number = |field: &Field| *field.as_long_value().expect("a number");
        row.iter().map(number).collect()
    }

    /// The first row of a statement's result, if it has one.
    async fn query(&self, sql: String) -> Vec<Field> {
        let asked = (self.data.execute_statement())
            .database(DATABASE)
            .workgroup_name(WORKGROUP)
            .sql(sql)
            .send()
            .await
            .expect("accepted");
        self.finished(asked.id()).await;
        let result = (self.data.get_statement_result())
            .set_id(asked.id().map(str::to_owned))
            .send()
            .await;
        let rows = result.map(|result| result.records);
        let mut rows = rows.unwrap_or_default().into_iter();
        rows.next().unwrap_or_default()
    }

    async fn finished(&self, id: Option<&str>) {
        let id = id.expect("a statement has an id");
        until("a statement's end", STATEMENT, async || {
            let look = self.data.describe_statement().id(id).send().await;
            let look = look.expect("a description");
            match look.status() {
                Some(StatusString::Finished) => Some(()),
                Some(StatusString::Failed | StatusString::Aborted) => panic!("{look:?}"),
                _ => None,
            }
        })
        .await;
    }

    pub(crate) async fn start_execution(&self, activity: &str, input: &Value) -> String {
        let machine = format!(
            "arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{}-{activity}",
            self.fleet
        );
        let started = self.sfn.start_execution().state_machine_arn(machine);
        let started = started.input(input.to_string()).send().await;
        started.expect("an execution").execution_arn
    }

    /// Which workers got its task, in order: one name for each attempt.
    pub(crate) async fn attempts(&self, execution: &str) -> Vec<String> {
        let history = self.sfn.get_execution_history().execution_arn(execution);
        let history = history.send().await.expect("a history");
        let events = history.events().iter();
        let started = events.filter_map(|event| event.activity_started_event_details());
        let names = started.map(|started| started.worker_name().unwrap_or_default());
        names.map(str::to_owned).collect()
    }

    /// Fails an attempt whose worker is dead, instead of its heartbeat's lapse:
    /// it is tried again. One that has ended stays as it is.
    pub(crate) async fn lapse(&self, token: &str) {
        let fail = self.sfn.send_task_failure().task_token(token);
        let failed = fail.error("Worker.Shutdown").send().await;
        if let Err(error) = failed {
            let ended = error.as_service_error().is_some_and(|error| {
                error.is_task_timed_out()
                    || error.is_task_does_not_exist()
                    || error.is_invalid_token()
            });
            assert!(ended, "{error:?}");
        }
    }

    /// Whether an execution has not ended yet.
    pub(crate) async fn runs(&self, execution: &str) -> bool {
        let look = self.sfn.describe_execution().execution_arn(execution);
        let look = look.send().await.expect("a description");
        *look.status() == ExecutionStatus::Running
    }

    /// The executions of a state machine, by name, with their status.
    pub(crate) async fn executions(&self, machine: &str) -> Vec<(String, ExecutionStatus)> {
        let machine = format!(
            "arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{}-{machine}",
            self.fleet
        );
        let list = self.sfn.list_executions().state_machine_arn(machine);
        let listed = list.send().await.expect("a list");
        let executions = listed.executions().iter();
        executions
            .map(|one| (one.name().to_owned(), one.status().clone()))
            .collect()
    }

    async fn ended(
        &self,
        execution: &str,
        within: Duration,
    ) -> Option<aws_sdk_sfn::operation::describe_execution::DescribeExecutionOutput> {
        until_or_none(within, async || {
            let look = self.sfn.describe_execution().execution_arn(execution);
            let look = look.send().await.expect("a description");
            (*look.status() != ExecutionStatus::Running).then_some(look)
        })
        .await
    }

    /// Waits until an execution has ended; it has to have failed. Gives its error.
    pub(crate) async fn failed(&self, execution: &str, within: Duration) -> String {
        let ended = self.ended(execution, within).await.expect("it ends");
        assert_eq!(*ended.status(), ExecutionStatus::Failed, "{ended:?}");
        ended.error().unwrap_or_default().to_owned()
    }

    /// Waits until an execution has ended; it has to have succeeded.
    pub(crate) async fn succeeded(&self, execution: &str, within: Duration) -> Value {
        let ended = self.ended(execution, within).await;
        match &ended {
            Some(ended) if *ended.status() == ExecutionStatus::Succeeded => {
                let output = ended.output().expect("an output");
                serde_json::from_str(output).expect("JSON")
            }
            _ => {
                let history = self.sfn.get_execution_history().execution_arn(execution);
                let history = history.send().await.expect("a history");
                panic!("no success within {within:?}: {:#?}", history.events())
            }
        }
    }
}

impl Target<'_> {
    pub(crate) fn table(&self) -> String {
        let fleet = self.world.fleet.replace('-', "_");
        format!("public.{fleet}_{}", self.name)
    }

    /// What an execution that loads it is started with.
    pub(crate) fn input(&self) -> Value {
        json!({
            "bucket": self.world.fleet, "prefix": format!("{}/", self.name),
            "table": self.table(), "format": "csv",
        })
    }

    pub(crate) async fn land(&self, files: &[(&'static str, &'static str)]) {
        for (name, body) in files {
            let put = (self.world.s3.put_object())
                .bucket(&self.world.fleet)
                .key(format!("{}/incoming/{name}", self.name))
                .body(body.as_bytes().to_vec().into());
            put.send().await.expect("a file lands");
        }
        self.landed().extend(files);
    }

    fn landed(&self) -> MutexGuard<'_, Vec<(&'static str, &'static str)>> {
        self.landed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The keys in one of its folders, without what all of them begin with.
    pub(crate) async fn keys(&self, folder: &str) -> Vec<String> {
        let prefix = format!("{}/{folder}/", self.name);
        let list = self.world.s3.list_objects_v2().bucket(&self.world.fleet);
        let listed = list.prefix(&prefix).send().await.expect("a list");
        let keys = listed.contents().iter().filter_map(|object| object.key());
        keys.filter_map(|key| key.strip_prefix(&prefix))
            .map(str::to_owned)
            .collect()
    }

    /// Lets a file land that no warehouse takes.
    pub(crate) async fn land_bad(&self, (name, body): (&'static str, &'static str)) {
        self.land(&[(name, body)]).await;
        self.landed().pop();
    }

    /// The one file in `failed/`, and what the report beside it says.
    pub(crate) async fn failed(&self) -> (String, Value) {
        let keys = self.keys("failed").await;
        let (files, reports): (Vec<_>, Vec<_>) = keys.iter().partition(|key| key.contains('/'));
        let ([file], [report]) = (&files[..], &reports[..]) else {
            panic!("{keys:?}");
        };
        let (id, name) = file.split_once('/').expect("a folder");
        assert_eq!(**report, format!("{id}.json"), "{keys:?}");
        let key = format!("{}/failed/{report}", self.name);
        let got = self
            .world
            .s3
            .get_object()
            .bucket(&self.world.fleet)
            .key(key);
        let body = got.send().await.expect("a report").body.collect().await;
        let report = serde_json::from_slice(&body.expect("its body").into_bytes());
        (name.to_owned(), report.expect("JSON"))
    }

    /// All that has landed is loaded once: nothing lost, nothing doubled,
    /// nothing left over.
    pub(crate) async fn assert_loaded_once(&self, what: &str) {
        self.assert_loaded_once_by("stepfleet.ledger", what).await;
    }

    /// The same by another ledger.
    pub(crate) async fn assert_loaded_once_by(&self, ledger: &str, what: &str) {
        let table = self.table();
        let numbers = self.world.numbers(format!(
            "SELECT (SELECT count(*) FROM {table}), (SELECT count(DISTINCT id) FROM {table}), \
             (SELECT sum(amount)::bigint FROM {table}), count(*), \
             count(DISTINCT object_key || etag), sum(CASE WHEN loaded_rows > 0 THEN 1 ELSE 0 END) \
             FROM {ledger} WHERE table_name = '{table}'"
        ));
        let numbers = numbers.await;
        let landed = self.landed().clone();
        let amounts = (landed.iter())
            .flat_map(|(_, body)| body.lines())
            .filter_map(|line| line.split_once(',')?.1.parse::<i64>().ok());
        let amounts: Vec<i64> = amounts.collect();
        let (rows, files) = (count(&amounts), count(&landed));
        assert_eq!(
            numbers,
            [rows, rows, amounts.iter().sum(), files, files, files],
            "{what}: rows, distinct rows, their sum; files in the ledger, distinct, verified"
        );
        let none: [&str; 0] = [];
        assert_eq!(self.keys("incoming").await, none, "{what}: incoming");
        assert_eq!(self.keys("leases").await, none, "{what}: leases");
        // The day and the batch come before the name.
        let name = |key: &String| key.splitn(3, '/').nth(2).map(str::to_owned);
        let moved = self.keys("processed").await;
        let mut moved: Vec<String> = moved.iter().filter_map(name).collect();
        moved.sort_unstable();
        let mut landed: Vec<&str> = landed.iter().map(|(name, _)| *name).collect();
        landed.sort_unstable();
        assert_eq!(moved, landed, "{what}: processed");
    }
}

fn count<T>(things: &[T]) -> i64 {
    i64::try_from(things.len()).expect("few")
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

fn environment(endpoint: &str) -> Environment {
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
    activities: &[String],
    (warehouses, config): (&str, &str),
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
    for activity in activities {
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
