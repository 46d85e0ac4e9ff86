use std::time::Duration;

use serde_json::json;
use stepfleet_activity::SystemClock;

use super::*;
use crate::Context;
use crate::s3::S3;
use crate::server::Absent;
use crate::sfn::StepFunctions;

const TOPIC: &str = "arn:aws:sns:eu-west-1:123456789012:t";
const QUEUE: &str = "arn:aws:sqs:eu-west-1:123456789012:q";

struct World {
    others: Others,
    sfn: Arc<StepFunctions>,
    s3: Arc<S3>,
    _dir: tempfile::TempDir,
}

fn world() -> World {
    let dir = tempfile::tempdir().unwrap();
    let context = Context {
        clock: Arc::new(SystemClock),
        account: "123456789012".to_owned(),
        region: "eu-west-1".to_owned(),
        base_url: "http://127.0.0.1:1".to_owned(),
        dir: dir.path().to_owned(),
        metric_resolution: Duration::from_secs(60),
        metric_delay: Duration::ZERO,
        timers: crate::timers::Timers::default(),
    };
    let sqs = Arc::new(Sqs::new(context.clone()));
    let sns = Arc::new(Sns::new(context.clone(), Arc::clone(&sqs)).unwrap());
    let cloudwatch = Arc::new(CloudWatch::new(context.clone(), Arc::clone(&sns) as _));
    let s3 = S3::open(&context, Arc::clone(&sqs)).unwrap();
    World {
        sfn: StepFunctions::new(context, Arc::clone(&cloudwatch) as _),
        others: Others {
            cloudwatch,
            sns,
            sqs,
            s3: Arc::new(super::super::Buckets(Arc::clone(&s3))),
            redshift: Arc::new(Absent("Redshift Data API")),
        },
        s3,
        _dir: dir,
    }
}

/// What a definition may name must be there. (The Data API needs a warehouse.)
#[tokio::test]
async fn every_operation_that_is_offered_is_known_to_its_service() {
    let world = world();
    for service in Service::ALL {
        for operation in service.operations() {
            let body = json!({"NoSuchField": [1]});
            let answer = match service {
                Service::StepFunctions => world.sfn.call(operation, body).await,
                Service::RedshiftData => continue,
                _ => world.others.call(service, operation, body).await,
            };
            if let Err(error) = answer {
                assert_ne!(
                    error.code, "UnknownOperationException",
                    "{operation}: {error}"
                );
            }
        }
    }
    let unknown = world
        .others
        .call(Service::Sns, "NoSuchOperation", json!({}));
    assert_eq!(unknown.await.unwrap_err().code, "UnknownOperationException");
}

#[tokio::test]
async fn topics_are_spoken_to_in_json() {
    let world = world();
    let ok = async |service, operation: &str, input: Value| {
        let answer = world.others.call(service, operation, input).await;
        answer.unwrap_or_else(|error| panic!("{operation}: {error}"))
    };
    let empty = ok(Service::Sns, "ListTopics", json!({})).await;
    assert_eq!(empty, json!({"Topics": []}));
    let made = ok(Service::Sns, "CreateTopic", json!({"Name": "t"})).await;
    assert_eq!(made, json!({"TopicArn": TOPIC}));
    let listed = ok(Service::Sns, "ListTopics", json!({})).await;
    assert_eq!(listed, json!({"Topics": [{"TopicArn": TOPIC}]}));
    let policy = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage", "Resource": QUEUE}]});
    let create = json!({"QueueName": "q", "Attributes": {"Policy": policy.to_string()}});
    ok(Service::Sqs, "CreateQueue", create).await;
    let subscribe = json!({"TopicArn": TOPIC, "Protocol": "sqs", "Endpoint": QUEUE,
        "Attributes": {"RawMessageDelivery": "true"}});
    let subscribed = ok(Service::Sns, "Subscribe", subscribe).await;
    let of = json!({"SubscriptionArn": subscribed["SubscriptionArn"]});
    let about = ok(Service::Sns, "GetSubscriptionAttributes", of).await;
    assert_eq!(about["Attributes"]["RawMessageDelivery"], "true");
    let message = json!({"TopicArn": TOPIC, "Message": "<a> & \"b\"",
        "MessageAttributes": {"k": {"DataType": "String", "StringValue": "v"}}});
    let published = ok(Service::Sns, "Publish", message).await;
    assert!(published["MessageId"].is_string(), "{published}");
    let batch =
        json!({"TopicArn": TOPIC, "PublishBatchRequestEntries": [{"Id": "1", "Message": "m"}]});
    let published = ok(Service::Sns, "PublishBatch", batch).await;
    assert_eq!(
        (&published["Successful"][0]["Id"], &published["Failed"]),
        (&json!("1"), &json!([]))
    );
    let url = ok(Service::Sqs, "GetQueueUrl", json!({"QueueName": "q"})).await;
    let receive = json!({"QueueUrl": url["QueueUrl"], "MessageAttributeNames": ["All"]});
    let received = ok(Service::Sqs, "ReceiveMessage", receive).await;
    assert_eq!(received["Messages"][0]["Body"], "<a> & \"b\"");
    assert_eq!(
        received["Messages"][0]["MessageAttributes"]["k"]["StringValue"],
        "v"
    );
    let lost = world.others.call(
        Service::Sns,
        "Publish",
        json!({"TopicArn": "x", "Message": "m"}),
    );
    assert_eq!(lost.await.unwrap_err().code, "NotFound");
}

