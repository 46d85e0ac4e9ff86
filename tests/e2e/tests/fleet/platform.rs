//! Where a fleet runs: on `stepfleet-local`'s own cluster, with autoscalers that
//! are processes of the scenario; or on the Kubernetes of `STEPFLEET_KUBECONFIG`,
//! in a namespace of its own, installed by helm from the chart.

use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{DeleteParams, ListParams, LogParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config, Resource, ResourceExt as _};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::{Needs, Plan};
use crate::process::{Environment, Process, Server, free_port};
use crate::proxy::Slow;
use crate::world::World;

/// How often autoscalers decide.
const TICK: &str = "1s";
/// An autoscaler gives its Lease back within that.
const END: Duration = Duration::from_secs(60);

/// How the one who decides is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loss {
    /// At once, by SIGKILL.
    Killed,
    /// As a rollout or a drained node does it.
    Deleted,
}

/// The cluster that a fleet is on.
pub(super) struct Platform {
    client: Client,
    namespace: String,
    autoscalers: Autoscalers,
    /// Where AWS is another one, but not the cluster.
    _cluster: Option<Server>,
    way: Way,
}

/// How the workers reach AWS.
struct Way {
    endpoint: String,
    /// On the way to an AWS that cannot be told how long statements take.
    _slow: Option<Slow>,
}

enum Autoscalers {
    /// By their names.
    Processes(Vec<(String, Process)>),
    /// The pods of the release.
    Chart,
}

/// The Kubernetes to install into, if one is named. Not `KUBECONFIG`: nobody
/// wants a test in the cluster that their shell happens to point at.
fn kubernetes() -> Option<PathBuf> {
    std::env::var_os("STEPFLEET_KUBECONFIG").map(PathBuf::from)
}

fn variable(name: &str, unsaid: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| unsaid.to_owned())
}

/// Where servers of a scenario listen: where the pods reach them.
pub(super) fn host() -> String {
    variable("STEPFLEET_HOST", "127.0.0.1")
}

/// `stepfleet-local` with the catalogue in the folder; where pods are containers,
/// it runs none itself.
pub(super) async fn aws(dir: &Path, needs: &Needs) -> Server {
    let latency = (needs.statements).map(|span| format!("{}ms", span.as_millis()));
    let mut args = match &latency {
        Some(latency) => vec!["--statement-latency", latency],
        None => vec!["--no-warehouse"],
    };
    if needs.short_periods {
        args.extend(["--allow-short-periods", "--metric-resolution", "10s"]);
        args.extend(["--metric-delay", "2s"]);
    }
    let listen = format!("{}:0", host());
    if kubernetes().is_some() {
        args.extend(["--listen", &listen, "--no-deployments"]);
    }
    serve(dir, &args).await
}

/// Only the cluster of `stepfleet-local`, for workers that find AWS at the endpoint.
async fn cluster(dir: &Path, endpoint: &str) -> Server {
    serve(dir, &["--aws-endpoint", endpoint, "--allow-short-periods"]).await
}

async fn serve(dir: &Path, args: &[&str]) -> Server {
    let catalogue = dir.join("fleet.yaml").display().to_string();
    let mut all = vec!["--catalogue", catalogue.as_str()];
    all.extend(args);
    Server::start(dir, &all).await
}

impl Way {
    async fn new(world: &World, statements: Option<Duration>) -> Self {
        match statements {
            Some(lag) if world.is_shared() => {
                let slow = Slow::start((&host(), &world.endpoint), lag).await;
                Self {
                    endpoint: slow.url.clone(),
                    _slow: Some(slow),
                }
            }
            _ => Self {
                endpoint: world.endpoint.clone(),
                _slow: None,
            },
        }
    }
}

impl Platform {
    /// Brings the workers' Deployment and the autoscalers up.
    pub(super) async fn start(world: &World, plan: &Plan) -> Self {
        let way = Way::new(world, plan.needs.statements).await;
        match kubernetes() {
            Some(kubeconfig) => Self::install(world, (&kubeconfig, plan.autoscalers), way).await,
            None => Self::processes(world, plan.autoscalers, way).await,
        }
    }

    async fn processes(world: &World, autoscalers: usize, way: Way) -> Self {
        let mut environment = world.environment().clone();
        let mut own = None;
        if world.is_shared() {
            let server = cluster(world.dir(), &way.endpoint).await;
            let kubeconfig = server.environment["KUBECONFIG"].clone();
            environment.insert("KUBECONFIG".to_owned(), kubeconfig);
            own = Some(server);
        }
        let start = |number| {
            let name = format!("autoscaler-{number}");
            let process = autoscaler(world, &environment, &name);
            (name, process)
        };
        Self {
            client: client(Path::new(&environment["KUBECONFIG"])).await,
            namespace: "default".to_owned(),
            autoscalers: Autoscalers::Processes((0..autoscalers).map(start).collect()),
            _cluster: own,
            way,
        }
    }

    async fn install(world: &World, (kubeconfig, autoscalers): (&Path, usize), way: Way) -> Self {
        let platform = Self {
            client: client(kubeconfig).await,
            namespace: world.fleet().to_owned(),
            autoscalers: Autoscalers::Chart,
            _cluster: None,
            way,
        };
        let namespace: Namespace = serde_json::from_value(json!({"metadata": {
            "name": platform.namespace,
            "labels": {"pod-security.kubernetes.io/enforce": "restricted"},
        }}))
        .expect("a namespace");
        let namespaces: Api<Namespace> = Api::all(platform.client.clone());
        let made = namespaces.create(&PostParams::default(), &namespace).await;
        made.expect("a namespace of our own");
        let installed = helm(world, (kubeconfig, autoscalers), &platform.way).await;
        assert!(
            installed.status.success(),
            "helm install:\n{}\n{}",
            String::from_utf8_lossy(&installed.stderr),
            platform.said().await
        );
        platform
    }

