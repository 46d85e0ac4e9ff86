//! RedriveExecution: an execution that did not succeed goes on from where it failed.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};

use super::digits;
use super::end::End;
use super::execution::{self, Run};
use super::executions::Execution;
use super::history::{Event, MOST, epoch, iso};
use super::input::{check_arn, check_size};
use super::retry::name;
use super::{State, StepFunctions};
use crate::AwsError;
use crate::context::read;

/// An execution can be redriven for so long after its end.
const REDRIVABLE: SignedDuration = SignedDuration::from_hours(14 * 24);
/// A client token answers with its redrive for so long,
const TOKEN_KEPT: SignedDuration = SignedDuration::from_mins(15);
/// if it is one of the last so many.
const TOKENS_KEPT: usize = 10;

/// The redrives of an execution.
#[derive(Debug, Default)]
pub(super) struct Redrives {
    count: usize,
    last: Option<Timestamp>,
    tokens: Vec<(String, Timestamp)>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Redrive {
    execution_arn: String,
    client_token: Option<String>,
}

// === impl StepFunctions ===

impl StepFunctions {
    /// What succeeded is not done again; the state that did not, is: with the
    /// same input, the definition of the start, and all its retries.
    pub(super) fn redrive_execution(self: &Arc<Self>, body: Value) -> Result<Value, AwsError> {
        let ask: Redrive = read(body)?;
        check_arn(&ask.execution_arn, "execution")?;
        if let Some(token) = &ask.client_token {
            check_size("clientToken", token.chars().count(), 64)?;
        }
        let mut state = self.lock();
        let now = self.now();
        let (arn, execution) = state.known(&ask.execution_arn)?;
        let token = ask.client_token.as_deref();
        let redrives = execution.redrives.as_deref();
        if let Some(at) = redrives.and_then(|redrives| redrives.by(token?, now)) {
            return Ok(json!({"redriveDate": epoch(at)}));
        }
        if let Some(why) = state.not_redrivable(execution, now) {
            return Err(AwsError::new("ExecutionNotRedrivable", why));
        }
        let mut run = self.run_again(&arn, execution);
        let input = run.context["Execution"]["Input"].clone();
        let (number, count) = state.reopen(&arn, (now, ask.client_token));
        (run.last, run.round) = (number, count);
        run.context["Execution"]["RedriveCount"] = json!(count);
        run.context["Execution"]["RedriveTime"] = json!(iso(now));
        let task = tokio::spawn(execution::run(run, input)).abort_handle();
        if let Some(execution) = state.executions.get_mut(&arn) {
            execution.task = Some(task);
        }
        Ok(json!({"redriveDate": epoch(now)}))
    }

    fn run_again(self: &Arc<Self>, arn: &Arc<str>, execution: &Execution) -> Run {
        let input: Value = digits::read(&execution.input).unwrap_or_default();
        let ids = (&*execution.machine, arn, execution.name.as_str());
        let mut run = Run::new(self, &execution.revision, ids, (&input, execution.started));
        run.progress = Arc::clone(&execution.progress);
        run.resume = true;
        let error = match &execution.ended {
            Some((_, End::Failed(why))) => why.name(),
            _ => "",
        };
        if error == name::DATA_LIMIT {
            // What was too large together is not cured by a part of it.
            run.progress.renew();
        }
        run
    }
}

// === impl State ===

impl State {
    fn known(&self, arn: &str) -> Result<(Arc<str>, &Execution), AwsError> {
        let execution = self.execution(arn)?;
        let known = self.executions.get_key_value(arn);
        let arn = known.map_or_else(|| arn.into(), |(arn, _)| Arc::clone(arn));
        Ok((arn, execution))
    }

    /// Why an execution cannot be redriven now, if it cannot.
    pub(super) fn not_redrivable(&self, execution: &Execution, now: Timestamp) -> Option<String> {
        let status = execution.status();
        let ended = match &execution.ended {
            Some((at, end)) if !matches!(end, End::Succeeded(_)) => *at,
            _ => return Some(format!("Execution is {status} and cannot be redriven")),
        };
        if now.duration_since(ended) > REDRIVABLE {
            return Some("Execution redrivable period exceeded".to_owned());
        }
        // That it was redriven needs a place, and one event more.
        if execution.history.len() + 2 > MOST {
            return Some("Execution history event limit exceeded".to_owned());
        }
        let gone = !self.machines.contains_key(&execution.machine);
        gone.then(|| "State machine is in DELETING status".to_owned())
    }

    /// It runs again: the number of the event that says so, and the how manieth time it is.
    fn reopen(&mut self, arn: &str, (now, token): (Timestamp, Option<String>)) -> (usize, usize) {
        let Some(execution) = self.executions.get_mut(arn) else {
            return (0, 0);
        };
        if let Some((_, end)) = execution.ended.take() {
            *self.counts.of(&end) -= 1;
            self.counts.running += 1;
        }
        let redrives = execution.redrives.get_or_insert_default();
        redrives.add(token, now);
        let count = redrives.count;
        let details = json!({"redriveCount": count});
        let event = Event::new(now, "ExecutionRedriven");
        let event = event.with("executionRedrivenEventDetails", &details);
        execution.history.push(event.after(execution.history.len()));
        (execution.history.len(), count)
    }
}

// === impl Redrives ===

impl Redrives {
    pub(super) fn count(&self) -> usize {
        self.count
    }

    pub(super) fn last(&self) -> Option<Timestamp> {
        self.last
    }

    /// When it was redriven with this token, as far as that is remembered.
    fn by(&self, token: &str, now: Timestamp) -> Option<Timestamp> {
        let kept = |at: Timestamp| now.duration_since(at) <= TOKEN_KEPT;
        let mut tokens = self.tokens.iter();
        let found = tokens.find(|(known, at)| known == token && kept(*at));
        found.map(|(_, at)| *at)
    }

    fn add(&mut self, token: Option<String>, now: Timestamp) {
        self.count += 1;
        self.last = Some(now);
        self.tokens.extend(token.map(|token| (token, now)));
        let old = self.tokens.len().saturating_sub(TOKENS_KEPT);
        self.tokens.drain(..old);
    }
}
