//! Executions as the operations see them; `execution` runs them.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::task::AbortHandle;

use super::end::End;
use super::execution::{self, Run};
use super::failure::Failure;
use super::history::{Event, MOST, epoch, put};
use super::input::{check_arn, check_json, check_name, check_size, paged};
use super::machines::missing as no_machine;
use super::{State, StepFunctions};
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
    name: String,
    machine: Arc<str>,
    input: String,
    pub(super) started: Timestamp,
    ended: Option<(Timestamp, End)>,
    pub(super) history: Vec<Event>,
    /// The attempts that are open now.
    pub(super) attempts: BTreeSet<u64>,
    task: Option<AbortHandle>,
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
struct List {
    state_machine_arn: String,
    status_filter: Option<String>,
    #[serde(default)]
    max_results: usize,
    next_token: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Stop {
    execution_arn: String,
    error: Option<String>,
    cause: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct History {
    execution_arn: String,
    #[serde(default)]
    max_results: usize,
    next_token: Option<String>,
    #[serde(default)]
    reverse_order: bool,
    include_execution_data: Option<bool>,
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
        let arn = self
            .context
            .arn("states", &format!("execution:{}:{name}", machine.name));
        let arn: Arc<str> = arn.into();
        if let Some(there) = state.executions.get(&arn) {
            return there.again(&arn, &text);
        }
        let machine_arn = Arc::clone(machine_arn);
        let started = self.now();
        let run = Run::new(
            self,
            machine,
            (&machine_arn, &arn, &name),
            (&input, started),
        );
        let event = Event::new(started, "ExecutionStarted").with(
            "executionStartedEventDetails",
            json!({"input": text, "roleArn": machine.role}),
        );
        let task = tokio::spawn(execution::run(run, input)).abort_handle();
        let execution = Execution {
            name,
            machine: Arc::clone(&machine_arn),
            input: text,
            started,
            ended: None,
            history: vec![event],
            attempts: BTreeSet::new(),
            task: Some(task),
        };
        state.executions.insert(Arc::clone(&arn), execution);
        state
            .of_machine
            .entry(machine_arn)
            .or_default()
            .push(Arc::clone(&arn));
        state.counts.running += 1;
        Ok(json!({"executionArn": &*arn, "startDate": epoch(started)}))
    }

    pub(super) fn describe_execution(&self, body: Value) -> Result<Value, AwsError> {
        let ByArn {
            execution_arn: arn, ..
        } = read(body)?;
        check_arn(&arn, "execution")?;
        let state = self.lock();
        let execution = state
            .executions
            .get(arn.as_str())
            .ok_or_else(|| missing(&arn))?;
        let mut shown = execution.show(&arn);
        put(&mut shown, "input", Some(&execution.input));
        match execution.ended.as_ref().map(|(_, end)| end) {
            Some(End::Succeeded(output)) => put(&mut shown, "output", Some(output)),
            Some(End::Failed(why) | End::Aborted(why)) => {
                put(&mut shown, "error", why.error.as_deref());
                put(&mut shown, "cause", why.cause.as_deref());
            }
            Some(End::TimedOut) | None => {}
        }
        Ok(Value::Object(shown))
    }

    pub(super) fn list_executions(&self, body: Value) -> Result<Value, AwsError> {
        let list: List = read(body)?;
        check_arn(&list.state_machine_arn, "stateMachine")?;
        let statuses = [
            "RUNNING",
            "SUCCEEDED",
            "FAILED",
            "TIMED_OUT",
            "ABORTED",
            "PENDING_REDRIVE",
        ];
        if let Some(filter) = &list.status_filter
            && !statuses.contains(&filter.as_str())
        {
            return Err(AwsError::validation(format!(
                "statusFilter must be one of {}",
                statuses.join(", ")
            )));
        }
        let state = self.lock();
        if !state.machines.contains_key(list.state_machine_arn.as_str()) {
            return Err(no_machine(&list.state_machine_arn));
        }
        let arns = state.of_machine.get(list.state_machine_arn.as_str());
        let newest_first = arns.into_iter().flatten().rev().filter_map(|arn| {
            let execution = state.executions.get(arn)?;
            let wanted = list
                .status_filter
                .as_deref()
                .is_none_or(|status| status == execution.status());
            wanted.then_some((arn, execution))
        });
        paged(
            "executions",
            newest_first,
            (list.max_results, list.next_token.as_deref()),
            |(arn, execution)| Value::Object(execution.show(arn)),
        )
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
        if !state.executions.contains_key(arn.as_str()) {
            return Err(missing(&arn));
        }
        state.end(&arn, self.now(), End::Aborted(Failure { error, cause }));
        let execution = state
            .executions
            .get_mut(arn.as_str())
            .ok_or_else(|| missing(&arn))?;
        if let Some(task) = execution.task.take() {
            task.abort();
        }
        let at = execution
            .ended
            .as_ref()
            .map_or_else(|| self.now(), |(at, _)| *at);
        Ok(json!({"stopDate": epoch(at)}))
    }

    pub(super) fn get_execution_history(&self, body: Value) -> Result<Value, AwsError> {
        let ask: History = read(body)?;
        check_arn(&ask.execution_arn, "execution")?;
        let state = self.lock();
        let execution = state.executions.get(ask.execution_arn.as_str());
        let execution = execution.ok_or_else(|| missing(&ask.execution_arn))?;
        let with_data = ask.include_execution_data.unwrap_or(true);
        let events = &execution.history;
        let place = |i: usize| {
            if ask.reverse_order {
                events.len() - 1 - i
            } else {
                i
            }
        };
        paged(
            "events",
            (0..events.len()).map(place),
            (ask.max_results, ask.next_token.as_deref()),
            |i| events[i].show(i + 1, with_data),
        )
    }

    /// All executions there ever were.
    pub fn execution_counts(&self) -> ExecutionCounts {
        self.lock().counts
    }

    /// Ends a run, unless it has ended.
    pub(super) fn end(&self, arn: &str, end: End) {
        self.lock().end(arn, self.now(), end);
    }

    /// How many events a run has had.
    pub(super) fn history_length(&self, arn: &str) -> usize {
        let state = self.lock();
        state
            .executions
            .get(arn)
            .map_or(0, |execution| execution.history.len())
    }

    /// Adds to a run's history, and tells how long it is.
    pub(super) fn log(&self, arn: &str, event: Event) -> usize {
        self.lock().log(arn, event)
    }
}

// === impl State ===

impl State {
    pub(super) fn log(&mut self, arn: &str, event: Event) -> usize {
        match self.executions.get_mut(arn) {
            Some(execution) if execution.ended.is_none() => {
                // One place is kept for the end.
                if execution.history.len() + 1 < MOST {
                    execution.history.push(event);
                }
                execution.history.len()
            }
            _ => 0,
        }
    }

