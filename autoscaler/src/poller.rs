//! Polls the queue while we lead, and looks at what nobody can have sent.

use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::http::{Part, Shared};
use crate::lease::Fence;
use crate::queue::{LONG_POLL, Message, Queue};
use crate::signal::{LONGEST, ParseError};
use crate::sns::{Fetch, Sealed, Verifier};

/// How long to wait after a failed call.
const PAUSE: Duration = Duration::from_secs(5);
/// How often what strangers can bring about at will is said in the log.
const SAID: Duration = Duration::from_secs(60);
/// So many receives wait while CloudWatch is asked; one call answers them all.
pub(crate) const RECEIVES: usize = 8;

/// Who polls the queue, and looks at the signatures of what comes.
pub(crate) struct Poller<'a, Q, F> {
    pub(crate) queue: &'a Q,
    pub(crate) verifier: Verifier<F>,
    pub(crate) inbox: mpsc::Sender<Vec<Sealed>>,
    pub(crate) shared: &'a Shared,
}

impl<Q: Queue, F: Fetch + 'static> Poller<'_, Q, F> {
    /// Polls the queue while we lead. Ends when nobody listens.
    pub(crate) async fn run(mut self, mut leading: watch::Receiver<Option<Fence>>) {
        // The first poll, and the one after a failure, says at once whether the
        // queue can be reached.
        let mut wait = Duration::ZERO;
        let mut said = None;
        loop {
            if leading.wait_for(Option::is_some).await.is_err() {
                return;
            }
            match self.queue.receive(wait).await {
                Ok(messages) => {
                    wait = LONG_POLL;
                    self.shared.ready(Part::Queue);
                    if self.hand_on(messages, &mut said).await.is_err() {
                        return;
                    }
                }
                Err(error) => {
                    wait = Duration::ZERO;
                    tracing::warn!(%error, "signals are not received; alarms are re-read meanwhile");
                    self.shared.metrics.failed("receive");
                    self.shared.unready(Part::Queue, error.to_string());
                    let end = tokio::time::Instant::now() + PAUSE;
                    tokio::time::sleep_until(end).await;
                }
            }
        }
    }

    async fn hand_on(
        &mut self,
        messages: Vec<Message>,
        said: &mut Option<Instant>,
    ) -> Result<(), Closed> {
        if messages.is_empty() {
            return Ok(());
        }
        let (messages, long): (Vec<_>, Vec<_>) =
            (messages.into_iter()).partition(|message| message.body.len() <= LONGEST);
        for _ in &long {
            self.shared.metrics.failed("parse");
        }
        let sealed = self.verifier.seal(messages).await;
        let complaints = self.verifier.complaints();
        for _ in &complaints {
            self.shared.metrics.failed("certificate");
        }
        let long = (!long.is_empty()).then(|| ParseError::TooLong.to_string());
        if let Some(why) = complaints.first().or(long.as_ref())
            && said.is_none_or(|at| at.elapsed() >= SAID)
        {
            tracing::warn!("messages are left in the queue: {why}");
            *said = Some(Instant::now());
        }
        self.inbox.send(sealed).await.map_err(|_| Closed)
    }
}

/// Nobody listens any more.
struct Closed;
