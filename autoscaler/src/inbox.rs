//! Messages from the queue: sorted by what they could change, and deleted only
//! when that is durable.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use jiff::Timestamp;

use crate::http::Shared;
use crate::levels::{Answer, Levels, Verdict};
use crate::queue::Message;
use crate::signal::{Claim, ParseError, Rejection, Signal, Trust, parse};
use crate::sns::{Seal, Sealed};

/// Messages of some receives, sorted.
#[derive(Default)]
pub(crate) struct Inbox {
    /// What CloudWatch is to be asked about.
    pub(crate) asking: Vec<Asking>,
    /// By Deployment: receipts of messages that wait until what they changed is
    /// durable.
    pub(crate) waiting: BTreeMap<String, Vec<String>>,
    /// Receipts of messages that need nothing more.
    pub(crate) done: Vec<String>,
}

/// A signal that would change a level.
#[derive(Debug)]
pub(crate) struct Asking {
    pub(crate) signal: Signal,
    /// None for one whose signature cannot be told yet: it is a reason to ask,
    /// and stays in the queue.
    pub(crate) receipt: Option<String>,
    /// Whether SNS signed it.
    pub(crate) signed: bool,
}

/// What was said of strangers' messages: once for each kind.
#[derive(Default)]
pub(crate) struct Said {
    rejected: BTreeSet<(Rejection, String)>,
    unparsed: BTreeSet<String>,
}

/// Anybody may invent alarm names; so many are remembered.
const SAID: usize = 1000;
/// CloudWatch takes no longer name, but a forged message may have one.
const LONGEST_ALARM: usize = 255;

/// What messages are sorted by.
pub(crate) struct Sorter<'a> {
    pub(crate) trust: &'a Trust,
    pub(crate) levels: &'a Levels,
    /// Deployments whose levels are known and not durable yet.
    pub(crate) unsettled: &'a BTreeSet<String>,
    pub(crate) now: Timestamp,
    pub(crate) said: &'a mut Said,
    pub(crate) shared: &'a Shared,
}

/// A fault of ours costs the message that it strikes, and not the process: it is
/// left to the dead-letter queue.
pub(crate) fn caught(
    read: impl FnOnce() -> Result<Claim, ParseError>,
) -> Result<Claim, ParseError> {
    let panicked = |_| Err(ParseError::NotAlarm("reading it panicked".to_owned()));
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(panicked)
}

// === impl Sorter ===

impl Sorter<'_> {
    /// Sorts messages. What cannot be parsed is left to the dead-letter queue,
    /// what says nothing new or is not ours needs nothing more.
    pub(crate) fn sort(self, messages: Vec<Sealed>) -> Inbox {
        let mut inbox = Inbox::default();
        for Sealed { message, seal } in messages {
            let Message { body, receipt } = message;
            let claim = match caught(|| parse(&body)) {
                Ok(claim) => claim,
                Err(error) => {
                    self.said.unparsed(&error, self.shared);
                    continue;
                }
            };
            let checked = self.trust.check(&claim, self.now);
            let signal = match checked {
                Ok(_) if seal == Seal::Forged => Err(Rejection::Signature),
                checked => checked,
            };
            match signal.and_then(|signal| self.judge(signal)) {
                Ok(Some(signal)) => {
                    let verified = seal != Seal::Unknown;
                    if !verified {
                        let reason = Rejection::Unverified;
                        self.said.reject(reason, &claim.alarm, self.shared);
                    }
                    inbox.asking.push(Asking {
                        signal,
                        receipt: verified.then_some(receipt),
                        signed: seal == Seal::Genuine,
                    });
                }
                Ok(None) => {}
                Err(reason) => {
                    self.said.reject(reason, &claim.alarm, self.shared);
                    inbox.done.push(receipt);
                }
            }
        }
        inbox
    }

    /// A signal that CloudWatch is to be asked about; none where its repeat is
    /// all that would bring back a level which is not durable yet.
    fn judge(&self, signal: Signal) -> Result<Option<Signal>, Rejection> {
        let reason = match self.levels.judge(&signal) {
            Verdict::Asks => return Ok(Some(signal)),
            Verdict::Duplicate => Rejection::Duplicate,
            Verdict::Late => Rejection::Late,
        };
        if self.unsettled.contains(&signal.deployment) {
            return Ok(None);
        }
        Err(reason)
    }
}

