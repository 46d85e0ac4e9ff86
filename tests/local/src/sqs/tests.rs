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
        timers: crate::timers::Timers::default(),
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

fn deliver(sqs: &Sqs, body: &str) {
    let outgoing = Outgoing {
        body: body.to_owned(),
        ..Outgoing::default()
    };
    sqs.put("q", outgoing).unwrap();
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
    deliver(&sqs, "hello");
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
    deliver(&sqs, "m");

    assert!(receive(&sqs, "q", 0).await.is_some());
    assert_eq!(receive(&sqs, "q", 0).await, None, "it is hidden");
    let start = Instant::now();
    let again = receive(&sqs, "q", 20).await.unwrap();
    assert_eq!(start.elapsed(), Duration::from_secs(5));
    assert_eq!(again["Attributes"]["ApproximateReceiveCount"], "2");
    assert_eq!(receive(&sqs, "dead", 0).await, None);
    assert_eq!(receive(&sqs, "q", 6).await, None);
    let dead = receive(&sqs, "dead", 0).await.unwrap();
    assert_eq!(dead["Body"], "m");
    let source = &dead["Attributes"]["DeadLetterQueueSourceArn"];
    assert_eq!(source, "arn:aws:sqs:eu-west-1:123456789012:q");
}

/// A queue, its dead-letter queue and one dead message.
async fn with_dead() -> Arc<Sqs> {
    let sqs = sqs();
    create(&sqs, "dead", json!({"VisibilityTimeout": "0"})).await;
    let policy = json!({
        "deadLetterTargetArn": "arn:aws:sqs:eu-west-1:123456789012:dead",
        "maxReceiveCount": 1,
    });
    let attributes = json!({"VisibilityTimeout": "0", "RedrivePolicy": policy.to_string()});
    create(&sqs, "q", attributes).await;
    deliver(&sqs, "m");
    receive(&sqs, "q", 0).await.unwrap();
    assert_eq!(receive(&sqs, "q", 0).await, None);
    sqs
}

#[tokio::test(start_paused = true)]
async fn dead_messages_go_back_as_new_ones() {
    let sqs = with_dead().await;
    let dead = receive(&sqs, "dead", 0).await.unwrap();
    let arn = |name: &str| format!("arn:aws:sqs:eu-west-1:123456789012:{name}");
    let start = json!({"SourceArn": arn("dead")});
    sqs.call("StartMessageMoveTask", start.clone())
        .await
        .unwrap();
    assert_eq!(receive(&sqs, "dead", 0).await, None);
    let back = receive(&sqs, "q", 0).await.unwrap();
    assert_ne!(back["MessageId"], dead["MessageId"]);
    assert_eq!(back["Attributes"]["ApproximateReceiveCount"], "1");
    assert_eq!(back["Attributes"].get("DeadLetterQueueSourceArn"), None);
    // Nobody knows where this one came from.
    let send = json!({"QueueUrl": "dead", "MessageBody": "by hand"});
    sqs.call("SendMessage", send).await.unwrap();
    sqs.call("StartMessageMoveTask", start.clone())
        .await
        .unwrap();
    let list = json!({"SourceArn": arn("dead"), "MaxResults": 10});
    let moves = sqs.call("ListMessageMoveTasks", list).await.unwrap();
    let shown = |at: usize, name: &str| moves["Results"][at][name].clone();
    assert_eq!(moves["Results"].as_array().unwrap().len(), 2);
    assert_eq!(shown(0, "FailureReason"), "CouldNotDetermineMessageSource");
    assert_eq!(
        (shown(0, "Status"), shown(1, "Status")),
        ("FAILED".into(), "COMPLETED".into())
    );
    assert_eq!(shown(1, "ApproximateNumberOfMessagesMoved"), 1);
    let to = json!({"SourceArn": arn("dead"), "DestinationArn": arn("q")});
    sqs.call("StartMessageMoveTask", to).await.unwrap();
    assert_eq!(receive(&sqs, "dead", 0).await, None);

    let table = [
        (json!({"SourceArn": arn("q")}), "InvalidParameterValue"),
        (
            json!({"SourceArn": arn("none")}),
            "ResourceNotFoundException",
        ),
        (
            json!({"SourceArn": arn("dead"), "MaxNumberOfMessagesPerSecond": 1}),
            "UnsupportedOperation",
        ),
    ];
    for (input, wanted) in table {
        let refused = sqs.call("StartMessageMoveTask", input).await.unwrap_err();
        assert_eq!(refused.code, wanted);
    }
}

