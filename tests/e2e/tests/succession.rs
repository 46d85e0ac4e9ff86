//! An autoscaler is killed in the middle of its first step, at each write of
//! the cycle; its successor takes the step if it was not taken, waits for the
//! cooldown, and goes on as long as the alarm is there.

use std::path::Path;
use std::time::Duration;

use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::types::StateValue;
use futures::future::join_all;
use jiff::Timestamp;
use nix::sys::signal::Signal;
use serde_json::Value;
use tokio::time::timeout;

use crate::alarm;
use crate::gate::{Call, When};
use crate::process::{Environment, Process, Server, free_port, get_json, get_json_with, until};
use crate::proxy::Proxy;
use crate::world::{ACCOUNT, REGION, config};

/// Between two steps out. A successor takes over 15 s after the kill at the
/// earliest, since it does not trust the dead one's clock, and 20 s at the
/// latest: within this, so that it can be too early.
const COOLDOWN: Duration = Duration::from_secs(25);
/// The first cycle, or a takeover, or a cooldown, on a busy machine.
const LONG: Duration = Duration::from_secs(90);
const ALARM: &str = "succession-load-out";
const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/default/deployments/workers";
const SCALE: &str = "/apis/apps/v1/namespaces/default/deployments/workers/scale";
const RECORD: &str = "/api/v1/namespaces/default/configmaps/workers-scaling";

