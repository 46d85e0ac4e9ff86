//! The shapes of SQS's requests.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::attributes::Attributes;
use super::md5;
use super::queue::{Message, Queue};
use crate::AwsError;

/// What a message says of the queue that it died in.
const SOURCE: &str = "DeadLetterQueueSourceArn";

/// `CreateQueue`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Create {
    pub(super) queue_name: String,
    #[serde(default)]
    pub(super) attributes: BTreeMap<String, String>,
    /// In small letters, here alone.
    #[serde(default, rename = "tags")]
    pub(super) tags: BTreeMap<String, String>,
}

/// `GetQueueUrl`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Named {
    pub(super) queue_name: String,
    #[serde(rename = "QueueOwnerAWSAccountId")]
    pub(super) owner: Option<String>,
}

/// `ListQueues`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct List {
    pub(super) queue_name_prefix: Option<String>,
    pub(super) max_results: Option<usize>,
    pub(super) next_token: Option<String>,
}

/// `TagQueue`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Tag {
    pub(super) queue_url: String,
    pub(super) tags: BTreeMap<String, String>,
}

/// `UntagQueue`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Untag {
    pub(super) queue_url: String,
    pub(super) tag_keys: Vec<String>,
}

/// Whatever takes a queue and nothing else.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Get {
    pub(super) queue_url: String,
}

/// `GetQueueAttributes`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct GetAttributes {
    pub(super) queue_url: String,
    #[serde(default)]
    pub(super) attribute_names: Vec<String>,
}

/// `SetQueueAttributes`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct SetAttributes {
    pub(super) queue_url: String,
    pub(super) attributes: BTreeMap<String, String>,
}

/// `SendMessage`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Send {
    pub(super) queue_url: String,
    message_body: String,
    delay_seconds: Option<u64>,
    #[serde(default)]
    message_attributes: Attributes,
}

/// One of `SendMessageBatch`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct SendEntry {
    id: String,
    message_body: String,
    delay_seconds: Option<u64>,
    #[serde(default)]
    message_attributes: Attributes,
}

/// What is sent, whoever sends it.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    pub(crate) body: String,
    pub(crate) delay: Option<u64>,
    pub(crate) attributes: Attributes,
}

impl Send {
    pub(super) fn outgoing(self) -> Outgoing {
        Outgoing {
            body: self.message_body,
            delay: self.delay_seconds,
            attributes: self.message_attributes,
        }
    }
}

impl SendEntry {
    /// Its id, and what it sends.
    pub(super) fn outgoing(self) -> (String, Outgoing) {
        let outgoing = Outgoing {
            body: self.message_body,
            delay: self.delay_seconds,
            attributes: self.message_attributes,
        };
        (self.id, outgoing)
    }
}

impl Outgoing {
    /// In bytes, as the queue's limit counts them.
    pub(super) fn size(&self) -> usize {
        self.body.len() + self.attributes.size()
    }

    /// As the answer shows it.
    pub(super) fn sums(&self) -> Value {
        let mut shown = json!({"MD5OfMessageBody": md5(self.body.as_bytes())});
        if let Some(sum) = self.attributes.md5() {
            shown["MD5OfMessageAttributes"] = json!(sum);
        }
        shown
    }

    /// What no queue takes.
    pub(super) fn check(&self) -> Result<(), AwsError> {
        within("DelaySeconds", self.delay.unwrap_or_default(), 900)?;
        self.attributes.check()
    }
}

/// `ReceiveMessage`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Receive {
    pub(super) queue_url: String,
    pub(super) max_number_of_messages: Option<u64>,
    pub(super) wait_time_seconds: Option<u64>,
    pub(super) visibility_timeout: Option<u64>,
    #[serde(default)]
    pub(super) attribute_names: Vec<String>,
    #[serde(default)]
    pub(super) message_system_attribute_names: Vec<String>,
    #[serde(default)]
    pub(super) message_attribute_names: Vec<String>,
}

impl Receive {
    /// How long to wait and how many to take.
    pub(super) fn checked(&self, queue: &Queue) -> Result<(Duration, usize), AwsError> {
        let most = self.max_number_of_messages.unwrap_or(1);
        if !(1..=10).contains(&most) {
            return Err(AwsError::new(
                "InvalidParameterValue",
                format!("MaxNumberOfMessages is 1 to 10, not {most}"),
            ));
        }
        within(
            "WaitTimeSeconds",
            self.wait_time_seconds.unwrap_or_default(),
            20,
        )?;
        within(
            "VisibilityTimeout",
            self.visibility_timeout.unwrap_or_default(),
            43_200,
        )?;
        let wait = self.wait_time_seconds.map_or_else(
            || queue.seconds("ReceiveMessageWaitTimeSeconds"),
            Duration::from_secs,
        );
        Ok((wait, usize::try_from(most).unwrap_or(1)))
    }