#[tokio::test]
async fn objects_are_written_read_listed_and_deleted() {
    let world = world();
    world.s3.create_bucket("bucket").unwrap();
    let call = async |operation: &str, input: Value| {
        world.others.call(Service::S3, operation, input).await
    };
    let key = "in/a b+\u{e4}.json";
    let put = json!({"Bucket": "bucket", "Key": key, "Body": {"n": 1}, "ContentType": "application/json",
        "Metadata": {"who": "me"}, "IfNoneMatch": "*"});
    let made = call("PutObject", put.clone()).await.unwrap();
    assert!(made["ETag"].is_string(), "{made}");
    let again = call("PutObject", put).await.unwrap_err();
    assert_eq!(again.status, 412);
    assert!(again.message.contains("PreconditionFailed"), "{again}");
    let of = json!({"Bucket": "bucket", "Key": key});
    let got = call("GetObject", of.clone()).await.unwrap();
    assert_eq!(
        (&got["Body"], &got["ContentLength"]),
        (&json!("{\"n\":1}"), &json!(7))
    );
    assert_eq!(
        (&got["ContentType"], &got["Metadata"]),
        (&json!("application/json"), &json!({"who": "me"}))
    );
    assert!(
        got["LastModified"].as_str().unwrap().ends_with('Z'),
        "{got}"
    );
    assert_eq!(
        call("HeadObject", of.clone()).await.unwrap()["ETag"],
        made["ETag"]
    );
    let listed = call(
        "ListObjectsV2",
        json!({"Bucket": "bucket", "Prefix": "in/"}),
    )
    .await
    .unwrap();
    assert_eq!(
        (&listed["KeyCount"], &listed["IsTruncated"]),
        (&json!(1), &json!(false))
    );
    assert_eq!(
        (
            &listed["Contents"][0]["Key"],
            &listed["Contents"][0]["Size"]
        ),
        (&json!(key), &json!(7))
    );
    call("DeleteObject", of.clone()).await.unwrap();
    assert_eq!(call("GetObject", of).await.unwrap_err().code, "NoSuchKey");
    let nowhere = json!({"Bucket": "nowhere", "Key": "k"});
    assert_eq!(
        call("GetObject", nowhere).await.unwrap_err().code,
        "NoSuchBucket"
    );
    let strange = call(
        "GetObject",
        json!({"Bucket": "bucket", "Key": "k", "SSECustomerKey": "x"}),
    )
    .await;
    assert!(strange.unwrap_err().message.contains("SSECustomerKey"));
}

#[tokio::test]
async fn a_service_that_is_absent_says_so() {
    let world = world();
    let call = world
        .others
        .call(Service::RedshiftData, "ExecuteStatement", json!({}));
    assert!(
        call.await
            .unwrap_err()
            .message
            .contains("Redshift Data API")
    );
}
