//! Publish and PublishBatch.

use std::collections::BTreeSet;

use super::parameters::Parameters;
use super::{Notification, Sns, invalid, one};
use crate::AwsError;
use crate::server::query::element;
use crate::sqs::{Attribute, Attributes};

/// The most bytes of a message, and of all in a batch.
const LARGEST: usize = 262_144;
/// The longest subject, in characters.
const LONGEST_SUBJECT: usize = 100;
/// Where the entries of a batch are.
const ENTRIES: &str = "PublishBatchRequestEntries.member";

// === impl Sns ===

impl Sns {
    pub(super) fn publish_form(&self, form: &Parameters<'_>) -> Result<String, AwsError> {
        form.only(&["TopicArn", "Message", "Subject", "MessageAttributes."])?;
        let id = self.publish_at(form, "")?;
        Ok(one("MessageId", &id))
    }

    pub(super) fn publish_batch(&self, form: &Parameters<'_>) -> Result<String, AwsError> {
        form.only(&["TopicArn", "PublishBatchRequestEntries."])?;
        let arn = form.get("TopicArn")?;
        self.with(arn, |_| ())?;
        let places: Vec<String> = form
            .numbers(ENTRIES)
            .iter()
            .map(|number| format!("{ENTRIES}.{number}."))
            .collect();
        let ids = places.iter().map(|place| form.get(&format!("{place}Id")));
        let ids = ids.collect::<Result<Vec<_>, _>>()?;
        check_batch(&ids)?;
        let bytes = places
            .iter()
            .filter_map(|place| form.maybe(&format!("{place}Message")));
        let bytes: usize = bytes.map(str::len).sum();
        if bytes > LARGEST {
            return Err(AwsError::new(
                "BatchRequestTooLong",
                format!("the messages of a batch have up to {LARGEST} bytes together, not {bytes}"),
            ));
        }
        let (mut good, mut bad) = (String::new(), String::new());
        for (id, place) in ids.into_iter().zip(&places) {
            let mut xml = one("Id", id);
            match self.publish_at(form, place) {
                Ok(message) => {
                    element(&mut xml, "MessageId", &message);
                    good.push_str(&format!("<member>{xml}</member>"));
                }
                Err(error) => {
                    element(&mut xml, "Code", error.code);
                    element(&mut xml, "Message", &error.message);
                    element(&mut xml, "SenderFault", "true");
                    bad.push_str(&format!("<member>{xml}</member>"));
                }
            }
        }
        Ok(format!(
            "<Successful>{good}</Successful><Failed>{bad}</Failed>"
        ))
    }

    /// Publishes what the members below a place say.
    fn publish_at(&self, form: &Parameters<'_>, place: &str) -> Result<String, AwsError> {
        let message = form.get(&format!("{place}Message"))?;
        if message.is_empty() || message.len() > LARGEST {
            let size = message.len();
            return Err(invalid(format!(
                "Message: it has 1 to {LARGEST} bytes, not {size}"
            )));
        }
        let subject = form.maybe(&format!("{place}Subject"));
        if let Some(subject) = subject {
            check_subject(subject)?;
        }
        self.publish(&Notification {
            topic_arn: form.get("TopicArn")?,
            subject,
            message,
            attributes: &attributes(form, &format!("{place}MessageAttributes.entry"))?,
        })
    }
}

fn check_batch(ids: &[&str]) -> Result<(), AwsError> {
    let distinct: BTreeSet<&str> = ids.iter().copied().collect();
    match ids.len() {
        0 => Err(AwsError::new(
            "EmptyBatchRequest",
            "a batch has 1 to 10 entries, not 0",
        )),
        1..=10 if distinct.len() == ids.len() => Ok(()),
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

fn check_subject(subject: &str) -> Result<(), AwsError> {
    let length = subject.chars().count();
    let plain = |c: char| !c.is_control();
    if (1..=LONGEST_SUBJECT).contains(&length) && subject.chars().all(plain) {
        return Ok(());
    }
    Err(invalid(format!(
        "Subject: it has 1 to {LONGEST_SUBJECT} characters and no line breaks, not {subject:?}"
    )))
}

fn attributes(form: &Parameters<'_>, place: &str) -> Result<Attributes, AwsError> {
    let read = |number: u32| {
        let value = |member: &str| form.maybe(&format!("{place}.{number}.Value.{member}"));
        let owned = |text: Option<&str>| text.map(str::to_owned);
        let attribute = Attribute {
            data_type: owned(value("DataType")).unwrap_or_default(),
            string_value: owned(value("StringValue")),
            binary_value: owned(value("BinaryValue")),
        };
        let name = form.get(&format!("{place}.{number}.Name"))?;
        Ok((name.to_owned(), attribute))
    };
    let read = form.numbers(place).into_iter().map(read);
    let attributes = Attributes(read.collect::<Result<_, _>>()?);
    let checked = attributes.check();
    checked.map_err(|error| invalid(format!("MessageAttributes: {}", error.message)))?;
    Ok(attributes)
}
