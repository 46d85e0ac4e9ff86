//! What the autoscaler asks of a cluster, in its own words, and the one cycle
//! over one Deployment: observe, decide, record, act.

use std::collections::BTreeMap;
use std::future::Future;

use jiff::Timestamp;
use stepfleet_activity::Clock;

use crate::decision::{Action, Decision, Observation, Policy, Seen, decide};
use crate::lease::{Fence, LeaseState};
use crate::levels::Levels;
use crate::record::{Record, RecordError};

/// How often a cycle starts over after a conflict: every change of a
/// Deployment's status bumps its version.
const ATTEMPTS: usize = 5;

/// Something that was read, with the version that a write must still meet.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Versioned<T> {
    pub(crate) value: T,
    pub(crate) version: String,
}

/// Why the cluster did not do as it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClusterError {
    /// Somebody else wrote first.
    #[error("somebody else changed it at the same time")]
    Conflict,
    /// There is no such object.
    #[error("it does not exist: {0}")]
    Missing(String),
    /// RBAC says no.
    #[error("the autoscaler's role does not allow it: {0}")]
    Denied(String),
    /// The call failed, perhaps after it took effect.
    #[error("the cluster's API failed: {0}")]
    Unavailable(String),
}

/// A cluster with Deployments. Every write has a precondition.
pub(crate) trait Cluster: Send + Sync {
    /// `spec.replicas` of a Deployment.
    fn scale(
        &self,
        name: &str,
    ) -> impl Future<Output = Result<Versioned<u32>, ClusterError>> + Send;
    /// Sets `spec.replicas`, if the version is still the current one.
    fn set_scale(
        &self,
        name: &str,
        scale: Versioned<u32>,
    ) -> impl Future<Output = Result<(), ClusterError>> + Send;
    /// The record of a Deployment: none where there is no object for it, and one
    /// without a value where that was made and not yet written.
    fn record(
        &self,
        name: &str,
    ) -> impl Future<Output = Result<Option<Versioned<Option<String>>>, ClusterError>> + Send;
    /// Writes the record: over the given version, or only if there is none.
    fn put_record(
        &self,
        name: &str,
        text: String,
        over: Option<String>,
    ) -> impl Future<Output = Result<String, ClusterError>> + Send;
    /// The Deployments that a HorizontalPodAutoscaler targets.
    fn autoscaled(&self) -> impl Future<Output = Result<Vec<String>, ClusterError>> + Send;
    /// Says on the Deployment what was done and why.
    fn event(
        &self,
        name: &str,
        action: &Action,
        now: Timestamp,
    ) -> impl Future<Output = Result<(), ClusterError>> + Send;
    /// The Lease, if there is one.
    fn lease(
        &self,
        name: &str,
    ) -> impl Future<Output = Result<Option<Versioned<LeaseState>>, ClusterError>> + Send;
    /// Writes the Lease: over the given version, or only if there is none.
    fn put_lease(
        &self,
        name: &str,
        state: LeaseState,
        over: Option<String>,
    ) -> impl Future<Output = Result<(), ClusterError>> + Send;
}

/// What one cycle over one Deployment goes by.
pub(crate) struct Input<'a> {
    pub(crate) deployment: &'a str,
    pub(crate) policy: &'a Policy,
    /// The alarms as `DescribeAlarms` last said.
    pub(crate) levels: &'a Levels,
    pub(crate) activities: &'a BTreeMap<String, Seen>,
    pub(crate) autoscaled: Option<bool>,
    pub(crate) fence: Fence,
}

/// How a cycle ended.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    pub(crate) decision: Decision,
    /// The count that was observed.
    pub(crate) replicas: u32,
    pub(crate) at: Timestamp,
}

/// Why a cycle did not end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CycleError {
    /// A call failed.
    #[error("{what}")]
    Cluster {
        what: &'static str,
        #[source]
        source: ClusterError,
    },
    /// The record is not ours to read.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The record could not be written as JSON.
    #[error("the record could not be put into JSON")]
    Json(#[from] serde_json::Error),
    /// Another autoscaler has taken over, or our Lease is about to lapse.
    #[error("the Lease is not held any more: another autoscaler decides")]
    NotLeader,
    /// Others kept changing the same objects.
    #[error("the Deployment or its record kept changing: tried {ATTEMPTS} times, again next tick")]
    Contended,
}

