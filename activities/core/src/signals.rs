//! The way that alarms' signals take, as it follows from the catalogue: a topic,
//! its queue, and the dead-letter queue of that. Where EventBridge delivers, its
//! rule takes the topic's place.

use serde_json::json;

use crate::Catalogue;
use crate::catalogue::Delivery;

/// A message that fails so often goes to the dead-letter queue.
const MOST_RECEIVES: &str = "5";

/// Topic and queues of a fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignalPath {
    /// `<fleet>-signals`: the name of the topic and of the queue.
    pub name: String,
    /// The name of the dead-letter queue.
    pub dead_name: String,
    /// The ARN of the topic; where EventBridge delivers there is none.
    pub topic: String,
    /// The ARN of the queue.
    pub queue: String,
    dead: String,
    sender: Sender,
}

/// Who may send to the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Sender {
    service: &'static str,
    arn: String,
}

impl SignalPath {
    /// That of the catalogue's fleet.
    pub fn of(catalogue: &Catalogue) -> Self {
        let name = format!("{}-signals", catalogue.fleet);
        let dead_name = format!("{name}-dead");
        let topic = catalogue.aws.arn("sns", &name);
        let sender = match catalogue.signals.delivery {
            Delivery::Sns | Delivery::Raw => Sender {
                service: "sns.amazonaws.com",
                arn: topic.clone(),
            },
            Delivery::EventBridge => Sender {
                service: "events.amazonaws.com",
                arn: catalogue.aws.arn("events", &format!("rule/{name}")),
            },
        };
        Self {
            topic,
            queue: catalogue.aws.arn("sqs", &name),
            dead: catalogue.aws.arn("sqs", &dead_name),
            name,
            dead_name,
            sender,
        }
    }

    /// The queue's attribute `Policy`: the topic, or EventBridge's rule of the same name, may send,
    /// and nobody else.
    pub fn policy(&self) -> String {
        json!({
            "Version": "2012-10-17",
            "Statement": [{
                "Effect": "Allow",
                "Principal": {"Service": self.sender.service},
                "Action": "sqs:SendMessage",
                "Resource": self.queue,
                "Condition": {"ArnEquals": {"aws:SourceArn": self.sender.arn}},
            }],
        })
        .to_string()
    }

    /// The queue's attribute `RedrivePolicy`.
    pub fn redrive_policy(&self) -> String {
        json!({"deadLetterTargetArn": self.dead, "maxReceiveCount": MOST_RECEIVES}).to_string()
    }
}
