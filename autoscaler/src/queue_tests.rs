//! SQS over a scripted endpoint: batches, refusals, and the URL that is looked up once.

use serde_json::{Value, json};

use crate::fake_aws::{FakeAws, denied};
use crate::queue::{LONG_POLL, Queue, Sqs};

const URL: &str = "http://queue/1/demo-signals";

fn receipts(count: usize) -> Vec<String> {
    (0..count).map(|index| format!("r{index}")).collect()
}

async fn queue(answers: Vec<(u16, Value)>) -> (Sqs, FakeAws) {
    let aws = FakeAws::start(answers).await;
    (Sqs::new(&aws.config, "demo", Some(URL.to_owned())), aws)
}

#[tokio::test]
async fn messages_are_polled_for_long_and_the_url_is_looked_up_once() {
    let message = json!({"Messages": [{"MessageId": "m", "Body": "b", "ReceiptHandle": "r"}]});
    let aws = FakeAws::start(vec![
        denied(),
        (200, json!({"QueueUrl": URL})),
        (200, message),
        (200, json!({})),
    ])
    .await;
    let queue = Sqs::new(&aws.config, "demo", None);
    let refused = queue
        .receive(LONG_POLL)
        .await
        .expect_err("denied")
        .to_string();
    assert!(refused.contains("not you"), "{refused}");
    let messages = queue.receive(LONG_POLL).await.expect("received");
    let [message] = messages.as_slice() else {
        panic!("one message");
    };
    assert_eq!(
        (message.body.as_str(), message.receipt.as_str()),
        ("b", "r")
    );
    assert!(queue.receive(LONG_POLL).await.expect("received").is_empty());
    let asked = aws.asked();
    let operations: Vec<&str> = asked
        .iter()
        .map(|(operation, _)| operation.as_str())
        .collect();
    assert_eq!(
        operations,
        [
            "GetQueueUrl",
            "GetQueueUrl",
            "ReceiveMessage",
            "ReceiveMessage"
        ]
    );
    assert_eq!(asked[1].1["QueueName"], "demo-signals");
    let poll = &asked[2].1;
    assert_eq!(poll["QueueUrl"], URL);
    assert_eq!(
        (
            &poll["WaitTimeSeconds"],
            &poll["VisibilityTimeout"],
            &poll["MaxNumberOfMessages"]
        ),
        (&json!(20), &json!(60), &json!(10))
    );
}

#[tokio::test]
async fn ten_messages_are_deleted_or_extended_with_a_call() {
    let fine = || (200, json!({"Successful": [], "Failed": []}));
    let (queue, aws) = queue((0..6).map(|_| fine()).collect()).await;
    queue.delete(&receipts(23)).await.expect("deleted");
    queue.extend(&receipts(23)).await.expect("extended");
    let asked = aws.asked();
    let mut sizes: Vec<_> = (asked.iter())
        .map(|(operation, input)| {
            (
                operation.as_str(),
                input["Entries"].as_array().map_or(0, Vec::len),
            )
        })
        .collect();
    // Those of one turn are sent at a time and arrive in any order.
    sizes[..3].sort_unstable();
    sizes[3..].sort_unstable();
    assert_eq!(
        sizes,
        [
            ("DeleteMessageBatch", 3),
            ("DeleteMessageBatch", 10),
            ("DeleteMessageBatch", 10),
            ("ChangeMessageVisibilityBatch", 3),
            ("ChangeMessageVisibilityBatch", 10),
            ("ChangeMessageVisibilityBatch", 10),
        ]
    );
    let last = json!({"Id": "2", "ReceiptHandle": "r22"});
    assert!(asked[..3].iter().any(|call| call.1["Entries"][2] == last));
    let spans: Vec<_> = (asked[3..].iter())
        .map(|call| &call.1["Entries"][2]["VisibilityTimeout"])
        .collect();
    assert_eq!(spans, [60, 60, 60]);
    queue.delete(&[]).await.expect("nothing to do");
    assert_eq!(aws.asked().len(), 6, "no call for nothing");
}

#[tokio::test]
async fn an_entry_that_is_refused_in_an_answer_is_a_failure() {
    let refused = || {
        let entry = json!({"Id": "0", "SenderFault": true, "Code": "ReceiptHandleIsInvalid", "Message": "too old"});
        (200, json!({"Successful": [], "Failed": [entry]}))
    };
    let (queue, _aws) = queue(vec![refused(), refused()]).await;
    for refused in [
        queue.delete(&receipts(2)).await,
        queue.extend(&receipts(2)).await,
    ] {
        let error = refused.expect_err("refused").to_string();
        assert!(
            error.contains("1 messages were refused") && error.contains("too old"),
            "{error}"
        );
    }
}
