//! Queues that a service of AWS may send to.

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::QueueAttributeName;
use serde_json::json;

use crate::world::{ACCOUNT, REGION};

/// A queue, where it is and what it is called.
pub(crate) struct Queue {
    pub(crate) url: String,
    pub(crate) arn: String,
}

/// Makes a queue that takes what a service sends on behalf of a source, an ARN.
pub(crate) async fn queue(sqs: &Client, name: &str, (service, source): (&str, &str)) -> Queue {
    let arn = format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{name}");
    let policy = json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": {"Service": format!("{service}.amazonaws.com")},
        "Action": "sqs:SendMessage", "Resource": arn,
        "Condition": {"ArnLike": {"aws:SourceArn": source}},
    }]});
    let made = sqs.create_queue().queue_name(name);
    let made = made.attributes(QueueAttributeName::Policy, policy.to_string());
    let url = made.send().await.expect("a queue").queue_url;
    Queue {
        url: url.expect("its URL"),
        arn,
    }
}
