//! The attempts of Task states: scheduled, started, and timed out.

use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{self, Poll, ready};
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use super::failure::Failure;
use super::history::{Event, failed};
use super::reports::token;
use super::retry::name;
use super::targets::{Step, Target};
use super::{State, StepFunctions};
use crate::timers::Timers;

/// What an activity or a service is asked to do.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) target: Target,
    pub(super) execution: Arc<str>,
    /// Of the run.
    pub(super) round: usize,
    pub(super) input: String,
    pub(super) timeout: Option<Duration>,
    pub(super) heartbeat: Option<Duration>,
    /// The event that its scheduling follows from.
    pub(super) after: usize,
}

/// How an attempt ended, and its last event.
pub(super) type Closed = (Result<Value, Failure>, usize);

/// An attempt that somebody waits for. Nobody waits any more when it is
/// dropped: the attempt is closed, and whoever reports is told so.
pub(super) struct Pending {
    service: Arc<StepFunctions>,
    id: u64,
    outcome: oneshot::Receiver<Closed>,
}

#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) order: Order,
    last: usize,
    pub(super) scheduled: Instant,
    started: Option<Instant>,
    times_out: Option<Instant>,
    pub(super) lapses: Option<Instant>,
    /// Its entry in `State::due`.
    armed: Option<Instant>,
    done: oneshot::Sender<Closed>,
}

/// Times attempts out until the service is gone.
pub(super) async fn watch(
    service: Weak<StepFunctions>,
    (due_changed, timers): (Arc<Notify>, Timers),
) {
    loop {
        let Some(next) = service.upgrade().map(|service| service.expire()) else {
            return;
        };
        match next {
            // Woken early or not, what is due is looked up again.
            Some(at) => drop(timers.timeout_at(at, due_changed.notified()).await),
            None => due_changed.notified().await,
        }
    }
}

// === impl StepFunctions ===

impl StepFunctions {
    /// The number of an attempt that is to be scheduled: its token needs it.
    pub(super) fn reserve(&self) -> u64 {
        self.lock().take_id()
    }

    /// Schedules an attempt. That of a service has started with it.
    pub(super) fn schedule(self: &Arc<Self>, id: u64, order: Order) -> Pending {
        let (done, outcome) = oneshot::channel();
        let mut state = self.lock();
        let pending = Pending {
            service: Arc::clone(self),
            id,
            outcome,
        };
        if !state.open((&order.execution, order.round), id) {
            return pending;
        }
        let scheduled = self.instant();
        let target = order.target.clone();
        let details = self.scheduled(&order);
        let event = target.event(self.now(), (Step::Scheduled, details));
        let last = state.log(&order.execution, event.after(order.after));
        let times_out = order.timeout.map(|timeout| scheduled + timeout);
        let attempt = Attempt {
            order,
            last,
            scheduled,
            started: None,
            times_out,
            lapses: None,
            armed: None,
            done,
        };
        state.attempts.insert(id, attempt);
        self.arm(&mut state, id);
        let Target::Activity(arn) = &target else {
            self.begin(&mut state, id, json!({}));
            return pending;
        };
        self.count("ActivitiesScheduled", arn);
        if let Some(activity) = state.activities.get_mut(arn) {
            activity.queue.push_back(id);
            activity.waiting += 1;
        }
        self.hand_out(&mut state, arn);
        pending
    }

    /// The details of the event.
    fn scheduled(&self, order: &Order) -> Value {
        let mut details = match &order.target {
            Target::Activity(_) => json!({"input": order.input}),
            Target::Service(_) => {
                json!({"parameters": order.input, "region": self.context.region})
            }
        };
        let spans = [
            ("timeoutInSeconds", order.timeout),
            ("heartbeatInSeconds", order.heartbeat),
        ];
        for (member, span) in spans {
            if let Some(span) = span {
                details[member] = json!(span.as_secs());
            }
        }
        details
    }

    /// Brings the waiting tasks and polls of an activity together.
    pub(super) fn hand_out(&self, state: &mut State, arn: &str) {
        loop {
            let State {
                activities,
                attempts,
                ..
            } = state;
            let Some(activity) = activities.get_mut(arn) else {
                return;
            };
            while activity
                .queue
                .front()
                .is_some_and(|id| !attempts.contains_key(id))
            {
                activity.queue.pop_front();
            }
            if activity.queue.is_empty() {
                return;
            }
            let Some(poller) = activity.pollers.pop_front() else {
                return;
            };
            let Some(id) = activity.queue.pop_front() else {
                return;
            };
            activity.waiting -= 1;
            activity.running += 1;
            let task = self.start(state, id, poller.worker);
            // Nobody there is no matter: the task is lost until it times out.
            drop(poller.hand.send(task));
        }
    }

    fn start(&self, state: &mut State, id: u64, worker: Option<String>) -> Value {
        let Some(attempt) = state.attempts.get(&id) else {
            return json!({});
        };
        let mut task = Map::new();
        let input = attempt.order.input.clone();
        task.insert("taskToken".to_owned(), token(&self.instance, id).into());
        task.insert("input".to_owned(), input.into());
        if let Target::Activity(arn) = &attempt.order.target {
            self.count("ActivitiesStarted", arn);
            self.time("ActivityScheduleTime", arn, attempt.scheduled);
        }
        let details = worker.map_or_else(|| json!({}), |name| json!({"workerName": name}));
        self.begin(state, id, details);
        Value::Object(task)
    }

    /// From now on it runs, and heartbeats are waited for.
    fn begin(&self, state: &mut State, id: u64, details: Value) {
        let Some(attempt) = state.attempts.get_mut(&id) else {
            return;
        };
        let now = self.instant();
        attempt.started = Some(now);
        attempt.lapses = attempt.order.heartbeat.map(|span| now + span);
        self.note(state, id, (Step::Started, details));
        self.arm(state, id);
    }

