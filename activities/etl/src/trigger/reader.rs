//! From a message to the executions that it asks for: pure, and bounded whatever
//! somebody sends.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::event::{self, Said};
use super::wake::{self, Wake};
use crate::s3_load::input::LoadInput;

/// How far S3's clock may be ahead of ours.
const AHEAD: SignedDuration = SignedDuration::from_mins(5);
/// S3 puts events of one moment into a message; whoever asks for more executions
/// is somebody else.
const MOST: usize = 100;

/// Reads S3's events by the loads that are known, and when they may be started.
#[derive(Debug, Clone)]
pub struct EventReader {
    loads: Vec<LoadInput>,
    settle: Duration,
    debounce: Duration,
}

impl EventReader {
    /// Of loads whose files settle for so long; all events of one `debounce` ask
    /// for one execution.
    pub fn new(loads: Vec<LoadInput>, settle: Duration, debounce: Duration) -> Self {
        Self {
            loads,
            settle,
            debounce,
        }
    }

    /// The names of the executions that a message asks for; none where it is
    /// about nobody's files.
    ///
    /// # Errors
    /// Why it is no event of S3, or none that can be worked on. Nothing of the
    /// message is in it.
    pub fn executions(&self, body: &str, now: Timestamp) -> Result<Vec<String>, &'static str> {
        let wakes = self.wakes(body, now)?;
        Ok(wakes.iter().map(|wake| self.name(wake)).collect())
    }

    pub(super) fn wakes(&self, body: &str, now: Timestamp) -> Result<BTreeSet<Wake>, &'static str> {
        let arrivals = match event::read(body) {
            Said::Arrivals(arrivals) => arrivals,
            Said::Nonsense(reason) => return Err(reason),
        };
        let latest = now.saturating_add(AHEAD).unwrap_or(Timestamp::MAX);
        if arrivals.iter().any(|arrival| arrival.at > latest) {
            return Err("it is from a time that is not yet");
        }
        let terms = (self.settle, self.debounce);
        let wakes = wake::latest(arrivals).into_iter();
        let wakes = wakes.filter_map(|arrival| wake::wake(&arrival, &self.loads, terms));
        let wakes: BTreeSet<Wake> = wakes.collect();
        if wakes.len() > MOST {
            return Err("it asks for more than 100 executions");
        }
        Ok(wakes)
    }

    /// For how long a message is waited with, at most.
    pub(super) fn patience(&self) -> Duration {
        self.settle.saturating_add(self.debounce)
    }

    pub(super) fn loads(&self) -> &[LoadInput] {
        &self.loads
    }

    pub(super) fn name(&self, wake: &Wake) -> String {
        wake.name(&self.loads[wake.load])
    }
}
