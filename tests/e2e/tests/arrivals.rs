//! Queues that hear from S3 of new objects.

use aws_sdk_s3::types::{
    FilterRule, FilterRuleName, NotificationConfiguration, NotificationConfigurationFilter,
    QueueConfiguration, S3KeyFilter,
};
use aws_sdk_sqs::types::QueueAttributeName;

use crate::queue::queue;
use crate::world::{World, config};

/// Makes a queue for each of these prefixes of the fleet's bucket, and no other
/// one hears of it; gives their URLs.
pub(crate) async fn queues(world: &World, prefixes: &[String]) -> Vec<String> {
    let sqs = aws_sdk_sqs::Client::new(&config(&world.endpoint).await);
    let mut urls = Vec::new();
    let mut rules = NotificationConfiguration::builder();
    for prefix in prefixes {
        let name = format!("{}-arrivals-{prefix}", world.fleet());
        let bucket = format!("arn:aws:s3:::{}", world.fleet());
        let queue = queue(&sqs, &name, ("s3", &bucket)).await;
        rules = rules.queue_configurations(rule(queue.arn, prefix));
        urls.push(queue.url);
    }
    let put = world.s3.put_bucket_notification_configuration();
    let put = put.bucket(world.fleet());
    let put = put.notification_configuration(rules.build()).send().await;
    put.expect("a notification");
    urls
}

fn rule(queue: String, prefix: &str) -> QueueConfiguration {
    let starts = FilterRule::builder()
        .name(FilterRuleName::Prefix)
        .value(prefix)
        .build();
    let key = S3KeyFilter::builder().filter_rules(starts).build();
    QueueConfiguration::builder()
        .queue_arn(queue)
        .events("s3:ObjectCreated:*".into())
        .filter(NotificationConfigurationFilter::builder().key(key).build())
        .build()
        .expect("a rule")
}

/// Messages that are in a queue, those that somebody has included.
pub(crate) async fn messages(world: &World, url: &str) -> u32 {
    let sqs = aws_sdk_sqs::Client::new(&config(&world.endpoint).await);
    let names = [
        QueueAttributeName::ApproximateNumberOfMessages,
        QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
    ];
    let got = sqs.get_queue_attributes().queue_url(url);
    let got = got.set_attribute_names(Some(names.to_vec())).send().await;
    let attributes = got.expect("attributes").attributes.unwrap_or_default();
    let number = |name| attributes[name].parse::<u32>().expect("a number");
    names.iter().map(number).sum()
}
