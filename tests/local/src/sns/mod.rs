//! SNS: topics, SQS subscriptions, signed envelopes.

mod envelope;
mod parameters;
mod publish;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use self::envelope::Signer;
use self::parameters::Parameters;
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

#[derive(Debug, Default)]
struct Topic {
    subscriptions: Vec<Subscription>,
}

#[derive(Debug, Clone)]
struct Subscription {
    arn: String,
    queue_arn: String,
    raw: bool,
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
            "ListTopics" => self.list(&form),
            "Subscribe" => self.subscribe(&form),
            "Unsubscribe" => self.unsubscribe(&form),
            "ListSubscriptionsByTopic" => self.list_subscriptions(&form),
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
        let subscriptions = self.with(topic_arn, |topic| topic.subscriptions.clone())?;
        let id = uuid::Uuid::new_v4().to_string();
        for subscription in subscriptions {
            let ids = (id.as_str(), subscription.arn.as_str());
            let outgoing = if subscription.raw {
                Outgoing {
                    body: notification.message.to_owned(),
                    attributes: notification.attributes.clone(),
                    ..Outgoing::default()
                }
            } else {
                Outgoing {
                    body: self.signer.envelope(&self.context, ids, notification)?,
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

    fn create(&self, form: &Parameters<'_>) -> Result<String, AwsError> {
        form.only(&["Name"])?;
        let name = form.get("Name")?;
        let letters = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if name.is_empty() || name.len() > 256 || !name.chars().all(letters) {
            return Err(invalid(format!(
                "a topic's Name is 1 to 256 letters, digits, hyphens and underscores, not {name:?}"
            )));
        }
        let arn = self.context.arn("sns", name);
        self.lock().entry(arn.clone()).or_default();
        Ok(one("TopicArn", &arn))
    }

    fn delete(&self, form: &Parameters<'_>) -> Result<String, AwsError> {
        form.only(&["TopicArn"])?;
        self.lock().remove(form.get("TopicArn")?);
        Ok(String::new())
    }

    fn attributes(&self, form: &Parameters<'_>) -> Result<String, AwsError> {
        form.only(&["TopicArn"])?;
        let arn = form.get("TopicArn")?;
        let confirmed = self.with(arn, |topic| topic.subscriptions.len())?;
        Ok(entries(&[
            ("TopicArn", arn),
            ("Owner", &self.context.account),
            ("SignatureVersion", "2"),
            ("SubscriptionsConfirmed", &confirmed.to_string()),
        ]))
    }

    fn list(&self, form: &Parameters<'_>) -> Result<String, AwsError> {
        form.only(&["NextToken"])?;
        let topics = self.lock();
        let members = topics
            .keys()
            .map(|arn| format!("<member>{}</member>", one("TopicArn", arn)));
        Ok(format!("<Topics>{}</Topics>", members.collect::<String>()))
    }

    fn subscribe(&self, form: &Parameters<'_>) -> Result<String, AwsError> {
        form.only(&[
            "TopicArn",
            "Protocol",
            "Endpoint",
            "Attributes.",
            "ReturnSubscriptionArn",
        ])?;
        let protocol = form.get("Protocol")?;
        if protocol != "sqs" {
            return Err(invalid(format!(
                "stepfleet-local has no subscription protocol {protocol}, only sqs"
            )));
        }
        let queue_arn = form.get("Endpoint")?;
        if !self.sqs.has(queue_arn) {
            return Err(invalid(format!("Endpoint: there is no queue {queue_arn}")));
        }
        let raw = form.raw_delivery()?;
        let topic_arn = form.get("TopicArn")?;
        let arn = self.with(topic_arn, |topic| {
            let known = topic.subscriptions.iter_mut();
            if let Some(known) = known.into_iter().find(|known| known.queue_arn == queue_arn) {
                if raw.is_some_and(|raw| raw != known.raw) {
                    return Err(invalid(
                        "Attributes: the subscription exists with other attributes".to_owned(),
                    ));
                }
                return Ok(known.arn.clone());
            }
            let arn = format!("{topic_arn}:{}", uuid::Uuid::new_v4());
            topic.subscriptions.push(Subscription {
                arn: arn.clone(),
                queue_arn: queue_arn.to_owned(),
                raw: raw.unwrap_or(false),
            });
            Ok(arn)
        })??;
        Ok(one("SubscriptionArn", &arn))
    }

    fn unsubscribe(&self, form: &Parameters<'_>) -> Result<String, AwsError> {
        form.only(&["SubscriptionArn"])?;
        let arn = form.get("SubscriptionArn")?;
        for topic in self.lock().values_mut() {
            topic.subscriptions.retain(|known| known.arn != arn);
        }
        Ok(String::new())
    }

    fn list_subscriptions(&self, form: &Parameters<'_>) -> Result<String, AwsError> {
        form.only(&["TopicArn", "NextToken"])?;
        let topic_arn = form.get("TopicArn")?;
        let subscriptions = self.with(topic_arn, |topic| topic.subscriptions.clone())?;
        let members = subscriptions.iter().map(|subscription| {
            let mut xml = String::new();
            element(&mut xml, "SubscriptionArn", &subscription.arn);
            element(&mut xml, "Owner", &self.context.account);
            element(&mut xml, "Protocol", "sqs");
            element(&mut xml, "Endpoint", &subscription.queue_arn);
            element(&mut xml, "TopicArn", topic_arn);
            format!("<member>{xml}</member>")
        });
        let members: String = members.collect();
        Ok(format!("<Subscriptions>{members}</Subscriptions>"))
    }

    fn subscription_attributes(&self, form: &Parameters<'_>) -> Result<String, AwsError> {
        form.only(&["SubscriptionArn"])?;
        let arn = form.get("SubscriptionArn")?;
        let found = self.with_subscription(arn, |found| found.clone())?;
        let topic = arn.rsplit_once(':').map_or(arn, |(topic, _)| topic);
        let raw = found.raw.to_string();
        Ok(entries(&[
            ("SubscriptionArn", arn),
            ("TopicArn", topic),
            ("Owner", &self.context.account),
            ("Protocol", "sqs"),
            ("Endpoint", &found.queue_arn),
            ("RawMessageDelivery", &raw),
            ("PendingConfirmation", "false"),
            ("ConfirmationWasAuthenticated", "true"),
        ]))
    }

    fn set_subscription_attributes(&self, form: &Parameters<'_>) -> Result<String, AwsError> {
        form.only(&["SubscriptionArn", "AttributeName", "AttributeValue"])?;
        let value = form.get("AttributeValue")?;
        let raw = parameters::raw(form.get("AttributeName")?, value)?;
        self.with_subscription(form.get("SubscriptionArn")?, |found| found.raw = raw)?;
        Ok(String::new())
    }

    fn with_subscription<T>(
        &self,
        arn: &str,
        work: impl FnOnce(&mut Subscription) -> T,
    ) -> Result<T, AwsError> {
        let mut topics = self.lock();
        let mut all = topics
            .values_mut()
            .flat_map(|topic| &mut topic.subscriptions);
        let found = all.find(|one| one.arn == arn).map(work);
        found.ok_or_else(|| AwsError {
            status: 404,
            ..AwsError::new("NotFound", format!("Subscription does not exist: {arn}"))
        })
    }
}

impl ActionSink for Sns {
    fn notify(&self, topic_arn: &str, subject: &str, message: &str) {
        let notification = Notification {
            topic_arn,
            subject: Some(subject),
            message,
            attributes: &Attributes::default(),
        };
        if let Err(error) = self.publish(&notification) {
            tracing::warn!(topic = topic_arn, %error, "an alarm's action failed");
        }
    }
}

fn invalid(message: String) -> AwsError {
    AwsError::new("InvalidParameter", format!("Invalid parameter: {message}"))
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
