//! The one loop that looks at each change: runs pods and lets the controller work.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::controller;
use super::leftovers::Register;
use super::pod::Pod;
use super::resource::{Key, PODS};
use super::store::Store;
use super::{ClusterOptions, PodUser};

/// How many ports are tried before there is none.
const TRIES: usize = 64;

/// What all pods share.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) store: Arc<Store>,
    pub(crate) dir: PathBuf,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) user: Option<PodUser>,
    pub(crate) register: Register,
    ports: Mutex<HashSet<u16>>,
}

struct Machine {
    settings: Arc<Settings>,
    /// The pods that run, by uid, and how each is told to go.
    told: HashMap<String, watch::Sender<Option<u64>>>,
    pods: JoinSet<String>,
}

/// Runs until it is aborted, which kills what still runs. Once `stopping`, it
/// starts nothing.
pub(crate) async fn run(settings: Arc<Settings>, stopping: CancellationToken) {
    settings.register.end_leftovers().await;
    let mut newest = settings.store.subscribe();
    newest.mark_changed();
    let mut machine = Machine {
        settings,
        told: HashMap::new(),
        pods: JoinSet::new(),
    };
    loop {
        tokio::select! {
            changed = newest.changed() => {
                if changed.is_err() {
                    return;
                }
            }
            Some(ended) = machine.pods.join_next() => {
                if let Ok(uid) = ended {
                    machine.told.remove(&uid);
                }
            }
        }
        if !stopping.is_cancelled() {
            controller::reconcile(&machine.settings.store);
        }
        machine.sync();
    }
}

// === impl Settings ===

impl Settings {
    pub(crate) fn new(store: Arc<Store>, options: ClusterOptions) -> Self {
        let ClusterOptions { dir, env, user, .. } = options;
        Self {
            store,
            env,
            user,
            register: Register::new(dir.join("pods.json")),
            dir,
            ports: Mutex::default(),
        }
    }

    pub(crate) fn log_path(&self, pod: &str) -> PathBuf {
        self.dir.join("logs").join(format!("{pod}.log"))
    }

    /// A port that no other pod has.
    pub(crate) fn take_port(&self, free: impl Fn() -> Option<u16>) -> Option<u16> {
        let mut ports = self.ports.lock().unwrap_or_else(PoisonError::into_inner);
        (0..TRIES)
            .filter_map(|_| free())
            .find(|port| ports.insert(*port))
    }

    pub(crate) fn give_port(&self, port: u16) {
        let mut ports = self.ports.lock().unwrap_or_else(PoisonError::into_inner);
        ports.remove(&port);
    }
}

// === impl Machine ===

impl Machine {
    /// Starts the pods that are new and tells those that are to go.
    fn sync(&mut self) {
        let (_, pods) = self.settings.store.list(&PODS, None);
        for pod in pods {
            let metadata = &pod["metadata"];
            let text = |name: &str| metadata[name].as_str().unwrap_or_default();
            let told = self.told.entry(text("uid").to_owned()).or_insert_with(|| {
                let key = Key::new(&PODS, text("namespace"), text("name"));
                let (told, deleted) = watch::channel(None);
                let run = Pod::new(Arc::clone(&self.settings), key, deleted).run();
                let uid = text("uid").to_owned();
                self.pods.spawn(async move {
                    run.await;
                    uid
                });
                told
            });
            if !metadata["deletionTimestamp"].is_null() {
                let grace = metadata["deletionGracePeriodSeconds"].as_u64();
                let grace = Some(grace.unwrap_or_default());
                told.send_if_modified(|known| {
                    let differs = *known != grace;
                    *known = grace;
                    differs
                });
            }
        }
    }
}
