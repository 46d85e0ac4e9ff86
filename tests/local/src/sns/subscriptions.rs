//! Subscriptions of queues, and which messages they want.

use super::filter::{Filter, Scope};
use super::parameters::Parameters;
use super::{Sns, entries, invalid, one, page};
use crate::AwsError;
use crate::server::query::element;
use crate::sqs::Attributes;

/// A queue that gets a topic's messages.
#[derive(Debug, Clone)]
pub(super) struct Subscription {
    pub(super) arn: String,
    pub(super) queue_arn: String,
    pub(super) raw: bool,
    scope: Scope,
    /// As it was set.
    policy: String,
    filter: Option<Filter>,
}

impl Subscription {
    pub(super) fn wants(&self, message: &str, attributes: &Attributes) -> bool {
        let filter = self.filter.as_ref();
        filter.is_none_or(|filter| filter.wants(message, attributes))
    }

    /// Takes all of them or, where one is wrong, none.
    fn set(&mut self, attributes: &[(&str, &str)]) -> Result<(), AwsError> {
        let mut next = self.clone();
        for (name, value) in attributes {
            match (*name, *value) {
                ("RawMessageDelivery", "true") => next.raw = true,
                ("RawMessageDelivery", "false") => next.raw = false,
                ("FilterPolicy", policy) => policy.clone_into(&mut next.policy),
                ("FilterPolicyScope", scope) => next.scope = Scope::parse(scope)?,
                (name, value) => {
                    return Err(invalid(format!(
                        "AttributeName: stepfleet-local has no subscription attribute \
                         {name}={value}, only RawMessageDelivery=true|false, FilterPolicy and \
                         FilterPolicyScope"
                    )));
                }
            }
        }
        next.filter = Filter::parse(&next.policy, next.scope)?;
        *self = next;
        Ok(())
    }

    fn listed(&self, account: &str) -> (String, String) {
        let mut xml = String::new();
        element(&mut xml, "SubscriptionArn", &self.arn);
        element(&mut xml, "Owner", account);
        element(&mut xml, "Protocol", "sqs");
        element(&mut xml, "Endpoint", &self.queue_arn);
        element(&mut xml, "TopicArn", topic_of(&self.arn));
        (self.arn.clone(), xml)
    }
}

/// The topic of a subscription's ARN.
fn topic_of(arn: &str) -> &str {
    arn.rsplit_once(':').map_or(arn, |(topic, _)| topic)
}

impl Sns {
    pub(super) fn subscribe(&self, form: &Parameters<'_>) -> Result<String, AwsError> {
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
        let topic_arn = form.get("TopicArn")?;
        let mut wanted = Subscription {
            arn: format!("{topic_arn}:{}", uuid::Uuid::new_v4()),
            queue_arn: queue_arn.to_owned(),
            raw: false,
            scope: Scope::default(),
            policy: String::new(),
            filter: None,
        };
        let attributes = form.attributes()?;
        wanted.set(&attributes)?;
        let arn = self.with(topic_arn, |topic| {
            let mut known = topic.subscriptions.iter();
            if let Some(known) = known.find(|known| known.queue_arn == queue_arn) {
                let same = (known.raw, known.scope, &known.filter)
                    == (wanted.raw, wanted.scope, &wanted.filter);
                if !same && !attributes.is_empty() {
                    return Err(invalid(
                        "Attributes Reason: Subscription already exists with different attributes"
                            .to_owned(),
                    ));
                }
                return Ok(known.arn.clone());
            }
            let arn = wanted.arn.clone();
            topic.subscriptions.push(wanted);
            Ok(arn)
        })??;
        Ok(one("SubscriptionArn", &arn))
    }

    pub(super) fn unsubscribe(&self, form: &Parameters<'_>) -> Result<String, AwsError> {
        form.only(&["SubscriptionArn"])?;
        let arn = form.get("SubscriptionArn")?;
        for topic in self.lock().values_mut() {
            topic.subscriptions.retain(|known| known.arn != arn);
        }
        Ok(String::new())
    }

    pub(super) fn list_subscriptions(&self, form: &Parameters<'_>) -> Result<String, AwsError> {
        form.only(&["NextToken"])?;
        let topics = self.lock();
        let all = topics.values().flat_map(|topic| &topic.subscriptions);
        Ok(self.listed(all.cloned().collect(), form))
    }

    pub(super) fn list_subscriptions_of(&self, form: &Parameters<'_>) -> Result<String, AwsError> {
        form.only(&["TopicArn", "NextToken"])?;
        let topic_arn = form.get("TopicArn")?;
        let all = self.with(topic_arn, |topic| topic.subscriptions.clone())?;
        Ok(self.listed(all, form))
    }

    fn listed(&self, mut all: Vec<Subscription>, form: &Parameters<'_>) -> String {
        all.sort_by(|one, other| one.arn.cmp(&other.arn));
        let members = all.iter().map(|one| one.listed(&self.context.account));
        page("Subscriptions", members, form)
    }

    pub(super) fn subscription_attributes(
        &self,
        form: &Parameters<'_>,
    ) -> Result<String, AwsError> {
        form.only(&["SubscriptionArn"])?;
        let arn = form.get("SubscriptionArn")?;
        let found = self.with_subscription(arn, |found| found.clone())?;
        let raw = found.raw.to_string();
        let mut all = vec![
            ("SubscriptionArn", arn),
            ("TopicArn", topic_of(arn)),
            ("Owner", &self.context.account),
            ("Protocol", "sqs"),
            ("Endpoint", &found.queue_arn),
            ("RawMessageDelivery", &raw),
            ("PendingConfirmation", "false"),
            ("ConfirmationWasAuthenticated", "true"),
        ];
        if found.filter.is_some() {
            all.push(("FilterPolicy", &found.policy));
            all.push(("FilterPolicyScope", found.scope.as_str()));
        }
        Ok(entries(&all))
    }

    pub(super) fn set_subscription_attributes(
        &self,
        form: &Parameters<'_>,
    ) -> Result<String, AwsError> {
        form.only(&["SubscriptionArn", "AttributeName", "AttributeValue"])?;
        let name = form.get("AttributeName")?;
        let value = form.maybe("AttributeValue").unwrap_or_default();
        let arn = form.get("SubscriptionArn")?;
        self.with_subscription(arn, |found| found.set(&[(name, value)]))??;
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
