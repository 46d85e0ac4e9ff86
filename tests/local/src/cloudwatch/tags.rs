//! Tags of alarms.

use serde_json::{Value, json};

use super::alarm::Alarm;
use super::requests::{ListTags, TagResource, UntagResource};
use super::{CloudWatch, Inner};
use crate::AwsError;

/// The most tags that an alarm has.
const MOST: usize = 50;

impl CloudWatch {
    pub(super) fn tag(&self, input: TagResource) -> Result<Value, AwsError> {
        let alarm = &mut *self.lock();
        let alarm = alarm_of(alarm, &input.resource_arn)?;
        let mut tags = alarm.tags.clone();
        for tag in input.tags {
            tags.retain(|known| known.key != tag.key);
            tags.push(tag);
        }
        if tags.len() > MOST {
            return Err(AwsError::validation(format!(
                "an alarm has up to {MOST} tags"
            )));
        }
        alarm.tags = tags;
        Ok(json!({}))
    }

    pub(super) fn untag(&self, input: &UntagResource) -> Result<Value, AwsError> {
        let inner = &mut *self.lock();
        let alarm = alarm_of(inner, &input.resource_arn)?;
        alarm.tags.retain(|tag| !input.tag_keys.contains(&tag.key));
        Ok(json!({}))
    }

    pub(super) fn tags(&self, input: &ListTags) -> Result<Value, AwsError> {
        let inner = &mut *self.lock();
        let alarm = alarm_of(inner, &input.resource_arn)?;
        Ok(json!({"Tags": alarm.tags}))
    }
}

fn alarm_of<'a>(inner: &'a mut Inner, arn: &str) -> Result<&'a mut Alarm, AwsError> {
    let found = inner.alarms.values_mut().find(|alarm| alarm.arn == arn);
    found.ok_or_else(|| AwsError {
        status: 404,
        ..AwsError::new(
            "ResourceNotFoundException",
            format!("there is no alarm {arn}"),
        )
    })
}
