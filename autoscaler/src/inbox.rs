//! Messages from the queue: taken, sorted, and deleted only when what they
//! changed is durable.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, watch};

use crate::fold::Folded;
use crate::http::{Part, Shared};
use crate::lease::Fence;
use crate::queue::{LONG_POLL, Message, Queue};
use crate::signal::{Rejection, Signal, Trust, parse};
use crate::sns::{Fetch, Sealed, Verifier};

/// How long to wait after a failed call.
const PAUSE: Duration = Duration::from_secs(5);

/// Messages of one receive, sorted.
#[derive(Default)]
pub(crate) struct Inbox {
    /// By Deployment: the signals and their receipts, in the same order.
    pub(crate) signals: BTreeMap<String, (Vec<Signal>, Vec<String>)>,
    /// Receipts of messages that need nothing more.
    pub(crate) done: Vec<String>,
}

/// Rejections that were said: once for each reason and alarm.
#[derive(Default)]
pub(crate) struct Said(BTreeSet<(Rejection, String)>);

/// Anybody may invent alarm names; so many are remembered.
const SAID: usize = 1000;
/// CloudWatch takes no longer name, but a forged message may have one.
const LONGEST_ALARM: usize = 255;

impl Inbox {
    /// Sorts messages. What cannot be parsed is left to the dead-letter queue,
    /// and what cannot be verified yet to the next receive.
    pub(crate) fn sort(
        messages: Vec<Sealed>,
        trust: &Trust,
        now: Timestamp,
        (said, shared): (&mut Said, &Shared),
    ) -> Self {
        let mut inbox = Self::default();
        for Sealed { message, seal } in messages {
            let Message { body, receipt } = message;
            let claim = match parse(&body) {
                Ok(claim) => claim,
                Err(error) => {
                    shared.metrics.failed("parse");
                    tracing::warn!(%error, "left to the dead-letter queue");
                    continue;
                }
            };
            match trust
                .check(&claim, now)
                .and_then(|signal| seal.admit(signal))
            {
                Ok(Ok(signal)) => inbox.add(signal, receipt),
                Ok(Err(why)) => {
                    tracing::warn!(alarm = claim.alarm, "a signal waits in the queue: {why}");
                    shared.unready(Part::Certificate, why);
                }
                Err(reason) => {
                    said.reject(reason, &claim.alarm, shared);
                    inbox.done.push(receipt);
                }
            }
        }
        inbox
    }

    fn add(&mut self, signal: Signal, receipt: String) {
        let deployment = signal.deployment.clone();
        let (signals, receipts) = self.signals.entry(deployment).or_default();
        signals.push(signal);
        receipts.push(receipt);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.signals.is_empty()
    }

    /// All receipts that are not done yet.
    pub(crate) fn open(&self) -> Vec<String> {
        let receipts = self.signals.values().flat_map(|(_, receipts)| receipts);
        receipts.cloned().collect()
    }
}

impl Said {
    pub(crate) fn reject(&mut self, reason: Rejection, alarm: &str, shared: &Shared) {
        let label = reason.as_str();
        shared.metrics.rejected.with_label_values(&[label]).inc();
        let alarm: String = alarm.chars().take(LONGEST_ALARM).collect();
        if self.0.len() < SAID && self.0.insert((reason, alarm.clone())) {
            tracing::warn!(alarm, reason = label, "a signal was rejected; said once");
        }
    }

    /// Counts what folding made of the signals.
    pub(crate) fn folded(&mut self, signals: &[Signal], folded: &[Folded], shared: &Shared) {
        for (signal, folded) in signals.iter().zip(folded) {
            match folded {
                Folded::Newest => {
                    let label = [signal.deployment.as_str()];
                    shared.metrics.signals.with_label_values(&label).inc();
                }
                Folded::Duplicate => self.reject(Rejection::Duplicate, &signal.alarm, shared),
                Folded::Late => self.reject(Rejection::Late, &signal.alarm, shared),
            }
        }
    }
}

/// Who polls the queue, and looks at the signatures of what comes.
pub(crate) struct Poller<'a, Q, F> {
    pub(crate) queue: &'a Q,
    pub(crate) verifier: Verifier<F>,
    pub(crate) inbox: mpsc::Sender<Vec<Sealed>>,
    pub(crate) shared: &'a Shared,
}

impl<Q: Queue, F: Fetch> Poller<'_, Q, F> {
    /// Polls the queue while we lead. Ends when nobody listens.
    pub(crate) async fn run(mut self, mut leading: watch::Receiver<Option<Fence>>) {
        // The first poll, and the one after a failure, says at once whether the
        // queue can be reached.
        let mut wait = Duration::ZERO;
        loop {
            if leading.wait_for(Option::is_some).await.is_err() {
                return;
            }
            match self.queue.receive(wait).await {
                Ok(messages) => {
                    wait = LONG_POLL;
                    self.shared.ready(Part::Queue);
                    if self.hand_on(messages).await.is_err() {
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

    async fn hand_on(&mut self, messages: Vec<Message>) -> Result<(), Closed> {
        match self.verifier.catch_up().await {
            Ok(()) => self.shared.ready(Part::Certificate),
            Err(_) => self.shared.metrics.failed("certificate"),
        }
        let mut sealed = Vec::new();
        for message in messages {
            sealed.push(self.verifier.seal(message).await);
        }
        if sealed.is_empty() {
            return Ok(());
        }
        self.inbox.send(sealed).await.map_err(|_| Closed)
    }
}

/// Nobody listens any more.
struct Closed;