    /// Notes the open attempt; `false` where the execution has ended.
    pub(super) fn open(&mut self, arn: &str, attempt: u64) -> bool {
        let Some(execution) = self.executions.get_mut(arn) else {
            return false;
        };
        let runs = execution.ended.is_none();
        if runs {
            execution.attempts.insert(attempt);
        }
        runs
    }

    fn end(&mut self, arn: &str, at: Timestamp, end: End) {
        let Some(execution) = self.executions.get_mut(arn) else {
            return;
        };
        if execution.ended.is_some() {
            return;
        }
        let last = execution.history.len();
        execution.history.push(end.event(at).after(last));
        let count = match end {
            End::Succeeded(_) => &mut self.counts.succeeded,
            End::Failed(_) => &mut self.counts.failed,
            End::TimedOut => &mut self.counts.timed_out,
            End::Aborted(_) => &mut self.counts.aborted,
        };
        *count += 1;
        self.counts.running -= 1;
        execution.ended = Some((at, end));
        for attempt in std::mem::take(&mut execution.attempts) {
            self.close(attempt);
        }
    }
}

// === impl Execution ===

impl Execution {
    fn status(&self) -> &'static str {
        match self.ended.as_ref().map(|(_, end)| end) {
            None => "RUNNING",
            Some(End::Succeeded(_)) => "SUCCEEDED",
            Some(End::Failed(_)) => "FAILED",
            Some(End::TimedOut) => "TIMED_OUT",
            Some(End::Aborted(_)) => "ABORTED",
        }
    }

    fn again(&self, arn: &str, input: &str) -> Result<Value, AwsError> {
        if self.ended.is_none() && self.input == input {
            return Ok(json!({"executionArn": arn, "startDate": epoch(self.started)}));
        }
        Err(AwsError::new(
            "ExecutionAlreadyExists",
            format!("Execution Already Exists: '{arn}'"),
        ))
    }

    fn show(&self, arn: &str) -> Map<String, Value> {
        let mut shown = Map::new();
        put(&mut shown, "executionArn", Some(arn));
        put(&mut shown, "stateMachineArn", Some(&self.machine));
        put(&mut shown, "name", Some(&self.name));
        put(&mut shown, "status", Some(self.status()));
        shown.insert("startDate".to_owned(), json!(epoch(self.started)));
        if let Some((at, _)) = self.ended {
            shown.insert("stopDate".to_owned(), json!(epoch(at)));
        }
        shown
    }
}

fn missing(arn: &str) -> AwsError {
    AwsError::new(
        "ExecutionDoesNotExist",
        format!("Execution Does Not Exist: '{arn}'"),
    )
}
