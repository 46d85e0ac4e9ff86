//! One activity as this worker serves it: what its pollers, layers and meters share.

use std::sync::Arc;
use std::time::Duration;

use stepfleet_activity::Clock;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::meters::ActivityMeters;
use crate::options::ActivityOptions;
use crate::output::OutputStore;
use crate::sfn::StepFunctions;
use crate::shutdown::ShutdownHandle;
use crate::trouble::Trouble;

/// What everything that serves one activity shares.
pub(crate) struct Lane {
    pub(crate) options: ActivityOptions,
    pub(crate) worker_name: Arc<str>,
    pub(crate) sfn: Arc<dyn StepFunctions>,
    pub(crate) outputs: Option<Arc<dyn OutputStore>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) meters: ActivityMeters,
    pub(crate) trouble: Trouble,
    pub(crate) shutdown: ShutdownHandle,
    /// Where handlers run: apart from polls, heartbeats and reports.
    pub(crate) handlers: Handle,
    pub(crate) slots: Arc<Semaphore>,
}

impl Lane {
    /// Returns once no poll and no task holds a slot.
    pub(crate) async fn idle(&self) {
        // Fails only if the semaphore is closed, which nobody does.
        let _ = self.slots.acquire_many(self.options.slots).await;
    }
}

/// The right to run one task. Held before the poll, and until the report is
/// accepted and the handler's future is gone.
pub(crate) struct Slot {
    lane: Arc<Lane>,
    _permit: OwnedSemaphorePermit,
    busy: bool,
}

impl Slot {
    pub(crate) async fn take(lane: Arc<Lane>) -> Self {
        match Arc::clone(&lane.slots).acquire_owned().await {
            Ok(permit) => Self {
                lane,
                _permit: permit,
                busy: false,
            },
            // Nobody closes the semaphore.
            Err(_) => std::future::pending().await,
        }
    }

    /// A task has arrived.
    pub(crate) fn occupy(&mut self) {
        if !self.busy {
            self.busy = true;
            self.lane.meters.busy.inc();
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if self.busy {
            self.lane.meters.busy.dec();
        }
    }
}

/// The longest that serving takes to end by itself: a task at its timeout, the
/// open poll that brought it, and its report.
pub(crate) fn longest_drain<'a>(options: impl Iterator<Item = &'a ActivityOptions>) -> Duration {
    let timeout = options.map(|options| options.timeout).max();
    timeout.unwrap_or_default() + Duration::from_secs(60) + Duration::from_secs(10)
}
