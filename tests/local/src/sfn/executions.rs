//! Executions as the operations see them; `execution` runs them.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use super::StepFunctions;
use super::digits;
use super::end::End;
use super::execution::{self, Run};
use super::failure::Failure;
use super::history::{Event, epoch, put};
use super::input::{check_arn, check_json, check_name, check_size};
use super::machines::{Revision, missing as no_machine};
use super::progress::Progress;
use super::redrive::Redrives;
use crate::AwsError;
use crate::context::read;

/// How many executions are in which state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ExecutionCounts {
    /// Not ended yet.
    pub running: usize,
    /// Reached a state that ends well.
    pub succeeded: usize,
    /// Ended by an error that nothing caught.
    pub failed: usize,
    /// Ended by the state machine's own TimeoutSeconds.
    pub timed_out: usize,
    /// Ended by StopExecution.
    pub aborted: usize,
}

#[derive(Debug)]
pub(super) struct Execution {
    pub(super) name: String,
    pub(super) machine: Arc<str>,
    pub(super) revision: Arc<Revision>,
    pub(super) input: Box<str>,
    pub(super) started: Timestamp,
    pub(super) ended: Option<(Timestamp, End)>,
    pub(super) history: Vec<Event>,
    /// The attempts that are open now.
    pub(super) attempts: BTreeSet<u64>,
    pub(super) task: Option<AbortHandle>,
    pub(super) progress: Arc<Progress>,
    pub(super) redrives: Option<Box<Redrives>>,
    /// Who waits for its end.
    pub(super) waiting: Vec<oneshot::Sender<()>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Start {
    state_machine_arn: String,
    name: Option<String>,
    input: Option<String>,
    #[serde(rename = "traceHeader")]
    _trace_header: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ByArn {
    execution_arn: String,
    #[serde(rename = "includedData")]
    _included_data: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Stop {
    execution_arn: String,
    error: Option<String>,
    cause: Option<String>,
}

// === impl StepFunctions ===

impl StepFunctions {
    /// The same name and input while it runs: the same answer.
    pub(super) fn start_execution(self: &Arc<Self>, body: Value) -> Result<Value, AwsError> {
        let start: Start = read(body)?;
        check_arn(&start.state_machine_arn, "stateMachine")?;
        let name = start
            .name
            .unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
        check_name(&name)?;
        let text = start.input.unwrap_or_else(|| "{}".to_owned());
        let input = check_json("input", &text, "InvalidExecutionInput")?;
        let mut state = self.lock();
        let (machine_arn, machine) = state
            .machines
            .get_key_value(start.state_machine_arn.as_str())
            .ok_or_else(|| no_machine(&start.state_machine_arn))?;
        let revision = Arc::clone(&machine.revision);
        let arn = self
            .context
            .arn("states", &format!("execution:{}:{name}", revision.name));
        let arn: Arc<str> = arn.into();
        if let Some(there) = state.executions.get(&arn) {
            return there.again(&arn, &text);
        }
        let machine_arn = Arc::clone(machine_arn);
        let started = self.now();
        let run = Run::new(
            self,
            &revision,
            (&machine_arn, &arn, &name),
            (&input, started),
        );
        let event = Event::new(started, "ExecutionStarted").with(
            "executionStartedEventDetails",
            &json!({"input": text, "roleArn": revision.role}),
        );
        let progress = Arc::clone(&run.progress);
        let task = tokio::spawn(execution::run(run, input)).abort_handle();
        let execution = Execution {
            name,
            machine: Arc::clone(&machine_arn),
            revision,
            input: text.into(),
            started,
            ended: None,
            history: vec![event],
            attempts: BTreeSet::new(),
            task: Some(task),
            progress,
            redrives: None,
            waiting: Vec::new(),
        };
        state.executions.insert(Arc::clone(&arn), execution);
        let of_machine = state.of_machine.entry(machine_arn).or_default();
        of_machine.push(Arc::clone(&arn));
        state.counts.running += 1;
        Ok(json!({"executionArn": &*arn, "startDate": epoch(started)}))
    }

    pub(super) fn describe_execution(&self, body: Value) -> Result<Value, AwsError> {
        let ByArn {
            execution_arn: arn, ..
        } = read(body)?;
        check_arn(&arn, "execution")?;
        let state = self.lock();
        let execution = state.execution(&arn)?;
        let mut shown = execution.show(&arn);
        put(&mut shown, "input", Some(&execution.input));
        shown.insert("inputDetails".to_owned(), json!({"included": true}));
        match execution.ended.as_ref().map(|(_, end)| end) {
            Some(End::Succeeded(output)) => {
                put(&mut shown, "output", Some(output));
                shown.insert("outputDetails".to_owned(), json!({"included": true}));
            }
            Some(End::Failed(why) | End::Aborted(why)) => {
                put(&mut shown, "error", why.error.as_deref());
                put(&mut shown, "cause", why.cause.as_deref());
            }
            Some(End::TimedOut) | None => {}
        }
        let refusal = state.not_redrivable(execution, self.now());
        let status = match refusal {
            Some(_) => "NOT_REDRIVABLE",
            None => "REDRIVABLE",
        };
        put(&mut shown, "redriveStatus", Some(status));
        put(&mut shown, "redriveStatusReason", refusal.as_deref());
        Ok(Value::Object(shown))
    }

    pub(super) fn describe_for_execution(&self, body: Value) -> Result<Value, AwsError> {
        let ByArn {
            execution_arn: arn, ..
        } = read(body)?;
        check_arn(&arn, "execution")?;
        let state = self.lock();
        let execution = state.execution(&arn)?;
        Ok(execution.revision.show_started(&execution.machine))
    }

    pub(super) fn stop_execution(&self, body: Value) -> Result<Value, AwsError> {
        let Stop {
            execution_arn: arn,
            error,
            cause,
        } = read(body)?;
        check_arn(&arn, "execution")?;
        for (member, text, most) in [("error", &error, 256), ("cause", &cause, 32_768)] {
            check_size(
                member,
                text.iter().map(|text| text.chars().count()).sum(),
                most,
            )?;
        }
        let mut state = self.lock();
        state.execution(&arn)?;
        let now = self.now();
        state.end(&arn, now, End::Aborted(Failure { error, cause }));
        state.abort(&arn);
        let ended = &state.execution(&arn)?.ended;
        let at = ended.as_ref().map_or(now, |(at, _)| *at);
        Ok(json!({"stopDate": epoch(at)}))
    }

    /// All executions there ever were.
    pub fn execution_counts(&self) -> ExecutionCounts {
        self.lock().counts
    }

    /// Ends a run that has come to its end, unless it was ended.
    pub(super) fn end(&self, (arn, round): (&str, usize), end: End) {
        let mut state = self.lock();
        if !state.is_running(arn, round) {
            return;
        }
        state.end(arn, self.now(), end);
        if let Some(execution) = state.executions.get_mut(arn) {
            // Its memory is kept as long as it could be aborted.
            execution.task = None;
        }
    }

    /// Adds to a run's history, and tells how long it is; 0 where the run has ended.
    pub(super) fn log(&self, (arn, round): (&str, usize), event: Event) -> usize {
        let mut state = self.lock();
        if !state.is_running(arn, round) {
            return 0;
        }
        state.log(arn, event)
    }

    /// The state that was entered with an event: its name, its input and when.
    pub(super) fn entered(&self, arn: &str, event: usize) -> Option<(String, Value, Timestamp)> {
        let state = self.lock();
        let event = state.event(arn, event)?;
        let input = digits::read(&event.text("input")?).ok()?;
        Some((event.text("name")?, input, event.at()))
    }

    /// What a state gave that was left with an event.
    pub(super) fn left_with(&self, arn: &str, event: usize) -> Option<Value> {
        let state = self.lock();
        let output = state.event(arn, event)?.text("output")?;
        digits::read(&output).ok()
    }
}

// === impl ExecutionCounts ===

impl ExecutionCounts {
    pub(super) fn of(&mut self, end: &End) -> &mut usize {
        match end {
            End::Succeeded(_) => &mut self.succeeded,
            End::Failed(_) => &mut self.failed,
            End::TimedOut => &mut self.timed_out,
            End::Aborted(_) => &mut self.aborted,
        }
    }
}

// === impl Execution ===

impl Execution {
    pub(super) fn status(&self) -> &'static str {
        let end = self.ended.as_ref();
        end.map_or("RUNNING", |(_, end)| end.status())
    }

    /// How often it was redriven.
    pub(super) fn round(&self) -> usize {
        self.redrives.as_deref().map_or(0, Redrives::count)
    }

    fn again(&self, arn: &str, input: &str) -> Result<Value, AwsError> {
        if self.ended.is_none() && &*self.input == input {
            return Ok(json!({"executionArn": arn, "startDate": epoch(self.started)}));
        }
        Err(AwsError::new(
            "ExecutionAlreadyExists",
            format!("Execution Already Exists: '{arn}'"),
        ))
    }

    pub(super) fn show(&self, arn: &str) -> Map<String, Value> {
        let mut shown = Map::new();
        put(&mut shown, "executionArn", Some(arn));
        put(&mut shown, "stateMachineArn", Some(&self.machine));
        put(&mut shown, "name", Some(&self.name));
        put(&mut shown, "status", Some(self.status()));
        shown.insert("startDate".to_owned(), json!(epoch(self.started)));
        if let Some((at, _)) = self.ended {
            shown.insert("stopDate".to_owned(), json!(epoch(at)));
        }
        shown.insert("redriveCount".to_owned(), json!(self.round()));
        if let Some(at) = self.redrives.as_deref().and_then(Redrives::last) {
            shown.insert("redriveDate".to_owned(), json!(epoch(at)));
        }
        shown
    }
}
