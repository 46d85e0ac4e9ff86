//! What a bucket tells to a queue.

use std::sync::Arc;

use aws_sdk_s3::Client;
use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::types::{
    Event, FilterRule, FilterRuleName, NotificationConfiguration, NotificationConfigurationFilter,
    QueueConfiguration, S3KeyFilter,
};
use serde_json::{Value, json};
use stepfleet_local::sqs::Sqs;

use super::{body, open_with_queues, serve};

const ARN: &str = "arn:aws:sqs:eu-west-1:123456789012:events";

struct Bench {
    client: Client,
    queues: Arc<Sqs>,
    _dir: tempfile::TempDir,
}

impl Bench {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (s3, queues) = open_with_queues(dir.path());
        let client = serve(s3).await;
        Self {
            client,
            queues,
            _dir: dir,
        }
    }

    /// A queue that takes what this bucket sends.
    async fn queue(&self, bucket: &str) {
        let policy = json!({"Statement": {
            "Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"},
            "Action": "sqs:SendMessage", "Resource": ARN,
            "Condition": {
                "ArnLike": {"aws:SourceArn": format!("arn:aws:s3:::{bucket}")},
                "StringEquals": {"aws:SourceAccount": "123456789012"},
            },
        }});
        let input = json!({"QueueName": "events"});
        self.queues.call("CreateQueue", input).await.unwrap();
        let input = json!({
            "QueueUrl": "http://x/1/events", "Attributes": {"Policy": policy.to_string()},
        });
        self.queues.call("SetQueueAttributes", input).await.unwrap();
    }

    async fn configure(&self, rules: Vec<QueueConfiguration>) -> Result<(), String> {
        let configuration = NotificationConfiguration::builder();
        let configuration = configuration.set_queue_configurations(Some(rules)).build();
        let put = self
            .client
            .put_bucket_notification_configuration()
            .bucket("data");
        let put = put.notification_configuration(configuration).send().await;
        put.map(drop).map_err(|error| {
            let message = error.message().unwrap_or_default();
            format!("{}: {message}", error.code().unwrap_or_default())
        })
    }

    /// Everything that is in the queue.
    async fn told(&self) -> Vec<Value> {
        let mut told = Vec::new();
        loop {
            let input = json!({"QueueUrl": "http://x/1/events", "MaxNumberOfMessages": 10});
            let output = self.queues.call("ReceiveMessage", input).await.unwrap();
            let Some(messages) = output["Messages"].as_array() else {
                return told;
            };
            let bodies = messages
                .iter()
                .map(|message| message["Body"].as_str().unwrap());
            told.extend(bodies.map(|body| serde_json::from_str::<Value>(body).unwrap()));
        }
    }
}

fn rule(id: &str, events: &[&str], filter: &[(&str, &str)]) -> QueueConfiguration {
    let rules = filter.iter().map(|(name, value)| {
        let rule = FilterRule::builder().name(FilterRuleName::from(*name));
        rule.value(*value).build()
    });
    let key = S3KeyFilter::builder()
        .set_filter_rules(Some(rules.collect()))
        .build();
    let filter = NotificationConfigurationFilter::builder().key(key).build();
    let events = events.iter().map(|event| Event::from(*event)).collect();
    let rule = QueueConfiguration::builder().id(id).queue_arn(ARN);
    rule.set_events(Some(events))
        .filter(filter)
        .build()
        .unwrap()
}

