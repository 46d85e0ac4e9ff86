//! How a worker stops: it drains, it fails what runs, it cuts.

use std::sync::Arc;

use tokio::sync::watch;

/// How far the stop has come. Never goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Polls and runs.
    Running,
    /// No new poll; what is open or running ends by itself.
    Draining,
    /// What runs is failed with `Worker.Shutdown`; open polls still end by themselves.
    Failing,
}

/// Stops a worker as signals do. Clones stop the same worker.
#[derive(Debug, Clone)]
pub struct ShutdownHandle(Arc<watch::Sender<Phase>>);

impl Default for ShutdownHandle {
    fn default() -> Self {
        Self::new()
    }
}

impl ShutdownHandle {
    /// A handle for [`WorkerBuilder::shutdown`](crate::WorkerBuilder::shutdown).
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(Phase::Running)))
    }

    /// No new polls: open ones end, what they return is run. As a first SIGTERM.
    pub fn drain(&self) {
        self.advance(Phase::Draining);
    }

    /// Fails what runs with `Worker.Shutdown`, so that it is retried elsewhere,
    /// and still waits for open polls. As a second SIGTERM.
    pub fn fail_running(&self) {
        self.advance(Phase::Failing);
    }

    /// One step on: what a signal does.
    pub(crate) fn signal(&self) {
        match self.phase() {
            Phase::Running => self.drain(),
            Phase::Draining | Phase::Failing => self.fail_running(),
        }
    }

    pub(crate) fn phase(&self) -> Phase {
        *self.0.borrow()
    }

    /// Returns once the stop has come at least this far.
    pub(crate) async fn reached(&self, phase: Phase) {
        let mut watched = self.0.subscribe();
        // Cannot fail: `self` holds the sender.
        let _ = watched.wait_for(|now| *now >= phase).await;
    }

    fn advance(&self, to: Phase) {
        self.0.send_if_modified(|phase| {
            let later = *phase < to;
            *phase = (*phase).max(to);
            later
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_go_one_way() {
        let handle = ShutdownHandle::new();
        handle.signal();
        assert_eq!(handle.phase(), Phase::Draining);
        handle.signal();
        assert_eq!(handle.phase(), Phase::Failing);
        handle.drain();
        handle.signal();
        assert_eq!(handle.phase(), Phase::Failing);
    }
}
