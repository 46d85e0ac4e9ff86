//! SQS and SNS: batches, timers, raw delivery.

use aws_sdk_sns::types::{MessageAttributeValue as SnsAttribute, PublishBatchRequestEntry};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::primitives::Blob;
use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, Message,
    MessageAttributeValue, QueueAttributeName, SendMessageBatchRequestEntry,
};

use crate::aws::{self, Aws, refused};

struct Bench {
    sqs: Client,
    sns: aws_sdk_sns::Client,
    url: String,
    _aws: Aws,
}

impl Bench {
    async fn new() -> Self {
        let aws = aws::start(|_| {}).await;
        let sqs = Client::new(&aws.config);
        let made = sqs.create_queue().queue_name("q").attributes(
            QueueAttributeName::Policy,
            aws::open_policy("sns.amazonaws.com"),
        );
        let made = made.send().await.unwrap();
        Self {
            sqs,
            sns: aws_sdk_sns::Client::new(&aws.config),
            url: made.queue_url.unwrap(),
            _aws: aws,
        }
    }

    async fn receive(&self) -> Vec<Message> {
        let receive = self.sqs.receive_message().queue_url(&self.url);
        let receive = receive.max_number_of_messages(10).wait_time_seconds(1);
        let received = receive.message_attribute_names("All").send().await;
        let mut messages = received.unwrap().messages.unwrap_or_default();
        messages.sort_by(|one, other| one.body.cmp(&other.body));
        messages
    }

    async fn bodies(&self) -> Vec<String> {
        let messages = self.receive().await.into_iter();
        messages.map(|message| message.body.unwrap()).collect()
    }
}

fn entry(id: &str, body: &str) -> SendMessageBatchRequestEntry {
    let entry = SendMessageBatchRequestEntry::builder().id(id);
    entry.message_body(body).build().unwrap()
}

fn text(value: &str) -> MessageAttributeValue {
    let text = MessageAttributeValue::builder().data_type("String");
    text.string_value(value).build().unwrap()
}

#[tokio::test]
async fn a_batch_fails_entry_by_entry() {
    let bench = Bench::new().await;
    let late = SendMessageBatchRequestEntry::builder()
        .id("late")
        .message_body("l");
    let late = late.delay_seconds(901).build().unwrap();
    let send = bench.sqs.send_message_batch().queue_url(&bench.url);
    let send = send
        .entries(entry("a", "A"))
        .entries(late)
        .entries(entry("b", "B"));
    let sent = send.send().await.unwrap();
    let ids: Vec<&str> = sent.successful().iter().map(|one| one.id()).collect();
    assert_eq!(ids, ["a", "b"]);
    let [failed] = sent.failed() else {
        panic!("{:?}", sent.failed());
    };
    assert_eq!((failed.id(), failed.sender_fault()), ("late", true));
    assert_eq!(failed.code(), "InvalidParameterValue");

    let messages = bench.receive().await;
    assert_eq!(messages.len(), 2);
    let handle = |at: usize| messages[at].receipt_handle().unwrap();
    let change = |id: &str, handle: &str| {
        let entry = ChangeMessageVisibilityBatchRequestEntry::builder().id(id);
        let entry = entry.receipt_handle(handle).visibility_timeout(0);
        entry.build().unwrap()
    };
    let changes = bench
        .sqs
        .change_message_visibility_batch()
        .queue_url(&bench.url);
    let changes = changes
        .entries(change("a", handle(0)))
        .entries(change("x", "nonsense"));
    let changed = changes.send().await.unwrap();
    assert_eq!(changed.successful().len(), 1);
    assert_eq!(changed.failed()[0].code(), "ReceiptHandleIsInvalid");
    let again = bench.receive().await;
    assert_eq!(again.len(), 1, "{again:?}");

    let delete = |id: &str, handle: &str| {
        let entry = DeleteMessageBatchRequestEntry::builder().id(id);
        entry.receipt_handle(handle).build().unwrap()
    };
    let deletes = bench.sqs.delete_message_batch().queue_url(&bench.url);
    let deletes = deletes.entries(delete("a", again[0].receipt_handle().unwrap()));
    let deletes = deletes
        .entries(delete("b", handle(1)))
        .entries(delete("x", "nonsense"));
    let deleted = deletes.send().await.unwrap();
    assert_eq!(deleted.successful().len(), 2);
    assert_eq!(deleted.failed().len(), 1);
    let attributes = bench.sqs.get_queue_attributes().queue_url(&bench.url);
    let attributes = attributes
        .attribute_names("All".into())
        .send()
        .await
        .unwrap();
    for (name, value) in attributes.attributes().unwrap() {
        if name.as_str().starts_with("ApproximateNumberOfMessages") {
            assert_eq!(value, "0", "{name:?}");
        }
    }
}

