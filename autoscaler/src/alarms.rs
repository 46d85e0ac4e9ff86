//! When to ask CloudWatch about which alarms, and what is known of them since.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use crate::describe::{Describer, NAMES};
use crate::levels::Levels;
use crate::signal::Trust;
use crate::time::after;
use crate::watch::{Watch, WatchError};

/// How often all alarms are re-read, which heals a lost message.
const REREAD: Duration = Duration::from_secs(120);

/// For how long nobody asks for a signal's sake where CloudWatch did not answer:
/// the next tick asks, and would wait behind every signal that asks in vain.
const HOLD: Duration = Duration::from_secs(5);

/// What is known of the alarms, and who asks about them.
#[derive(Default)]
pub(crate) struct Alarms {
    pub(crate) levels: Levels,
    /// Whether a signal was not answered, or may be behind others that nobody has
    /// received yet: all are re-read at the next tick.
    pub(crate) unanswered: bool,
    describer: Describer,
    /// When CloudWatch gave up to answer; none since it answered again.
    pub(crate) failed: Option<Timestamp>,
}

impl Alarms {
    /// Which alarms to ask about since it is time to: all, or none.
    pub(crate) fn due(&self, trust: &Trust, now: Timestamp) -> Vec<String> {
        if !self.unanswered && self.fresh(trust, now) {
            return Vec::new();
        }
        trust.alarms().map(|(name, _)| name.to_owned()).collect()
    }

    /// Which alarms to ask about for signals that would change these, if any.
    pub(crate) fn asked(
        &self,
        trust: &Trust,
        signals: &BTreeSet<&str>,
        now: Timestamp,
    ) -> Vec<String> {
        let held = self.failed.is_some_and(|at| now < after(at, HOLD));
        if signals.is_empty() || held {
            return Vec::new();
        }
        let all = trust.alarms().map(|(name, _)| name);
        self.levels.filled(signals, all, NAMES)
    }

    /// Asks. The alarms whose level is another than before.
    pub(crate) async fn ask<'a, W: Watch>(
        &mut self,
        watch: &W,
        names: &'a [String],
        now: Timestamp,
    ) -> Result<Vec<&'a str>, WatchError> {
        let described = self.describer.describe(watch, names).await;
        self.unanswered |= described.is_err();
        let described = described?;
        self.failed = None;
        Ok(self.levels.learn(now, names, &described))
    }

    /// Nobody waits for an answer any more, if these are all.
    pub(crate) fn answered(&mut self, trust: &Trust, names: &[String]) {
        self.unanswered &= names.len() < trust.alarms().count();
    }

    /// Whether all alarms were read not long ago.
    pub(crate) fn fresh(&self, trust: &Trust, now: Timestamp) -> bool {
        let oldest = self.levels.oldest(trust.alarms().map(|(name, _)| name));
        oldest.is_some_and(|at| now < after(at, REREAD))
    }
}
