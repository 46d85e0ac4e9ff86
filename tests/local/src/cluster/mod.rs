//! The slice of the Kubernetes API that the autoscaler uses; a pod is a process.

mod api;
mod discovery;
mod list;
mod patch;
mod resource;
mod scale;
mod selector;
mod status;
mod store;
mod watch;
mod write;

use std::path::PathBuf;
use std::sync::Arc;

use stepfleet_activity::Clock;

use store::Store;

/// What a cluster is made of.
#[derive(Debug, Clone)]
pub struct ClusterOptions {
    /// Tells the time in objects.
    pub clock: Arc<dyn Clock>,
    /// The folder for logs, the list of processes and the KUBECONFIG.
    pub dir: PathBuf,
    /// Environment that each pod gets beside its own.
    pub env: Vec<(String, String)>,
}

/// A small cluster: objects, and the processes that its pods are.
#[derive(Debug)]
pub struct Cluster {
    options: ClusterOptions,
    store: Arc<Store>,
}

// === impl Cluster ===

impl Cluster {
    /// A cluster without objects.
    pub fn new(options: ClusterOptions) -> Arc<Self> {
        let store = Arc::new(Store::new(Arc::clone(&options.clock)));
        Arc::new(Self { options, store })
    }

    /// Serves the Kubernetes API.
    pub fn router(self: &Arc<Self>) -> axum::Router {
        axum::Router::new()
            .fallback(api::handle)
            .with_state(Arc::clone(self))
    }

    fn log_path(&self, pod: &str) -> PathBuf {
        self.options.dir.join("logs").join(format!("{pod}.log"))
    }
}
