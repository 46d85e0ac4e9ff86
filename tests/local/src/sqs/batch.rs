//! The operations that take up to ten entries, each of which may fail for itself.

use serde_json::{Value, json};

use super::requests::{Batch, DeleteEntry, Entry, SendEntry, VisibilityEntry};
use super::{LARGEST, Sqs, name_of};
use crate::AwsError;

/// What became of the entries.
#[derive(Default)]
struct Ended {
    successful: Vec<Value>,
    failed: Vec<Value>,
}

// === impl Sqs ===

impl Sqs {
    pub(super) fn send_batch(&self, input: Batch<SendEntry>) -> Result<Value, AwsError> {
        let name = self.known(&input)?;
        let entries: Vec<_> = input.entries.into_iter().map(SendEntry::outgoing).collect();
        let size: usize = entries.iter().map(|(_, one)| one.size()).sum();
        if size > LARGEST {
            return Err(AwsError::new(
                "BatchRequestTooLong",
                format!("the messages of a batch have up to {LARGEST} bytes together, not {size}"),
            ));
        }
        let mut ended = Ended::default();
        for (id, outgoing) in entries {
            let sums = outgoing.sums();
            let sent = self.put(&name, outgoing).map(|message| {
                let mut shown = sums;
                shown["MessageId"] = json!(message);
                shown
            });
            ended.note(&id, sent);
        }
        Ok(ended.shown())
    }

    pub(super) fn delete_batch(&self, input: &Batch<DeleteEntry>) -> Result<Value, AwsError> {
        let name = self.known(input)?;
        let mut ended = Ended::default();
        for entry in &input.entries {
            let deleted = self.forget(&name, &entry.receipt_handle);
            ended.note(entry.id(), deleted.map(|()| json!({})));
        }
        Ok(ended.shown())
    }

    pub(super) fn change_batch(&self, input: &Batch<VisibilityEntry>) -> Result<Value, AwsError> {
        let name = self.known(input)?;
        let mut ended = Ended::default();
        for entry in &input.entries {
            let to = (entry.receipt_handle.as_str(), entry.visibility_timeout);
            ended.note(entry.id(), self.hide(&name, to).map(|()| json!({})));
        }
        Ok(ended.shown())
    }

    /// The queue of a batch that is in order.
    fn known<T: Entry>(&self, input: &Batch<T>) -> Result<String, AwsError> {
        let name = name_of(&input.queue_url);
        self.url_of(name)?;
        input.check()?;
        Ok(name.to_owned())
    }
}

// === impl Ended ===

impl Ended {
    fn note(&mut self, id: &str, outcome: Result<Value, AwsError>) {
        match outcome {
            Ok(mut shown) => {
                shown["Id"] = json!(id);
                self.successful.push(shown);
            }
            Err(error) => self.failed.push(json!({
                "Id": id, "SenderFault": true, "Code": error.code, "Message": error.message,
            })),
        }
    }

    fn shown(self) -> Value {
        json!({"Successful": self.successful, "Failed": self.failed})
    }
}