// === impl Inbox ===

impl Inbox {
    /// The alarms that CloudWatch is to be asked about.
    pub(crate) fn asked(&self) -> BTreeSet<&str> {
        let asking = self.asking.iter();
        asking.map(|asking| asking.signal.alarm.as_str()).collect()
    }

    /// What CloudWatch said to the signals that it was asked about. Whether one
    /// of them is younger than what it said, and unknown to it.
    pub(crate) fn answered(&mut self, levels: &Levels, said: &mut Said, shared: &Shared) -> bool {
        let mut unconfirmed = false;
        for asking in self.asking.drain(..) {
            let Asking {
                signal, receipt, ..
            } = asking;
            let Some(receipt) = receipt else {
                continue;
            };
            let reason = match levels.answer(&signal) {
                Answer::Confirmed => {
                    let label = [signal.deployment.as_str()];
                    shared.metrics.signals.with_label_values(&label).inc();
                    (self.waiting.entry(signal.deployment).or_default()).push(receipt);
                    continue;
                }
                Answer::Late => Rejection::Late,
                Answer::Unconfirmed => Rejection::Unconfirmed,
            };
            unconfirmed |= reason == Rejection::Unconfirmed;
            said.reject(reason, &signal.alarm, shared);
            self.done.push(receipt);
        }
        unconfirmed
    }

    /// CloudWatch could not be asked: what SNS signed counts meanwhile, and all
    /// else stays in the queue. The Deployments whose levels are others now.
    pub(crate) fn believed(&mut self, levels: &mut Levels, shared: &Shared) -> BTreeSet<String> {
        let mut deployments = BTreeSet::new();
        let (mut signed, others) = (std::mem::take(&mut self.asking).into_iter())
            .partition::<Vec<_>, _>(|asking| asking.signed);
        self.asking = others;
        signed.sort_by_key(|asking| asking.signal.change.since);
        for Asking {
            signal, receipt, ..
        } in signed
        {
            if levels.judge(&signal) == Verdict::Asks {
                levels.believe(&signal);
                let label = [signal.deployment.as_str()];
                shared.metrics.believed.with_label_values(&label).inc();
                deployments.insert(signal.deployment.clone());
            }
            (self.waiting.entry(signal.deployment).or_default()).extend(receipt);
        }
        deployments
    }

    /// Nothing changed: what waits is durable, but for these Deployments.
    pub(crate) fn settle(&mut self, unsettled: &BTreeSet<String>) {
        self.waiting.retain(|deployment, receipts| {
            let durable = !unsettled.contains(deployment);
            if durable {
                self.done.append(receipts);
            }
            !durable
        });
    }

    /// All receipts that are not done yet and not left to a later receive.
    pub(crate) fn open(&self) -> Vec<String> {
        let asking = self.asking.iter();
        let asking = asking.filter_map(|asking| asking.receipt.as_ref());
        asking
            .chain(self.waiting.values().flatten())
            .cloned()
            .collect()
    }
}

// === impl Said ===

impl Said {
    pub(crate) fn reject(&mut self, reason: Rejection, alarm: &str, shared: &Shared) {
        let label = reason.as_str();
        shared.metrics.rejected.with_label_values(&[label]).inc();
        let alarm: String = alarm.chars().take(LONGEST_ALARM).collect();
        if self.rejected.len() < SAID && self.rejected.insert((reason, alarm.clone())) {
            tracing::warn!(alarm, reason = label, "a signal was rejected; said once");
        }
    }

    fn unparsed(&mut self, error: &ParseError, shared: &Shared) {
        shared.metrics.failed("parse");
        let why = error.to_string();
        if self.unparsed.len() < SAID && self.unparsed.insert(why.clone()) {
            tracing::warn!("{why}: left to the dead-letter queue; said once");
        }
    }
}
