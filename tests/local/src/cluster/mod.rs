//! The slice of the Kubernetes API that the autoscaler uses; a pod is a process.

mod api;
mod controller;
mod discovery;
mod leftovers;
mod list;
mod machine;
mod patch;
mod pod;
mod process;
mod programs;
mod resource;
mod scale;
mod selector;
mod shape;
mod status;
mod store;
mod user;
mod watch;
mod write;

use std::collections::BTreeMap;
use std::io;
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use stepfleet_activity::Clock;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::door::Token;

use machine::Settings;
use programs::Program;
use resource::{DEPLOYMENTS, Key, PODS};
use store::Store;
pub use user::{Access, PodUser};

/// The namespace of what is made here.
pub const NAMESPACE: &str = "default";

/// What a cluster is made of.
#[derive(Debug, Clone)]
pub struct ClusterOptions {
    /// Tells the time in objects.
    pub clock: Arc<dyn Clock>,
    /// The folder for logs, the list of processes and the KUBECONFIG.
    pub dir: PathBuf,
    /// Environment that each pod gets beside its own.
    pub env: Vec<(String, String)>,
    /// Whom pods run as; none for who we are.
    pub user: Option<PodUser>,
}

/// A Deployment of workers, in short.
#[derive(Debug, Clone, Default)]
pub struct WorkerDeployment {
    /// Its name, which is also its pods' label `app`.
    pub name: String,
    /// The program and its first arguments.
    pub command: Vec<String>,
    /// Further arguments; `$(STEPFLEET_PORT)` becomes the pod's port.
    pub args: Vec<String>,
    /// Environment of its pods.
    pub env: BTreeMap<String, String>,
    /// How many pods.
    pub replicas: u32,
    /// The grace between SIGTERM and SIGKILL, in seconds.
    pub grace: u64,
    /// The path that says whether a pod is ready; without one it is ready when it runs.
    pub readiness: Option<String>,
}

/// A pod as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodSnapshot {
    /// Its name.
    pub name: String,
    /// The Deployment that it is of; empty for a pod of nobody.
    pub deployment: String,
    /// Like `Running`.
    pub phase: String,
    /// Whether it says that it is ready.
    pub ready: bool,
    /// Whether it is on its way out.
    pub terminating: bool,
    /// Where it listens, once that is known.
    pub port: Option<u16>,
}

/// A small cluster: objects, and the processes that its pods are. When it is
/// dropped, what still runs is killed; [`Cluster::stop`] lets it end.
#[derive(Debug)]
pub struct Cluster {
    store: Arc<Store>,
    settings: Arc<Settings>,
    /// Who shows it may speak here.
    token: Token,
    stopping: CancellationToken,
    machine: Mutex<JoinHandle<()>>,
}

// === impl Cluster ===

impl Cluster {
    /// A cluster without objects. First of all it ends what a run before, in the
    /// same folder, left behind. Needs a tokio runtime.
    pub fn new(options: ClusterOptions) -> Arc<Self> {
        let store = Arc::new(Store::new(Arc::clone(&options.clock)));
        let settings = Arc::new(Settings::new(Arc::clone(&store), options));
        let stopping = CancellationToken::new();
        let machine = tokio::spawn(machine::run(Arc::clone(&settings), stopping.clone()));
        Arc::new(Self {
            store,
            settings,
            token: Token::random(),
            stopping,
            machine: Mutex::new(machine),
        })
    }

    /// Serves the Kubernetes API.
    pub fn router(self: &Arc<Self>) -> axum::Router {
        axum::Router::new()
            .fallback(api::handle)
            .with_state(Arc::clone(self))
    }

    /// Lets pods run what these workers run: the program with these arguments and, of
    /// environment, this. Everything else that a request asks for is refused.
    pub fn allow(&self, workers: &WorkerDeployment) {
        let words = [workers.command.as_slice(), &workers.args].concat();
        let program = Program::new(words, workers.env.clone());
        self.store.programs.allow(program);
    }

    /// Makes a Deployment of workers, which pods may run from now on, or changes the one of that name.
    ///
    /// # Errors
    /// What is wrong with it, as Kubernetes would say it.
    pub fn apply_deployment(&self, workers: &WorkerDeployment) -> Result<(), String> {
        self.allow(workers);
        let wanted = workers.to_object();
        let key = Key::new(&DEPLOYMENTS, NAMESPACE, &workers.name);
        let done = match self.store.get(&key) {
            Ok(_) => write::replace(&self.store, &key, &wanted),
            Err(_) => write::create(&self.store, (&DEPLOYMENTS, NAMESPACE), &wanted),
        };
        done.map(|_| ()).map_err(|error| error.to_string())
    }

