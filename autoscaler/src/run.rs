//! The loop: on a tick, and at once on a signal.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use stepfleet_activity::Clock;
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;

use crate::cloudwatch::Watch;
use crate::config::Config;
use crate::decision::{Action, Hold, Policy, Seen};
use crate::http::{Part, Row, Shared};
use crate::inbox::{Inbox, Said};
use crate::lease::Fence;
use crate::queue::{Queue, VISIBILITY};
use crate::record::AlarmRecord;
use crate::scale::{Cluster, Input, Outcome, cycle};
use crate::sns::Sealed;
use crate::time::after;

/// How often all alarms are re-read, which heals a lost message.
const REREAD: Duration = Duration::from_secs(120);

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
    levels_read: Option<Timestamp>,
    metrics_read: Option<Timestamp>,
    activities: BTreeMap<String, Seen>,
    reasons: BTreeMap<String, &'static str>,
    said: Said,
}

/// What a tick read for all Deployments.
struct Read {
    described: Option<BTreeMap<String, AlarmRecord>>,
    autoscaled: Option<Vec<String>>,
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
            let messages = tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => return,
                Some(messages) = inbox.recv() => messages,
                // The first fence comes a moment after the first tick.
                Ok(()) = leadership.changed() => {
                    let acts = leadership.borrow_and_update().is_some();
                    let news = acts && self.state.levels_read.is_none();
                    if !news { continue; }
                    Vec::new()
                }
                _ = ticks.tick() => Vec::new(),
            };
            let leads = self.fence.borrow().is_some();
            self.shared.metrics.leader.set(i64::from(leads));
            if leads {
                self.tick(messages).await;
            } else {
                // Standing by is all that is asked: what was received comes again.
                self.state.levels_read = None;
            }
        }
    }

    async fn tick(&mut self, messages: Vec<Sealed>) {
        self.reload();
        let now = self.clock.now();
        let tools = (&mut self.state.said, &*self.shared);
        let mut inbox = Inbox::sort(messages, &self.config.trust, now, tools);
        let (queue, open) = (Arc::clone(&self.queue), inbox.open());
        let work = self.all(&mut inbox);
        hold_meanwhile(work, &*queue, &open).await;
        if let Err(error) = self.queue.delete(&inbox.done).await {
            self.shared.metrics.failed("delete");
            tracing::warn!(%error, "handled signals come again, as duplicates");
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
    }

    /// One cycle over every Deployment; receipts whose effect is durable are done.
    async fn all(&mut self, inbox: &mut Inbox) {
        let read = self.read(!inbox.is_empty()).await;
        let mut failed = None;
        let deployments: Vec<String> = self.config.catalogue.deployments.keys().cloned().collect();
        for name in deployments {
            let (signals, receipts) = inbox.signals.remove(&name).unwrap_or_default();
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
                signals: &signals,
                described: read.described.as_ref(),
                levels_read: self.state.levels_read,
                activities: &self.state.activities,
                autoscaled: (read.autoscaled.as_ref()).map(|all| all.contains(&name)),
                fence,
            };
            match cycle(&*self.cluster, &*self.clock, &input).await {
                Ok(outcome) => {
                    self.state
                        .said
                        .folded(&signals, &outcome.folded, &self.shared);
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

    /// Reads what is due. What cannot be read stays unknown.
    async fn read(&mut self, signalled: bool) -> Read {
        let now = self.clock.now();
        let due =
            |last: Option<Timestamp>, every| last.is_none_or(|last| now >= after(last, every));
        let mut described = None;
        if due(self.state.levels_read, REREAD) {
            let names: Vec<String> = self
                .config
                .trust
                .alarms()
                .map(|(name, _)| name.to_owned())
                .collect();
            match self.cloudwatch.describe(&names).await {
                Ok(alarms) => {
                    described = Some(alarms);
                    self.state.levels_read = Some(now);
                    self.shared.ready(Part::Alarms);
                }
                Err(error) => {
                    self.shared.metrics.failed("describe-alarms");
                    tracing::warn!(%error, "alarms could not be re-read");
                    let why = format!("the alarms cannot be read: {error}");
                    self.shared.unready(Part::Alarms, why);
                }
            }
        }
        let period = self.config.catalogue.signals.period;
        if signalled || due(self.state.metrics_read, period) {
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
        let autoscaled = match self.cluster.autoscaled().await {
            Ok(names) => Some(names),
            Err(error) => {
                self.shared.metrics.failed("list-autoscalers");
                tracing::warn!(%error, "whether there are HorizontalPodAutoscalers is unknown");
                None
            }
        };
        Read {
            described,
            autoscaled,
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
