//! Keeps polls open: as many as are worth it, each with a slot, none cancelled.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::lane::{Lane, Slot};
use crate::sfn::{CallError, RawTask, Recovery};
use crate::shutdown::Phase;

/// A poll that is answered within this found its task waiting.
const AT_ONCE: Duration = Duration::from_secs(1);
const RETRY: Backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(15));
const RETRY_SLOWLY: Backoff = Backoff::new(Duration::from_secs(5), Duration::from_secs(60));

/// How many polls to keep open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PollerCount {
    target: usize,
    min: usize,
    max: usize,
}

impl PollerCount {
    pub(crate) fn new((min, max): (usize, usize)) -> Self {
        Self {
            target: min,
            min,
            max,
        }
    }

    /// A task came; `others` polls are still open. When it came at once and
    /// every poller was at it, more tasks wait than polls are open.
    pub(crate) fn task(&mut self, took: Duration, others: usize) {
        if took < AT_ONCE && others + 1 >= self.target {
            self.target = (self.target + 1).min(self.max);
        }
    }

    /// One poller fewer: a poll came back empty, or Step Functions wants fewer.
    pub(crate) fn fewer(&mut self) {
        self.target = (self.target - 1).max(self.min);
    }
}

/// A task and what it needs to run.
pub(crate) struct Polled {
    pub(crate) task: RawTask,
    pub(crate) slot: Slot,
}

struct Ended {
    held: Held,
    answer: Result<Option<RawTask>, CallError>,
    took: Duration,
}

/// What a poll holds: a slot, and a share of the rate if there is one.
struct Held {
    slot: Slot,
    rate: Option<OwnedSemaphorePermit>,
}

/// The pollers of one activity.
pub(crate) struct Pollers {
    lane: Arc<Lane>,
    open: JoinSet<Ended>,
    count: PollerCount,
    rate: Option<Arc<Semaphore>>,
    not_before: Instant,
    retry: Backoff,
    retry_slowly: Backoff,
}

impl Pollers {
    pub(crate) fn new(lane: Arc<Lane>) -> Self {
        let rate = lane.options.rate;
        Self {
            count: PollerCount::new(lane.options.poller_bounds()),
            rate: rate.map(|rate| Arc::new(Semaphore::new(rate.tasks.get() as usize))),
            open: JoinSet::new(),
            not_before: Instant::now(),
            retry: RETRY,
            retry_slowly: RETRY_SLOWLY,
            lane,
        }
    }

    /// Polls until the worker drains, then until the last open poll has ended.
    /// Each task goes to `serve`, which must not wait. Dropping this future
    /// cancels open polls, which may lose their tasks: only the drain deadline does.
    pub(crate) async fn run(mut self, serve: impl Fn(Polled)) {
        let lane = Arc::clone(&self.lane);
        let mut draining = false;
        while !(draining && self.open.is_empty()) {
            lane.meters.polls_open.set(gauge(self.open.len()));
            lane.meters.pollers.set(gauge(self.count.target));
            let may_open = !draining && self.open.len() < self.count.target;
            tokio::select! {
                biased;
                () = lane.shutdown.reached(Phase::Draining), if !draining => draining = true,
                Some(ended) = self.open.join_next() => match ended {
                    Ok(ended) => self.settle(ended, &serve),
                    Err(error) => tracing::error!("a poll ended without an answer: {error}"),
                },
                held = hold(&lane, self.rate.as_ref(), self.not_before), if may_open => {
                    self.open_poll(held);
                }
                // A poll is open or may be opened, or the loop has ended.
                else => {}
            }
        }
        lane.meters.polls_open.set(0);
        lane.meters.pollers.set(0);
    }

    fn open_poll(&mut self, held: Held) {
        let lane = Arc::clone(&self.lane);
        self.open.spawn(async move {
            let opened = Instant::now();
            let answer = lane.sfn.poll(&lane.options.arn, &lane.worker_name).await;
            Ended {
                held,
                answer,
                took: opened.elapsed(),
            }
        });
    }

    fn settle(&mut self, ended: Ended, serve: &impl Fn(Polled)) {
        let meters = &self.lane.meters;
        match ended.answer {
            Ok(answer) => {
                self.retry.reset();
                self.retry_slowly.reset();
                self.not_before = Instant::now();
                self.lane.trouble.clear();
                let Some(task) = answer else {
                    meters.poll("empty");
                    self.count.fewer();
                    return;
                };
                meters.poll("task");
                self.count.task(ended.took, self.open.len());
                self.spend(ended.held.rate);
                let slot = ended.held.slot;
                serve(Polled { task, slot });
            }
            Err(error) => {
                meters.poll(error.kind());
                self.count.fewer();
                self.lane.trouble.note(&self.lane.options, &error);
                tracing::debug!(activity = %self.lane.options.name, "a poll failed: {}", error.chain());
                let wait = match error.recovery() {
                    Recovery::Retry => self.retry.next(),
                    Recovery::RetrySlowly | Recovery::AbandonTask | Recovery::GiveUp => {
                        self.retry_slowly.next()
                    }
                };
                self.not_before = Instant::now() + wait;
            }
        }
    }

    /// A task has used its share of the rate: it comes back when the span is over.
    fn spend(&self, share: Option<OwnedSemaphorePermit>) {
        let (Some(share), Some(rate)) = (share, self.lane.options.rate) else {
            return;
        };
        let back = Instant::now() + rate.per;
        tokio::spawn(async move {
            tokio::time::sleep_until(back).await;
            drop(share);
        });
    }
}

/// Waits until another poll may be opened. Cancel-safe: what was taken is given back.
async fn hold(lane: &Arc<Lane>, rate: Option<&Arc<Semaphore>>, not_before: Instant) -> Held {
    // Timers tick in whole milliseconds: one that is due already would still cost one.
    if not_before > Instant::now() {
        tokio::time::sleep_until(not_before).await;
    }
    let rate = match rate {
        Some(rate) => Arc::clone(rate).acquire_owned().await.ok(),
        None => None,
    };
    let slot = Slot::take(Arc::clone(lane)).await;
    Held { slot, rate }
}

fn gauge(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_rises_at_once_and_falls_one_per_empty_poll() {
        let quick = Duration::from_millis(20);
        let slow = Duration::from_secs(30);
        let mut count = PollerCount::new((1, 3));
        let mut check = |step: &str, want: usize| {
            match step {
                "quick, all busy" => count.task(quick, count.target - 1),
                "quick, some without a slot" => count.task(quick, count.target.saturating_sub(2)),
                "slow" => count.task(slow, count.target - 1),
                _ => count.fewer(),
            }
            assert_eq!(count.target, want, "{step}");
        };
        check("slow", 1);
        check("quick, all busy", 2);
        check("quick, some without a slot", 2);
        check("quick, all busy", 3);
        check("quick, all busy", 3);
        check("empty", 2);
        check("empty", 1);
        check("empty", 1);
    }
}
