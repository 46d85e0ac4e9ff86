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
    /// Sorts messages. What cannot be parsed is left to the dead-letter queue.
    pub(crate) fn sort(
        messages: Vec<Message>,
        trust: &Trust,
        now: Timestamp,
        (said, shared): (&mut Said, &Shared),
    ) -> Self {
        let mut inbox = Self::default();
        for Message { body, receipt } in messages {
            let claim = match parse(&body) {
                Ok(claim) => claim,
                Err(error) => {
                    shared.metrics.failed("parse");
                    tracing::warn!(%error, "left to the dead-letter queue");
                    continue;
                }
            };
            match trust.check(&claim, now) {
                Ok(signal) => {
                    let (signals, receipts) =
                        inbox.signals.entry(signal.deployment.clone()).or_default();
                    signals.push(signal);
                    receipts.push(receipt);
                }
                Err(reason) => {
                    said.reject(reason, &claim.alarm, shared);
                    inbox.done.push(receipt);
                }
            }
        }
        inbox
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

/// Polls the queue while we lead. Ends when nobody listens.
pub(crate) async fn receive(
    queue: &impl Queue,
    mut leading: watch::Receiver<Option<Fence>>,
    inbox: mpsc::Sender<Vec<Message>>,
    shared: &Shared,
) {
    // The first poll, and the one after a failure, says at once whether the
    // queue can be reached.
    let mut wait = Duration::ZERO;
    loop {
        if leading.wait_for(Option::is_some).await.is_err() {
            return;
        }
        match queue.receive(wait).await {
            Ok(messages) => {
                wait = LONG_POLL;
                shared.ready(Part::Queue);
                if !messages.is_empty() && inbox.send(messages).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                wait = Duration::ZERO;
                tracing::warn!(%error, "signals are not received; alarms are re-read meanwhile");
                shared.metrics.failed("receive");
                shared.unready(Part::Queue, error.to_string());
                let end = tokio::time::Instant::now() + PAUSE;
                tokio::time::sleep_until(end).await;
            }
        }
    }
}
