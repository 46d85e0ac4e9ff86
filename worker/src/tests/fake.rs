//! A Step Functions that answers by a script and remembers what it was told.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use stepfleet_activity::{ActivityError, TaskToken};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::wait;
use crate::{BoxError, CallError, OutputStore, RawTask, StepFunctions};

/// How long a poll without a task stays open.
const POLL: Duration = Duration::from_secs(60);

#[derive(Clone, Default)]
pub(super) struct Fake {
    state: Arc<Mutex<State>>,
    arrived: Arc<Notify>,
}

/// What was reported: the output, or the failure's name and cause.
pub(super) type Report = Result<String, (String, String)>;

#[derive(Default)]
pub(super) struct State {
    tasks: VecDeque<Result<Option<RawTask>, CallError>>,
    /// Errors that the next heartbeats answer; `Ok` once they are used up.
    pub(super) heartbeat_errors: VecDeque<CallError>,
    /// Errors that the next reports answer; `Ok` once they are used up.
    pub(super) report_errors: VecDeque<CallError>,
    pub(super) polls: usize,
    pub(super) open: usize,
    pub(super) most_open: usize,
    pub(super) cancelled: usize,
    pub(super) heartbeats: Vec<Instant>,
    pub(super) report_calls: usize,
    pub(super) reports: Vec<(Instant, String, Report)>,
    pub(super) stored: Vec<(String, Vec<u8>)>,
    next_token: usize,
}

impl Fake {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("not poisoned")
    }

    /// Polls made and polls cancelled.
    pub(super) fn polls(&self) -> (usize, usize) {
        let state = self.state();
        (state.polls, state.cancelled)
    }

    /// Polls open now and at most.
    pub(super) fn open(&self) -> (usize, usize) {
        let state = self.state();
        (state.open, state.most_open)
    }

    /// A task for the next poll.
    pub(super) fn schedule(&self, input: &str) {
        let mut state = self.state();
        let token = TaskToken::new(format!("token-{}", state.next_token));
        state.next_token += 1;
        state.tasks.push_back(Ok(Some(RawTask {
            token,
            input: input.to_owned(),
        })));
        drop(state);
        self.arrived.notify_one();
    }

    /// An answer at once to the next poll.
    pub(super) fn answer(&self, answer: Result<Option<RawTask>, CallError>) {
        self.state().tasks.push_back(answer);
        self.arrived.notify_one();
    }

    /// What was reported so far, without times and tokens.
    pub(super) fn reports(&self) -> Vec<Report> {
        let state = self.state();
        state
            .reports
            .iter()
            .map(|(_, _, said)| said.clone())
            .collect()
    }

    /// Names of the failures and outputs reported so far.
    pub(super) fn said(&self) -> Vec<String> {
        let said = |report: Report| report.unwrap_or_else(|(name, _)| name);
        self.reports().into_iter().map(said).collect()
    }

    async fn next(&self) -> Result<Option<RawTask>, CallError> {
        let until = Instant::now() + POLL;
        loop {
            let (answer, more) = {
                let mut state = self.state();
                (state.tasks.pop_front(), !state.tasks.is_empty())
            };
            if more {
                self.arrived.notify_one();
            }
            if let Some(answer) = answer {
                return answer;
            }
            if tokio::time::timeout_at(until, self.arrived.notified())
                .await
                .is_err()
            {
                return Ok(None);
            }
        }
    }

    fn report(&self, token: &TaskToken, said: Report) -> Result<(), CallError> {
        let mut state = self.state();
        state.report_calls += 1;
        if let Some(error) = state.report_errors.pop_front() {
            return Err(error);
        }
        let token = token.reveal().to_owned();
        state.reports.push((Instant::now(), token, said));
        Ok(())
    }
}

/// Counts an open poll, and whether it was cancelled.
struct Open<'a> {
    fake: &'a Fake,
    ended: bool,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        let mut state = self.fake.state();
        state.open -= 1;
        state.cancelled += usize::from(!self.ended);
    }
}

impl StepFunctions for Fake {
    fn poll<'a>(
        &'a self,
        _: &'a str,
        _: &'a str,
    ) -> BoxFuture<'a, Result<Option<RawTask>, CallError>> {
        async move {
            let mut open = {
                let mut state = self.state();
                state.polls += 1;
                state.open += 1;
                state.most_open = state.most_open.max(state.open);
                Open {
                    fake: self,
                    ended: false,
                }
            };
            wait(Duration::from_millis(5)).await;
            let answer = self.next().await;
            open.ended = true;
            answer
        }
        .boxed()
    }

    fn heartbeat<'a>(&'a self, _: &'a TaskToken) -> BoxFuture<'a, Result<(), CallError>> {
        async move {
            let mut state = self.state();
            state.heartbeats.push(Instant::now());
            state.heartbeat_errors.pop_front().map_or(Ok(()), Err)
        }
        .boxed()
    }

    fn succeed<'a>(
        &'a self,
        token: &'a TaskToken,
        output: &'a str,
    ) -> BoxFuture<'a, Result<(), CallError>> {
        async move { self.report(token, Ok(output.to_owned())) }.boxed()
    }

    fn fail<'a>(
        &'a self,
        token: &'a TaskToken,
        error: &'a ActivityError,
    ) -> BoxFuture<'a, Result<(), CallError>> {
        async move {
            let said = (error.name().to_owned(), error.cause().to_owned());
            self.report(token, Err(said))
        }
        .boxed()
    }
}

impl OutputStore for Fake {
    fn put<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
        body: Vec<u8>,
    ) -> BoxFuture<'a, Result<String, BoxError>> {
        async move {
            let stored = (format!("{bucket}/{key}"), body);
            self.state().stored.push(stored);
            Ok("\"etag\"".to_owned())
        }
        .boxed()
    }
}
