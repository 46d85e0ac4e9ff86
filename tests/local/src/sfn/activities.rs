//! Activities and the polls for their tasks.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::history::epoch;
use super::input::{Page, check_arn, check_name, check_size, paged, without_off};
use super::tags::{Tag, check_tags};
use super::{State, StepFunctions};
use crate::AwsError;
use crate::context::read;

/// How long a poll stays open.
const POLL: Duration = Duration::from_secs(60);
/// How many polls one activity takes.
const MOST_POLLERS: usize = 1000;

/// An activity as the status page shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActivitySnapshot {
    /// As in its ARN.
    pub name: String,
    /// Names it everywhere.
    pub arn: String,
    /// Tasks that wait for a worker.
    pub waiting: usize,
    /// Tasks that a worker, or a lost poll, has.
    pub running: usize,
    /// Open polls.
    pub pollers: usize,
    /// How long the oldest waiting task has waited.
    pub oldest_wait: Option<Duration>,
}

#[derive(Debug)]
pub(super) struct Activity {
    name: String,
    created: Timestamp,
    /// Attempts in the order of their scheduling; closed ones are skipped.
    pub(super) queue: VecDeque<u64>,
    pub(super) waiting: usize,
    pub(super) running: usize,
    pub(super) pollers: VecDeque<Poller>,
}

/// A poll: it stays in its place for its whole time, also when the connection
/// it came by is gone. What it is handed then is lost, as at AWS.
#[derive(Debug)]
pub(super) struct Poller {
    id: u64,
    pub(super) worker: Option<String>,
    pub(super) hand: oneshot::Sender<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Create {
    name: String,
    #[serde(default)]
    tags: Vec<Tag>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ByArn {
    activity_arn: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Poll {
    activity_arn: String,
    worker_name: Option<String>,
}

// === impl StepFunctions ===

impl StepFunctions {
    pub(super) fn create_activity(&self, body: Value) -> Result<Value, AwsError> {
        let Create { name, tags } = read(without_off(body)?)?;
        check_name(&name)?;
        let tags = check_tags(tags)?;
        let arn = self.context.arn("states", &format!("activity:{name}"));
        let mut state = self.lock();
        let created = match state.activities.get(arn.as_str()) {
            Some(there) => there.created,
            None => {
                let activity = Activity {
                    name,
                    created: self.now(),
                    queue: VecDeque::new(),
                    waiting: 0,
                    running: 0,
                    pollers: VecDeque::new(),
                };
                let created = activity.created;
                state.activities.insert(arn.as_str().into(), activity);
                state.tags.insert(arn.clone(), tags);
                created
            }
        };
        Ok(json!({"activityArn": arn, "creationDate": epoch(created)}))
    }

    pub(super) fn describe_activity(&self, body: Value) -> Result<Value, AwsError> {
        let ByArn { activity_arn } = read(body)?;
        check_arn(&activity_arn, "activity")?;
        let state = self.lock();
        let activity = state.activities.get(activity_arn.as_str());
        let activity = activity.ok_or_else(|| missing(&activity_arn))?;
        let mut shown = activity.show(&activity_arn);
        shown["encryptionConfiguration"] = json!({"type": "AWS_OWNED_KEY"});
        Ok(shown)
    }

    pub(super) fn list_activities(&self, body: Value) -> Result<Value, AwsError> {
        let page: Page = read(body)?;
        let state = self.lock();
        let activities = state.activities.iter();
        paged(
            self.list("activities", ""),
            activities.map(|one| (one.1.name.clone(), one)),
            (page.max_results, page.next_token.as_deref()),
            |(arn, activity)| activity.show(arn),
        )
    }

    /// Open polls end empty; tasks that wait or run stay until they time out.
    pub(super) fn delete_activity(&self, body: Value) -> Result<Value, AwsError> {
        let ByArn { activity_arn } = read(body)?;
        check_arn(&activity_arn, "activity")?;
        let mut state = self.lock();
        state.activities.remove(activity_arn.as_str());
        state.tags.remove(&activity_arn);
        Ok(json!({}))
    }

    pub(super) async fn get_activity_task(
        self: &Arc<Self>,
        body: Value,
    ) -> Result<Value, AwsError> {
        let Poll {
            activity_arn,
            worker_name,
        } = read(body)?;
        check_arn(&activity_arn, "activity")?;
        if let Some(name) = &worker_name {
            check_size("workerName", name.chars().count(), 80)?;
        }
        let (hand, mut handed) = oneshot::channel();
        let id = self.enqueue(&activity_arn, worker_name, hand)?;
        if let Ok(task) = handed.try_recv() {
            return Ok(task);
        }
        let this = Arc::clone(self);
        // Apart from the request: a caller that hangs up does not take its
        // poll out of the line.
        let poll = tokio::spawn(async move {
            if let Ok(answer) = this.context.timers.timeout(POLL, &mut handed).await {
                return answer.unwrap_or_else(|_| json!({}));
            }
            this.forget(&activity_arn, id);
            handed.try_recv().unwrap_or_else(|_| json!({}))
        });
        poll.await
            .map_err(|error| AwsError::internal(format!("the poll ended: {error}")))
    }

    fn enqueue(
        &self,
        arn: &str,
        worker: Option<String>,
        hand: oneshot::Sender<Value>,
    ) -> Result<u64, AwsError> {
        let mut state = self.lock();
        let id = state.take_id();
        let activity = state.activities.get_mut(arn).ok_or_else(|| missing(arn))?;
        if activity.pollers.len() >= MOST_POLLERS {
            return Err(AwsError::new(
                "ActivityWorkerLimitExceeded",
                "The maximum number of workers concurrently polling for activity tasks has been reached.",
            ));
        }
        activity.pollers.push_back(Poller { id, worker, hand });
        self.hand_out(&mut state, arn);
        Ok(id)
    }

    /// Polls last equally long, so the one that ends stands in front.
    fn forget(&self, arn: &str, id: u64) {
        let mut state = self.lock();
        if let Some(activity) = state.activities.get_mut(arn)
            && let Some(at) = activity.pollers.iter().position(|poller| poller.id == id)
        {
            activity.pollers.remove(at);
        }
    }

    /// The activities, by name.
    pub fn snapshot(&self) -> Vec<ActivitySnapshot> {
        let state = self.lock();
        let show = |(arn, activity): (&Arc<str>, &Activity)| {
            let oldest = activity.queue.iter().find_map(|id| state.attempts.get(id));
            ActivitySnapshot {
                name: activity.name.clone(),
                arn: arn.to_string(),
                waiting: activity.waiting,
                running: activity.running,
                pollers: activity.pollers.len(),
                oldest_wait: oldest.map(|attempt| self.instant() - attempt.scheduled),
            }
        };
        state.activities.iter().map(show).collect()
    }
}

// === impl Activity ===

impl Activity {
    fn show(&self, arn: &str) -> Value {
        json!({"activityArn": arn, "name": self.name, "creationDate": epoch(self.created)})
    }
}

// === impl State ===

impl State {
    pub(super) fn take_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }
}

fn missing(arn: &str) -> AwsError {
    AwsError::new(
        "ActivityDoesNotExist",
        format!("Activity Does Not Exist: '{arn}'"),
    )
}
