//! Dead-letter queues: who may use them, what goes there, and how it comes back.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::queue::{Message, Queue, Redrive};
use super::requests::page;
use super::{Sqs, missing, name_of, with};
use crate::AwsError;

/// How many tasks of a queue are kept, and shown at most.
const MOST_TASKS: usize = 10;

/// `ListDeadLetterSourceQueues`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Sources {
    queue_url: String,
    max_results: Option<usize>,
    next_token: Option<String>,
}

/// `StartMessageMoveTask`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct StartMove {
    source_arn: String,
    destination_arn: Option<String>,
    max_number_of_messages_per_second: Option<u64>,
}

/// `ListMessageMoveTasks`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct ListMoves {
    source_arn: String,
    max_results: Option<usize>,
}

/// Who may name a queue as its dead-letter queue.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct AllowPolicy {
    redrive_permission: String,
    #[serde(default)]
    source_queue_arns: Vec<String>,
}

/// Reads a `RedriveAllowPolicy`, and says whether it lets a source in.
pub(super) fn allows(policy: &str, source_arn: &str) -> Result<bool, AwsError> {
    let wrong = || {
        AwsError::new(
            "InvalidAttributeValue",
            format!(
                "RedriveAllowPolicy is {{\"redrivePermission\": allowAll, denyAll or byQueue with up \
                 to 10 \"sourceQueueArns\"}}, not {policy}"
            ),
        )
    };
    let policy: AllowPolicy = serde_json::from_str(policy).map_err(|_| wrong())?;
    let arns = &policy.source_queue_arns;
    match policy.redrive_permission.as_str() {
        "allowAll" if arns.is_empty() => Ok(true),
        "denyAll" if arns.is_empty() => Ok(false),
        "byQueue" if (1..=10).contains(&arns.len()) => Ok(arns.iter().any(|arn| arn == source_arn)),
        _ => Err(wrong()),
    }
}

/// Whether a queue may have these attributes, by the others that are there.
pub(super) fn check_target(
    queues: &BTreeMap<String, Queue>,
    source_arn: &str,
    attributes: &BTreeMap<String, String>,
) -> Result<(), AwsError> {
    let policy = attributes.get("RedrivePolicy").filter(|p| !p.is_empty());
    let Some(policy) = policy else { return Ok(()) };
    let target_arn = super::queue::redrive(policy)?.target_arn;
    let refused = |reason: &str| {
        AwsError::new(
            "InvalidParameterValue",
            format!("Value {policy} for parameter RedrivePolicy is invalid. Reason: {reason}."),
        )
    };
    let (front, name) = target_arn.rsplit_once(':').unwrap_or_default();
    let here = source_arn.rsplit_once(':').map(|(front, _)| front);
    let target = queues.get(name).filter(|_| Some(front) == here);
    let target = target.ok_or_else(|| refused("Dead letter target does not exist"))?;
    match target.setting("RedriveAllowPolicy") {
        "" => Ok(()),
        policy if allows(policy, source_arn)? => Ok(()),
        _ => Err(refused("the dead letter target does not allow this queue")),
    }
}

impl Sqs {
    /// Moves what was received too often to the dead-letter queue.
    pub(super) fn bury(&self, queues: &mut BTreeMap<String, Queue>, name: &str, now: Instant) {
        let dead = queues.get_mut(name).and_then(|queue| {
            queue.expire(now);
            queue.take_dead(now)
        });
        let Some((redrive, dead)) = dead else { return };
        let Redrive { target_arn, .. } = redrive;
        let target = target_arn.rsplit(':').next().unwrap_or_default();
        let source_arn = self.arn(name);
        if let Some(target) = queues.get_mut(target) {
            let buried = dead.into_iter().map(|message| Message {
                receipt: None,
                source_arn: Some(source_arn.clone()),
                ..message
            });
            target.messages.extend(buried);
        } else if let Some(queue) = queues.get_mut(name) {
            // As on AWS: with nowhere to go they stay.
            queue.messages.extend(dead);
        }
        self.changed.notify_waiters();
    }