/// One cycle. The levels are durable when it returns `Ok`, so the messages that
/// made us read them may be deleted then.
pub(crate) async fn cycle<C: Cluster>(
    cluster: &C,
    clock: &dyn Clock,
    input: &Input<'_>,
) -> Result<Outcome, CycleError> {
    for _ in 0..ATTEMPTS {
        let mut plan = Plan::observe(cluster, clock, input).await?;
        match plan.carry_out(cluster, clock, input).await {
            Err(CycleError::Cluster {
                source: ClusterError::Conflict,
                ..
            }) => {}
            done => return done.map(|()| plan.outcome),
        }
    }
    Err(CycleError::Contended)
}

/// A decision with all that carrying it out takes.
struct Plan {
    record: Record,
    /// The record's version; none where there is no record yet.
    stored: Option<String>,
    changed: bool,
    scale: Versioned<u32>,
    outcome: Outcome,
}

impl Plan {
    async fn observe<C: Cluster>(
        cluster: &C,
        clock: &dyn Clock,
        input: &Input<'_>,
    ) -> Result<Self, CycleError> {
        let name = input.deployment;
        let stored = (cluster.record(name).await).map_err(failed("reading the record"))?;
        let scale = (cluster.scale(name).await).map_err(failed("reading the scale"))?;
        let now = clock.now();
        let before = (stored.as_ref())
            .and_then(|stored| stored.value.as_deref())
            .map(Record::from_json)
            .transpose()?;
        let mut record = (before.clone()).unwrap_or_else(|| Record::new(scale.value, now));
        if record.epoch > input.fence.epoch {
            return Err(CycleError::NotLeader);
        }
        record.epoch = input.fence.epoch;
        for alarm in input.policy.alarms() {
            input.levels.write(&mut record, alarm);
        }
        record.settle(scale.value, now);
        let observation = Observation {
            replicas: scale.value,
            autoscaled: input.autoscaled,
            levels_read: input.levels.oldest(input.policy.alarms()),
            activities: input.activities.clone(),
        };
        record.latch(&observation, input.policy, now);
        let decision = decide(&record, &observation, input.policy, now);
        record.note(&decision, input.policy, now);
        if let Action::Scale { from, to, .. } = decision.action {
            record.intend(from, to, now);
        }
        Ok(Self {
            changed: before.as_ref() != Some(&record),
            record,
            stored: stored.map(|stored| stored.version),
            outcome: Outcome {
                decision,
                replicas: scale.value,
                at: now,
            },
            scale,
        })
    }

    async fn carry_out<C: Cluster>(
        &mut self,
        cluster: &C,
        clock: &dyn Clock,
        input: &Input<'_>,
    ) -> Result<(), CycleError> {
        if self.changed {
            self.write(cluster, clock, input).await?;
        }
        let Action::Scale { to, .. } = self.outcome.decision.action else {
            return Ok(());
        };
        if clock.now() >= input.fence.until {
            return Err(CycleError::NotLeader);
        }
        let name = input.deployment;
        let version = self.scale.version.clone();
        (cluster
            .set_scale(name, Versioned { value: to, version })
            .await)
            .map_err(failed("setting the scale"))?;
        // The next cycle would settle it just so; sooner is better for readers.
        self.record.settle(to, self.outcome.at);
        if let Err(error) = self.write(cluster, clock, input).await {
            tracing::debug!(%error, "the step is settled by the next cycle");
        }
        let action = &self.outcome.decision.action;
        if let Err(error) = cluster.event(name, action, self.outcome.at).await {
            tracing::warn!(%error, deployment = name, "the Event could not be written");
        }
        Ok(())
    }

    async fn write<C: Cluster>(
        &mut self,
        cluster: &C,
        clock: &dyn Clock,
        input: &Input<'_>,
    ) -> Result<(), CycleError> {
        if clock.now() >= input.fence.until {
            return Err(CycleError::NotLeader);
        }
        let text = self.record.to_json()?;
        let over = self.stored.take();
        let version = (cluster.put_record(input.deployment, text, over).await)
            .map_err(failed("writing the record"))?;
        self.stored = Some(version);
        Ok(())
    }
}

fn failed(what: &'static str) -> impl FnOnce(ClusterError) -> CycleError {
    move |source| CycleError::Cluster { what, source }
}
