//! One queue: its settings and its messages.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::attributes::Attributes;
use super::dead;
use super::policy::{Policy, Sender};
use crate::AwsError;

/// A message that waits or is being worked on.
#[derive(Debug, Clone)]
pub(super) struct Message {
    pub(super) id: String,
    pub(super) body: String,
    pub(super) attributes: Attributes,
    /// Milliseconds since 1970, as `SentTimestamp` says it.
    pub(super) sent_millis: i64,
    pub(super) first_received_millis: Option<i64>,
    pub(super) sent: Instant,
    pub(super) visible: Instant,
    pub(super) receives: u32,
    /// Of the last receive; an older one deletes nothing.
    pub(super) receipt: Option<String>,
    /// The queue that it died in.
    pub(super) source_arn: Option<String>,
}

impl Message {
    /// The same text as a message of its own.
    pub(super) fn anew(self, (now, millis): (Instant, i64)) -> Self {
        Self {
            id: uuid::Uuid::new_v4().to_string(),
            sent_millis: millis,
            first_received_millis: None,
            sent: now,
            visible: now,
            receives: 0,
            receipt: None,
            source_arn: None,
            ..self
        }
    }
}

/// Where a message goes that was received too often.
#[derive(Debug, Clone)]
pub(super) struct Redrive {
    pub(super) target_arn: String,
    pub(super) max_receives: u32,
}

/// A queue.
#[derive(Debug)]
pub(super) struct Queue {
    /// As they were set, with the defaults of AWS below them.
    pub(super) attributes: BTreeMap<String, String>,
    pub(super) created: i64,
    /// When its attributes were last set.
    pub(super) modified: i64,
    pub(super) messages: VecDeque<Message>,
    pub(super) tags: BTreeMap<String, String>,
    /// The tasks that moved its messages back, the newest first.
    pub(super) moves: Vec<Value>,
}

/// What can be set, AWS's default, and the largest number (0: it is no number).
const SETTABLE: [(&str, &str, u64); 8] = [
    ("DelaySeconds", "0", 900),
    ("MaximumMessageSize", "1048576", 1_048_576),
    ("MessageRetentionPeriod", "345600", 1_209_600),
    ("Policy", "", 0),
    ("ReceiveMessageWaitTimeSeconds", "0", 20),
    ("RedriveAllowPolicy", "", 0),
    ("RedrivePolicy", "", 0),
    ("VisibilityTimeout", "30", 43_200),
];

/// Checks attributes that somebody sets.
pub(super) fn check(attributes: &BTreeMap<String, String>) -> Result<(), AwsError> {
    for (name, value) in attributes {
        let Some((_, _, most)) = SETTABLE.iter().find(|(known, ..)| known == name) else {
            return Err(AwsError::new(
                "InvalidAttributeName",
                format!("stepfleet-local has no queue attribute {name}"),
            ));
        };
        let number = value.parse::<u64>().ok();
        if *most > 0 && number.is_none_or(|number| number > *most) {
            return Err(invalid(format!("{name} is 0 to {most}, not {value}")));
        }
        match name.as_str() {
            _ if value.is_empty() => {}
            "RedrivePolicy" => drop(redrive(value)?),
            "RedriveAllowPolicy" => drop(dead::allows(value, "")?),
            "Policy" => drop(Policy::parse(value)?),
            _ => {}
        }
    }
    Ok(())
}

/// What can be asked for and not set.
const SAID: [&str; 6] = [
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesDelayed",
    "ApproximateNumberOfMessagesNotVisible",
    "CreatedTimestamp",
    "LastModifiedTimestamp",
    "QueueArn",
];

/// Checks names that somebody asks for.
pub(super) fn check_names(names: &[String]) -> Result<(), AwsError> {
    let known = |name: &&String| {
        let name = name.as_str();
        name == "All" || SAID.contains(&name) || SETTABLE.iter().any(|(known, ..)| *known == name)
    };
    match names.iter().find(|name| !known(name)) {
        None => Ok(()),
        Some(name) => Err(AwsError::new(
            "InvalidAttributeName",
            format!("stepfleet-local has no queue attribute {name}"),
        )),
    }
}

fn invalid(message: String) -> AwsError {
    AwsError::new("InvalidAttributeValue", message)
}

pub(super) fn redrive(policy: &str) -> Result<Redrive, AwsError> {
    let wrong = || {
        invalid(format!(
            "RedrivePolicy is {{\"deadLetterTargetArn\": ARN, \"maxReceiveCount\": 1 to 1000}}, not {policy}"
        ))
    };
    let value: Value = serde_json::from_str(policy).map_err(|_| wrong())?;
    let target = value["deadLetterTargetArn"].as_str().ok_or_else(wrong)?;
    // Both forms are in use: 5 and "5".
    let count = match &value["maxReceiveCount"] {
        Value::String(text) => text.parse().ok(),
        number => number.as_u64(),
    };
    let count = count
        .and_then(|count| u32::try_from(count).ok())
        .filter(|count| (1..=1000).contains(count))
        .ok_or_else(wrong)?;
    Ok(Redrive {
        target_arn: target.to_owned(),
        max_receives: count,
    })
}

