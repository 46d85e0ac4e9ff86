//! Which errors Retry and Catch match, and how long a retry waits.

use std::sync::Arc;
use std::time::Duration;

use super::path::Path;

/// The reserved error names.
pub(crate) mod name {
    pub(crate) const ALL: &str = "States.ALL";
    pub(crate) const DATA_LIMIT: &str = "States.DataLimitExceeded";
    pub(crate) const HEARTBEAT: &str = "States.HeartbeatTimeout";
    pub(crate) const INTRINSIC: &str = "States.IntrinsicFailure";
    pub(crate) const NO_CHOICE: &str = "States.NoChoiceMatched";
    pub(crate) const RESULT_PATH: &str = "States.ResultPathMatchFailure";
    pub(crate) const RUNTIME: &str = "States.Runtime";
    pub(crate) const TASK_FAILED: &str = "States.TaskFailed";
    pub(crate) const TIMEOUT: &str = "States.Timeout";
}

/// One entry of `Retry`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Retrier {
    pub(crate) errors: Vec<String>,
    pub(crate) interval: Duration,
    pub(crate) max_attempts: u32,
    pub(crate) backoff: f64,
    pub(crate) max_delay: Option<Duration>,
    /// Anything from nothing to the whole delay, so that those who failed
    /// together do not come again together.
    pub(crate) jitter: bool,
}

/// One entry of `Catch`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Catcher {
    pub(crate) errors: Vec<String>,
    pub(crate) next: Arc<str>,
    /// `None` drops the error.
    pub(crate) result_path: Option<Path>,
}

/// What has been retried in one visit of a state: each entry counts for itself.
#[derive(Debug)]
pub(crate) struct Retries<'a> {
    retriers: &'a [Retrier],
    used: Vec<u32>,
}

// === impl Retries ===

impl<'a> Retries<'a> {
    pub(crate) fn new(retriers: &'a [Retrier]) -> Self {
        Self {
            retriers,
            used: vec![0; retriers.len()],
        }
    }

    /// How long to wait before the next attempt, or `None` if there is none.
    pub(crate) fn next(&mut self, error: &str) -> Option<Duration> {
        let at = self
            .retriers
            .iter()
            .position(|retrier| matches(&retrier.errors, error))?;
        let (retrier, used) = (&self.retriers[at], &mut self.used[at]);
        if *used >= retrier.max_attempts {
            return None;
        }
        let delay = retrier.delay(*used);
        *used += 1;
        Some(delay)
    }
}

// === impl Retrier ===

impl Retrier {
    fn delay(&self, used: u32) -> Duration {
        // Nobody waits for longer than AWS lets a wait be.
        const LONGEST: f64 = 99_999_999.0;
        let factor = self.backoff.powf(f64::from(used));
        let seconds = (self.interval.as_secs_f64() * factor).min(LONGEST);
        let delay = Duration::from_secs_f64(seconds);
        let delay = self.max_delay.map_or(delay, |max| delay.min(max));
        if self.jitter {
            delay.mul_f64(rand::random_range(0.0..=1.0))
        } else {
            delay
        }
    }
}

/// Whether an error is among `errors`. `States.ALL` leaves out what ends an
/// execution whatever it says, and `States.TaskFailed` leaves out timeouts of
/// the state too. `States.Timeout` includes a heartbeat that lapsed.
pub(crate) fn matches(errors: &[String], error: &str) -> bool {
    if error == name::RUNTIME {
        return false;
    }
    errors.iter().any(|one| match one.as_str() {
        name::ALL => error != name::DATA_LIMIT,
        name::TASK_FAILED => error != name::DATA_LIMIT && error != name::TIMEOUT,
        name::TIMEOUT => error == name::TIMEOUT || error == name::HEARTBEAT,
        one => one == error,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_leave_out_what_they_must() {
        let cases = [
            ("States.ALL", "Load.Transient", true),
            ("States.ALL", "States.Timeout", true),
            ("States.ALL", "States.DataLimitExceeded", false),
            ("States.ALL", "States.Runtime", false),
            ("States.TaskFailed", "Load.Transient", true),
            ("States.TaskFailed", "States.Timeout", false),
            ("States.TaskFailed", "States.HeartbeatTimeout", true),
            ("States.TaskFailed", "States.DataLimitExceeded", false),
            ("States.Timeout", "States.Timeout", true),
            ("States.Timeout", "States.HeartbeatTimeout", true),
            ("States.HeartbeatTimeout", "States.HeartbeatTimeout", true),
            ("States.HeartbeatTimeout", "States.Timeout", false),
            ("States.DataLimitExceeded", "States.DataLimitExceeded", true),
            ("States.Runtime", "States.Runtime", false),
            ("Load.Transient", "Load.Transient", true),
            ("Load.Transient", "Load.Permanent", false),
            ("Load.*", "Load.Transient", false),
        ];
        for (pattern, error, want) in cases {
            assert_eq!(
                matches(&[pattern.to_owned()], error),
                want,
                "{pattern} {error}"
            );
        }
    }

    #[test]
    fn each_retrier_backs_off_and_ends_for_itself() {
        let retrier = |error: &str, max_attempts, max_delay| Retrier {
            errors: vec![error.to_owned()],
            interval: Duration::from_secs(2),
            max_attempts,
            backoff: 3.0,
            max_delay,
            jitter: false,
        };
        let retriers = [
            retrier("A", 3, Some(Duration::from_secs(10))),
            retrier("States.ALL", 1, None),
        ];
        let mut retries = Retries::new(&retriers);
        let mut next = |error| retries.next(error).map(|delay| delay.as_secs());
        let got = [
            next("A"),
            next("B"),
            next("A"),
            next("B"),
            next("A"),
            next("A"),
        ];
        assert_eq!(got, [Some(2), Some(2), Some(6), None, Some(10), None]);
    }

    #[test]
    fn a_backoff_never_overflows() {
        let retrier = Retrier {
            errors: Vec::new(),
            interval: Duration::from_secs(99_999_999),
            max_attempts: u32::MAX,
            backoff: 1e300,
            max_delay: None,
            jitter: false,
        };
        assert_eq!(retrier.delay(u32::MAX - 1).as_secs(), 99_999_999);
    }

    #[test]
    fn jitter_is_spread_over_the_whole_delay() {
        let retrier = Retrier {
            errors: Vec::new(),
            interval: Duration::from_secs(8),
            max_attempts: 1,
            backoff: 2.0,
            max_delay: Some(Duration::from_secs(12)),
            jitter: true,
        };
        let delays: Vec<Duration> = (0..200).map(|_| retrier.delay(1)).collect();
        let most = Duration::from_secs(12);
        assert!(delays.iter().all(|delay| *delay <= most), "{delays:?}");
        // 200 draws leave out a third of the span once in 10^35 runs.
        assert!(delays.iter().any(|delay| *delay < most / 3), "{delays:?}");
        assert!(
            delays.iter().any(|delay| *delay > most * 2 / 3),
            "{delays:?}"
        );
    }
}