#[tokio::test]
async fn a_dead_letter_queue_says_who_may_use_it() {
    let sqs = sqs();
    create(&sqs, "dead", json!({})).await;
    let allow = async |policy: Value| {
        let attributes = json!({"RedriveAllowPolicy": policy.to_string()});
        let input = json!({"QueueUrl": "dead", "Attributes": attributes});
        sqs.call("SetQueueAttributes", input).await
    };
    let arn = "arn:aws:sqs:eu-west-1:123456789012:q";
    let table = [
        (
            json!({"redrivePermission": "denyAll"}),
            "dead",
            Some("does not allow"),
        ),
        (
            json!({"redrivePermission": "byQueue", "sourceQueueArns": ["arn:x"]}),
            "dead",
            Some("does not allow"),
        ),
        (
            json!({"redrivePermission": "byQueue", "sourceQueueArns": [arn]}),
            "dead",
            None,
        ),
        (json!({"redrivePermission": "allowAll"}), "dead", None),
        (
            json!({"redrivePermission": "allowAll"}),
            "none",
            Some("does not exist"),
        ),
    ];
    for (policy, target, refused) in table {
        allow(policy.clone()).await.unwrap();
        let redrive = json!({
            "deadLetterTargetArn": format!("arn:aws:sqs:eu-west-1:123456789012:{target}"),
            "maxReceiveCount": "3",
        });
        let attributes = json!({"RedrivePolicy": redrive.to_string()});
        let input = json!({"QueueName": "q", "Attributes": attributes});
        let made = sqs.call("CreateQueue", input).await;
        let said = made.as_ref().err().map(|error| error.message.as_str());
        match refused {
            None => assert_eq!(said, None, "{policy}"),
            Some(why) => assert!(said.is_some_and(|said| said.contains(why)), "{said:?}"),
        }
        let _ = sqs.call("DeleteQueue", json!({"QueueUrl": "q"})).await;
    }
    for wrong in [
        json!({"redrivePermission": "some"}),
        json!({"redrivePermission": "byQueue"}),
        json!({"redrivePermission": "allowAll", "sourceQueueArns": [arn]}),
    ] {
        assert_eq!(
            allow(wrong).await.unwrap_err().code,
            "InvalidAttributeValue"
        );
    }
}

#[tokio::test]
async fn lists_have_pages() {
    let sqs = sqs();
    create(&sqs, "dead", json!({})).await;
    let redrive = json!({
        "deadLetterTargetArn": "arn:aws:sqs:eu-west-1:123456789012:dead", "maxReceiveCount": 3,
    });
    for name in ["a", "b", "c"] {
        create(&sqs, name, json!({"RedrivePolicy": redrive.to_string()})).await;
    }
    let table = [
        (
            "ListQueues",
            "QueueUrls",
            json!({}),
            vec!["a", "b", "c", "dead"],
        ),
        (
            "ListQueues",
            "QueueUrls",
            json!({"QueueNamePrefix": "d"}),
            vec!["dead"],
        ),
        (
            "ListDeadLetterSourceQueues",
            "queueUrls",
            json!({"QueueUrl": "dead"}),
            vec!["a", "b", "c"],
        ),
    ];
    for (operation, member, mut input, wanted) in table {
        let whole = sqs.call(operation, input.clone()).await.unwrap();
        assert_eq!(whole[member].as_array().unwrap().len(), wanted.len());
        assert_eq!(whole.get("NextToken"), None);
        input["MaxResults"] = 2.into();
        let mut found = Vec::new();
        loop {
            let page = sqs.call(operation, input.clone()).await.unwrap();
            let urls = page[member].as_array().unwrap();
            assert!(urls.len() <= 2);
            let names = urls
                .iter()
                .filter_map(|url| url.as_str()?.rsplit('/').next());
            found.extend(names.map(str::to_owned));
            match page.get("NextToken") {
                Some(token) => input["NextToken"] = token.clone(),
                None => break,
            }
        }
        assert_eq!(found, wanted, "{operation}");
        input["MaxResults"] = 1_001.into();
        let refused = sqs.call(operation, input).await.unwrap_err();
        assert_eq!(refused.code, "InvalidParameterValue");
    }
    let unknown = json!({"QueueUrl": "dead", "AttributeNames": ["FifoQueue"]});
    let unknown = sqs.call("GetQueueAttributes", unknown).await.unwrap_err();
    assert_eq!(unknown.code, "InvalidAttributeName");
}

