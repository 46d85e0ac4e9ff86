//! SNS: topics, SQS subscriptions, signed envelopes.

mod envelope;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use self::envelope::Signer;
use crate::cloudwatch::ActionSink;
use crate::server::query::{Form, element};
use crate::sqs::Sqs;
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
        let form = Parameters { action, form };
        match action {
            "CreateTopic" => self.create(&form),
            "DeleteTopic" => self.delete(&form),
            "GetTopicAttributes" => self.attributes(&form),
            "ListTopics" => self.list(&form),
            "Subscribe" => self.subscribe(&form),
            "Unsubscribe" => self.unsubscribe(&form),
            "ListSubscriptionsByTopic" => self.list_subscriptions(&form),
            "Publish" => self.publish_form(&form),
            other => Err(AwsError::unknown_operation("SNS", other)),
        }
    }

    /// Publishes to a topic's queues and says the message's id.
    pub(crate) fn publish(&self, notification: &Notification<'_>) -> Result<String, AwsError> {
        let topic_arn = notification.topic_arn;
        let subscriptions = self.with(topic_arn, |topic| topic.subscriptions.clone())?;
        let id = uuid::Uuid::new_v4().to_string();
        for subscription in subscriptions {
            let body = if subscription.raw {
                notification.message.to_owned()
            } else {
                self.signer
                    .envelope(&self.context, (&id, &subscription.arn), notification)?
            };
            if let Err(error) = self.sqs.deliver(&subscription.queue_arn, body) {
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
        let entries = [
            ("TopicArn", arn),
            ("Owner", &self.context.account),
            ("SignatureVersion", "2"),
            ("SubscriptionsConfirmed", &confirmed.to_string()),
        ];
        let entries = entries.map(|(key, value)| {
            let mut xml = String::new();
            element(&mut xml, "key", key);
            element(&mut xml, "value", value);
            format!("<entry>{xml}</entry>")
        });
        Ok(format!("<Attributes>{}</Attributes>", entries.concat()))
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

    fn publish_form(&self, form: &Parameters<'_>) -> Result<String, AwsError> {
        form.only(&["TopicArn", "Message", "Subject"])?;
        let id = self.publish(&Notification {
            topic_arn: form.get("TopicArn")?,
            subject: form.form.get("Subject").map(String::as_str),
            message: form.get("Message")?,
        })?;
        Ok(one("MessageId", &id))
    }
}

impl ActionSink for Sns {
    fn notify(&self, topic_arn: &str, subject: &str, message: &str) {
        let notification = Notification {
            topic_arn,
            subject: Some(subject),
            message,
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

/// An operation's form.
struct Parameters<'a> {
    action: &'a str,
    form: Form,
}

impl Parameters<'_> {
    fn get(&self, name: &str) -> Result<&str, AwsError> {
        self.form
            .get(name)
            .map(String::as_str)
            .ok_or_else(|| invalid(format!("{} needs {name}", self.action)))
    }

    /// Refuses what would otherwise be ignored. A name that ends with a dot
    /// stands for all below it.
    fn only(&self, known: &[&str]) -> Result<(), AwsError> {
        let is_known = |name: &str| {
            let mut names = ["Action", "Version"].iter().chain(known);
            names.any(|known| name == *known || (known.ends_with('.') && name.starts_with(known)))
        };
        match self.form.keys().find(|name| !is_known(name)) {
            None => Ok(()),
            Some(name) => Err(invalid(format!(
                "stepfleet-local has no {name} of {}",
                self.action
            ))),
        }
    }

    fn raw_delivery(&self) -> Result<Option<bool>, AwsError> {
        let mut raw = None;
        for (name, key) in &self.form {
            let Some(entry) = name.strip_suffix(".key") else {
                continue;
            };
            let value = self.get(&format!("{entry}.value"))?;
            raw = match (key.as_str(), value) {
                ("RawMessageDelivery", "true") => Some(true),
                ("RawMessageDelivery", "false") => Some(false),
                _ => {
                    return Err(invalid(format!(
                        "stepfleet-local has no subscription attribute {key}={value}, \
                         only RawMessageDelivery=true|false"
                    )));
                }
            };
        }
        Ok(raw)
    }
}

#[cfg(test)]
mod tests;
