//! The counts that a Deployment had, one after the other.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval};

use super::DEPLOYMENT;
use crate::process::until_or_none;

/// Short against a cooldown, so that no step is missed.
const LOOK: Duration = Duration::from_millis(100);

/// A count, and when it was first seen.
#[derive(Debug, Clone, Copy)]
pub(super) struct Count {
    pub(super) replicas: i32,
    pub(super) at: Instant,
}

/// The counts of the Deployment, as long as this lives.
pub(super) struct Series {
    seen: Arc<Mutex<Vec<Count>>>,
    _looking: JoinSet<()>,
}

impl Series {
    pub(super) fn follow(deployments: Api<Deployment>) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let mut looking = JoinSet::new();
        looking.spawn(look(deployments, Arc::clone(&seen)));
        Self {
            seen,
            _looking: looking,
        }
    }

    pub(super) fn all(&self) -> Vec<Count> {
        let seen = self.seen.lock();
        seen.unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn replicas(&self) -> Vec<i32> {
        self.all().iter().map(|count| count.replicas).collect()
    }

    /// Waits for a count that is so.
    pub(super) async fn until(&self, within: Duration, is: impl Fn(i32) -> bool) -> Option<Count> {
        until_or_none(within, async || {
            self.all().last().copied().filter(|last| is(last.replicas))
        })
        .await
    }
}

async fn look(deployments: Api<Deployment>, seen: Arc<Mutex<Vec<Count>>>) {
    let mut ticks = interval(LOOK);
    loop {
        ticks.tick().await;
        // No answer, or no Deployment, is not a count.
        let Ok(Some(deployment)) = deployments.get_opt(DEPLOYMENT).await else {
            continue;
        };
        let Some(replicas) = deployment.spec.and_then(|spec| spec.replicas) else {
            continue;
        };
        let at = Instant::now();
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.last().is_none_or(|last| last.replicas != replicas) {
            seen.push(Count { replicas, at });
        }
    }
}
