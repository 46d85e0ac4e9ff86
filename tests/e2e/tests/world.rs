//! AWS as the scenarios see it, over the real SDKs, and what they keep there.

use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_redshiftdata::types::{Field, StatusString};
use aws_sdk_s3::config::Credentials;
use aws_sdk_sfn::types::ExecutionStatus;
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

use crate::process::{Environment, Process, Server, Worker, command, until, until_or_none};
use crate::target::Target;

pub(crate) const ACCOUNT: &str = "123456789012";
pub(crate) const REGION: &str = "eu-west-1";
const DATABASE: &str = "dev";
const WORKGROUP: &str = "analytics";
/// How long a statement may take that nothing holds up.
const STATEMENT: Duration = Duration::from_secs(60);
/// Held by who sets up in a warehouse that is there for others too.
static SETUP: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

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
        // Fleets of one warehouse share the ledger's schema, which is made only once.
        let _alone = match self.is_shared() {
            true => Some(SETUP.lock().await),
            false => None,
        };
        let made = command("etl-worker", &args, &self.environment)
            .output()
            .await;
        let made = made.expect("etl-worker starts");
        let said = String::from_utf8_lossy(&made.stderr);
        assert!(made.status.success(), "{said}");
    }

    /// Lets everybody into the PostgreSQL under the one-machine Redshift: each
    /// statement is a session, whose 4,096 rounds over the password are most of the
    /// work where nothing is optimised.
    pub(crate) async fn open_doors(&self) {
        if self.is_shared() {
            return;
        }
        let rules = self.dir.path().join("postgres/pg_hba.conf");
        std::fs::write(rules, "host all all 127.0.0.1/32 trust\n").expect("its rules");
        self.query("SELECT pg_reload_conf()".to_owned()).await;
    }

    /// Makes the PostgreSQL under the one-machine Redshift a warehouse of its own
    /// kind, `files`; says whether there is one.
    pub(crate) async fn open_postgres(&mut self) -> bool {
        if self.is_shared() {
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
        let address = format!("127.0.0.1:{port}");
        self.warehouses = format!(
            "  files: {{postgres: \"{address}\", user: {role}, password_env: E2E_PASSWORD, database: {database}}}\n"
        );
        self.environment
            .insert("E2E_PASSWORD".to_owned(), "e2e".to_owned());
        self.postgres = Some(address);
        true
    }

    /// Where the warehouse `files` is, if there is one.
    pub(crate) fn postgres(&self) -> Option<&str> {
        self.postgres.as_deref()
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
        Target::new(self, name)
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
    pub(crate) async fn numbers(&self, sql: String) -> Vec<i64> {
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