/// Where the first autoscaler dies, and what it leaves: the count, and whether
/// the record has the step.
struct Kill {
    name: &'static str,
    call: (&'static str, When),
    count: u64,
    recorded: bool,
}

/// The writes of a cycle in their order: the record with the intent, the
/// scale, and the record with the step settled.
const KILLS: [Kill; 6] = [
    kill("intending", ("POST configmaps", When::Before), (1, false)),
    kill("intended", ("POST configmaps", When::After), (1, true)),
    kill("scaling", ("PUT scale", When::Before), (1, true)),
    kill("scaled", ("PUT scale", When::After), (2, true)),
    kill("settling", ("PUT workers-scaling", When::Before), (2, true)),
    kill("settled", ("PUT workers-scaling", When::After), (2, true)),
];

const fn kill(
    name: &'static str,
    call: (&'static str, When),
    (count, recorded): (u64, bool),
) -> Kill {
    Kill {
        name,
        call,
        count,
        recorded,
    }
}

fn catalogue() -> String {
    format!(
        "version: 1
fleet: succession
aws: {{account: \"{ACCOUNT}\", region: {REGION}}}
warehouses:
  main: {{workgroup: analytics, database: dev}}
deployments:
  workers:
    replicas: {{min: 1, max: 8}}
    damping: {{cooldown: {{out: {}s, in: 10m}}}}
activities:
  load:
    handler: etl.s3-load
    deployment: workers
    objective: {{wait: 5s}}
    alarms: {{out: {{above: 30s, steps: [{{add: 1}}]}}}}
    config: {{warehouse: main}}
",
        COOLDOWN.as_secs()
    )
}

/// A cluster with one Deployment, its alarms, and who scales it.
struct Scene {
    cloudwatch: Client,
    cluster: String,
    token: String,
    environment: Environment,
    dir: tempfile::TempDir,
}

impl Scene {
    async fn start() -> (Server, Self) {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("fleet.yaml");
        std::fs::write(&path, catalogue()).expect("a catalogue");
        let path = path.display().to_string();
        let args = ["--no-warehouse", "--catalogue", path.as_str()];
        let server = Server::start(dir.path(), &args).await;
        let environment = server.environment.clone();
        let cloudwatch = Client::new(&config(&environment["AWS_ENDPOINT_URL"]).await);
        let kubeconfig = read_json(Path::new(&environment["KUBECONFIG"]));
        let cluster = kubeconfig["clusters"][0]["cluster"]["server"].as_str();
        let token = kubeconfig["users"][0]["user"]["token"].as_str();
        let scene = Self {
            cloudwatch,
            cluster: cluster.expect("its URL").to_owned(),
            token: token.expect("its token").to_owned(),
            environment,
            dir,
        };
        alarm::keep_state(&scene.cloudwatch, ALARM).await;
        scene.calm().await;
        (server, scene)
    }

    /// Waits until the first pod is ready: a change of the Deployment's status
    /// refuses a step that is made at the same moment, which is another story.
    async fn calm(&self) {
        until("a ready pod", LONG, async || {
            let deployment = self.get(DEPLOYMENT).await?;
            (deployment["status"]["readyReplicas"] == 1).then_some(())
        })
        .await;
    }

    async fn get(&self, path: &str) -> Option<Value> {
        get_json_with(&format!("{}{path}", self.cluster), &self.token).await
    }

    async fn replicas(&self) -> u64 {
        let scale = self.get(SCALE).await.expect("the scale");
        scale["spec"]["replicas"].as_u64().expect("a number")
    }

    /// What is remembered of the Deployment, if anything is.
    async fn record(&self) -> Option<Value> {
        let map = self.get(RECORD).await?;
        let text = map["data"]["record"].as_str().expect("a record");
        Some(serde_json::from_str(text).expect("JSON"))
    }

    /// Starts an autoscaler that reaches the cluster at `cluster`.
    fn autoscaler(&self, name: &str, cluster: &str) -> Autoscaler {
        let mut kubeconfig = read_json(Path::new(&self.environment["KUBECONFIG"]));
        kubeconfig["clusters"][0]["cluster"]["server"] = cluster.into();
        let file = |end| self.dir.path().join(format!("{name}.{end}"));
        std::fs::write(file("kubeconfig"), kubeconfig.to_string()).expect("a KUBECONFIG");
        let mut environment = self.environment.clone();
        let own = [("KUBECONFIG", file("kubeconfig").display().to_string())];
        environment.extend(own.map(|(name, value)| (name.to_owned(), value)));
        environment.insert("POD_NAME".to_owned(), name.to_owned());
        let listen = format!("127.0.0.1:{}", free_port());
        let catalogue = self.dir.path().join("fleet.yaml").display().to_string();
        let args = [
            "run",
            "--catalogue",
            catalogue.as_str(),
            "--tick",
            "1s",
            "--listen",
            listen.as_str(),
        ];
        Autoscaler {
            process: Process::start("autoscaler", &args, &environment, file("log")),
            decisions: format!("http://{listen}/decisions"),
        }
    }
}

struct Autoscaler {
    process: Process,
    decisions: String,
}

/// A step: from and to how many, and when it was decided.
#[derive(Debug)]
struct Step {
    counts: (u64, u64),
    at: Timestamp,
}

impl Step {
    fn new(step: &Value) -> Self {
        let number = |name: &str| step[name].as_u64().expect("a number");
        let at = step["at"].as_str().expect("a time");
        Self {
            counts: (number("from"), number("to")),
            at: at.parse().expect("a time"),
        }
    }
}

impl Autoscaler {
    /// The steps that it decided, in order.
    async fn steps(&self) -> Vec<Step> {
        let rows = get_json(&self.decisions).await.unwrap_or_default();
        let rows = rows.as_array().cloned().unwrap_or_default();
        let steps = rows.iter().filter(|row| row["from"] != row["to"]);
        steps.map(Step::new).collect()
    }
}

fn read_json(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).expect("a file");
    serde_json::from_str(&text).expect("JSON")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_successor_repeats_no_step_and_forgets_no_breach() {
    join_all(KILLS.iter().map(succession)).await;
}

async fn succession(kill: &Kill) {
    let name = kill.name;
    let (_server, scene) = Scene::start().await;
    alarm::set(&scene.cloudwatch, ALARM, StateValue::Alarm).await;
    let (call, when) = kill.call;
    let proxy = Proxy::start(&scene.cluster, Some((Call::Named(call.to_owned()), when))).await;
    let mut first = scene.autoscaler("first", &proxy.url);
    let held = timeout(LONG, proxy.held()).await;
    assert!(held.is_ok(), "{name}: no step:\n{}", first.process.said());
    first.process.signal(Signal::SIGKILL);
    assert_eq!(first.process.ended(LONG).await, None, "{name}: killed");
    drop(proxy);

    assert_eq!(scene.replicas().await, kill.count, "{name}");
    let record = scene.record().await;
    assert_eq!(record.is_some(), kill.recorded, "{name}: {record:?}");
    let taken = record.filter(|_| kill.count == 2).map(|record| {
        let at = [&record["intent"]["at"], &record["last_out"]];
        let at = at.iter().find_map(|at| at.as_str()).expect("a step");
        at.parse::<Timestamp>().expect("a time")
    });

    let second = scene.autoscaler("second", &scene.cluster);
    let replicas = until("the step after the cooldown", LONG, async || {
        let replicas = scene.replicas().await;
        (replicas > 2).then_some(replicas)
    })
    .await;
    assert_eq!(replicas, 3, "{name}: one step");
    let steps = until("all steps", LONG, async || {
        let steps = second.steps().await;
        (steps.last()?.counts.1 == 3).then_some(steps)
    })
    .await;
    let counts: Vec<(u64, u64)> = steps.iter().map(|step| step.counts).collect();
    let (first, wanted) = match taken {
        Some(at) => (at, vec![(2, 3)]),
        None => (steps[0].at, vec![(1, 2), (2, 3)]),
    };
    let said = second.process.said();
    assert_eq!(counts, wanted, "{name}: {steps:?}\n{said}");
    let between = steps[steps.len() - 1].at.duration_since(first);
    assert!(
        between.unsigned_abs() >= COOLDOWN,
        "{name}: {between:#} after the first step: {steps:?}\n{said}"
    );
}
