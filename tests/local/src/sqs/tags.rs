//! Tags of queues.

use serde_json::{Value, json};

use super::requests::{Get, Tag, Untag};
use super::{Sqs, name_of, with};
use crate::AwsError;

impl Sqs {
    pub(super) fn tag(&self, input: Tag) -> Result<Value, AwsError> {
        with(&mut self.lock(), name_of(&input.queue_url), |queue| {
            queue.tags.extend(input.tags);
        })?;
        Ok(json!({}))
    }

    pub(super) fn untag(&self, input: &Untag) -> Result<Value, AwsError> {
        with(&mut self.lock(), name_of(&input.queue_url), |queue| {
            queue.tags.retain(|key, _| !input.tag_keys.contains(key));
        })?;
        Ok(json!({}))
    }

    pub(super) fn tags(&self, input: &Get) -> Result<Value, AwsError> {
        let name = name_of(&input.queue_url);
        let tags = with(&mut self.lock(), name, |queue| queue.tags.clone())?;
        Ok(json!({"Tags": tags}))
    }
}
