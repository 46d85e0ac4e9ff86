//! SQS: long polls, visibility, dead-letter queues.

mod attributes;
mod batch;
mod dead;
mod faults;
mod policy;
mod queue;
mod requests;
mod tags;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use md5::{Digest, Md5};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::Instant;

pub(crate) use self::attributes::{Attribute, Attributes};
pub(crate) use self::policy::Sender;
use self::queue::{Message, Queue, check, check_names};
pub(crate) use self::requests::Outgoing;
use self::requests::{
    ChangeVisibility, Create, Delete, Get, GetAttributes, List, Named, Receive, Send,
    SetAttributes, page,
};
use crate::context::read;
use crate::{AwsError, Context};

/// The most bytes of a message, and of all in a batch.
const LARGEST: usize = 1_048_576;

/// All queues.
#[derive(Debug)]
pub struct Sqs {
    context: Context,
    queues: Mutex<BTreeMap<String, Queue>>,
    /// Somebody sent something somewhere: who polls, looks again.
    changed: Notify,
}

impl Sqs {
    /// No queues yet.
    pub fn new(context: Context) -> Self {
        Self {
            context,
            queues: Mutex::default(),
            changed: Notify::new(),
        }
    }

    /// Answers an operation of the JSON protocol.
    ///
    /// # Errors
    /// As SQS names them; an operation that is not here, by name.
    pub async fn call(&self, operation: &str, body: Value) -> Result<Value, AwsError> {
        match operation {
            "CreateQueue" => self.create(read(body)?),
            "GetQueueUrl" => self.find(&read(body)?),
            "ListQueues" => self.list(&read(body)?),
            "DeleteQueue" => self.delete_queue(&read(body)?),
            "PurgeQueue" => self.purge(&read(body)?),
            "GetQueueAttributes" => self.attributes(&read(body)?),
            "SetQueueAttributes" => self.set_attributes(read(body)?),
            "SendMessage" => self.send(read(body)?),
            "ReceiveMessage" => self.receive(&read(body)?).await,
            "DeleteMessage" => self.delete(&read(body)?),
            "SendMessageBatch" => self.send_batch(read(body)?),
            "DeleteMessageBatch" => self.delete_batch(&read(body)?),
            "ChangeMessageVisibility" => self.change_visibility(&read(body)?),
            "ChangeMessageVisibilityBatch" => self.change_batch(&read(body)?),
            "ListDeadLetterSourceQueues" => self.dead_letter_sources(&read(body)?),
            "StartMessageMoveTask" => self.start_move(&read(body)?),
            "ListMessageMoveTasks" => self.list_moves(&read(body)?),
            "TagQueue" => self.tag(read(body)?),
            "UntagQueue" => self.untag(&read(body)?),
            "ListQueueTags" => self.tags(&read(body)?),
            other => Err(AwsError::unknown_operation("SQS", other)),
        }
    }

    /// Puts a message into the queue with this ARN, as a topic or a bucket does.
    ///
    /// # Errors
    /// `QueueDoesNotExist`; `AccessDenied` where its policy does not let the
    /// sender in.
    pub(crate) fn deliver(
        &self,
        arn: &str,
        outgoing: Outgoing,
        sender: &Sender<'_>,
    ) -> Result<(), AwsError> {
        let name = arn.rsplit(':').next().unwrap_or_default();
        if self.arn(name) != arn {
            return Err(missing(arn));
        }
        let lets_in = with(&mut self.lock(), name, |queue| queue.lets_in(sender, arn))?;
        if !lets_in {
            return Err(AwsError::new(
                "AccessDenied",
                format!(
                    "the policy of {arn} does not let {} send for {}",
                    sender.service, sender.source_arn
                ),
            ));
        }
        self.put(name, outgoing).map(drop)
    }

