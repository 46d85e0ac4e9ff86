//! The loop: on a tick, and at once on a signal that CloudWatch confirms.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use stepfleet_activity::Clock;
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;

use crate::alarms::Alarms;
use crate::config::Config;
use crate::decision::{Action, Hold, Policy, Seen};
use crate::http::{Part, Row, Shared};
use crate::inbox::{Inbox, Said, Sorter};
use crate::lease::Fence;
use crate::poller::RECEIVES;
use crate::queue::{BATCH, Queue, VISIBILITY};
use crate::scale::{Cluster, Input, Outcome, cycle};
use crate::sns::Sealed;
use crate::time::after;
use crate::watch::Watch;

/// Waits and flows are no older than this when a level changes: whoever may set
/// alarms makes us read no more of them than that.
const RECENT: Duration = Duration::from_secs(5);

/// So many messages are one turn's.
const MOST: usize = RECEIVES * BATCH;

/// The loop and what it works with.
pub(crate) struct Loop<C, W, Q> {
    pub(crate) cluster: Arc<C>,
    pub(crate) cloudwatch: W,
    pub(crate) queue: Arc<Q>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) config: Config,
    pub(crate) shared: Arc<Shared>,
    pub(crate) fence: watch::Receiver<Option<Fence>>,
    pub(crate) state: State,
}

/// What the loop remembers between ticks; losing it costs a few calls.
#[derive(Default)]
pub(crate) struct State {
    alarms: Alarms,
    /// Deployments whose levels are known and not durable yet.
    unsettled: BTreeSet<String>,
    metrics_read: Option<Timestamp>,
    activities: BTreeMap<String, Seen>,
    reasons: BTreeMap<String, &'static str>,
    said: Said,
    /// Why the alarms could not be read, as it was said last.
    complaint: Option<String>,
}

/// Why the loop turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Occasion {
    /// It is time to look.
    Tick,
    /// Signals came.
    Signals,
}

