//! What holds one call of those that pass a proxy: before its effect or after
//! it, and with it everything that comes later.

use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

/// Before or after the call has its effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// It is not passed on.
    Before,
    /// It is passed on; its answer is not.
    After,
}

/// A call: by its number, counted from 1, or the first one of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Call {
    Number(usize),
    Named(String),
}

/// Counts calls and holds one.
pub(crate) struct Gate {
    hold: Option<(Call, When)>,
    calls: Mutex<Vec<String>>,
    phase: watch::Sender<Phase>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    /// The call has not come yet.
    Open,
    /// It has, and is held; its name.
    Held(String),
    /// It may go on.
    Released,
    /// It has had its effect, and all that comes later passes.
    Passed,
}

impl Gate {
    pub(crate) fn new(hold: Option<(Call, When)>) -> Self {
        Self {
            hold,
            calls: Mutex::default(),
            phase: watch::Sender::new(Phase::Open),
        }
    }

    /// The names of all calls so far.
    pub(crate) fn calls(&self) -> Vec<String> {
        let calls = self.calls.lock();
        calls.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until the call is held; gives its name.
    pub(crate) async fn held(&self) -> String {
        let phase = self.wait_for(|phase| matches!(phase, Phase::Held(_))).await;
        let Phase::Held(name) = phase else {
            unreachable!("it was waited for")
        };
        name
    }

    /// Lets the held call go on, and waits until it has had its effect.
    pub(crate) async fn release(&self) {
        self.phase.send_replace(Phase::Released);
        self.wait_for(|phase| *phase == Phase::Passed).await;
    }

    /// Counts a call; says whether it is the one, and when it is held. One that
    /// `repeats` counts as one with those of its name right before it.
    pub(crate) fn count(&self, name: &str, repeats: bool) -> Option<When> {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        if repeats && calls.last().is_some_and(|last| last == name) {
            return None;
        }
        calls.push(name.to_owned());
        let (call, when) = self.hold.as_ref()?;
        let meant = match call {
            Call::Number(number) => *number == calls.len(),
            Call::Named(wanted) => {
                wanted == name && calls.iter().filter(|call| *call == name).count() == 1
            }
        };
        meant.then_some(*when)
    }

    /// Holds the call until it is released.
    pub(crate) async fn hold(&self, name: &str) {
        self.phase.send_replace(Phase::Held(name.to_owned()));
        self.wait_for(|phase| *phase == Phase::Released).await;
    }

    /// The held call has had its effect.
    pub(crate) fn passed(&self) {
        self.phase.send_replace(Phase::Passed);
    }

    /// Nothing passes while a call is held.
    pub(crate) async fn open(&self) {
        self.wait_for(|phase| matches!(phase, Phase::Open | Phase::Passed))
            .await;
    }

    async fn wait_for(&self, wanted: impl FnMut(&Phase) -> bool) -> Phase {
        let mut phase = self.phase.subscribe();
        let phase = phase.wait_for(wanted).await.expect("the sender is there");
        phase.clone()
    }
}
