//! How signals are delivered, as the catalogue says.

use std::fs;
use std::path::Path;
use std::time::Duration;

use stepfleet_local::serve::{Local, LocalOptions, WarehouseOption};

use crate::aws;

const TOPIC: &str = "arn:aws:sns:eu-west-1:123456789012:demo-signals";

/// The example, delivered in another form.
fn with(options: &mut LocalOptions, folder: &Path, delivery: &str) {
    let overlay = folder.join("delivery.yaml");
    fs::write(&overlay, format!("signals: {{delivery: {delivery}}}\n")).unwrap();
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fleet.yaml");
    options.catalogues = vec![example, overlay];
    options.allow_short_periods = true;
    options.metric_resolution = Duration::from_secs(10);
    options.deployments = false;
}

#[tokio::test]
async fn a_topic_delivers_in_the_form_that_the_catalogue_names() {
    for (delivery, raw) in [("sns", "false"), ("raw", "true")] {
        let folder = tempfile::tempdir().unwrap();
        let aws = aws::start(|options| with(options, folder.path(), delivery)).await;
        let sns = aws_sdk_sns::Client::new(&aws.config);
        let listed = sns.list_subscriptions_by_topic().topic_arn(TOPIC);
        let listed = listed.send().await.unwrap();
        let [subscription] = listed.subscriptions() else {
            panic!("one: {listed:?}");
        };
        let about = sns.get_subscription_attributes();
        let about = about.subscription_arn(subscription.subscription_arn().unwrap());
        let about = about.send().await.unwrap();
        let said = about.attributes().unwrap()["RawMessageDelivery"].as_str();
        assert_eq!(said, raw, "{delivery}");

        // So it comes: CloudWatch's words alone, or in the envelope.
        sns.publish()
            .topic_arn(TOPIC)
            .message("{\"AlarmName\":\"x\"}")
            .send()
            .await
            .unwrap();
        let sqs = aws_sdk_sqs::Client::new(&aws.config);
        let queue = sqs.get_queue_url().queue_name("demo-signals").send().await;
        let queue = queue.unwrap().queue_url.unwrap();
        let received = sqs.receive_message().queue_url(queue).wait_time_seconds(5);
        let received = received.send().await.unwrap();
        let body = received.messages()[0].body().unwrap();
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(body.get("AlarmName").is_some(), raw == "true", "{body}");
        assert_eq!(body.get("Signature").is_some(), raw == "false", "{body}");
        aws.local.stop().await;
    }
}

#[tokio::test]
async fn what_this_aws_does_not_deliver_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = LocalOptions::new(folder.path().join("run"));
    options.warehouse = WarehouseOption::None;
    with(&mut options, folder.path(), "eventbridge");
    let error = Local::start(options).await.err().unwrap();
    assert!(error.is_usage(), "{error}");
    let said = error.to_string();
    for part in ["signals.delivery", "`eventbridge`", "`sns` and `raw`"] {
        assert!(said.contains(part), "{said}");
    }
}