#[tokio::test]
async fn tags_are_kept() {
    let sqs = sqs();
    let input = json!({"QueueName": "q", "tags": {"a": "1", "b": "2"}});
    sqs.call("CreateQueue", input).await.unwrap();
    let tag = json!({"QueueUrl": "q", "Tags": {"b": "3", "c": "4"}});
    sqs.call("TagQueue", tag).await.unwrap();
    let untag = json!({"QueueUrl": "q", "TagKeys": ["a"]});
    sqs.call("UntagQueue", untag).await.unwrap();
    let tags = sqs
        .call("ListQueueTags", json!({"QueueUrl": "q"}))
        .await
        .unwrap();
    assert_eq!(tags, json!({"Tags": {"b": "3", "c": "4"}}));
}

#[tokio::test(start_paused = true)]
async fn an_old_receipt_deletes_nothing_and_the_last_one_does() {
    let sqs = sqs();
    create(&sqs, "q", json!({"VisibilityTimeout": "5"})).await;
    deliver(&sqs, "m");
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

#[tokio::test(start_paused = true)]
async fn a_message_has_a_timer_and_its_receiver_another() {
    let sqs = sqs();
    create(&sqs, "q", json!({"DelaySeconds": "3"})).await;
    let send = async |body: &str, delay: Value| {
        let mut input = json!({"QueueUrl": "q", "MessageBody": body});
        input["DelaySeconds"] = delay;
        sqs.call("SendMessage", input).await.unwrap();
    };
    let start = Instant::now();
    send("by the queue", Value::Null).await;
    send("by itself", json!(1)).await;
    send("at once", json!(0)).await;
    let mut seen = Vec::new();
    for _ in 0..3 {
        let message = receive(&sqs, "q", 20).await.unwrap();
        let body = message["Body"].as_str().unwrap().to_owned();
        seen.push((
            body,
            start.elapsed().as_secs(),
            message["ReceiptHandle"].clone(),
        ));
    }
    let seen_at: Vec<(&str, u64)> = seen
        .iter()
        .map(|(body, at, _)| (body.as_str(), *at))
        .collect();
    assert_eq!(
        seen_at,
        [("at once", 0), ("by itself", 1), ("by the queue", 3)]
    );

    let change = async |handle: &Value, seconds: u64| {
        let input = json!({"QueueUrl": "q", "ReceiptHandle": handle, "VisibilityTimeout": seconds});
        sqs.call("ChangeMessageVisibility", input).await
    };
    let handles: Vec<&Value> = seen.iter().map(|(_, _, handle)| handle).collect();
    change(handles[0], 0).await.unwrap();
    let again = receive(&sqs, "q", 0).await.unwrap();
    assert_eq!(again["Body"], "at once");
    let lost = change(handles[0], 9).await.unwrap_err();
    assert_eq!(lost.code, "MessageNotInflight", "another has it now");
    change(handles[1], 100).await.unwrap();
    change(handles[2], 50).await.unwrap();
    let start = Instant::now();
    let mut bodies = Vec::new();
    for _ in 0..10 {
        if let Some(message) = receive(&sqs, "q", 20).await {
            bodies.push((message["Body"].clone(), start.elapsed().as_secs()));
            let delete = json!({"QueueUrl": "q", "ReceiptHandle": message["ReceiptHandle"]});
            sqs.call("DeleteMessage", delete).await.unwrap();
        }
    }
    let wanted = [
        (json!("at once"), 30),
        (json!("by the queue"), 50),
        (json!("by itself"), 100),
    ];
    assert_eq!(bodies, wanted);
}