    pub(super) fn dead_letter_sources(&self, input: &Sources) -> Result<Value, AwsError> {
        let queues = self.lock();
        let name = name_of(&input.queue_url);
        if !queues.contains_key(name) {
            return Err(missing(name));
        }
        let target = self.arn(name);
        let sources = queues.iter().filter(|(_, queue)| {
            let redrive = queue.redrive();
            redrive.is_some_and(|redrive| redrive.target_arn == target)
        });
        let sources = sources.map(|(name, _)| name.as_str());
        let (names, next) = page(sources, input.max_results, input.next_token.as_deref())?;
        let urls: Vec<String> = names.into_iter().map(|name| self.url(name)).collect();
        // In small letters, here alone.
        let mut output = json!({"queueUrls": urls});
        if let Some(next) = next {
            output["NextToken"] = next.into();
        }
        Ok(output)
    }

    /// Moves all messages at once: to the destination, or each to where it
    /// came from. They are new messages there.
    pub(super) fn start_move(&self, input: &StartMove) -> Result<Value, AwsError> {
        if input.max_number_of_messages_per_second.is_some() {
            return Err(AwsError::new(
                "UnsupportedOperation",
                "stepfleet-local has no MaxNumberOfMessagesPerSecond: it moves all at once",
            ));
        }
        let mut queues = self.lock();
        let name = self.named(&queues, &input.source_arn)?;
        let to = input.destination_arn.as_deref();
        let to = to.map(|arn| self.named(&queues, arn)).transpose()?;
        let is_dead = queues.values().any(|queue| {
            let redrive = queue.redrive();
            redrive.is_some_and(|redrive| redrive.target_arn == input.source_arn)
        });
        if !is_dead {
            return Err(AwsError::new(
                "InvalidParameterValue",
                "Source queue must be configured as a Dead Letter Queue.",
            ));
        }
        let started = self.context.clock.now().as_millisecond();
        let now = (self.context.timers.now(), started);
        let all = with(&mut queues, &name, |queue| queue.take_visible(now.0))?;
        let (count, mut moved, mut failure) = (all.len(), 0, None);
        for message in all {
            let source = message.source_arn.as_deref();
            let back = source.and_then(|arn| self.named(&queues, arn).ok());
            let target = to.clone().or(back).and_then(|name| queues.get_mut(&name));
            if let Some(target) = target {
                target.messages.push_back(message.anew(now));
                moved += 1;
            } else if let Some(queue) = queues.get_mut(&name) {
                failure = Some("CouldNotDetermineMessageSource");
                queue.messages.push_back(message);
            }
        }
        let mut task = json!({
            "Status": if failure.is_some() { "FAILED" } else { "COMPLETED" },
            "SourceArn": input.source_arn,
            "ApproximateNumberOfMessagesMoved": moved,
            "ApproximateNumberOfMessagesToMove": count,
            "StartedTimestamp": started,
        });
        if let Some(arn) = &input.destination_arn {
            task["DestinationArn"] = arn.as_str().into();
        }
        if let Some(failure) = failure {
            task["FailureReason"] = failure.into();
        }
        with(&mut queues, &name, |queue| {
            queue.moves.insert(0, task);
            queue.moves.truncate(MOST_TASKS);
        })?;
        drop(queues);
        self.changed.notify_waiters();
        Ok(json!({"TaskHandle": uuid::Uuid::new_v4().to_string()}))
    }

    pub(super) fn list_moves(&self, input: &ListMoves) -> Result<Value, AwsError> {
        let most = input.max_results.unwrap_or(1);
        if !(1..=MOST_TASKS).contains(&most) {
            return Err(AwsError::new(
                "InvalidParameterValue",
                format!("MaxResults is 1 to {MOST_TASKS}, not {most}"),
            ));
        }
        let queues = self.lock();
        let name = self.named(&queues, &input.source_arn)?;
        let moves = queues.get(&name).map(|queue| queue.moves.as_slice());
        let moves = moves.unwrap_or_default();
        Ok(json!({"Results": moves[..most.min(moves.len())]}))
    }

    /// The name of the queue with this ARN.
    fn named(&self, queues: &BTreeMap<String, Queue>, arn: &str) -> Result<String, AwsError> {
        let name = arn.rsplit(':').next().unwrap_or_default();
        if self.arn(name) != arn || !queues.contains_key(name) {
            return Err(AwsError {
                status: 404,
                ..AwsError::new(
                    "ResourceNotFoundException",
                    format!("The resource that you specified for the ARN doesn't exist: {arn}"),
                )
            });
        }
        Ok(name.to_owned())
    }
}