#[tokio::test]
async fn a_batch_as_a_whole_is_refused_by_name() {
    let bench = Bench::new().await;
    let send = |url: &str, entries: Vec<SendMessageBatchRequestEntry>| {
        let send = bench.sqs.send_message_batch().queue_url(url);
        send.set_entries(Some(entries)).send()
    };
    let many = (0..11)
        .map(|number| entry(&number.to_string(), "m"))
        .collect();
    let half = "x".repeat(524_289);
    let cases = [
        (vec![], "AWS.SimpleQueueService.EmptyBatchRequest"),
        (many, "AWS.SimpleQueueService.TooManyEntriesInBatchRequest"),
        (
            vec![entry("a", "1"), entry("a", "2")],
            "AWS.SimpleQueueService.BatchEntryIdsNotDistinct",
        ),
        (
            vec![entry("a b", "1")],
            "AWS.SimpleQueueService.InvalidBatchEntryId",
        ),
        (
            vec![entry("a", &half), entry("b", &half)],
            "AWS.SimpleQueueService.BatchRequestTooLong",
        ),
    ];
    for (entries, wanted) in cases {
        let (code, message) = refused(send(&bench.url, entries).await);
        assert_eq!(code, wanted, "{message}");
    }
    let nowhere = bench.url.replace("/q", "/none");
    let (code, _) = refused(send(&nowhere, vec![entry("a", "1")]).await);
    assert_eq!(code, "AWS.SimpleQueueService.NonExistentQueue");
    assert_eq!(bench.bodies().await, [""; 0]);
}

#[tokio::test]
async fn attributes_come_with_their_message_if_they_are_asked_for() {
    let bench = Bench::new().await;
    let bytes = MessageAttributeValue::builder().data_type("Binary");
    let bytes = bytes.binary_value(Blob::new([0, 1, 255])).build().unwrap();
    let send = bench
        .sqs
        .send_message()
        .queue_url(&bench.url)
        .message_body("m");
    let send = send.message_attributes("trace", text("t-1"));
    let sent = send
        .message_attributes("raw", bytes.clone())
        .send()
        .await
        .unwrap();
    let sum = sent.md5_of_message_attributes().unwrap().to_owned();
    let message = bench.receive().await.remove(0);
    let attributes = message.message_attributes().unwrap();
    assert_eq!(attributes["trace"], text("t-1"));
    assert_eq!(attributes["raw"], bytes);
    assert_eq!(message.md5_of_message_attributes(), Some(sum.as_str()));
    let show = bench.sqs.change_message_visibility().queue_url(&bench.url);
    let show = show.receipt_handle(message.receipt_handle().unwrap());
    show.visibility_timeout(0).send().await.unwrap();
    let plain = bench
        .sqs
        .receive_message()
        .queue_url(&bench.url)
        .send()
        .await
        .unwrap();
    assert_eq!(plain.messages()[0].message_attributes(), None);
    let number = MessageAttributeValue::builder().data_type("Number");
    let number = number.string_value("one").build().unwrap();
    let send = bench
        .sqs
        .send_message()
        .queue_url(&bench.url)
        .message_body("m");
    let (code, message) = refused(send.message_attributes("n", number).send().await);
    assert_eq!(code, "InvalidParameterValue");
    assert!(message.contains("no number"), "{message}");
}

#[tokio::test]
async fn a_subscription_is_raw_or_in_an_envelope() {
    let bench = Bench::new().await;
    let topic = bench.sns.create_topic().name("t").send().await.unwrap();
    let topic = topic.topic_arn.unwrap();
    let subscribe = bench.sns.subscribe().topic_arn(&topic).protocol("sqs");
    let subscribe = subscribe.endpoint("arn:aws:sqs:eu-west-1:123456789012:q");
    let raw = subscribe.attributes("RawMessageDelivery", "true");
    let arn = raw.send().await.unwrap().subscription_arn.unwrap();
    let attribute = SnsAttribute::builder()
        .data_type("String")
        .string_value("v");
    let attribute = attribute.build().unwrap();
    let publish = async || {
        let publish = bench.sns.publish().topic_arn(&topic).message("<m & n>");
        let publish = publish.message_attributes("a", attribute.clone());
        publish.subject("s").send().await.unwrap();
        bench.receive().await.remove(0)
    };
    let message = publish().await;
    assert_eq!(message.body(), Some("<m & n>"));
    assert_eq!(message.message_attributes().unwrap()["a"], text("v"));

    let set = bench
        .sns
        .set_subscription_attributes()
        .subscription_arn(&arn);
    let set = set
        .attribute_name("RawMessageDelivery")
        .attribute_value("false");
    set.send().await.unwrap();
    let get = bench
        .sns
        .get_subscription_attributes()
        .subscription_arn(&arn);
    let attributes = get.send().await.unwrap().attributes.unwrap();
    assert_eq!(attributes["RawMessageDelivery"], "false");
    assert_eq!(attributes["TopicArn"], topic);
    let message = publish().await;
    assert_eq!(message.message_attributes(), None);
    let envelope: serde_json::Value = serde_json::from_str(message.body().unwrap()).unwrap();
    assert_eq!(envelope["Message"], "<m & n>");
    assert_eq!(envelope["MessageAttributes"]["a"]["Value"], "v");

    let set = bench
        .sns
        .set_subscription_attributes()
        .subscription_arn(&arn);
    let redrive = set.attribute_name("RedrivePolicy").attribute_value("{}");
    let (code, message) = refused(redrive.send().await);
    assert_eq!(code, "InvalidParameter");
    assert!(message.contains("RedrivePolicy"), "{message}");
    let get = bench
        .sns
        .get_subscription_attributes()
        .subscription_arn("arn:none");
    assert_eq!(refused(get.send().await).0, "NotFound");
}