#[tokio::test]
async fn events_are_told_as_aws_tells_them() {
    let bench = Bench::new().await;
    bench.queue("data").await;
    let all = ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"];
    let wanted = rule("mine", &all, &[("prefix", "in/"), ("suffix", ".csv")]);
    bench.configure(vec![wanted.clone()]).await.unwrap();
    let test = bench.told().await;
    assert_eq!(test.len(), 1);
    assert_eq!(
        (&test[0]["Service"], &test[0]["Event"], &test[0]["Bucket"]),
        (&json!("Amazon S3"), &json!("s3:TestEvent"), &json!("data"))
    );
    let get = bench
        .client
        .get_bucket_notification_configuration()
        .bucket("data");
    let shown = get.send().await.unwrap();
    assert_eq!(shown.queue_configurations(), [wanted]);

    let client = &bench.client;
    let put = |key: &str| {
        client
            .put_object()
            .bucket("data")
            .key(key)
            .body(body("1,2\n"))
    };
    put("in/a b+\u{e4}.csv").send().await.unwrap();
    put("in/a.json").send().await.unwrap();
    put("out/a.csv").send().await.unwrap();
    let copy = client.copy_object().bucket("data").key("in/a b+\u{e4}.csv");
    copy.copy_source("data/out/a.csv").send().await.unwrap();
    for key in ["in/a b+\u{e4}.csv", "in/never.csv"] {
        client
            .delete_object()
            .bucket("data")
            .key(key)
            .send()
            .await
            .unwrap();
    }
    let told = bench.told().await;
    let records: Vec<&Value> = told.iter().map(|one| &one["Records"][0]).collect();
    let names: Vec<&Value> = records.iter().map(|one| &one["eventName"]).collect();
    assert_eq!(
        names,
        [
            "ObjectCreated:Put",
            "ObjectCreated:Copy",
            "ObjectRemoved:Delete"
        ]
    );
    let mut sequencers = Vec::new();
    for record in &records {
        let object = &record["s3"]["object"];
        assert_eq!(object["key"], "in/a+b%2B%C3%A4.csv");
        assert_eq!(object.get("versionId"), None);
        assert_eq!(record["s3"]["configurationId"], "mine");
        assert_eq!(record["s3"]["bucket"]["arn"], "arn:aws:s3:::data");
        assert_eq!(record["eventVersion"], "2.1");
        assert_eq!(record["eventSource"], "aws:s3");
        assert_eq!(record["awsRegion"], "eu-west-1");
        sequencers.push(object["sequencer"].as_str().unwrap());
    }
    let put = &records[0]["s3"]["object"];
    assert_eq!(
        (&put["size"], &put["eTag"]),
        (&json!(4), &json!("3ecfad755fa825f7a17c5526ec44e651"))
    );
    assert_eq!(records[2]["s3"]["object"].get("eTag"), None);
    assert!(
        sequencers.is_sorted_by(|one, next| one < next),
        "{sequencers:?}"
    );
    assert!(
        sequencers
            .iter()
            .all(|one| one.chars().all(|c| c.is_ascii_hexdigit()))
    );

    bench.configure(vec![]).await.unwrap();
    bench
        .client
        .put_object()
        .bucket("data")
        .key("in/b.csv")
        .send()
        .await
        .unwrap();
    assert_eq!(bench.told().await, [json!(null); 0]);
}

#[tokio::test]
async fn a_queue_that_does_not_let_the_bucket_in_is_refused() {
    let bench = Bench::new().await;
    let put = || vec![rule("r", &["s3:ObjectCreated:Put"], &[])];
    let refusal = "InvalidArgument: Unable to validate the following destination configurations";
    assert_eq!(bench.configure(put()).await, Err(refusal.to_owned()));
    bench.queue("other").await;
    assert_eq!(bench.configure(put()).await, Err(refusal.to_owned()));
    bench.queue("data").await;
    assert_eq!(bench.configure(put()).await, Ok(()));
    assert_eq!(bench.told().await.len(), 1);
    // It is asked again at each event.
    bench.queue("other").await;
    bench
        .client
        .put_object()
        .bucket("data")
        .key("k")
        .send()
        .await
        .unwrap();
    assert_eq!(bench.told().await.len(), 0);
}

#[tokio::test]
async fn a_configuration_that_is_wrong_is_refused_by_name() {
    let bench = Bench::new().await;
    bench.queue("data").await;
    let created = ["s3:ObjectCreated:*"];
    let table = [
        (
            vec![rule("r", &["s3:ObjectRestore:Post"], &[])],
            "s3:ObjectRestore:Post",
        ),
        (
            vec![rule("r", &created, &[("middle", "x")])],
            "prefix or suffix",
        ),
        (
            vec![rule("r", &created, &[("prefix", "x"), ("prefix", "y")])],
            "more than one prefix",
        ),
        (
            vec![
                rule("r", &created, &[]),
                rule("s", &["s3:ObjectCreated:Put"], &[("prefix", "x")]),
            ],
            "ambiguously",
        ),
        (
            vec![
                rule("r", &created, &[("prefix", "x")]),
                rule("r", &created, &[("prefix", "y")]),
            ],
            "Same ID",
        ),
    ];
    for (rules, named) in table {
        let refused = bench.configure(rules).await.unwrap_err();
        assert!(refused.contains(named), "{refused}");
    }
    assert_eq!(bench.told().await.len(), 0);
}
