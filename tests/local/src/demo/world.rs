//! Everything that the demo runs on: AWS, the cluster, the warehouse's tables, the autoscaler.

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use stepfleet_activity::catalogue::{self, ReadOptions};
use tokio::process::{Child, Command};
use tokio::time::{interval, timeout};

use super::Options;
use super::arrivals::Arrivals;
use super::build::Binaries;
use crate::serve::{Local, LocalOptions};

/// The catalogue that comes with stepfleet.
const CATALOGUE: &str = include_str!("../../../../fleet.yaml");
/// The activity of the catalogue that the demo feeds.
const ACTIVITY: &str = "s3-load";
/// The bucket that files land in.
pub(super) const BUCKET: &str = "stepfleet-demo";
/// How long a child may take to end when it is asked to.
const PATIENCE: Duration = Duration::from_secs(20);

/// The demo's world.
pub(super) struct World {
    local: Local,
    autoscaler: Child,
    dir: PathBuf,
    /// Goes with the world, where the folder is a temporary one.
    _temporary: Option<tempfile::TempDir>,
    /// The state machine that loads a table.
    pub(super) machine: String,
    /// The database that the tables are in.
    database: String,
    workgroup: String,
}

impl World {
    /// Starts everything, in the order in which it needs each other.
    pub(super) async fn start(
        options: &Options,
        binaries: &Binaries,
        arrivals: &Arrivals,
    ) -> anyhow::Result<Self> {
        let (dir, temporary) = folder(options)?;
        let path = catalogue_file(options, &dir)?;
        let catalogue = catalogue::read(
            &path,
            &ReadOptions {
                allow_short_periods: true,
            },
        )
        .map_err(|faults| anyhow::anyhow!("{faults}"))?;
        ensure!(
            catalogue.activities.contains_key(ACTIVITY),
            "{}: the demo needs an activity `{ACTIVITY}`",
            path.display()
        );
        let Some((_, warehouse)) = catalogue.warehouses.first_key_value() else {
            bail!("{}: the demo needs a warehouse", path.display())
        };
        let workgroup = match &warehouse.target {
            catalogue::WarehouseTarget::Workgroup(name)
            | catalogue::WarehouseTarget::Cluster {
                identifier: name, ..
            } => name.clone(),
            catalogue::WarehouseTarget::Postgres { .. } => {
                bail!("{}: the demo loads into Redshift", path.display())
            }
        };
        let mut local_options = LocalOptions::new(dir.clone());
        local_options.listen.clone_from(&options.listen);
        local_options.allow_remote = options.allow_remote;
        local_options.pod_user.clone_from(&options.pod_user);
        local_options.cluster_listen = "127.0.0.1:0".to_owned();
        local_options.catalogues = vec![path.clone()];
        local_options.allow_short_periods = true;
        local_options.metric_resolution = Duration::from_secs(10);
        local_options.metric_delay = Duration::from_secs(2);
        local_options.statement_latency = options.statement_latency;
        // Its message has its cause already.
        let local = Local::start(local_options).await;
        let local = local.map_err(|error| anyhow::anyhow!("{error}"))?;
        setup(binaries, &local, &path).await?;
        let (autoscaler, decisions_url) = autoscaler(binaries, &local, &path, &dir)?;
        local.follow_decisions(decisions_url);
        let machine = local.context.arn(
            "states",
            &format!("stateMachine:{}-{ACTIVITY}", catalogue.fleet),
        );
        let database = warehouse.database.clone();
        let world = Self {
            local,
            autoscaler,
            dir,
            _temporary: temporary,
            machine,
            database,
            workgroup,
        };
        world
            .make_tables(options.tables as usize, &arrivals.columns)
            .await?;
        world.local.s3.create_bucket(BUCKET)?;
        Ok(world)
    }

