//! What people are told over SNS: the only file that names its SDK.

use crate::call::failed;
use crate::outside::{Answer, Notice};

/// The SNS client that the loader is given.
pub(crate) type Client = aws_sdk_sns::Client;

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
