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

/// What is known of the alarms, and who asks about them.
#[derive(Default)]
pub(crate) struct Alarms {
    pub(crate) levels: Levels,
    /// Whether a signal was not answered: all are re-read at the next tick.
    pub(crate) unanswered: bool,
    describer: Describer,
}

/// Why CloudWatch is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Occasion {
    /// It is time to look.
    Tick,
    /// Signals came.
    Signals,
}

impl Alarms {
    /// Which alarms to ask about now: none where nothing is due and no signal
    /// would change anything.
    pub(crate) fn due(
        &self,
        trust: &Trust,
        asked: &BTreeSet<&str>,
        (occasion, now): (Occasion, Timestamp),
    ) -> Vec<String> {
        let all = || trust.alarms().map(|(name, _)| name);
        match occasion {
            Occasion::Tick if self.unanswered || !self.fresh(trust, now) => {
                all().map(str::to_owned).collect()
            }
            Occasion::Tick => Vec::new(),
            Occasion::Signals if asked.is_empty() => Vec::new(),
            Occasion::Signals => self.levels.filled(asked, all(), NAMES),
        }
    }

    /// Asks. The alarms whose level is another than before.
    pub(crate) async fn ask<'a, W: Watch>(
        &mut self,
        watch: &W,
        names: &'a [String],
        now: Timestamp,
    ) -> Result<Vec<&'a str>, WatchError> {
        let described = self.describer.describe(watch, names).await;
        self.unanswered = described.is_err();
        Ok(self.levels.learn(now, names, &described?))
    }

    /// Whether all alarms were read not long ago.
    pub(crate) fn fresh(&self, trust: &Trust, now: Timestamp) -> bool {
        let oldest = self.levels.oldest(trust.alarms().map(|(name, _)| name));
        oldest.is_some_and(|at| now < after(at, REREAD))
    }
}
