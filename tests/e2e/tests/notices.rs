//! What people are told: a topic of the scenario, and a queue that hears it.

use crate::queue::queue;
use crate::world::{World, config};

/// Messages in one answer.
const MOST: i32 = 10;

/// All that is published to a topic.
pub(crate) struct Notices {
    pub(crate) topic: String,
    queue: String,
    sqs: aws_sdk_sqs::Client,
}

impl Notices {
    /// Of a topic with the fleet's name.
    pub(crate) async fn of(world: &World) -> Self {
        let aws = config(&world.endpoint).await;
        let (sns, sqs) = (
            aws_sdk_sns::Client::new(&aws),
            aws_sdk_sqs::Client::new(&aws),
        );
        let name = format!("{}-notices", world.fleet());
        let topic = sns.create_topic().name(&name).send().await;
        let topic = topic.expect("a topic").topic_arn.expect("its ARN");
        let queue = queue(&sqs, &name, ("sns", &topic)).await;
        let subscribe = sns.subscribe().topic_arn(&topic).protocol("sqs");
        let subscribe = subscribe
            .endpoint(queue.arn)
            .attributes("RawMessageDelivery", "true");
        subscribe.send().await.expect("a subscription");
        Self {
            topic,
            queue: queue.url,
            sqs,
        }
    }

    /// All that has come since the last time.
    pub(crate) async fn all(&self) -> Vec<String> {
        let mut all = Vec::new();
        loop {
            let receive = self.sqs.receive_message().queue_url(&self.queue);
            let receive = receive.max_number_of_messages(MOST).wait_time_seconds(1);
            let received = receive.send().await.expect("messages").messages;
            let received = received.unwrap_or_default();
            if received.is_empty() {
                return all;
            }
            for message in received {
                all.push(message.body.expect("a body"));
                let delete = self.sqs.delete_message().queue_url(&self.queue);
                let delete = delete.set_receipt_handle(message.receipt_handle);
                delete.send().await.expect("a deletion");
            }
        }
    }
}
