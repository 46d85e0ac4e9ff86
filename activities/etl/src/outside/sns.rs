//! What people are told over SNS: the only file that names its SDK.

use super::Answer;
use super::call::failed;

/// The SNS client that an activity is given.
pub(crate) type Client = aws_sdk_sns::Client;

/// What people are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Notice {
    pub(crate) subject: String,
    pub(crate) message: String,
}

/// Publishes to a topic.
pub(crate) async fn notify(client: &Client, topic: &str, notice: &Notice) -> Answer<()> {
    client
        .publish()
        .topic_arn(topic)
        .subject(&notice.subject)
        .message(&notice.message)
        .send()
        .await
        .map(drop)
        .map_err(|error| failed(format!("notify {topic}"), &error))
}
