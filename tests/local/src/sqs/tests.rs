use std::sync::Arc;

use serde_json::json;
use stepfleet_activity::VirtualClock;

use super::*;

fn sqs() -> Arc<Sqs> {
    let clock = Arc::new(VirtualClock::new(jiff::Timestamp::UNIX_EPOCH));
    Arc::new(Sqs::new(Context {
        clock,
        account: "123456789012".to_owned(),
        region: "eu-west-1".to_owned(),
        base_url: "http://here".to_owned(),
        dir: std::path::PathBuf::new(),
        metric_resolution: Duration::from_secs(60),
        metric_delay: Duration::ZERO,
    }))
}

async fn create(sqs: &Sqs, name: &str, attributes: Value) {
    let input = json!({"QueueName": name, "Attributes": attributes});
    sqs.call("CreateQueue", input).await.unwrap();
}

async fn receive(sqs: &Sqs, name: &str, wait: u64) -> Option<Value> {
    let input = json!({"QueueUrl": name, "WaitTimeSeconds": wait, "AttributeNames": ["All"]});
    let output = sqs.call("ReceiveMessage", input).await.unwrap();
    output["Messages"].get(0).cloned()
}

#[tokio::test(start_paused = true)]
async fn a_long_poll_ends_with_a_message_or_at_its_time() {
    let sqs = sqs();
    create(&sqs, "q", json!({})).await;
    let start = Instant::now();
    assert_eq!(receive(&sqs, "q", 20).await, None);
    assert_eq!(start.elapsed(), Duration::from_secs(20));

    let start = Instant::now();
    let poll = {
        let sqs = Arc::clone(&sqs);
        tokio::spawn(async move { receive(&sqs, "q", 20).await })
    };
    tokio::time::advance(Duration::from_secs(3)).await;
    sqs.deliver("arn:aws:sqs:eu-west-1:123456789012:q", "hello".to_owned())
        .unwrap();
    let message = poll.await.unwrap().unwrap();
    assert_eq!(start.elapsed(), Duration::from_secs(3));
    assert_eq!(message["Body"], "hello");
    assert_eq!(message["MD5OfBody"], "5d41402abc4b2a76b9719d911017c592");
}

#[tokio::test(start_paused = true)]
async fn a_message_shows_again_and_dies_after_its_receives() {
    let sqs = sqs();
    create(&sqs, "dead", json!({})).await;
    let policy = json!({
        "deadLetterTargetArn": "arn:aws:sqs:eu-west-1:123456789012:dead",
        "maxReceiveCount": 2,
    });
    let attributes = json!({"VisibilityTimeout": "5", "RedrivePolicy": policy.to_string()});
    create(&sqs, "q", attributes).await;
    sqs.deliver("arn:aws:sqs:eu-west-1:123456789012:q", "m".to_owned())
        .unwrap();

    assert!(receive(&sqs, "q", 0).await.is_some());
    assert_eq!(receive(&sqs, "q", 0).await, None, "it is hidden");
    let start = Instant::now();
    let again = receive(&sqs, "q", 20).await.unwrap();
    assert_eq!(start.elapsed(), Duration::from_secs(5));
    assert_eq!(again["Attributes"]["ApproximateReceiveCount"], "2");
    assert_eq!(receive(&sqs, "dead", 0).await, None);
    assert_eq!(receive(&sqs, "q", 6).await, None);
    assert_eq!(receive(&sqs, "dead", 0).await.unwrap()["Body"], "m");
}

#[tokio::test(start_paused = true)]
async fn an_old_receipt_deletes_nothing_and_the_last_one_does() {
    let sqs = sqs();
    create(&sqs, "q", json!({"VisibilityTimeout": "5"})).await;
    sqs.deliver("arn:aws:sqs:eu-west-1:123456789012:q", "m".to_owned())
        .unwrap();
    let delete = async |message: &Value| {
        let input = json!({"QueueUrl": "q", "ReceiptHandle": message["ReceiptHandle"]});
        sqs.call("DeleteMessage", input).await.unwrap();
    };
    let first = receive(&sqs, "q", 0).await.unwrap();
    let second = receive(&sqs, "q", 20).await.unwrap();
    delete(&first).await;
    let third = receive(&sqs, "q", 20).await.expect("still there");
    assert_ne!(second["ReceiptHandle"], third["ReceiptHandle"]);
    delete(&third).await;
    assert_eq!(receive(&sqs, "q", 20).await, None);
}