#[tokio::test]
async fn a_batch_is_published_entry_by_entry() {
    let bench = Bench::new().await;
    let topic = bench.sns.create_topic().name("t").send().await.unwrap();
    let topic = topic.topic_arn.unwrap();
    let subscribe = bench.sns.subscribe().topic_arn(&topic).protocol("sqs");
    let subscribe = subscribe.endpoint("arn:aws:sqs:eu-west-1:123456789012:q");
    let raw = subscribe.attributes("RawMessageDelivery", "true");
    raw.send().await.unwrap();
    let entry = |id: &str, message: &str, subject: Option<&str>| {
        let entry = PublishBatchRequestEntry::builder().id(id).message(message);
        entry
            .set_subject(subject.map(str::to_owned))
            .build()
            .unwrap()
    };
    let publish = || bench.sns.publish_batch().topic_arn(&topic);
    let batch = publish().publish_batch_request_entries(entry("a", "A", None));
    let batch = batch.publish_batch_request_entries(entry("bad", "X", Some("two\nlines")));
    let batch = batch.publish_batch_request_entries(entry("b", "B", Some("s")));
    let published = batch.send().await.unwrap();
    let ids: Vec<_> = published
        .successful()
        .iter()
        .filter_map(|one| one.id())
        .collect();
    assert_eq!(ids, ["a", "b"]);
    assert_eq!(published.failed()[0].id(), "bad");
    assert_eq!(published.failed()[0].code(), "InvalidParameter");
    assert_eq!(bench.bodies().await, ["A", "B"]);
    let twice = publish().publish_batch_request_entries(entry("a", "A", None));
    let twice = twice.publish_batch_request_entries(entry("a", "B", None));
    assert_eq!(refused(twice.send().await).0, "BatchEntryIdsNotDistinct");
    let long = bench
        .sns
        .publish()
        .topic_arn(&topic)
        .message("x".repeat(262_145));
    let (code, message) = refused(long.send().await);
    assert_eq!(code, "InvalidParameter");
    assert!(message.contains("262145"), "{message}");
}

#[tokio::test]
async fn a_subscription_gets_what_its_filter_wants() {
    let bench = Bench::new().await;
    let topic = bench.sns.create_topic().name("t").send().await.unwrap();
    let topic = topic.topic_arn.unwrap();
    let subscribe = || {
        let subscribe = bench.sns.subscribe().topic_arn(&topic).protocol("sqs");
        let subscribe = subscribe.endpoint("arn:aws:sqs:eu-west-1:123456789012:q");
        subscribe.attributes("RawMessageDelivery", "true")
    };
    let wrong = subscribe().attributes("FilterPolicy", "{\"a\": \"x\"}");
    let (code, message) = refused(wrong.send().await);
    assert_eq!(code, "InvalidParameter");
    assert!(
        message.contains("must be an object or an array"),
        "{message}"
    );
    let policy = "{\"state\": [\"ALARM\"]}";
    let made = subscribe()
        .attributes("FilterPolicy", policy)
        .send()
        .await
        .unwrap();
    let arn = made.subscription_arn.unwrap();
    let publish = async |message: &str, state: &str| {
        let state = SnsAttribute::builder()
            .data_type("String")
            .string_value(state);
        let publish = bench.sns.publish().topic_arn(&topic).message(message);
        let publish = publish.message_attributes("state", state.build().unwrap());
        publish.send().await.unwrap();
    };
    publish("{\"state\": \"OK\"}", "ALARM").await;
    publish("{\"state\": \"ALARM\"}", "OK").await;
    assert_eq!(bench.bodies().await, ["{\"state\": \"OK\"}"]);
    let set = bench
        .sns
        .set_subscription_attributes()
        .subscription_arn(&arn);
    let set = set
        .attribute_name("FilterPolicyScope")
        .attribute_value("MessageBody");
    set.send().await.unwrap();
    publish("{\"state\": \"OK\"}", "ALARM").await;
    publish("{\"state\": \"ALARM\"}", "OK").await;
    assert_eq!(bench.bodies().await, ["{\"state\": \"ALARM\"}"]);
    let get = bench
        .sns
        .get_subscription_attributes()
        .subscription_arn(&arn);
    let attributes = get.send().await.unwrap().attributes.unwrap();
    assert_eq!(attributes["FilterPolicy"], policy);
    assert_eq!(attributes["FilterPolicyScope"], "MessageBody");
    let (code, message) = refused(
        subscribe()
            .attributes("FilterPolicy", "{\"b\": [1]}")
            .send()
            .await,
    );
    assert_eq!(code, "InvalidParameter");
    assert!(message.contains("different attributes"), "{message}");
}

