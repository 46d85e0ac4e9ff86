//! Queues that hear from S3 of new objects.

use aws_sdk_s3::types::{
    FilterRule, FilterRuleName, NotificationConfiguration, NotificationConfigurationFilter,
    QueueConfiguration, S3KeyFilter,
};
use aws_sdk_sqs::types::QueueAttributeName;
use serde_json::json;

use crate::world::{ACCOUNT, REGION, World, config};

/// Makes a queue for each of these prefixes of the fleet's bucket, and no other
/// one hears of it; gives their URLs.
pub(crate) async fn queues(world: &World, prefixes: &[String]) -> Vec<String> {
    let sqs = aws_sdk_sqs::Client::new(&config(&world.endpoint).await);
    let mut urls = Vec::new();
    let mut rules = NotificationConfiguration::builder();
    for prefix in prefixes {
        let name = format!("{}-arrivals-{prefix}", world.fleet());
        let made = sqs.create_queue().queue_name(&name).send().await;
        let url = made.expect("a queue").queue_url.expect("its URL");
        let arn = format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{name}");
        let policy = json!({"Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"},
            "Action": "sqs:SendMessage", "Resource": arn,
            "Condition": {"ArnLike": {"aws:SourceArn": format!("arn:aws:s3:::{}", world.fleet())}},
        }]});
        let set = sqs.set_queue_attributes().queue_url(&url);
        let set = set.attributes(QueueAttributeName::Policy, policy.to_string());
        set.send().await.expect("a policy");
        rules = rules.queue_configurations(rule(arn, prefix));
        urls.push(url);
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
