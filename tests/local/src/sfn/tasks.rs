//! The attempts of Task states: scheduled, started, and closed one way or another.

use std::sync::{Arc, Weak};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, timeout_at};

use super::history::Event;
use super::input::{check_json, check_size};
use super::retry::name;
use super::{State, StepFunctions};
use crate::AwsError;
use crate::context::read;

/// Why something ended badly, as Retry and Catch see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) error: Option<String>,
    pub(super) cause: Option<String>,
}

/// What an activity is asked to do.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) activity: Arc<str>,
    pub(super) execution: Arc<str>,
    pub(super) input: String,
    pub(super) timeout: Option<Duration>,
    pub(super) heartbeat: Option<Duration>,
}

#[derive(Debug)]
pub(super) struct Attempt {
    order: Order,
    pub(super) scheduled: Instant,
    started: Option<Instant>,
    times_out: Option<Instant>,
    lapses: Option<Instant>,
    /// Its entry in `State::due`.
    armed: Option<Instant>,
    done: oneshot::Sender<Result<Value, Failure>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Success {
    task_token: String,
    output: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Failed {
    task_token: String,
    error: Option<String>,
    cause: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Heartbeat {
    task_token: String,
}

/// Times attempts out until the service is gone.
pub(super) async fn watch(service: Weak<StepFunctions>, due_changed: Arc<Notify>) {
    loop {
        let Some(next) = service.upgrade().map(|service| service.expire()) else {
            return;
        };
        match next {
            // Woken early or not, what is due is looked up again.
            Some(at) => drop(timeout_at(at, due_changed.notified()).await),
            None => due_changed.notified().await,
        }
    }
}

// === impl StepFunctions ===

impl StepFunctions {
    /// Schedules an attempt; the receiver hears how it ended.
    pub(super) fn schedule(&self, order: Order) -> oneshot::Receiver<Result<Value, Failure>> {
        let (done, outcome) = oneshot::channel();
        let mut state = self.lock();
        let id = state.take_id();
        let scheduled = Instant::now();
        let activity = Arc::clone(&order.activity);
        if !state.open(&order.execution, id) {
            return outcome;
        }
        let mut details = json!({"resource": &*activity, "input": order.input});
        let spans = [
            ("timeoutInSeconds", order.timeout),
            ("heartbeatInSeconds", order.heartbeat),
        ];
        for (member, span) in spans {
            if let Some(span) = span {
                details[member] = json!(span.as_secs());
            }
        }
        let event = Event::new(self.now(), "ActivityScheduled");
        state.log(
            &order.execution,
            event.with("activityScheduledEventDetails", details),
        );
        self.count("ActivitiesScheduled", &activity);
        let times_out = order.timeout.map(|timeout| scheduled + timeout);
        let attempt = Attempt {
            order,
            scheduled,
            started: None,
            times_out,
            lapses: None,
            armed: None,
            done,
        };
        state.attempts.insert(id, attempt);
        self.arm(&mut state, id);
        if let Some(activity) = state.activities.get_mut(&activity) {
            activity.queue.push_back(id);
            activity.waiting += 1;
        }
        self.hand_out(&mut state, &activity);
        outcome
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
        let Some(attempt) = state.attempts.get_mut(&id) else {
            return json!({});
        };
        let now = Instant::now();
        attempt.started = Some(now);
        attempt.lapses = attempt.order.heartbeat.map(|span| now + span);
        let task = json!({"taskToken": token(&self.instance, id), "input": attempt.order.input});
        self.count("ActivitiesStarted", &attempt.order.activity);
        self.time(
            "ActivityScheduleTime",
            &attempt.order.activity,
            attempt.scheduled,
        );
        let execution = Arc::clone(&attempt.order.execution);
        let details = worker.map_or_else(|| json!({}), |name| json!({"workerName": name}));
        let event = Event::new(self.now(), "ActivityStarted");
        state.log(
            &execution,
            event.with("activityStartedEventDetails", details),
        );
        self.arm(state, id);
        task
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
        let now = Instant::now();
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

    fn time_out(&self, state: &mut State, id: u64, now: Instant) {
        let Some(attempt) = state.close(id) else {
            return;
        };
        let arn = &attempt.order.activity;
        let (metric, error) = if attempt.times_out.is_some_and(|at| at <= now) {
            ("ActivitiesTimedOut", name::TIMEOUT)
        } else {
            ("ActivitiesHeartbeatTimedOut", name::HEARTBEAT)
        };
        self.count(metric, arn);
        if attempt.started.is_none() {
            self.time("ActivityScheduleTime", arn, attempt.scheduled);
        }
        self.time_closed(&attempt);
        let event = Event::new(self.now(), "ActivityTimedOut");
        let event = event.failed("activityTimedOutEventDetails", Some(error), None);
        state.log(&attempt.order.execution, event);
        drop(attempt.done.send(Err(Failure {
            error: Some(error.to_owned()),
            cause: None,
        })));
    }

    fn time_closed(&self, attempt: &Attempt) {
        if let Some(started) = attempt.started {
            self.time("ActivityRunTime", &attempt.order.activity, started);
        }
        self.time("ActivityTime", &attempt.order.activity, attempt.scheduled);
    }

    pub(super) fn send_task_success(&self, body: Value) -> Result<Value, AwsError> {
        let Success { task_token, output } = read(body)?;
        let value = check_json("output", &output, "InvalidOutput")?;
        let mut state = self.lock();
        let attempt = self.close_token(&mut state, &task_token)?;
        self.count("ActivitiesSucceeded", &attempt.order.activity);
        self.time_closed(&attempt);
        let event = Event::new(self.now(), "ActivitySucceeded");
        let event = event.with("activitySucceededEventDetails", json!({"output": output}));
        state.log(&attempt.order.execution, event);
        drop(attempt.done.send(Ok(value)));
        Ok(json!({}))
    }

    pub(super) fn send_task_failure(&self, body: Value) -> Result<Value, AwsError> {
        let Failed {
            task_token,
            error,
            cause,
        } = read(body)?;
        for (member, text, most) in [("error", &error, 256), ("cause", &cause, 32_768)] {
            check_size(
                member,
                text.iter().map(|text| text.chars().count()).sum(),
                most,
            )?;
        }
        let mut state = self.lock();
        let attempt = self.close_token(&mut state, &task_token)?;
        self.count("ActivitiesFailed", &attempt.order.activity);
        self.time_closed(&attempt);
        let event = Event::new(self.now(), "ActivityFailed");
        let event = event.failed(
            "activityFailedEventDetails",
            error.as_deref(),
            cause.as_deref(),
        );
        state.log(&attempt.order.execution, event);
        drop(attempt.done.send(Err(Failure { error, cause })));
        Ok(json!({}))
    }

    pub(super) fn send_task_heartbeat(&self, body: Value) -> Result<Value, AwsError> {
        let Heartbeat { task_token } = read(body)?;
        let mut state = self.lock();
        let id = self.live(&mut state, &task_token)?;
        if let Some(attempt) = state.attempts.get_mut(&id) {
            attempt.lapses = attempt.order.heartbeat.map(|span| Instant::now() + span);
        }
        Ok(json!({}))
    }

    fn close_token(&self, state: &mut State, text: &str) -> Result<Attempt, AwsError> {
        let id = self.live(state, text)?;
        state.close(id).ok_or_else(closed)
    }

    /// The attempt of a token, if it is open. What is due is closed, whether or
    /// not the timer has come to it.
    fn live(&self, state: &mut State, text: &str) -> Result<u64, AwsError> {
        let invalid = || AwsError::new("InvalidToken", "Invalid Token: 'Invalid token'");
        check_size("taskToken", text.len(), 2048)?;
        let (instance, id) = read_token(text).ok_or_else(invalid)?;
        if instance != self.instance {
            return Err(AwsError::new(
                "TaskDoesNotExist",
                "Task does not exist: the token is of another service",
            ));
        }
        let now = Instant::now();
        match state.attempts.get(&id) {
            None => Err(closed()),
            Some(attempt) if attempt.due().is_some_and(|due| due <= now) => {
                self.time_out(state, id, now);
                Err(closed())
            }
            Some(_) => Ok(id),
        }
    }
}

fn closed() -> AwsError {
    AwsError::new(
        "TaskTimedOut",
        "Task Timed Out: 'Provided task does not exist anymore'",
    )
}

// === impl Attempt ===

impl Attempt {
    fn due(&self) -> Option<Instant> {
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
        if let Some(activity) = self.activities.get_mut(&attempt.order.activity) {
            let count = match attempt.started {
                Some(_) => &mut activity.running,
                None => &mut activity.waiting,
            };
            // The activity may have been deleted and made anew since.
            *count = count.saturating_sub(1);
        }
        if let Some(execution) = self.executions.get_mut(&attempt.order.execution) {
            execution.attempt = None;
        }
        Some(attempt)
    }
}

/// A token says which service made it and which attempt it is for, and can be
/// told from any other text: nothing needs to be kept of closed attempts.
fn token(instance: &[u8; 16], id: u64) -> String {
    let mut bytes = [instance.as_slice(), &id.to_be_bytes()].concat();
    let digest = Sha256::digest(&bytes);
    bytes.extend_from_slice(&digest[..8]);
    URL_SAFE_NO_PAD.encode(bytes)
}

fn read_token(text: &str) -> Option<([u8; 16], u64)> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let instance: [u8; 16] = bytes.get(..16)?.try_into().ok()?;
    let id = u64::from_be_bytes(bytes.get(16..24)?.try_into().ok()?);
    (token(&instance, id) == text).then_some((instance, id))
}
