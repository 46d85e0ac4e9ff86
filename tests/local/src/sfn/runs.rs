//! Executions as their runs see them: histories, attempts, ends.

use jiff::Timestamp;
use tokio::sync::oneshot;

use super::State;
use super::end::End;
use super::executions::Execution;
use super::failure::Failure;
use super::history::{Event, MOST};
use crate::AwsError;

// === impl State ===

impl State {
    pub(super) fn execution(&self, arn: &str) -> Result<&Execution, AwsError> {
        self.executions.get(arn).ok_or_else(|| missing(arn))
    }

    pub(super) fn event(&self, arn: &str, number: usize) -> Option<&Event> {
        let history = &self.executions.get(arn)?.history;
        history.get(number.checked_sub(1)?)
    }

    /// How long the history is with the event in it; 0 where the execution has
    /// ended. The last place is for its end: where an event would take it, the
    /// execution fails, whatever it would catch.
    pub(super) fn log(&mut self, arn: &str, event: Event) -> usize {
        let Some(execution) = self.executions.get_mut(arn) else {
            return 0;
        };
        if execution.ended.is_some() {
            return 0;
        }
        if execution.history.len() + 1 < MOST {
            execution.history.push(event);
            return execution.history.len();
        }
        let why = format!("The execution reached the maximum number of history events ({MOST}).");
        self.end(arn, event.at(), End::Failed(Failure::runtime(why)));
        self.abort(arn);
        0
    }

    pub(super) fn is_running(&self, arn: &str, round: usize) -> bool {
        let execution = self.executions.get(arn);
        execution.is_some_and(|one| one.ended.is_none() && one.round() == round)
    }

    /// Notes the open attempt; `false` where the run has ended.
    pub(super) fn open(&mut self, (arn, round): (&str, usize), attempt: u64) -> bool {
        let runs = self.is_running(arn, round);
        let execution = self.executions.get_mut(arn).filter(|_| runs);
        if let Some(execution) = execution {
            execution.attempts.insert(attempt);
        }
        runs
    }

    /// Notes who waits for the end; `false` where it has come.
    pub(super) fn watch_end(&mut self, arn: &str, waiting: oneshot::Sender<()>) -> bool {
        let runs = self.executions.get_mut(arn);
        let runs = runs.filter(|execution| execution.ended.is_none());
        runs.map(|execution| execution.waiting.push(waiting))
            .is_some()
    }

    pub(super) fn end(&mut self, arn: &str, at: Timestamp, end: End) {
        let Some(execution) = self.executions.get_mut(arn) else {
            return;
        };
        if execution.ended.is_some() {
            return;
        }
        let last = execution.history.len();
        execution.history.push(end.event(at).after(last));
        execution.history.shrink_to_fit();
        *self.counts.of(&end) += 1;
        self.counts.running -= 1;
        execution.ended = Some((at, end));
        for waiting in std::mem::take(&mut execution.waiting) {
            // Who does not wait any more need not know.
            let _ = waiting.send(());
        }
        for attempt in std::mem::take(&mut execution.attempts) {
            self.close(attempt);
        }
    }

    /// Gives up what runs of an execution that has ended.
    pub(super) fn abort(&mut self, arn: &str) {
        let execution = self.executions.get_mut(arn);
        if let Some(task) = execution.and_then(|execution| execution.task.take()) {
            task.abort();
        }
    }
}

fn missing(arn: &str) -> AwsError {
    AwsError::new(
        "ExecutionDoesNotExist",
        format!("Execution Does Not Exist: '{arn}'"),
    )
}
