//! How signals are delivered.

/// The form in which an alarm's change of state reaches the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// From a topic, in the envelope that SNS signs.
    Sns,
    /// From a topic with raw message delivery: CloudWatch's message alone.
    Raw,
    /// From a rule of EventBridge: the event `CloudWatch Alarm State Change`.
    EventBridge,
}

impl Delivery {
    /// As the catalogue says it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sns => "sns",
            Self::Raw => "raw",
            Self::EventBridge => "eventbridge",
        }
    }
}