    /// All pods, by name.
    pub fn pods(&self) -> Vec<PodSnapshot> {
        let (_, pods) = self.store.list(&PODS, None);
        pods.iter().map(|pod| PodSnapshot::of(pod)).collect()
    }

    /// The replicas that a Deployment asks for.
    pub fn replicas(&self, deployment: &str) -> Option<u32> {
        let key = Key::new(&DEPLOYMENTS, NAMESPACE, deployment);
        let deployment = self.store.get(&key).ok()?;
        u32::try_from(scale::replicas(&deployment)).ok()
    }

    /// Writes a KUBECONFIG for this cluster, served at `url`, and says where it is.
    /// Nobody else may read it: it has the token.
    ///
    /// # Errors
    /// If the folder cannot be written to.
    pub fn write_kubeconfig(&self, url: &str) -> io::Result<PathBuf> {
        let path = std::path::absolute(self.settings.dir.join("kubeconfig"))?;
        std::fs::create_dir_all(&self.settings.dir)?;
        // As a new file: one of an earlier run may be open to all.
        let mut file = tempfile::NamedTempFile::new_in(&self.settings.dir)?;
        file.write_all(self.kubeconfig(url).as_bytes())?;
        file.persist(&path)?;
        Ok(path)
    }

    /// A KUBECONFIG for this cluster, served at `url`. JSON is YAML.
    pub fn kubeconfig(&self, url: &str) -> String {
        const NAME: &str = "stepfleet-local";
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": NAME, "cluster": {"server": url}}],
            "users": [{"name": NAME, "user": {"token": self.token.secret()}}],
            "contexts": [{"name": NAME, "context": {
                "cluster": NAME, "user": NAME, "namespace": NAMESPACE,
            }}],
            "current-context": NAME,
        });
        format!("{config:#}\n")
    }

    /// Lets all pods end: SIGTERM, their grace, SIGKILL. Nothing starts any more.
    pub async fn stop(&self) {
        self.stopping.cancel();
        let mut newest = self.store.subscribe();
        loop {
            newest.borrow_and_update();
            let (_, pods) = self.store.list(&PODS, None);
            if pods.is_empty() {
                break;
            }
            for pod in pods.iter().filter(|pod| !controller::is_terminating(pod)) {
                let text = |name: &str| pod["metadata"][name].as_str().unwrap_or_default();
                let key = Key::new(&PODS, text("namespace"), text("name"));
                // Gone meanwhile is what is wanted.
                let _ = write::mark_deleted(&self.store, &key, None);
            }
            if newest.changed().await.is_err() {
                break;
            }
        }
        self.abort();
    }

    fn log_path(&self, pod: &str) -> PathBuf {
        self.settings.log_path(pod)
    }

    fn abort(&self) {
        let machine = self.machine.lock().unwrap_or_else(PoisonError::into_inner);
        machine.abort();
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.abort();
    }
}

// === impl PodSnapshot ===

impl PodSnapshot {
    fn of(pod: &Value) -> Self {
        let metadata = &pod["metadata"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Self {
            name: text(&metadata["name"]),
            deployment: text(&metadata["ownerReferences"][0]["name"]),
            phase: text(&pod["status"]["phase"]),
            ready: controller::is_ready(pod),
            terminating: controller::is_terminating(pod),
            port: metadata["annotations"][pod::PORT_ANNOTATION]
                .as_str()
                .and_then(|port| port.parse().ok()),
        }
    }
}

// === impl WorkerDeployment ===

impl WorkerDeployment {
    fn to_object(&self) -> Value {
        let labels = json!({"app": self.name});
        let env: Vec<Value> = self
            .env
            .iter()
            .map(|(name, value)| json!({"name": name, "value": value}))
            .collect();
        let mut container = json!({
            "name": "worker", "image": programs::IMAGE,
            "command": self.command, "args": self.args, "env": env,
        });
        if let Some(path) = &self.readiness {
            container["readinessProbe"] = json!({"httpGet": {"path": path}, "periodSeconds": 1});
        }
        json!({
            "metadata": {"name": self.name, "labels": labels},
            "spec": {
                "replicas": self.replicas,
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {
                        "terminationGracePeriodSeconds": self.grace,
                        "containers": [container],
                    },
                },
            },
        })
    }
}
