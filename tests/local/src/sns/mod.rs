//! SNS: topics, SQS subscriptions, signed envelopes.

mod envelope;
mod filter;
mod parameters;
mod publish;
mod rsa;
mod subscriptions;
mod topics;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use self::envelope::{Addressed, Signer};
use self::parameters::Parameters;
use self::subscriptions::Subscription;
use self::topics::Topic;
use crate::cloudwatch::ActionSink;
use crate::server::query::{Form, element};
use crate::sqs::{Attributes, Outgoing, Sender, Sqs};
use crate::{AwsError, Context};

/// Where the certificate is served that envelopes are signed with.
pub const CERTIFICATE_PATH: &str = "/_stepfleet/sns.pem";

/// All topics.
#[derive(Debug)]
pub struct Sns {
    context: Context,
    sqs: Arc<Sqs>,
    signer: Signer,
    topics: Mutex<BTreeMap<String, Topic>>,
}

/// What is published.
#[derive(Debug)]
pub(crate) struct Notification<'a> {
    pub(crate) topic_arn: &'a str,
    pub(crate) subject: Option<&'a str>,
    pub(crate) message: &'a str,
    pub(crate) attributes: &'a Attributes,
}

impl Sns {
    /// No topics yet, and a new key to sign with.
    ///
    /// # Errors
    /// The key or its certificate could not be made.
    pub fn new(context: Context, sqs: Arc<Sqs>) -> Result<Self, rcgen::Error> {
        Ok(Self {
            context,
            sqs,
            signer: Signer::new()?,
            topics: Mutex::default(),
        })
    }

    /// The certificate that envelopes are signed with, as PEM.
    pub fn certificate(&self) -> &str {
        self.signer.certificate()
    }

    /// The inside of an operation's result, as XML.
    ///
    /// # Errors
    /// As SNS names them; an operation or parameter that is not here, by name.
    pub fn call(&self, action: &str, form: Form) -> Result<String, AwsError> {
        let form = Parameters::new(action, form);
        match action {
            "CreateTopic" => self.create(&form),
            "DeleteTopic" => self.delete(&form),
            "GetTopicAttributes" => self.attributes(&form),
            "SetTopicAttributes" => self.set_attributes(&form),
            "ListTopics" => self.list(&form),
            "Subscribe" => self.subscribe(&form),
            "Unsubscribe" => self.unsubscribe(&form),
            "ListSubscriptions" => self.list_subscriptions(&form),
            "ListSubscriptionsByTopic" => self.list_subscriptions_of(&form),
            "GetSubscriptionAttributes" => self.subscription_attributes(&form),
            "SetSubscriptionAttributes" => self.set_subscription_attributes(&form),
            "Publish" => self.publish_form(&form),
            "PublishBatch" => self.publish_batch(&form),
            other => Err(AwsError::unknown_operation("SNS", other)),
        }
    }

    /// Publishes to a topic's queues and says the message's id.
    pub(crate) fn publish(&self, notification: &Notification<'_>) -> Result<String, AwsError> {
        let topic_arn = notification.topic_arn;
        let (subscriptions, version) = self.with(topic_arn, |topic| {
            (topic.subscriptions.clone(), topic.version)
        })?;
        let id = uuid::Uuid::new_v4().to_string();
        let wants = |one: &Subscription| one.wants(notification.message, notification.attributes);
        for subscription in subscriptions.into_iter().filter(wants) {
            let addressed = Addressed {
                message_id: &id,
                subscription_arn: &subscription.arn,
                version,
            };
            let outgoing = if subscription.raw {
                Outgoing {
                    body: notification.message.to_owned(),
                    attributes: notification.attributes.clone(),
                    ..Outgoing::default()
                }
            } else {
                Outgoing {
                    body: self
                        .signer
                        .envelope(&self.context, addressed, notification)?,
                    ..Outgoing::default()
                }
            };
            let sender = Sender {
                service: "sns.amazonaws.com",
                source_arn: topic_arn,
                source_account: &self.context.account,
            };
            let queue = &subscription.queue_arn;
            if let Err(error) = self.sqs.deliver(queue, outgoing, &sender) {
                // AWS retries and then drops it; a local queue does not come back.
                tracing::warn!(topic = topic_arn, queue = subscription.queue_arn, %error,
                    "a notification could not be delivered");
            }
        }
        Ok(id)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Topic>> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, arn: &str, work: impl FnOnce(&mut Topic) -> T) -> Result<T, AwsError> {
        self.lock().get_mut(arn).map(work).ok_or_else(|| AwsError {
            status: 404,
            ..AwsError::new("NotFound", format!("Topic does not exist: {arn}"))
        })
    }
}

impl ActionSink for Sns {
    fn notify(&self, topic_arn: &str, subject: &str, message: &str) -> Result<(), AwsError> {
        let notification = Notification {
            topic_arn,
            subject: Some(subject),
            message,
            attributes: &Attributes::default(),
        };
        self.publish(&notification).map(drop)
    }
}

fn invalid(message: String) -> AwsError {
    AwsError::new("InvalidParameter", format!("Invalid parameter: {message}"))
}

/// How many members a list's answer has.
const PAGE: usize = 100;

/// A page of what comes in the order of its ARNs: the members in XML, each with
/// its ARN, go on behind the last one.
fn page(
    list: &str,
    members: impl Iterator<Item = (String, String)>,
    form: &Parameters<'_>,
) -> String {
    let after = form.maybe("NextToken").unwrap_or_default();
    let mut members = members.filter(|(arn, _)| arn.as_str() > after);
    let shown: Vec<(String, String)> = members.by_ref().take(PAGE).collect();
    let mut xml = String::new();
    for (_, member) in &shown {
        xml.push_str(&format!("<member>{member}</member>"));
    }
    let mut answer = format!("<{list}>{xml}</{list}>");
    if members.next().is_some()
        && let Some((last, _)) = shown.last()
    {
        element(&mut answer, "NextToken", last);
    }
    answer
}

fn one(name: &str, text: &str) -> String {
    let mut xml = String::new();
    element(&mut xml, name, text);
    xml
}

/// The map of an answer's attributes.
fn entries(entries: &[(&str, &str)]) -> String {
    let entries = entries.iter().map(|(key, value)| {
        let mut xml = String::new();
        element(&mut xml, "key", key);
        element(&mut xml, "value", value);
        format!("<entry>{xml}</entry>")
    });
    let entries: String = entries.collect();
    format!("<Attributes>{entries}</Attributes>")
}

#[cfg(test)]
mod tests;