#[tokio::test]
async fn a_queue_gets_what_its_policy_lets_in() {
    let bench = Bench::new().await;
    let arn = "arn:aws:sqs:eu-west-1:123456789012:q";
    let mut topics = Vec::new();
    for name in ["good", "other"] {
        let made = bench.sns.create_topic().name(name).send().await.unwrap();
        let topic = made.topic_arn.unwrap();
        let subscribe = bench.sns.subscribe().topic_arn(&topic).protocol("sqs");
        let subscribe = subscribe
            .endpoint(arn)
            .attributes("RawMessageDelivery", "true");
        subscribe.send().await.unwrap();
        topics.push(topic);
    }
    let set = async |policy: &str| {
        let set = bench.sqs.set_queue_attributes().queue_url(&bench.url);
        set.attributes(QueueAttributeName::Policy, policy)
            .send()
            .await
    };
    let told = async || {
        for topic in &topics {
            let publish = bench.sns.publish().topic_arn(topic).message(topic);
            publish.send().await.unwrap();
        }
        bench.bodies().await
    };
    let allow = serde_json::json!({
        "Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage", "Resource": arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": topics[0]}},
    });
    set("").await.unwrap();
    assert_eq!(told().await, [""; 0], "without a policy");
    let policy = serde_json::json!({"Statement": [allow]});
    set(&policy.to_string()).await.unwrap();
    assert_eq!(told().await, [topics[0].as_str()]);
    let mut deny = allow.clone();
    deny["Effect"] = "Deny".into();
    let policy = serde_json::json!({"Statement": [allow, deny]});
    set(&policy.to_string()).await.unwrap();
    assert_eq!(told().await, [""; 0], "denied");
    let (code, message) = refused(set("{}").await);
    assert_eq!(code, "InvalidAttributeValue");
    assert!(message.contains("Policy"), "{message}");
}

#[tokio::test]
async fn topics_and_subscriptions_are_listed_in_pages() {
    let bench = Bench::new().await;
    let arn = "arn:aws:sqs:eu-west-1:123456789012:q";
    for number in 0..101 {
        let name = format!("t{number:03}");
        let made = bench.sns.create_topic().name(name).send().await.unwrap();
        let subscribe = bench.sns.subscribe().topic_arn(made.topic_arn.unwrap());
        subscribe
            .protocol("sqs")
            .endpoint(arn)
            .send()
            .await
            .unwrap();
    }
    let topics = bench.sns.list_topics().send().await.unwrap();
    assert_eq!(topics.topics().len(), 100);
    let topics = bench.sns.list_topics().into_paginator().items().send();
    assert_eq!(topics.try_collect().await.unwrap().len(), 101);
    let all = bench
        .sns
        .list_subscriptions()
        .into_paginator()
        .items()
        .send();
    assert_eq!(all.try_collect().await.unwrap().len(), 101);
    let topic = "arn:aws:sns:eu-west-1:123456789012:t007";
    let one = bench.sns.list_subscriptions_by_topic().topic_arn(topic);
    let one = one.send().await.unwrap();
    assert_eq!(one.subscriptions()[0].topic_arn(), Some(topic));
    let set = |value: &str| {
        let set = bench.sns.set_topic_attributes().topic_arn(topic);
        set.attribute_name("SignatureVersion")
            .attribute_value(value)
            .send()
    };
    assert_eq!(refused(set("3").await).0, "InvalidParameter");
    let version = async || {
        let get = bench
            .sns
            .get_topic_attributes()
            .topic_arn(topic)
            .send()
            .await;
        get.unwrap().attributes.unwrap()["SignatureVersion"].clone()
    };
    assert_eq!(version().await, "1");
    set("2").await.unwrap();
    assert_eq!(version().await, "2");
}
