//! The one file that speaks to SQS.

use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::DisplayErrorContext;
use aws_sdk_sqs::types::{
    BatchResultErrorEntry, ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry,
};
use tokio::sync::OnceCell;

/// For how long a received message is ours; extended while a cycle runs.
pub(crate) const VISIBILITY: Duration = Duration::from_secs(60);
/// The longest poll that SQS has.
pub(crate) const LONG_POLL: Duration = Duration::from_secs(20);
/// The most messages that a call takes.
pub(crate) const BATCH: usize = 10;

/// A call failed.
#[derive(Debug, thiserror::Error)]
#[error("the signal queue did not answer: {0}")]
pub(crate) struct QueueError(pub(crate) String);

/// A message that is ours until its visibility ends.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) body: String,
    pub(crate) receipt: String,
}

/// What the autoscaler asks of its queue.
pub(crate) trait Queue: Send + Sync {
    /// Waits for messages, for no longer than that.
    fn receive(
        &self,
        wait: Duration,
    ) -> impl Future<Output = Result<Vec<Message>, QueueError>> + Send;
    /// Deletes messages whose effect is durable. One that stays comes again and
    /// is a duplicate then.
    fn delete(&self, receipts: &[String]) -> impl Future<Output = Result<(), QueueError>> + Send;
    /// Keeps messages ours for another while.
    fn extend(&self, receipts: &[String]) -> impl Future<Output = Result<(), QueueError>> + Send;
}

/// The signal queue; its URL is looked up by name where it was not given.
pub(crate) struct Sqs {
    client: Client,
    name: String,
    url: OnceCell<String>,
}

impl Sqs {
    pub(crate) fn new(config: &aws_config::SdkConfig, fleet: &str, url: Option<String>) -> Self {
        Self {
            client: Client::new(config),
            name: format!("{fleet}-signals"),
            url: OnceCell::new_with(url),
        }
    }

    async fn url(&self) -> Result<&str, QueueError> {
        let look_up = || async {
            let found = self
                .client
                .get_queue_url()
                .queue_name(&self.name)
                .send()
                .await;
            let url = found.map_err(|error| failed(&error))?.queue_url;
            url.ok_or_else(|| QueueError(format!("no URL for {}", self.name)))
        };
        self.url.get_or_try_init(look_up).await.map(String::as_str)
    }
}

impl Queue for Sqs {
    async fn receive(&self, wait: Duration) -> Result<Vec<Message>, QueueError> {
        let received = (self.client.receive_message())
            .queue_url(self.url().await?)
            .max_number_of_messages(10)
            .wait_time_seconds(seconds(wait))
            .visibility_timeout(seconds(VISIBILITY))
            .send()
            .await
            .map_err(|error| failed(&error))?;
        let messages = received.messages.unwrap_or_default().into_iter();
        Ok(messages
            .filter_map(|message| {
                Some(Message {
                    body: message.body?,
                    receipt: message.receipt_handle?,
                })
            })
            .collect())
    }

    async fn delete(&self, receipts: &[String]) -> Result<(), QueueError> {
        let batches = receipts.chunks(BATCH).map(|batch| async move {
            let entries = (batch.iter().enumerate())
                .filter_map(|(index, receipt)| {
                    let entry = DeleteMessageBatchRequestEntry::builder();
                    (entry.id(index.to_string()).receipt_handle(receipt).build()).ok()
                })
                .collect();
            let call = self.client.delete_message_batch();
            let call = call.queue_url(self.url().await?);
            let done = call.set_entries(Some(entries)).send().await;
            refused(&done.map_err(|error| failed(&error))?.failed)
        });
        all(batches).await
    }

    async fn extend(&self, receipts: &[String]) -> Result<(), QueueError> {
        let batches = receipts.chunks(BATCH).map(|batch| async move {
            let entries = (batch.iter().enumerate())
                .filter_map(|(index, receipt)| {
                    let entry = ChangeMessageVisibilityBatchRequestEntry::builder();
                    let entry = entry.id(index.to_string()).receipt_handle(receipt);
                    entry.visibility_timeout(seconds(VISIBILITY)).build().ok()
                })
                .collect();
            let call = self.client.change_message_visibility_batch();
            let call = call.queue_url(self.url().await?);
            let done = call.set_entries(Some(entries)).send().await;
            refused(&done.map_err(|error| failed(&error))?.failed)
        });
        all(batches).await
    }
}

/// All batches of a turn at a time: the next signal waits for one call, however
/// many messages came with the last one. The first failure is told.
async fn all(
    batches: impl Iterator<Item = impl Future<Output = Result<(), QueueError>>>,
) -> Result<(), QueueError> {
    let done = futures::future::join_all(batches).await;
    done.into_iter().collect()
}

/// As SQS takes a span.
fn seconds(span: Duration) -> i32 {
    i32::try_from(span.as_secs()).unwrap_or(i32::MAX)
}

/// A batch call that was answered may still have refused some of its entries.
fn refused(entries: &[BatchResultErrorEntry]) -> Result<(), QueueError> {
    let Some(first) = entries.first() else {
        return Ok(());
    };
    let why = first.message().unwrap_or(first.code());
    let count = entries.len();
    Err(QueueError(format!(
        "{count} messages were refused, the first: {why}"
    )))
}

fn failed(error: &impl std::error::Error) -> QueueError {
    QueueError(DisplayErrorContext(error).to_string())
}
