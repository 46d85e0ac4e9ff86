//! Step Functions: activities, state machines and their executions.
//!
//! All state is under one lock that is never held across an await. Spans are
//! timed by the shared timers, so that tests can pause or move them; timestamps
//! come from the shared clock.

mod activities;
mod branches;
mod choice;
mod dataflow;
mod definition;
mod digits;
mod end;
mod execution;
mod executions;
mod failure;
mod faults;
mod history;
mod input;
pub mod integration;
mod intrinsic;
mod lists;
mod machines;
mod path;
mod progress;
mod redrive;
mod reports;
mod retry;
mod runs;
mod tags;
mod targets;
mod tasks;
mod template;
#[cfg(test)]
mod tests;
mod work;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::Notify;
use tokio::time::Instant;

use self::activities::Activity;
pub use self::activities::ActivitySnapshot;
use self::executions::Execution;
pub use self::executions::ExecutionCounts;
use self::integration::Integrations;
use self::machines::Machine;
use self::tags::Tags;
use self::tasks::Attempt;
use crate::{AwsError, Context};

/// The largest input, output or result, in bytes of UTF-8.
const LARGEST: usize = 262_144;

/// Where the `AWS/States` metrics of activities go.
pub trait MetricSink: Send + Sync + Debug {
    /// Takes one value of one activity's metric. Called under a lock: it must
    /// not call back.
    #[expect(
        clippy::too_many_arguments,
        reason = "a datapoint has a name, a dimension, a value and a time"
    )]
    fn record(&self, metric: &'static str, activity_arn: &str, value: f64, at: Timestamp);
}

/// Step Functions on one machine.
#[derive(Debug)]
pub struct StepFunctions {
    context: Context,
    metrics: Arc<dyn MetricSink>,
    /// The other services, once they are there.
    integrations: OnceLock<Arc<dyn Integrations>>,
    /// Tells the tokens of this service from those of another.
    instance: [u8; 16],
    state: Mutex<State>,
    /// The earliest due time has changed, or the service is gone.
    due_changed: Arc<Notify>,
}

#[derive(Debug, Default)]
struct State {
    activities: BTreeMap<Arc<str>, Activity>,
    machines: BTreeMap<Arc<str>, Machine>,
    /// By the ARNs of what they are tags of.
    tags: HashMap<String, Tags>,
    executions: HashMap<Arc<str>, Execution>,
    /// In order of their starts.
    of_machine: HashMap<Arc<str>, Vec<Arc<str>>>,
    counts: ExecutionCounts,
    attempts: HashMap<u64, Attempt>,
    /// One entry for each attempt that can time out. A heartbeat leaves it in
    /// place: it is moved when it comes due, so that beats cost nothing.
    due: BTreeSet<(Instant, u64)>,
    next_id: u64,
}

// === impl StepFunctions ===

impl StepFunctions {
    /// A service with nothing in it. Must be called on a tokio runtime.
    pub fn new(context: Context, metrics: Arc<dyn MetricSink>) -> Arc<Self> {
        let due_changed = Arc::new(Notify::new());
        let this = Arc::new(Self {
            context,
            metrics,
            integrations: OnceLock::new(),
            instance: *uuid::Uuid::new_v4().as_bytes(),
            state: Mutex::default(),
            due_changed: Arc::clone(&due_changed),
        });
        let timers = this.context.timers.clone();
        tokio::spawn(tasks::watch(Arc::downgrade(&this), (due_changed, timers)));
        this
    }

    /// Lets Task states reach the other services. The first call counts.
    pub fn reach(&self, others: Arc<dyn Integrations>) {
        self.integrations.get_or_init(|| others);
    }

    /// Answers one operation, by its name in the model.
    ///
    /// # Errors
    /// What the service refuses, by the names of the model.
    pub async fn call(self: &Arc<Self>, operation: &str, body: Value) -> Result<Value, AwsError> {
        match operation {
            "CreateActivity" => self.create_activity(body),
            "DescribeActivity" => self.describe_activity(body),
            "ListActivities" => self.list_activities(body),
            "DeleteActivity" => self.delete_activity(body),
            "GetActivityTask" => self.get_activity_task(body).await,
            "SendTaskSuccess" => self.send_task_success(body),
            "SendTaskFailure" => self.send_task_failure(body),
            "SendTaskHeartbeat" => self.send_task_heartbeat(body),
            "CreateStateMachine" => self.create_state_machine(body),
            "UpdateStateMachine" => self.update_state_machine(body),
            "DescribeStateMachine" => self.describe_state_machine(body),
            "DescribeStateMachineForExecution" => self.describe_for_execution(body),
            "ValidateStateMachineDefinition" => Self::validate_definition(body),
            "ListStateMachines" => self.list_state_machines(body),
            "DeleteStateMachine" => self.delete_state_machine(body),
            "StartExecution" => self.start_execution(body),
            "DescribeExecution" => self.describe_execution(body),
            "ListExecutions" => self.list_executions(body),
            "StopExecution" => self.stop_execution(body),
            "RedriveExecution" => self.redrive_execution(body),
            "GetExecutionHistory" => self.get_execution_history(body),
            "TagResource" => self.tag_resource(body),
            "UntagResource" => self.untag_resource(body),
            "ListTagsForResource" => self.list_tags(body),
            "StartSyncExecution" => Err(AwsError::new(
                "StateMachineTypeNotSupported",
                "This operation is not supported by this type of state machine: stepfleet-local has no Express workflows",
            )),
            other => Err(AwsError::unknown_operation("Step Functions", other)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Timestamp {
        self.context.clock.now()
    }

    /// The moment now, as everything here waits for it.
    fn instant(&self) -> Instant {
        self.context.timers.now()
    }

    fn count(&self, metric: &'static str, activity: &str) {
        self.metrics.record(metric, activity, 1.0, self.now());
    }

    fn time(&self, metric: &'static str, activity: &str, since: Instant) {
        let millis = (self.instant() - since).as_secs_f64() * 1000.0;
        self.metrics.record(metric, activity, millis, self.now());
    }
}

impl Drop for StepFunctions {
    fn drop(&mut self) {
        self.due_changed.notify_one();
    }
}
