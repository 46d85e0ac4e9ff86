//! The way that alarms' signals take, as it follows from the catalogue: a topic,
//! its queue, and the dead-letter queue of that.

use serde_json::json;

use crate::Catalogue;

/// A message that fails so often goes to the dead-letter queue.
const MOST_RECEIVES: &str = "5";

/// Topic and queues of a fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignalPath {
    /// `<fleet>-signals`: the name of the topic and of the queue.
    pub name: String,
    /// The name of the dead-letter queue.
    pub dead_name: String,
    /// The ARN of the topic.
    pub topic: String,
    /// The ARN of the queue.
    pub queue: String,
    dead: String,
}

impl SignalPath {
    /// That of the catalogue's fleet.
    pub fn of(catalogue: &Catalogue) -> Self {
        let name = format!("{}-signals", catalogue.fleet);
        let dead_name = format!("{name}-dead");
        Self {
            topic: catalogue.aws.arn("sns", &name),
            queue: catalogue.aws.arn("sqs", &name),
            dead: catalogue.aws.arn("sqs", &dead_name),
            name,
            dead_name,
        }
    }

    /// The queue's attribute `Policy`: the topic, and nobody else, may send.
    pub fn policy(&self) -> String {
        json!({
            "Version": "2012-10-17",
            "Statement": [{
                "Effect": "Allow",
                "Principal": {"Service": "sns.amazonaws.com"},
                "Action": "sqs:SendMessage",
                "Resource": self.queue,
                "Condition": {"ArnEquals": {"aws:SourceArn": self.topic}},
            }],
        })
        .to_string()
    }

    /// The queue's attribute `RedrivePolicy`.
    pub fn redrive_policy(&self) -> String {
        json!({"deadLetterTargetArn": self.dead, "maxReceiveCount": MOST_RECEIVES}).to_string()
    }
}
