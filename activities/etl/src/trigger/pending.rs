//! What was received and is not done yet. However much comes, and however often,
//! it is bounded: a message is held for as long as the queue holds it back, and
//! no more are received while many are held.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::Message;
use super::wake::Wake;

/// Messages and what they ask for, held at once.
const MOST: usize = 20_000;
/// For how long it is remembered what was started.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(1);

/// Messages whose executions are not all started yet.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    /// By the queue's id: one that comes again has another receipt.
    messages: BTreeMap<String, Held>,
    started: BTreeSet<Wake>,
}

#[derive(Debug)]
struct Held {
    receipt: String,
    wakes: BTreeSet<Wake>,
    /// The queue gives it to others then.
    until: Timestamp,
}

// === impl Pending ===

impl Pending {
    /// Holds a message for as long as it is ours.
    pub(crate) fn hold(&mut self, message: Message, wakes: BTreeSet<Wake>, until: Timestamp) {
        let Message { id, receipt, .. } = message;
        let held = Held {
            receipt,
            wakes,
            until,
        };
        self.messages.insert(id, held);
    }

    /// Whether nothing more should be received for now.
    pub(crate) fn is_full(&self) -> bool {
        let held = self.messages.values().map(|held| 1 + held.wakes.len());
        held.sum::<usize>() >= MOST
    }

    /// When something is to be started next.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        self.wakes().map(|wake| wake.due).min()
    }

    /// What is to be started by now.
    pub(crate) fn due(&self, now: Timestamp) -> Vec<Wake> {
        let due: BTreeSet<&Wake> = self.wakes().filter(|wake| wake.due <= now).collect();
        let due = due.into_iter().filter(|wake| !self.started.contains(wake));
        due.cloned().collect()
    }

    /// One of them was.
    pub(crate) fn started(&mut self, wake: Wake) {
        self.started.insert(wake);
    }

    /// The receipts of messages that ask for nothing more.
    pub(crate) fn done(&self) -> Vec<String> {
        let done = |held: &&Held| held.wakes.is_subset(&self.started);
        let held = self.messages.values().filter(done);
        held.map(|held| held.receipt.clone()).collect()
    }

    /// They are deleted.
    pub(crate) fn forget_done(&mut self) {
        let started = &self.started;
        self.messages
            .retain(|_, held| !held.wakes.is_subset(started));
    }

    /// Lets go of what the queue gives to others by now. What was started long
    /// ago is asked for again by repeated messages only, and starting it again
    /// is harmless.
    pub(crate) fn lapse(&mut self, now: Timestamp) {
        self.messages.retain(|_, held| now < held.until);
        self.started
            .retain(|wake| now.duration_since(wake.due) < REMEMBERED);
    }

    fn wakes(&self) -> impl Iterator<Item = &Wake> {
        self.messages.values().flat_map(|held| &held.wakes)
    }
}
