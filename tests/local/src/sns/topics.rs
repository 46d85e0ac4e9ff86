//! Topics and their attributes.

use super::envelope::Version;
use super::parameters::Parameters;
use super::subscriptions::Subscription;
use super::{Sns, entries, invalid, one, page};
use crate::AwsError;

/// A topic.
#[derive(Debug, Default)]
pub(super) struct Topic {
    pub(super) subscriptions: Vec<Subscription>,
    pub(super) version: Version,
    display_name: String,
}

impl Topic {
    fn set(&mut self, name: &str, value: &str) -> Result<(), AwsError> {
        match name {
            "SignatureVersion" => self.version = Version::parse(value)?,
            "DisplayName" => value.clone_into(&mut self.display_name),
            other => {
                return Err(invalid(format!(
                    "AttributeName: stepfleet-local has no topic attribute {other}, only \
                     SignatureVersion and DisplayName"
                )));
            }
        }
        Ok(())
    }
}

impl Sns {
    pub(super) fn create(&self, form: &Parameters<'_>) -> Result<String, AwsError> {
        form.only(&["Name", "Attributes."])?;
        let name = form.get("Name")?;
        let letters = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if name.is_empty() || name.len() > 256 || !name.chars().all(letters) {
            return Err(invalid(format!(
                "a topic's Name is 1 to 256 letters, digits, hyphens and underscores, not {name:?}"
            )));
        }
        let mut wanted = Topic::default();
        for (name, value) in form.attributes()? {
            wanted.set(name, value)?;
        }
        let arn = self.context.arn("sns", name);
        let mut topics = self.lock();
        let known = topics.get(&arn);
        let differs = |known: &Topic| {
            (known.version, &known.display_name) != (wanted.version, &wanted.display_name)
        };
        if known.is_some_and(differs) && !form.attributes()?.is_empty() {
            return Err(invalid(
                "Attributes Reason: Topic already exists with different attributes".to_owned(),
            ));
        }
        topics.entry(arn.clone()).or_insert(wanted);
        Ok(one("TopicArn", &arn))
    }

    pub(super) fn delete(&self, form: &Parameters<'_>) -> Result<String, AwsError> {
        form.only(&["TopicArn"])?;
        self.lock().remove(form.get("TopicArn")?);
        Ok(String::new())
    }

    pub(super) fn attributes(&self, form: &Parameters<'_>) -> Result<String, AwsError> {
        form.only(&["TopicArn"])?;
        let arn = form.get("TopicArn")?;
        self.with(arn, |topic| {
            entries(&[
                ("TopicArn", arn),
                ("Owner", &self.context.account),
                ("DisplayName", &topic.display_name),
                ("SignatureVersion", topic.version.as_str()),
                (
                    "SubscriptionsConfirmed",
                    &topic.subscriptions.len().to_string(),
                ),
                ("SubscriptionsPending", "0"),
                ("SubscriptionsDeleted", "0"),
            ])
        })
    }

    pub(super) fn set_attributes(&self, form: &Parameters<'_>) -> Result<String, AwsError> {
        form.only(&["TopicArn", "AttributeName", "AttributeValue"])?;
        let name = form.get("AttributeName")?;
        let value = form.maybe("AttributeValue").unwrap_or_default();
        self.with(form.get("TopicArn")?, |topic| topic.set(name, value))??;
        Ok(String::new())
    }

    pub(super) fn list(&self, form: &Parameters<'_>) -> Result<String, AwsError> {
        form.only(&["NextToken"])?;
        let topics = self.lock();
        let members = topics.keys().map(|arn| (arn.clone(), one("TopicArn", arn)));
        Ok(page("Topics", members, form))
    }
}