impl<C: Cluster, W: Watch, Q: Queue> Loop<C, W, Q> {
    /// Runs until told to stop; a cycle that runs is finished.
    pub(crate) async fn run(
        mut self,
        tick: Duration,
        mut inbox: mpsc::Receiver<Vec<Sealed>>,
        mut stop: watch::Receiver<bool>,
    ) {
        let mut ticks = tokio::time::interval(tick);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut leadership = self.fence.clone();
        loop {
            // Messages come last: however many there are, a tick is on time.
            let (occasion, messages) = tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => return,
                // The first fence comes a moment after the first tick.
                Ok(()) = leadership.changed() => {
                    let acts = leadership.borrow_and_update().is_some();
                    if !acts {
                        // Somebody else may lead meanwhile, and see what is newer.
                        self.forget();
                        self.shared.metrics.leader.set(0);
                        continue;
                    }
                    if self.read_before() { continue; }
                    (Occasion::Tick, Vec::new())
                }
                _ = ticks.tick() => (Occasion::Tick, Vec::new()),
                Some(messages) = inbox.recv() => (Occasion::Signals, all_of(messages, &mut inbox)),
            };
            let leads = self.fence.borrow().is_some();
            self.shared.metrics.leader.set(i64::from(leads));
            if leads {
                self.turn(occasion, messages).await;
            } else {
                // Standing by is all that is asked: what was received comes again.
                self.forget();
            }
        }
    }

    /// What was read is for who leads, and no longer.
    fn forget(&mut self) {
        self.state.alarms.levels.clear();
        self.state.unsettled.clear();
    }

    /// Whether the alarms were read since we lead.
    fn read_before(&self) -> bool {
        let names = self.config.trust.alarms().map(|(name, _)| name);
        self.state.alarms.levels.oldest(names).is_some()
    }

    async fn turn(&mut self, occasion: Occasion, messages: Vec<Sealed>) {
        if occasion == Occasion::Tick {
            self.reload();
        }
        let sorter = Sorter {
            trust: &self.config.trust,
            levels: &self.state.alarms.levels,
            unsettled: &self.state.unsettled,
            now: self.clock.now(),
            said: &mut self.state.said,
            shared: &self.shared,
        };
        // So many came that more may wait in the queue, and true ones behind them.
        let backlog = messages.len() >= MOST;
        let mut inbox = sorter.sort(messages);
        self.state.alarms.unanswered |= backlog;
        let (queue, open) = (Arc::clone(&self.queue), inbox.open());
        let work = self.act(occasion, &mut inbox);
        hold_meanwhile(work, &*queue, &open).await;
        if let Err(error) = self.queue.delete(&inbox.done).await {
            self.shared.metrics.failed("delete");
            tracing::warn!(%error, "handled signals come again, as duplicates");
        }
    }

    /// Asks CloudWatch where there is something to ask, and goes through all
    /// Deployments if that or the time gives a reason.
    async fn act(&mut self, occasion: Occasion, inbox: &mut Inbox) {
        let changed = self.ask(occasion, inbox).await;
        if !changed && occasion == Occasion::Signals {
            inbox.settle(&self.state.unsettled);
            return;
        }
        // For every decision, and not for every message: that is a stranger's to send.
        if occasion == Occasion::Signals {
            self.reload();
        }
        self.all(changed, inbox).await;
    }

    /// Reads the alarms that are due or asked about; whether a level changed.
    /// Where nobody can be asked, signed signals count and others stay in the queue.
    async fn ask(&mut self, occasion: Occasion, inbox: &mut Inbox) -> bool {
        let now = self.clock.now();
        let (trust, alarms) = (&self.config.trust, &mut self.state.alarms);
        let names = match occasion {
            Occasion::Tick => alarms.due(trust, now),
            Occasion::Signals => alarms.asked(trust, &inbox.asked(), now),
        };
        if names.is_empty() {
            return self.believe(inbox);
        }
        let changed = match alarms.ask(&self.cloudwatch, &names, now).await {
            Ok(changed) => changed,
            Err(error) => {
                self.unanswered(occasion, &error.to_string());
                return self.believe(inbox);
            }
        };
        self.state.complaint = None;
        alarms.answered(trust, &names);
        let unconfirmed = inbox.answered(&alarms.levels, &mut self.state.said, &self.shared);
        // A reading may lag behind a signal: the next one is not far.
        alarms.unanswered |= unconfirmed;
        if alarms.fresh(trust, now) {
            self.shared.ready(Part::Alarms);
        }
        let deployments = changed.iter().filter_map(|alarm| trust.deployment(alarm));
        self.state.unsettled.extend(deployments.map(str::to_owned));
        !changed.is_empty()
    }

    /// Takes the word of signals that SNS signed; whether a level changed.
    fn believe(&mut self, inbox: &mut Inbox) -> bool {
        let deployments = inbox.believed(&mut self.state.alarms.levels, &self.shared);
        let changed = !deployments.is_empty();
        if changed {
            tracing::warn!(
                ?deployments,
                "CloudWatch cannot be asked: what SNS signed counts until it can"
            );
        }
        self.state.unsettled.extend(deployments);
        changed
    }

    /// Whether we are ready is never for a stranger's message to say.
    fn unanswered(&mut self, occasion: Occasion, error: &str) {
        self.state.alarms.failed = Some(self.clock.now());
        self.shared.metrics.failed("describe-alarms");
        if self.state.complaint.as_deref() != Some(error) {
            tracing::warn!(
                error,
                "alarms could not be read: their levels stay as they are"
            );
            self.state.complaint = Some(error.to_owned());
        }
        if occasion == Occasion::Tick {
            let why = format!("the alarms cannot be read: {error}");
            self.shared.unready(Part::Alarms, why);
        }
    }

    /// Reads the catalogue again; a faulty one changes nothing.
    fn reload(&mut self) {
        let good = self.config.reload();
        self.shared.metrics.config_faulty.set(i64::from(!good));
        if !good {
            self.shared.metrics.failed("catalogue");
        }
        let (deployments, metrics) = (&self.config.catalogue.deployments, &self.shared.metrics);
        self.state.reasons.retain(|name, _| {
            let there = deployments.contains_key(name);
            if !there {
                metrics.forget(name);
            }
            there
        });
        let trust = &self.config.trust;
        (self.state.alarms.levels).keep(|alarm| trust.deployment(alarm).is_some());
        (self.state.unsettled).retain(|name| deployments.contains_key(name));
    }

    /// One cycle over every Deployment; receipts whose effect is durable are done.
    async fn all(&mut self, changed: bool, inbox: &mut Inbox) {
        self.read_metrics(changed).await;
        let autoscaled = self.autoscaled().await;
        let mut failed = None;
        let deployments: Vec<String> = self.config.catalogue.deployments.keys().cloned().collect();
        for name in deployments {
            let receipts = inbox.waiting.remove(&name).unwrap_or_default();
            let Some(deployment) = self.config.catalogue.deployments.get(&name) else {
                continue;
            };
            // Renewed meanwhile, or lost: always the latest.
            let Some(fence) = *self.fence.borrow() else {
                return;
            };
            let policy = Policy::of(&self.config.catalogue, deployment);
            let input = Input {
                deployment: &name,
                policy: &policy,
                levels: &self.state.alarms.levels,
                activities: &self.state.activities,
                autoscaled: (autoscaled.as_ref()).map(|all| all.contains(&name)),
                fence,
            };
            match cycle(&*self.cluster, &*self.clock, &input).await {
                Ok(outcome) => {
                    self.state.unsettled.remove(&name);
                    inbox.done.extend(receipts);
                    self.tell(&name, &outcome);
                }
                Err(error) => failed = Some(self.cycle_failed(&name, &error)),
            }
        }
        match failed {
            None => self.shared.ready(Part::Cycle),
            Some(why) => self.shared.unready(Part::Cycle, why),
        }
    }

    fn cycle_failed(&self, deployment: &str, error: &dyn std::error::Error) -> String {
        self.shared.metrics.failed("cycle");
        let source = error.source().map(|source| format!(": {source}"));
        let text = format!("{deployment}: {error}{}", source.unwrap_or_default());
        tracing::warn!(deployment, error = text, "nothing was decided");
        text
    }

    /// Reads waits and flows, if that is due. What cannot be read is unknown.
    async fn read_metrics(&mut self, changed: bool) {
        let now = self.clock.now();
        let period = self.config.catalogue.signals.period;
        let every = if changed { RECENT } else { period };
        if (self.state.metrics_read).is_some_and(|last| now < after(last, every)) {
            return;
        }
        match self.cloudwatch.metrics(&self.config.catalogue, now).await {
            Ok(activities) => {
                self.state.activities = activities;
                self.state.metrics_read = Some(now);
            }
            Err(error) => {
                self.shared.metrics.failed("get-metric-data");
                self.state.activities.clear();
                tracing::warn!(%error, "waits and flows are unknown");
            }
        }
    }

    async fn autoscaled(&self) -> Option<Vec<String>> {
        match self.cluster.autoscaled().await {
            Ok(names) => Some(names),
            Err(error) => {
                self.shared.metrics.failed("list-autoscalers");
                tracing::warn!(%error, "whether there are HorizontalPodAutoscalers is unknown");
                None
            }
        }
    }

    /// Counts a decision, and says it if it changed something or its reason.
    fn tell(&mut self, deployment: &str, outcome: &Outcome) {
        let action = &outcome.decision.action;
        let (kind, code) = (action.kind(), action.code());
        let metrics = &self.shared.metrics;
        (metrics
            .decisions
            .with_label_values(&[deployment, kind, code]))
        .inc();
        let (from, to) = match action {
            Action::Scale { from, to, .. } => (*from, *to),
            Action::Hold(_) => (outcome.replicas, outcome.replicas),
        };
        let gauge = |gauge: &prometheus::IntGaugeVec, value: i64| {
            gauge.with_label_values(&[deployment]).set(value);
        };
        gauge(&metrics.replicas, i64::from(to));
        gauge(
            &metrics.recommended,
            i64::from(outcome.decision.recommendation),
        );
        gauge(&metrics.breached, i64::from(outcome.decision.breached));
        let at_max = matches!(action, Action::Hold(Hold::AtMax { .. }));
        gauge(&metrics.at_max, i64::from(at_max));
        let before = self.state.reasons.insert(deployment.to_owned(), code);
        if from == to && before == Some(code) {
            return;
        }
        let text = action.text();
        tracing::info!(deployment, from, to, action = kind, reason = code, "{text}");
        self.shared.decided(Row {
            at: outcome.at,
            deployment: deployment.to_owned(),
            from,
            to,
            action: kind,
            reason: code,
            text,
        });
    }
}

/// What was received while the last turn ran, as one.
fn all_of(mut messages: Vec<Sealed>, inbox: &mut mpsc::Receiver<Vec<Sealed>>) -> Vec<Sealed> {
    while let Ok(more) = inbox.try_recv() {
        messages.extend(more);
        if messages.len() >= MOST {
            break;
        }
    }
    messages
}

/// Keeps messages ours while the work on them lasts. The work never waits for it.
async fn hold_meanwhile(work: impl Future<Output = ()>, queue: &impl Queue, receipts: &[String]) {
    let extending = async {
        let mut ticks = tokio::time::interval(VISIBILITY / 2);
        ticks.reset();
        loop {
            ticks.tick().await;
            if receipts.is_empty() {
                continue;
            }
            if let Err(error) = queue.extend(receipts).await {
                tracing::warn!(%error, "messages may come again meanwhile, as duplicates");
            }
        }
    };
    tokio::select! {
        biased;
        () = work => {}
        () = extending => {}
    }
}