    /// Writes down a step of an attempt that goes on.
    pub(super) fn note(&self, state: &mut State, id: u64, step: (Step, Value)) {
        let Some(attempt) = state.attempts.get(&id) else {
            return;
        };
        let execution = Arc::clone(&attempt.order.execution);
        let event = attempt.order.target.event(self.now(), step);
        let last = state.log(&execution, event.after(attempt.last));
        if let Some(attempt) = state.attempts.get_mut(&id) {
            attempt.last = last;
        }
    }

    /// Sees to it that the attempt is looked at when it is due.
    fn arm(&self, state: &mut State, id: u64) {
        let Some(attempt) = state.attempts.get_mut(&id) else {
            return;
        };
        let Some(due) = attempt.due() else {
            return;
        };
        if attempt.armed.is_some_and(|armed| armed <= due) {
            return;
        }
        if let Some(armed) = attempt.armed.replace(due) {
            state.due.remove(&(armed, id));
        }
        state.due.insert((due, id));
        if state.due.first() == Some(&(due, id)) {
            self.due_changed.notify_one();
        }
    }

    /// Times out what is due, and tells when to look again.
    fn expire(&self) -> Option<Instant> {
        let mut state = self.lock();
        let now = self.instant();
        loop {
            let (at, id) = *state.due.first()?;
            if at > now {
                return Some(at);
            }
            state.due.pop_first();
            let Some(attempt) = state.attempts.get_mut(&id) else {
                continue;
            };
            attempt.armed = None;
            if attempt.due().is_some_and(|due| due <= now) {
                self.time_out(&mut state, id, now);
            } else {
                self.arm(&mut state, id);
            }
        }
    }

    pub(super) fn time_out(&self, state: &mut State, id: u64, now: Instant) {
        let Some(attempt) = state.close(id) else {
            return;
        };
        let (metric, error) = if attempt.times_out.is_some_and(|at| at <= now) {
            ("ActivitiesTimedOut", name::TIMEOUT)
        } else {
            ("ActivitiesHeartbeatTimedOut", name::HEARTBEAT)
        };
        if let Target::Activity(arn) = &attempt.order.target {
            self.count(metric, arn);
            if attempt.started.is_none() {
                self.time("ActivityScheduleTime", arn, attempt.scheduled);
            }
            self.time_closed(&attempt, arn);
        }
        let step = (Step::TimedOut, failed(Some(error), None));
        let event = attempt.order.target.event(self.now(), step);
        let failure = Failure {
            error: Some(error.to_owned()),
            cause: None,
        };
        state.tell(attempt, event, Err(failure));
    }

    fn time_closed(&self, attempt: &Attempt, arn: &str) {
        if let Some(started) = attempt.started {
            self.time("ActivityRunTime", arn, started);
        }
        self.time("ActivityTime", arn, attempt.scheduled);
    }

    /// Writes down how a closed attempt ended: with its output and the text of it.
    pub(super) fn report(
        &self,
        state: &mut State,
        attempt: Attempt,
        outcome: Result<(Value, String), Failure>,
    ) {
        if let Target::Activity(arn) = &attempt.order.target {
            let metric = match outcome {
                Ok(_) => "ActivitiesSucceeded",
                Err(_) => "ActivitiesFailed",
            };
            self.count(metric, arn);
            self.time_closed(&attempt, arn);
        }
        let step = match &outcome {
            Ok((_, text)) => (Step::Succeeded, json!({"output": text})),
            Err(why) => (
                Step::Failed,
                failed(why.error.as_deref(), why.cause.as_deref()),
            ),
        };
        let event = attempt.order.target.event(self.now(), step);
        state.tell(attempt, event, outcome.map(|(output, _)| output));
    }
}

// === impl Attempt ===

impl Attempt {
    pub(super) fn due(&self) -> Option<Instant> {
        self.times_out.into_iter().chain(self.lapses).min()
    }
}

// === impl State ===

impl State {
    /// Takes an attempt out of everything that knows it.
    pub(super) fn close(&mut self, id: u64) -> Option<Attempt> {
        let attempt = self.attempts.remove(&id)?;
        if let Some(armed) = attempt.armed {
            self.due.remove(&(armed, id));
        }
        let arn = attempt.order.target.activity();
        if let Some(activity) = arn.and_then(|arn| self.activities.get_mut(arn)) {
            let count = match attempt.started {
                Some(_) => &mut activity.running,
                None => &mut activity.waiting,
            };
            // The activity may have been deleted and made anew since.
            *count = count.saturating_sub(1);
        }
        if let Some(execution) = self.executions.get_mut(&attempt.order.execution) {
            execution.attempts.remove(&id);
        }
        Some(attempt)
    }

    /// Writes down how a closed attempt ended, and tells who waits for it.
    pub(super) fn tell(&mut self, attempt: Attempt, event: Event, outcome: Result<Value, Failure>) {
        let last = self.log(&attempt.order.execution, event.after(attempt.last));
        drop(attempt.done.send((outcome, last)));
    }
}

// === impl Pending ===

impl Pending {
    pub(super) fn id(&self) -> u64 {
        self.id
    }
}

impl Future for Pending {
    type Output = Closed;

    fn poll(mut self: Pin<&mut Self>, context: &mut task::Context<'_>) -> Poll<Closed> {
        let outcome = ready!(Pin::new(&mut self.outcome).poll(context));
        let ended = || (Err(Failure::runtime("The execution has ended")), 0);
        Poll::Ready(outcome.unwrap_or_else(|_| ended()))
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.service.lock().close(self.id);
    }
}
