//! What a dropped handler leaves to do: nobody waits for its statement any more.

use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::outside::data_api::State;
use crate::outside::data_api::{self, FIRST_PAUSE};
use crate::outside::{Answer, ObjectStore};
use crate::s3_load::lease::Mark;
use crate::s3_load::warehouse::Warehouse;

/// For how long a cancelled statement is looked after. Past that, the lease
/// expires by itself, and whoever comes next adopts what is still running.
const PATIENCE: Duration = Duration::from_secs(60);

/// Cancels a statement if it is dropped while it is armed.
///
/// A load is one transaction, so a cancelled one has left nothing, and one that
/// was too late to cancel is in the ledger: the next attempt reads it there. It
/// is cancelled only while its attempt has the lease. Once the lease is
/// another's, the statement is that one's to adopt.
#[derive(Debug)]
pub(crate) struct CancelOnDrop<S: ObjectStore, W: Warehouse> {
    cleanup: Cleanup<S, W>,
    lease: Option<Mark>,
    runtime: Handle,
}

impl<S: ObjectStore, W: Warehouse> CancelOnDrop<S, W> {
    /// A guard that is not armed yet.
    pub(crate) fn new(store: &S, warehouse: &W, statement: &str) -> Self {
        Self {
            cleanup: Cleanup {
                store: store.clone(),
                warehouse: warehouse.clone(),
                statement: statement.to_owned(),
            },
            lease: None,
            runtime: Handle::current(),
        }
    }

    /// Says under which lease the statement is waited for.
    pub(crate) fn arm(&mut self, lease: Mark) {
        self.lease = Some(lease);
    }

    /// The wait is over, or the statement is left to the next attempt.
    pub(crate) fn disarm(&mut self) {
        self.lease = None;
    }
}

impl<S: ObjectStore, W: Warehouse> Drop for CancelOnDrop<S, W> {
    fn drop(&mut self) {
        if let Some(lease) = self.lease.take() {
            let cleanup = self.cleanup.clone();
            self.runtime.spawn(cleanup.run(lease));
        }
    }
}

#[derive(Debug, Clone)]
struct Cleanup<S, W> {
    store: S,
    warehouse: W,
    statement: String,
}

impl<S: ObjectStore, W: Warehouse> Cleanup<S, W> {
    async fn run(self, lease: Mark) {
        let statement = &self.statement;
        match self.cancel(&lease).await {
            Ok(true) => tracing::info!(statement, "the attempt is closed; its load is over"),
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(%error, statement, "the load of a closed attempt was not cancelled; the next attempt adopts it");
            }
        }
    }

    /// Cancels, waits for the end, and gives the prefix free. Does nothing where
    /// another attempt has taken over.
    async fn cancel(&self, lease: &Mark) -> Answer<bool> {
        let held = self.store.get(lease.at()).await?;
        if held.is_none_or(|(_, etag)| etag != lease.etag) {
            return Ok(false);
        }
        // One that has just ended cannot be cancelled, which is as good.
        let refused = self.warehouse.cancel(&self.statement).await.err();
        if !self.ended().await? {
            return refused.map_or(Ok(false), Err);
        }
        self.store.delete(lease.at(), &lease.etag).await?;
        Ok(true)
    }

    async fn ended(&self) -> Answer<bool> {
        let until = Instant::now() + PATIENCE;
        let mut pause = FIRST_PAUSE;
        while Instant::now() < until {
            if self.warehouse.describe(&self.statement).await?.state != State::Running {
                return Ok(true);
            }
            pause = data_api::wait(pause).await;
        }
        Ok(false)
    }
}