    /// Whether a queue with this ARN is here.
    pub fn has(&self, arn: &str) -> bool {
        let name = arn.rsplit(':').next().unwrap_or_default();
        self.arn(name) == arn && self.lock().contains_key(name)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Queue>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn arn(&self, name: &str) -> String {
        self.context.arn("sqs", name)
    }

    fn url(&self, name: &str) -> String {
        format!("{}/{}/{name}", self.context.base_url, self.context.account)
    }

    fn find(&self, input: &Named) -> Result<Value, AwsError> {
        let owner = input.owner.as_ref();
        if owner.is_some_and(|owner| *owner != self.context.account) {
            return Err(missing(&input.queue_name));
        }
        self.url_of(&input.queue_name)
    }

    fn url_of(&self, name: &str) -> Result<Value, AwsError> {
        with(&mut self.lock(), name, |_| ())?;
        Ok(json!({"QueueUrl": self.url(name)}))
    }

    fn create(&self, input: Create) -> Result<Value, AwsError> {
        let name = &input.queue_name;
        let letters = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if name.is_empty() || name.len() > 80 || !name.chars().all(letters) {
            return Err(AwsError::new(
                "InvalidParameterValue",
                format!(
                    "a queue's name is 1 to 80 letters, digits, hyphens and underscores, not {name:?} \
                     (there are no FIFO queues here)"
                ),
            ));
        }
        check(&input.attributes)?;
        let mut queues = self.lock();
        dead::check_target(&queues, &self.arn(name), &input.attributes)?;
        if let Some(queue) = queues.get(name) {
            let same = |(key, value): (&String, &String)| queue.setting(key) == value;
            if !input.attributes.iter().all(same) {
                return Err(AwsError::new(
                    "QueueNameExists",
                    format!("{name} exists with other attributes: use SetQueueAttributes"),
                ));
            }
        } else {
            let created = self.context.clock.now().as_second();
            let mut queue = Queue::new(input.attributes, created);
            queue.tags = input.tags;
            queues.insert(name.clone(), queue);
        }
        Ok(json!({"QueueUrl": self.url(name)}))
    }

    fn list(&self, input: &List) -> Result<Value, AwsError> {
        let prefix = input.queue_name_prefix.as_deref().unwrap_or_default();
        let queues = self.lock();
        let names = queues.keys().map(String::as_str);
        let names = names.filter(|name| name.starts_with(prefix));
        let (names, next) = page(names, input.max_results, input.next_token.as_deref())?;
        let urls: Vec<String> = names.into_iter().map(|name| self.url(name)).collect();
        let mut output = json!({"QueueUrls": urls});
        if let Some(next) = next {
            output["NextToken"] = next.into();
        }
        Ok(output)
    }

    fn delete_queue(&self, input: &Get) -> Result<Value, AwsError> {
        let name = name_of(&input.queue_url);
        self.lock().remove(name).ok_or_else(|| missing(name))?;
        Ok(json!({}))
    }

    fn purge(&self, input: &Get) -> Result<Value, AwsError> {
        let mut queues = self.lock();
        with(&mut queues, name_of(&input.queue_url), |queue| {
            queue.messages.clear();
        })?;
        Ok(json!({}))
    }

    fn attributes(&self, input: &GetAttributes) -> Result<Value, AwsError> {
        check_names(&input.attribute_names)?;
        let name = name_of(&input.queue_url);
        let arn = self.arn(name);
        let mut all = with(&mut self.lock(), name, |queue| {
            queue.described(&arn, self.context.timers.now())
        })?;
        let wanted = &input.attribute_names;
        if !wanted.iter().any(|name| name == "All") {
            all.retain(|name, _| wanted.contains(name));
        }
        Ok(json!({"Attributes": all}))
    }

    fn set_attributes(&self, input: SetAttributes) -> Result<Value, AwsError> {
        check(&input.attributes)?;
        let name = name_of(&input.queue_url);
        let modified = self.context.clock.now().as_second();
        let mut queues = self.lock();
        dead::check_target(&queues, &self.arn(name), &input.attributes)?;
        with(&mut queues, name, |queue| {
            queue.attributes.extend(input.attributes);
            queue.modified = modified;
        })?;
        drop(queues);
        self.changed.notify_waiters();
        Ok(json!({}))
    }

    fn send(&self, input: Send) -> Result<Value, AwsError> {
        let name = name_of(&input.queue_url).to_owned();
        let outgoing = input.outgoing();
        let mut shown = outgoing.sums();
        shown["MessageId"] = json!(self.put(&name, outgoing)?);
        Ok(shown)
    }

    fn put(&self, name: &str, outgoing: Outgoing) -> Result<String, AwsError> {
        outgoing.check()?;
        let now = self.context.timers.now();
        let sent_millis = self.context.clock.now().as_millisecond();
        let id = with(&mut self.lock(), name, |queue| {
            let most = queue.setting("MaximumMessageSize").parse().unwrap_or(0);
            let size = outgoing.size();
            if outgoing.body.is_empty() || size > most {
                return Err(AwsError::new(
                    "InvalidParameterValue",
                    format!("a message has a body, and up to {most} bytes, not {size}"),
                ));
            }
            let delay = outgoing
                .delay
                .map_or_else(|| queue.seconds("DelaySeconds"), Duration::from_secs);
            let id = uuid::Uuid::new_v4().to_string();
            queue.messages.push_back(Message {
                id: id.clone(),
                body: outgoing.body,
                attributes: outgoing.attributes,
                sent_millis,
                first_received_millis: None,
                sent: now,
                visible: now + delay,
                receives: 0,
                receipt: None,
                source_arn: None,
            });
            Ok(id)
        })??;
        self.changed.notify_waiters();
        Ok(id)
    }

    async fn receive(&self, input: &Receive) -> Result<Value, AwsError> {
        let name = name_of(&input.queue_url);
        let (wait, most) = with(&mut self.lock(), name, |queue| input.checked(queue))??;
        let deadline = self.context.timers.now() + wait;
        loop {
            // Listen before looking, so that nothing is sent in between unheard.
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let (taken, next) = self.take(name, input, most)?;
            if !taken.is_empty() {
                let messages = taken.iter().map(|message| input.shown(message));
                return Ok(json!({"Messages": messages.collect::<Vec<_>>()}));
            }
            if self.context.timers.now() >= deadline {
                return Ok(json!({}));
            }
            let until = next.map_or(deadline, |next| next.min(deadline));
            // Either way it looks again.
            let _ = self.context.timers.timeout_at(until, changed).await;
        }
    }

    fn take(
        &self,
        name: &str,
        input: &Receive,
        most: usize,
    ) -> Result<(Vec<Message>, Option<Instant>), AwsError> {
        let now = (
            self.context.timers.now(),
            self.context.clock.now().as_millisecond(),
        );
        let mut queues = self.lock();
        self.bury(&mut queues, name, now.0);
        with(&mut queues, name, |queue| {
            let hide = input
                .visibility_timeout
                .map_or_else(|| queue.seconds("VisibilityTimeout"), Duration::from_secs);
            let taken = queue.receive(most, hide, now);
            (taken, queue.next_visible(now.0))
        })
    }

    fn delete(&self, input: &Delete) -> Result<Value, AwsError> {
        self.forget(name_of(&input.queue_url), &input.receipt_handle)?;
        Ok(json!({}))
    }

    fn forget(&self, name: &str, handle: &str) -> Result<(), AwsError> {
        receipt(handle)?;
        with(&mut self.lock(), name, |queue| {
            let held = |message: &Message| message.receipt.as_deref() == Some(handle);
            queue.messages.retain(|message| !held(message));
        })
    }

    fn change_visibility(&self, input: &ChangeVisibility) -> Result<Value, AwsError> {
        let to = (input.receipt_handle.as_str(), input.visibility_timeout);
        self.hide(name_of(&input.queue_url), to)?;
        Ok(json!({}))
    }

    /// Hides a received message for so many seconds from now; 0 shows it.
    fn hide(&self, name: &str, (handle, seconds): (&str, u64)) -> Result<(), AwsError> {
        receipt(handle)?;
        requests::within("VisibilityTimeout", seconds, 43_200)?;
        let now = self.context.timers.now();
        with(&mut self.lock(), name, |queue| {
            let found = queue.messages.iter_mut().find(|message| {
                message.visible > now && message.receipt.as_deref() == Some(handle)
            });
            let message = found.ok_or_else(|| {
                AwsError::new(
                    "MessageNotInflight",
                    "the message is deleted, visible again or received by somebody else",
                )
            })?;
            message.visible = now + Duration::from_secs(seconds);
            Ok(())
        })??;
        self.changed.notify_waiters();
        Ok(())
    }
}

/// The last part of a queue's URL.
fn name_of(url: &str) -> &str {
    url.rsplit('/').next().unwrap_or_default()
}

fn with<T>(
    queues: &mut BTreeMap<String, Queue>,
    name: &str,
    work: impl FnOnce(&mut Queue) -> T,
) -> Result<T, AwsError> {
    queues.get_mut(name).map(work).ok_or_else(|| missing(name))
}

fn missing(name: &str) -> AwsError {
    AwsError::new(
        "QueueDoesNotExist",
        format!("there is no queue {name:?}: create it with CreateQueue"),
    )
}

/// A receipt that nobody ever gave is refused; one that is over deletes nothing.
fn receipt(handle: &str) -> Result<(), AwsError> {
    uuid::Uuid::parse_str(handle).map(drop).map_err(|_| {
        AwsError::new(
            "ReceiptHandleIsInvalid",
            format!("{handle:?} is no receipt handle of this queue"),
        )
    })
}

fn md5(bytes: &[u8]) -> String {
    hex::encode(Md5::digest(bytes))
}

#[cfg(test)]
mod tests;