    /// What there is of a kind in the fleet's namespace.
    pub(super) fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
        K: Clone + Debug + DeserializeOwned,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Takes an autoscaler away.
    pub(super) async fn lose(&mut self, name: &str, loss: Loss) {
        match &mut self.autoscalers {
            Autoscalers::Processes(all) => {
                let found = all.iter_mut().find(|(own, _)| own == name);
                let (_, process) = found.expect("an autoscaler of ours");
                match loss {
                    Loss::Killed => process.signal(Signal::SIGKILL),
                    Loss::Deleted => process.signal(Signal::SIGTERM),
                }
                process.ended(END).await;
            }
            Autoscalers::Chart if loss == Loss::Killed => {
                let pid = pid_of(name);
                let killed = kill(pid, Signal::SIGKILL);
                killed.expect("SIGKILL to a container's process needs root");
            }
            Autoscalers::Chart => {
                let pods: Api<Pod> = self.api();
                let deleted = pods.delete(name, &DeleteParams::default()).await;
                deleted.expect("the pod is deleted");
            }
        }
    }

    /// What the autoscalers have said, and on Kubernetes what has happened to pods.
    pub(super) async fn said(&self) -> String {
        match &self.autoscalers {
            Autoscalers::Processes(all) => {
                let said = all.iter();
                said.map(|(name, process)| format!("--- {name}\n{}", process.said()))
                    .collect()
            }
            Autoscalers::Chart => self.pods_said().await,
        }
    }

    async fn pods_said(&self) -> String {
        let pods: Api<Pod> = self.api();
        let listed = pods.list(&ListParams::default()).await;
        let mut said = String::new();
        for pod in listed.map(|pods| pods.items).unwrap_or_default() {
            let name = pod.name_any();
            let log = pods.logs(&name, &LogParams::default()).await;
            said.push_str(&format!("--- {name}: {:?}\n", pod.status));
            said.push_str(&log.unwrap_or_else(|error| error.to_string()));
        }
        said
    }

    /// Removes what the scenario has made in a cluster that is not its own. After
    /// a failure it stays, to be looked at.
    pub(super) async fn end(&self) {
        if matches!(self.autoscalers, Autoscalers::Chart) {
            let namespaces: Api<Namespace> = Api::all(self.client.clone());
            let params = DeleteParams::default();
            let deleted = namespaces.delete(&self.namespace, &params).await;
            deleted.expect("the namespace is deleted");
        }
    }
}

async fn client(kubeconfig: &Path) -> Client {
    let file = Kubeconfig::read_from(kubeconfig).expect("a KUBECONFIG");
    let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await;
    Client::try_from(config.expect("a KUBECONFIG")).expect("a client")
}

fn autoscaler(world: &World, environment: &Environment, name: &str) -> Process {
    let mut environment = environment.clone();
    environment.insert("POD_NAME".to_owned(), name.to_owned());
    let catalogue = world.catalogue().display().to_string();
    let listen = format!("127.0.0.1:{}", free_port());
    let args = [
        "run",
        "--catalogue",
        catalogue.as_str(),
        "--allow-short-periods",
        "--tick",
        TICK,
        "--listen",
        listen.as_str(),
    ];
    let log = world.dir().join(format!("{name}.log"));
    Process::start("autoscaler", &args, &environment, log)
}

/// Installs the chart and waits until all its pods are ready.
async fn helm(world: &World, (kubeconfig, autoscalers): (&Path, usize), way: &Way) -> Output {
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../charts/stepfleet");
    let mut command = tokio::process::Command::new(variable("HELM", "helm"));
    command
        .args(["install", "fleet"])
        .arg(chart)
        .args(["--namespace", world.fleet(), "--wait", "--timeout", "3m"])
        .arg("--set-file")
        .arg(format!("catalogue.text={}", world.catalogue().display()))
        .env("KUBECONFIG", kubeconfig)
        .kill_on_drop(true);
    let registry = variable("STEPFLEET_IMAGES", "docker.io/local");
    let values = [
        format!("image.registry={registry}"),
        format!("image.tag={}", variable("STEPFLEET_IMAGE_TAG", "1")),
        "catalogue.allowShortPeriods=true".to_owned(),
        format!("autoscaler.replicas={autoscalers}"),
        format!("autoscaler.tick={TICK}"),
        format!("env.AWS_ENDPOINT_URL={}", world.endpoint),
        format!("worker.env.AWS_ENDPOINT_URL={}", way.endpoint),
        "env.AWS_ACCESS_KEY_ID=local".to_owned(),
        "env.AWS_SECRET_ACCESS_KEY=local".to_owned(),
    ];
    for value in values {
        // A tag of digits alone is text all the same.
        let flag = match value.starts_with("image.tag") {
            true => "--set-string",
            false => "--set",
        };
        command.args([flag, &value]);
    }
    command.output().await.expect("helm starts")
}

/// The process of a container on this machine, by the name of its pod: no
/// call of Kubernetes ends one without a warning.
fn pid_of(pod: &str) -> Pid {
    let wanted = format!("POD_NAME={pod}");
    let processes = std::fs::read_dir("/proc").expect("processes");
    let numbers = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let mut numbers = numbers.filter(|number: &i32| {
        let environment = std::fs::read(format!("/proc/{number}/environ"));
        let environment = environment.unwrap_or_default();
        environment
            .split(|byte| *byte == 0)
            .any(|variable| variable == wanted.as_bytes())
    });
    let number = numbers.next();
    Pid::from_raw(number.expect("its container runs on this machine, and we are root"))
}
