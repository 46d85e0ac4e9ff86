//! How an activity is served.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use stepfleet_activity::CancelSafety;
use stepfleet_activity::catalogue::{Activity, OutputLocation, Rate};

/// How an activity is served: from a catalogue, or set by hand for an activity
/// of your own.
///
/// ```
/// use std::time::Duration;
/// use stepfleet_worker::ActivityOptions;
///
/// let options = ActivityOptions::new("arn:aws:states:eu-west-1:123456789012:activity:prod-resize")
///     .slots(8)
///     .pollers(1, 4)
///     .heartbeat(Duration::from_secs(30))
///     .timeout(Duration::from_secs(600));
/// assert_eq!(options.name(), "prod-resize");
/// ```
#[derive(Debug, Clone)]
pub struct ActivityOptions {
    pub(crate) name: Arc<str>,
    pub(crate) arn: Arc<str>,
    pub(crate) slots: u32,
    pub(crate) pollers: (u32, u32),
    pub(crate) heartbeat: Duration,
    pub(crate) timeout: Duration,
    pub(crate) rate: Option<Rate>,
    pub(crate) output: Option<OutputLocation>,
    pub(crate) objective_wait: Option<Duration>,
    pub(crate) cancel: CancelSafety,
}

impl ActivityOptions {
    /// One slot, a heartbeat of 60 s and a timeout of 15 min, under the name
    /// that ends the ARN.
    pub fn new(arn: impl Into<Arc<str>>) -> Self {
        let arn = arn.into();
        Self {
            name: arn.rsplit(':').next().unwrap_or_default().into(),
            arn,
            slots: 1,
            pollers: (1, 4),
            heartbeat: Duration::from_secs(60),
            timeout: Duration::from_secs(15 * 60),
            rate: None,
            output: None,
            objective_wait: None,
            cancel: CancelSafety::CancelSafe,
        }
    }

    /// The name in logs and metrics.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Another name in logs and metrics.
    #[must_use]
    pub fn named(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = name.into();
        self
    }

    /// Tasks at once; at least 1.
    #[must_use]
    pub fn slots(mut self, slots: u32) -> Self {
        self.slots = slots.max(1);
        self
    }

    /// Open polls at least and at most. Slots bound both, since a slot is held
    /// before a poll.
    #[must_use]
    pub fn pollers(mut self, min: u32, max: u32) -> Self {
        self.pollers = (min.max(1), max.max(min).max(1));
        self
    }

    /// The state's `HeartbeatSeconds`; the worker beats at a third of it.
    #[must_use]
    pub fn heartbeat(mut self, heartbeat: Duration) -> Self {
        self.heartbeat = heartbeat.max(Duration::from_millis(30));
        self
    }

    /// The longest run of one attempt.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Tasks started at most by this process: so many in so long.
    #[must_use]
    pub fn rate(mut self, tasks: NonZeroU32, per: Duration) -> Self {
        self.rate = Some(Rate { tasks, per });
        self
    }

    /// Where outputs over 262,144 bytes go.
    #[must_use]
    pub fn output(mut self, bucket: impl Into<String>, prefix: impl Into<String>) -> Self {
        self.output = Some(OutputLocation {
            bucket: bucket.into(),
            prefix: prefix.into(),
        });
        self
    }

    /// The wait that is still on time; longer ones are counted as late.
    #[must_use]
    pub fn objective_wait(mut self, wait: Duration) -> Self {
        self.objective_wait = Some(wait);
        self
    }

    /// What becomes of the handler when its attempt is closed: dropped, unless
    /// it says that it must run to its end.
    #[must_use]
    pub fn cancel(mut self, cancel: CancelSafety) -> Self {
        self.cancel = cancel;
        self
    }

    pub(crate) fn heartbeat_interval(&self) -> Duration {
        self.heartbeat / 3
    }

    /// Bounds of open polls, within the slots.
    pub(crate) fn poller_bounds(&self) -> (usize, usize) {
        let (min, max) = self.pollers;
        (min.min(self.slots) as usize, max.min(self.slots) as usize)
    }
}

impl From<&str> for ActivityOptions {
    fn from(arn: &str) -> Self {
        Self::new(arn)
    }
}

impl From<&Activity> for ActivityOptions {
    fn from(activity: &Activity) -> Self {
        let worker = &activity.worker;
        Self {
            name: activity.name.as_str().into(),
            arn: activity.arn.as_str().into(),
            slots: worker.slots,
            pollers: (worker.pollers_min, worker.pollers_max),
            heartbeat: worker.heartbeat,
            timeout: worker.timeout,
            rate: worker.rate,
            output: worker.output.clone(),
            objective_wait: activity.objective.map(|objective| objective.wait),
            cancel: CancelSafety::CancelSafe,
        }
    }
}
