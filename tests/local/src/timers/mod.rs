//! Waiting that can be cut short: hours pass in a moment when a test says so.
//!
//! Time here is the runtime's, ahead by what was said. Whoever waits through
//! [`Timers`] looks again when that grows; timestamps come from [`Shifted`],
//! which is ahead by the same. Nothing is ahead until somebody says so.

pub(crate) mod control;

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use stepfleet_activity::Clock;
use tokio::sync::watch;
use tokio::time::Instant;

/// As far ahead as time can be: more than anything here waits for.
const FURTHEST: Duration = Duration::from_secs(10 * 366 * 24 * 60 * 60);

/// Time as everything here waits for it; all clones are ahead by the same.
#[derive(Debug, Clone)]
pub struct Timers(Arc<watch::Sender<Duration>>);

/// The time came before what was waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the time has passed")]
pub struct Lapsed;

// === impl Timers ===

impl Timers {
    /// The moment now.
    pub fn now(&self) -> Instant {
        Instant::now() + self.ahead()
    }

    /// How far it is ahead of the machine's time.
    pub fn ahead(&self) -> Duration {
        *self.0.borrow()
    }

    /// Moves on by a span; everybody who waits looks again. Time does not go
    /// further than ten years ahead.
    pub fn advance(&self, by: Duration) {
        self.0
            .send_modify(|ahead| *ahead = ahead.saturating_add(by).min(FURTHEST));
    }

    /// How much further it can be moved.
    pub(crate) fn left(&self) -> Duration {
        FURTHEST.saturating_sub(self.ahead())
    }

    /// Waits until a moment.
    pub async fn sleep_until(&self, at: Instant) {
        let mut moved = self.0.subscribe();
        loop {
            let ahead = *moved.borrow_and_update();
            // Before anything that the machine can name: it has passed.
            let Some(real) = at.checked_sub(ahead) else {
                return;
            };
            tokio::select! {
                () = tokio::time::sleep_until(real) => return,
                // It cannot be closed: the sender is here.
                _ = moved.changed() => {}
            }
        }
    }

    /// The moment after a span, or one so far away that nobody comes to it: a
    /// span that somebody chose may be longer than a clock can be moved on by.
    pub fn after(&self, span: Duration) -> Instant {
        self.now() + span.min(2 * FURTHEST)
    }

    /// Waits for a span from now.
    pub async fn sleep(&self, span: Duration) {
        self.sleep_until(self.after(span)).await;
    }

    /// What a future gives, unless a moment comes first.
    ///
    /// # Errors
    /// The moment came first.
    pub async fn timeout_at<F: Future>(&self, at: Instant, future: F) -> Result<F::Output, Lapsed> {
        tokio::select! {
            biased;
            output = future => Ok(output),
            () = self.sleep_until(at) => Err(Lapsed),
        }
    }

    /// What a future gives, unless a span from now passes first.
    ///
    /// # Errors
    /// The span passed first.
    pub async fn timeout<F: Future>(&self, span: Duration, future: F) -> Result<F::Output, Lapsed> {
        self.timeout_at(self.after(span), future).await
    }
}

impl Default for Timers {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(Duration::ZERO)))
    }
}

/// A clock that is ahead of another by what [`Timers`] are.
#[derive(Debug)]
pub struct Shifted {
    /// Tells the time that everything is ahead of.
    pub clock: Arc<dyn Clock>,
    /// Tells by how much.
    pub timers: Timers,
}

impl Clock for Shifted {
    fn now(&self) -> Timestamp {
        let now = self.clock.now();
        SignedDuration::try_from(self.timers.ahead())
            .ok()
            .and_then(|ahead| now.checked_add(ahead).ok())
            .unwrap_or(now)
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures::poll;
    use stepfleet_activity::VirtualClock;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[tokio::test(start_paused = true)]
    async fn who_waits_is_woken_when_the_time_is_moved_there() {
        let timers = Timers::default();
        let began = Instant::now();
        let mut waits = pin!(timers.sleep(HOUR));
        assert!(poll!(&mut waits).is_pending());
        timers.advance(HOUR / 2);
        assert!(poll!(&mut waits).is_pending());
        timers.advance(HOUR / 2);
        waits.await;
        assert_eq!(began.elapsed(), Duration::ZERO);
        assert_eq!(timers.now() - began, HOUR);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_left_after_a_move_is_waited_for() {
        let timers = Timers::default();
        let began = Instant::now();
        let moved = timers.clone();
        let (ended, ()) = tokio::join!(timers.timeout(HOUR, std::future::pending::<()>()), async {
            moved.advance(HOUR - Duration::from_secs(1));
        });
        assert_eq!(ended, Err(Lapsed));
        assert_eq!(began.elapsed().as_secs(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_there_wins_over_the_time() {
        let timers = Timers::default();
        let past = timers.now();
        timers.advance(HOUR);
        assert_eq!(timers.timeout_at(past, async { 1 }).await, Ok(1));
    }

    #[tokio::test(start_paused = true)]
    async fn the_clock_is_ahead_by_the_same() {
        let timers = Timers::default();
        let shifted = Shifted {
            clock: Arc::new(VirtualClock::new(Timestamp::UNIX_EPOCH)),
            timers: timers.clone(),
        };
        assert_eq!(shifted.now(), Timestamp::UNIX_EPOCH);
        timers.advance(9 * HOUR);
        assert_eq!(shifted.now().as_second(), 9 * 3600);
    }

    #[tokio::test(start_paused = true)]
    async fn time_does_not_go_beyond_what_can_be_counted() {
        let timers = Timers::default();
        timers.advance(Duration::MAX);
        timers.advance(Duration::MAX);
        assert_eq!(timers.ahead(), FURTHEST);
        assert_eq!(timers.left(), Duration::ZERO);
        timers.sleep_until(Instant::now()).await;
        assert!(poll!(pin!(timers.sleep(Duration::MAX))).is_pending());
    }

    /// A wait that goes by tokio's own time would not see that time is moved.
    #[test]
    fn every_service_waits_through_the_timers() {
        let source = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut found = Vec::new();
        for service in ["sfn", "sqs", "sns", "cloudwatch", "s3", "redshift"] {
            look(&source.join(service), &mut found);
        }
        assert!(found.is_empty(), "{}", found.join("\n"));
    }

    fn look(at: &std::path::Path, found: &mut Vec<String>) {
        // Tests pause the runtime's time; PostgreSQL runs in the machine's.
        if at.ends_with("tests.rs") || at.ends_with("tests") || at.ends_with("redshift/postgres") {
            return;
        }
        if at.is_dir() {
            for entry in std::fs::read_dir(at).expect("a folder") {
                look(&entry.expect("an entry").path(), found);
            }
            return;
        }
        let text = std::fs::read_to_string(at).expect("a source file");
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        for (line, text) in text.lines().enumerate() {
            let waits = [
                "Instant::now()",
                ".elapsed()",
                "tokio::time::sleep",
                "tokio::time::timeout",
                "tokio::time::interval",
                "sleep_until}",
                "timeout}",
                "timeout_at}",
            ];
            // A span of real work is measured, and a cancel is said again, in real time.
            let real = text.contains("began") || text.contains("CANCEL_EVERY");
            if !real && waits.iter().any(|wait| text.contains(wait)) {
                found.push(format!("{}:{}: {}", at.display(), line + 1, text.trim()));
            }
        }
    }
}