    pub(super) fn base_url(&self) -> &str {
        &self.local.context.base_url
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn exports(&self) -> String {
        self.local.exports()
    }

    pub(super) fn local(&self) -> &Local {
        &self.local
    }

    async fn make_tables(&self, tables: usize, columns: &[String]) -> anyhow::Result<()> {
        let columns: String = columns
            .iter()
            .map(|name| format!(", \"{}\" varchar(max)", name.replace('"', "\"\"")))
            .collect();
        let statements: Vec<String> = (0..tables)
            .map(|table| {
                format!(
                    "CREATE TABLE {} (row_id bigint{columns})",
                    table_name(table)
                )
            })
            .collect();
        for batch in statements.chunks(40) {
            self.finish("BatchExecuteStatement", json!({"Sqls": batch}))
                .await?;
        }
        Ok(())
    }

    /// What a query gives: one row of numbers.
    pub(super) async fn numbers(&self, sql: String) -> anyhow::Result<Vec<u64>> {
        let id = self.finish("ExecuteStatement", json!({"Sql": sql})).await?;
        let result = self
            .local
            .redshift
            .call("GetStatementResult", json!({"Id": id}))
            .await?;
        let row = result["Records"][0]
            .as_array()
            .context("a query gave no row")?;
        row.iter()
            .map(|field| {
                field["longValue"]
                    .as_u64()
                    .context("a query gave no number")
            })
            .collect()
    }

    /// Runs a statement to its end.
    async fn finish(&self, operation: &str, mut body: Value) -> anyhow::Result<String> {
        body["Database"] = json!(self.database);
        body["WorkgroupName"] = json!(self.workgroup);
        let started = self.local.redshift.call(operation, body).await?;
        let id = started["Id"]
            .as_str()
            .context("a statement has no id")?
            .to_owned();
        let mut tick = interval(Duration::from_millis(50));
        loop {
            tick.tick().await;
            let described = self
                .local
                .redshift
                .call("DescribeStatement", json!({"Id": id}))
                .await?;
            match described["Status"].as_str() {
                Some("FINISHED") => return Ok(id),
                Some("FAILED" | "ABORTED") => bail!(
                    "a statement failed: {}",
                    described["Error"].as_str().unwrap_or("without a reason")
                ),
                _ => {}
            }
        }
    }

    /// Starts an execution that loads one table.
    pub(super) async fn load(&self, table: usize, tick: usize) -> anyhow::Result<()> {
        let input = json!({"bucket": BUCKET, "prefix": prefix(table), "table": table_name(table), "format": "csv", "header": true});
        let body = json!({"stateMachineArn": self.machine, "name": format!("t{table}-{tick}"), "input": input.to_string()});
        self.local.sfn.call("StartExecution", body).await?;
        Ok(())
    }

    /// Ends everything in the order in which it needs each other.
    pub(super) async fn stop(mut self) {
        end(&mut self.autoscaler).await;
        self.local.stop().await;
    }
}

/// The prefix of a table's files.
pub(super) fn prefix(table: usize) -> String {
    format!("t{table}/")
}

/// The name of a table in the warehouse.
pub(super) fn table_name(table: usize) -> String {
    format!("public.demo_t{table}")
}

fn folder(options: &Options) -> anyhow::Result<(PathBuf, Option<tempfile::TempDir>)> {
    match &options.dir {
        Some(dir) => {
            std::fs::create_dir_all(dir)
                .with_context(|| format!("--dir {}: cannot be made", dir.display()))?;
            Ok((dir.canonicalize()?, None))
        }
        None => {
            let temporary = tempfile::Builder::new()
                .prefix("stepfleet-demo-")
                .tempdir()
                .context("no temporary folder can be made; name one by --dir")?;
            Ok((temporary.path().to_path_buf(), Some(temporary)))
        }
    }
}

fn catalogue_file(options: &Options, dir: &Path) -> anyhow::Result<PathBuf> {
    if let Some(path) = &options.catalogue {
        return path
            .canonicalize()
            .with_context(|| format!("--catalogue {}: cannot be read", path.display()));
    }
    let path = dir.join("fleet.yaml");
    std::fs::write(&path, CATALOGUE).with_context(|| path.display().to_string())?;
    Ok(path)
}

async fn setup(binaries: &Binaries, local: &Local, catalogue: &Path) -> anyhow::Result<()> {
    let mut command = Command::new(&binaries.worker);
    command
        .args(["setup", "--allow-short-periods", "--catalogue"])
        .arg(catalogue)
        .envs(local.environment())
        .stdin(Stdio::null());
    let output = command
        .output()
        .await
        .context("etl-worker does not start")?;
    ensure!(
        output.status.success(),
        "etl-worker setup failed:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

fn autoscaler(
    binaries: &Binaries,
    local: &Local,
    catalogue: &Path,
    dir: &Path,
) -> anyhow::Result<(Child, String)> {
    let address = TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .context("no free port")?;
    let log = File::create(dir.join("autoscaler.log")).context("no log for the autoscaler")?;
    let child = Command::new(&binaries.autoscaler)
        .args([
            "run",
            "--tick",
            "5s",
            "--allow-short-periods",
            "--listen",
            &address.to_string(),
            "--catalogue",
        ])
        .arg(catalogue)
        .envs(local.environment())
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        // A Ctrl-C is for us: we end it after the workers.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .context("the autoscaler does not start")?;
    Ok((child, format!("http://{address}/decisions")))
}

/// SIGTERM, and SIGKILL if that is not enough.
async fn end(child: &mut Child) {
    if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) {
        // It may have ended by itself: that is what we want.
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
    }
    if timeout(PATIENCE, child.wait()).await.is_err() {
        let _ = child.kill().await;
    }
}