    /// A received message as the answer shows it.
    pub(super) fn shown(&self, message: &Message) -> Value {
        let wanted = |name: &str| {
            let mut names = self
                .attribute_names
                .iter()
                .chain(&self.message_system_attribute_names);
            names.any(|wanted| wanted == name || wanted == "All")
        };
        let known = [
            ("ApproximateReceiveCount", Some(i64::from(message.receives))),
            ("SentTimestamp", Some(message.sent_millis)),
            (
                "ApproximateFirstReceiveTimestamp",
                message.first_received_millis,
            ),
        ];
        let mut attributes: Map<String, Value> = known
            .into_iter()
            .filter(|(name, _)| wanted(name))
            .filter_map(|(name, value)| Some((name.to_owned(), value?.to_string().into())))
            .collect();
        if let Some(arn) = message.source_arn.as_ref().filter(|_| wanted(SOURCE)) {
            attributes.insert(SOURCE.to_owned(), arn.as_str().into());
        }
        let mut shown = json!({
            "MessageId": message.id,
            "ReceiptHandle": message.receipt,
            "MD5OfBody": md5(message.body.as_bytes()),
            "Body": message.body,
        });
        if !attributes.is_empty() {
            shown["Attributes"] = Value::Object(attributes);
        }
        let attributes = message.attributes.named(&self.message_attribute_names);
        if let Some(sum) = attributes.md5() {
            shown["MD5OfMessageAttributes"] = json!(sum);
            shown["MessageAttributes"] = json!(attributes);
        }
        shown
    }
}

/// `DeleteMessage`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Delete {
    pub(super) queue_url: String,
    pub(super) receipt_handle: String,
}

/// `ChangeMessageVisibility`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct ChangeVisibility {
    pub(super) queue_url: String,
    pub(super) receipt_handle: String,
    pub(super) visibility_timeout: u64,
}

/// Whatever takes up to ten entries.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Batch<T> {
    pub(super) queue_url: String,
    pub(super) entries: Vec<T>,
}

/// One of `DeleteMessageBatch`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct DeleteEntry {
    id: String,
    pub(super) receipt_handle: String,
}

/// One of `ChangeMessageVisibilityBatch`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct VisibilityEntry {
    id: String,
    pub(super) receipt_handle: String,
    #[serde(default)]
    pub(super) visibility_timeout: u64,
}

/// An entry of a batch.
pub(super) trait Entry {
    /// Its id in the batch.
    fn id(&self) -> &str;
}

impl Entry for SendEntry {
    fn id(&self) -> &str {
        &self.id
    }
}

impl Entry for DeleteEntry {
    fn id(&self) -> &str {
        &self.id
    }
}

impl Entry for VisibilityEntry {
    fn id(&self) -> &str {
        &self.id
    }
}

impl<T: Entry> Batch<T> {
    /// One to ten, each with an id of its own.
    pub(super) fn check(&self) -> Result<(), AwsError> {
        let ids: BTreeSet<&str> = self.entries.iter().map(Entry::id).collect();
        let letters = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let bad = |id: &&&str| !(1..=80).contains(&id.len()) || !id.chars().all(letters);
        if let Some(id) = ids.iter().find(bad) {
            return Err(AwsError::new(
                "InvalidBatchEntryId",
                format!("an Id is 1 to 80 letters, digits, hyphens and underscores, not {id:?}"),
            ));
        }
        match self.entries.len() {
            0 => Err(AwsError::new(
                "EmptyBatchRequest",
                "a batch has 1 to 10 entries, not 0",
            )),
            1..=10 if ids.len() == self.entries.len() => Ok(()),
            1..=10 => Err(AwsError::new(
                "BatchEntryIdsNotDistinct",
                "two entries of the batch have the same Id",
            )),
            many => Err(AwsError::new(
                "TooManyEntriesInBatchRequest",
                format!("a batch has 1 to 10 entries, not {many}"),
            )),
        }
    }
}

/// Refuses a number above what SQS takes.
pub(super) fn within(name: &str, value: u64, most: u64) -> Result<(), AwsError> {
    if value <= most {
        return Ok(());
    }
    Err(AwsError::new(
        "InvalidParameterValue",
        format!("{name} is 0 to {most}, not {value}"),
    ))
}

/// A page of names in their order, and where the next one goes on. Where no
/// length is asked for there is no next one, as on AWS.
pub(super) fn page<'a>(
    names: impl Iterator<Item = &'a str>,
    most: Option<usize>,
    token: Option<&str>,
) -> Result<(Vec<&'a str>, Option<&'a str>), AwsError> {
    const MOST: usize = 1_000;
    if most.is_some_and(|most| !(1..=MOST).contains(&most)) {
        return Err(AwsError::new(
            "InvalidParameterValue",
            format!("MaxResults is 1 to {MOST}"),
        ));
    }
    if token.is_some() && most.is_none() {
        return Err(AwsError::new(
            "InvalidParameterValue",
            "a NextToken goes with MaxResults",
        ));
    }
    let mut names = names.filter(|name| token.is_none_or(|token| *name > token));
    let shown: Vec<&str> = names.by_ref().take(most.unwrap_or(MOST)).collect();
    let more = most.is_some() && names.next().is_some();
    let next = shown.last().copied().filter(|_| more);
    Ok((shown, next))
}
