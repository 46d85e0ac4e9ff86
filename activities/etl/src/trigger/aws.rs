//! The queue and the state machine on AWS: the only file that names SQS's SDK.

use std::time::Duration;

use aws_sdk_sqs::types::DeleteMessageBatchRequestEntry;
use stepfleet_activity::Class;

use super::{Counts, Message, Queue, Starter};
use crate::outside::Answer;
use crate::outside::call::{CallError, failed};
use crate::outside::states;
use crate::s3_load::metrics;

/// The clients that a trigger works with.
#[derive(Debug, Clone)]
pub struct TriggerClients {
    /// Where events come from.
    pub sqs: aws_sdk_sqs::Client,
    /// Where executions are started.
    pub sfn: states::Client,
    /// Where it is counted what could not be worked on.
    pub cloudwatch: metrics::Client,
}

/// For how long SQS lets a message be ours.
const LONGEST: i32 = 43_200;
/// Messages in one call.
const BATCH: i32 = 10;

#[derive(Debug)]
pub(crate) struct Sqs {
    client: aws_sdk_sqs::Client,
    url: String,
}

impl Sqs {
    pub(crate) fn new(client: aws_sdk_sqs::Client, url: String) -> Self {
        Self { client, url }
    }
}

impl Queue for Sqs {
    async fn receive(&self, wait: Duration, ours: Duration) -> Answer<Vec<Message>> {
        let received = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(BATCH)
            .wait_time_seconds(seconds(wait))
            .visibility_timeout(seconds(ours).min(LONGEST))
            .send()
            .await
            .map_err(|error| failed("receive events of S3", &error))?;
        let messages = received.messages.unwrap_or_default().into_iter();
        Ok(messages
            .filter_map(|message| {
                Some(Message {
                    id: message.message_id.unwrap_or_default(),
                    body: message.body?,
                    receipt: message.receipt_handle?,
                })
            })
            .collect())
    }

    async fn delete(&self, receipts: &[String]) -> Answer<()> {
        let mut failed = Ok(());
        for batch in receipts.chunks(10) {
            // One batch that fails keeps no other one from it.
            failed = failed.and(self.delete_batch(batch).await);
        }
        failed
    }
}

impl Sqs {
    async fn delete_batch(&self, receipts: &[String]) -> Answer<()> {
        let entries = receipts.iter().enumerate().filter_map(|(at, receipt)| {
            let entry = DeleteMessageBatchRequestEntry::builder().id(at.to_string());
            entry.receipt_handle(receipt).build().ok()
        });
        let done = self
            .client
            .delete_message_batch()
            .queue_url(&self.url)
            .set_entries(Some(entries.collect()))
            .send()
            .await
            .map_err(|error| failed("delete events of S3", &error))?;
        match done.failed().first() {
            None => Ok(()),
            Some(refused) => Err(CallError {
                what: "delete events of S3".to_owned(),
                reason: refused.code().to_owned(),
                class: Class::Transient,
            }),
        }
    }
}

fn seconds(span: Duration) -> i32 {
    i32::try_from(span.as_secs()).unwrap_or(i32::MAX)
}

/// The state machine that loads until nothing is left.
#[derive(Debug)]
pub(crate) struct StateMachine {
    client: states::Client,
    arn: String,
}

impl StateMachine {
    pub(crate) fn new(client: states::Client, arn: String) -> Self {
        Self { client, arn }
    }
}

impl Starter for StateMachine {
    async fn start(&self, name: &str, input: &str) -> Answer<()> {
        states::start(&self.client, &self.arn, (name, input)).await
    }
}

/// The activity's metrics.
#[derive(Debug)]
pub(crate) struct CloudWatch {
    client: metrics::Client,
    activity: String,
}

impl CloudWatch {
    pub(crate) fn new(client: metrics::Client, activity: String) -> Self {
        Self { client, activity }
    }
}

impl Counts for CloudWatch {
    async fn rejected(&self, count: u64) -> Answer<()> {
        metrics::publish_rejected(&self.client, &self.activity, count).await
    }
}
