//! Where the threads of an execution stand, so that a redrive can go on there.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A thread: an execution itself, a branch of it, or an iteration. Only the
/// numbers of events are kept: the history has the rest.
#[derive(Debug, Default)]
pub(super) struct Progress(Mutex<Node>);

#[derive(Debug, Default)]
struct Node {
    place: Place,
    /// The threads of the state that it is in.
    below: Vec<Arc<Progress>>,
}

/// Where a thread stands.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// It has not entered a state yet.
    #[default]
    Fresh,
    /// In the state that was entered with this event.
    In(usize),
    /// At its end: its last state was left with this event.
    Done(usize),
}

// === impl Progress ===

impl Progress {
    pub(super) fn enter(&self, event: usize) {
        self.put(Place::In(event));
    }

    pub(super) fn finish(&self, event: usize) {
        self.put(Place::Done(event));
    }

    pub(super) fn place(&self) -> Place {
        self.lock().place
    }

    /// Forgets what became of the threads below: they run again from their start.
    pub(super) fn renew(&self) {
        self.lock().below = Vec::new();
    }

    /// The threads of the state, and whether they are those of an earlier run
    /// that go on. Where all of them had come to their ends, the state failed
    /// by itself, and all of it is done again.
    pub(super) fn threads(&self, count: usize, resume: bool) -> (Vec<Arc<Self>>, bool) {
        let mut node = self.lock();
        let done = |thread: &Arc<Self>| matches!(thread.place(), Place::Done(_));
        let resume = resume && !node.below.iter().all(done);
        if !resume {
            node.below.clear();
        }
        node.below.resize_with(count, Arc::default);
        (node.below.clone(), resume)
    }

    fn put(&self, place: Place) {
        let mut node = self.lock();
        node.place = place;
        node.below = Vec::new();
    }

    fn lock(&self) -> MutexGuard<'_, Node> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