impl Queue {
    pub(super) fn new(attributes: BTreeMap<String, String>, created: i64) -> Self {
        Self {
            attributes,
            created,
            modified: created,
            messages: VecDeque::new(),
            tags: BTreeMap::new(),
            moves: Vec::new(),
        }
    }

    /// A setting, or AWS's default.
    pub(super) fn setting(&self, name: &str) -> &str {
        let default = || {
            let known = SETTABLE.iter().find(|(known, ..)| *known == name);
            known.map_or("", |(_, default, _)| default)
        };
        self.attributes
            .get(name)
            .map_or_else(default, String::as_str)
    }

    /// A setting in seconds; they were checked when they were set.
    pub(super) fn seconds(&self, name: &str) -> Duration {
        Duration::from_secs(self.setting(name).parse().unwrap_or(0))
    }

    pub(super) fn redrive(&self) -> Option<Redrive> {
        match self.setting("RedrivePolicy") {
            "" => None,
            policy => redrive(policy).ok(),
        }
    }

    /// Whether the policy lets a service send; without one nobody but the
    /// account itself may.
    pub(super) fn lets_in(&self, sender: &Sender<'_>, arn: &str) -> bool {
        // It was read when it was set.
        let policy = Policy::parse(self.setting("Policy")).ok();
        policy.is_some_and(|policy| policy.allows(sender, arn))
    }

    /// Every attribute that `GetQueueAttributes` may say.
    pub(super) fn described(&self, arn: &str, now: Instant) -> BTreeMap<String, String> {
        let mut all: BTreeMap<String, String> = SETTABLE
            .iter()
            .map(|(name, ..)| ((*name).to_owned(), self.setting(name).to_owned()))
            .filter(|(_, value)| !value.is_empty())
            .collect();
        let delayed = |m: &&Message| m.receipt.is_none() && m.visible > now;
        let in_flight = |m: &&Message| m.receipt.is_some() && m.visible > now;
        let visible = |m: &&Message| m.visible <= now;
        let mut count = |name: &str, count: usize| all.insert(name.to_owned(), count.to_string());
        let messages = || self.messages.iter();
        count(
            "ApproximateNumberOfMessages",
            messages().filter(visible).count(),
        );
        count(
            "ApproximateNumberOfMessagesDelayed",
            messages().filter(delayed).count(),
        );
        count(
            "ApproximateNumberOfMessagesNotVisible",
            messages().filter(in_flight).count(),
        );
        all.insert("CreatedTimestamp".to_owned(), self.created.to_string());
        all.insert(
            "LastModifiedTimestamp".to_owned(),
            self.modified.to_string(),
        );
        all.insert("QueueArn".to_owned(), arn.to_owned());
        all
    }

    /// Drops what is older than the queue keeps.
    pub(super) fn expire(&mut self, now: Instant) {
        let keep = self.seconds("MessageRetentionPeriod");
        self.messages
            .retain(|message| now.saturating_duration_since(message.sent) < keep);
    }

    /// Takes out what was received too often and is visible again.
    pub(super) fn take_dead(&mut self, now: Instant) -> Option<(Redrive, Vec<Message>)> {
        let redrive = self.redrive()?;
        let is_dead = |m: &Message| m.visible <= now && m.receives >= redrive.max_receives;
        let (dead, alive): (Vec<Message>, Vec<Message>) =
            self.messages.drain(..).partition(is_dead);
        self.messages = alive.into();
        (!dead.is_empty()).then_some((redrive, dead))
    }

    /// Takes out what nobody works on.
    pub(super) fn take_visible(&mut self, now: Instant) -> Vec<Message> {
        let (taken, kept): (Vec<Message>, Vec<Message>) =
            self.messages.drain(..).partition(|m| m.visible <= now);
        self.messages = kept.into();
        taken
    }

    /// Hands out up to `most` messages, hidden for `hide`.
    pub(super) fn receive(
        &mut self,
        most: usize,
        hide: Duration,
        now: (Instant, i64),
    ) -> Vec<Message> {
        let visible = self.messages.iter_mut().filter(|m| m.visible <= now.0);
        visible
            .take(most)
            .map(|message| {
                message.visible = now.0 + hide;
                message.receives += 1;
                message.first_received_millis.get_or_insert(now.1);
                message.receipt = Some(uuid::Uuid::new_v4().to_string());
                message.clone()
            })
            .collect()
    }

    /// When the next hidden message shows again.
    pub(super) fn next_visible(&self, now: Instant) -> Option<Instant> {
        let hidden = self.messages.iter().map(|message| message.visible);
        hidden.filter(|visible| *visible > now).min()
    }
}
