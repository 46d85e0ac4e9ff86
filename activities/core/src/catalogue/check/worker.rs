//! How a worker runs an activity, and the objective.

use std::num::NonZeroU32;
use std::time::Duration;

use super::Checker;
use super::values::{ANY, SECONDS, show};
use crate::catalogue::raw::{RawDuration, RawObjective, RawOutput, RawPollers, RawRate, RawWorker};
use crate::catalogue::types::{Objective, OutputLocation, Rate, WorkerSettings};

/// More tasks than this in one process are a mistake.
const MAX_SLOTS: u32 = 10_000;
/// What AWS wants an activity's open polls to stay under, over all workers.
pub(super) const MAX_POLLS: u32 = 1_000;

impl Checker<'_, '_> {
    pub(super) fn worker(&mut self, raw: RawWorker) -> Option<WorkerSettings> {
        let slots = self.count("worker.slots", raw.slots, 4, 1..=MAX_SLOTS);
        let pollers = slots.and_then(|slots| self.pollers(slots, raw.pollers.unwrap_or_default()));
        let heartbeat = self.seconds("worker.heartbeat", raw.heartbeat.as_ref(), 60);
        let timeout = self.seconds("worker.timeout", raw.timeout.as_ref(), 15 * 60);
        let beats = self.heartbeat_below_timeout(heartbeat, timeout);
        let rate = raw.rate.map(|rate| self.rate(&rate));
        let output = raw.output.map(|output| self.output(output));
        let (pollers_min, pollers_max) = pollers?;
        let settings = WorkerSettings {
            slots: slots?,
            pollers_min,
            pollers_max,
            heartbeat: heartbeat?,
            timeout: timeout?,
            rate: transpose(rate)?,
            output: transpose(output)?,
        };
        beats.then_some(settings)
    }

    /// Pollers of `defaults` give way to an activity's slots; its own do not.
    fn pollers(&mut self, slots: u32, raw: RawPollers) -> Option<(u32, u32)> {
        let (at_min, at_max) = ("worker.pollers.min", "worker.pollers.max");
        let max = self.count(
            at_max,
            raw.max,
            4.max(raw.min.unwrap_or(1)).min(slots),
            1..=MAX_POLLS,
        )?;
        if max > slots && self.is_said_here(at_max) {
            self.fault(
                at_max,
                format!("found {max} pollers for {slots} slots; allowed is 1 to {slots}: a poll holds a slot"),
            );
            return None;
        }
        let max = max.min(slots);
        let min = self.count(at_min, raw.min, 1, 1..=MAX_POLLS)?;
        if min > max && self.is_said_here(at_min) {
            self.fault(
                at_min,
                format!("found min {min} above max {max}; allowed is 1 to {max}"),
            );
            return None;
        }
        Some((min.min(max), max))
    }

    /// A span of whole seconds, as the state machine says it.
    fn seconds(&mut self, at: &str, raw: Option<&RawDuration>, default: u64) -> Option<Duration> {
        let value = self.duration(at, raw, Duration::from_secs(default), SECONDS)?;
        if value.subsec_nanos() == 0 {
            return Some(value);
        }
        self.fault(
            at,
            format!(
                "found {}; allowed are whole seconds, as a state machine says them",
                show(value)
            ),
        );
        None
    }

    fn heartbeat_below_timeout(
        &mut self,
        heartbeat: Option<Duration>,
        timeout: Option<Duration>,
    ) -> bool {
        let (Some(heartbeat), Some(timeout)) = (heartbeat, timeout) else {
            return true;
        };
        if heartbeat < timeout {
            return true;
        }
        let at = if self.is_said_here("worker.timeout") && !self.is_said_here("worker.heartbeat") {
            "worker.timeout"
        } else {
            "worker.heartbeat"
        };
        self.fault(
            at,
            format!(
                "found heartbeat {} for timeout {}; allowed is a heartbeat below the timeout",
                show(heartbeat),
                show(timeout)
            ),
        );
        false
    }

    fn rate(&mut self, raw: &RawRate) -> Option<Rate> {
        let tasks = self.count("worker.rate.tasks", Some(raw.tasks), 1, 1..=u32::MAX);
        let per = self.duration("worker.rate.per", Some(&raw.per), Duration::ZERO, ANY);
        Some(Rate {
            tasks: NonZeroU32::new(tasks?)?,
            per: per?,
        })
    }

    fn output(&mut self, raw: RawOutput) -> Option<OutputLocation> {
        let RawOutput { bucket, prefix } = raw;
        let prefix = prefix.unwrap_or_default();
        let mut fine = true;
        if !is_bucket(&bucket) {
            self.fault(
                "worker.output.bucket",
                format!("found `{bucket}`; allowed is a bucket's name: 3 to 63 lower-case letters, digits, hyphens and points"),
            );
            fine = false;
        }
        if !prefix.is_empty() && !prefix.ends_with('/') {
            self.fault(
                "worker.output.prefix",
                format!("found `{prefix}`; allowed is nothing, or a prefix that ends in `/`"),
            );
            fine = false;
        }
        fine.then_some(OutputLocation { bucket, prefix })
    }

    pub(super) fn objective(&mut self, raw: &RawObjective) -> Option<Objective> {
        let wait = self.duration("objective.wait", Some(&raw.wait), Duration::ZERO, ANY);
        let late = match &raw.late {
            Some(late) => self.percent("objective.late", late, 99.0),
            None => Some(1.0),
        };
        Some(Objective {
            wait: wait?,
            late: late? / 100.0,
        })
    }
}

/// What is not written is fine; what is written and faulty is not.
pub(super) fn transpose<T>(checked: Option<Option<T>>) -> Option<Option<T>> {
    match checked {
        None => Some(None),
        Some(None) => None,
        Some(Some(value)) => Some(Some(value)),
    }
}

fn is_bucket(text: &str) -> bool {
    let edge = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    (3..=63).contains(&text.len())
        && text.bytes().all(|b| edge(b) || matches!(b, b'-' | b'.'))
        && text.bytes().next().is_some_and(edge)
        && text.bytes().last().is_some_and(edge)
}
