//! The way of a signal with the real clients: alarm, topic, queue.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{
    ComparisonOperator, Metric, MetricDataQuery, MetricDatum, MetricStat, StateValue, Statistic,
};
use aws_sdk_sqs::config::Credentials;
use aws_sdk_sqs::types::QueueAttributeName;
use stepfleet_activity::SystemClock;
use stepfleet_local::Context;
use stepfleet_local::cloudwatch::{ActionSink, CloudWatch};
use stepfleet_local::faults::Faults;
use stepfleet_local::secrets::Secrets;
use stepfleet_local::server::{Absent, Services, router};
use stepfleet_local::sfn::{MetricSink, StepFunctions};
use stepfleet_local::sns::Sns;
use stepfleet_local::sqs::Sqs;

/// Serves on a free port and says how to reach it.
async fn serve() -> SdkConfig {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}", listener.local_addr().unwrap());
    let context = Context {
        clock: Arc::new(SystemClock),
        account: "123456789012".to_owned(),
        region: "eu-west-1".to_owned(),
        base_url: base_url.clone(),
        dir: PathBuf::new(),
        metric_resolution: Duration::from_secs(60),
        metric_delay: Duration::ZERO,
        timers: stepfleet_local::timers::Timers::default(),
    };
    let sqs = Arc::new(Sqs::new(context.clone()));
    let sns = Arc::new(Sns::new(context.clone(), Arc::clone(&sqs)).unwrap());
    let sink: Arc<dyn ActionSink> = Arc::clone(&sns) as Arc<dyn ActionSink>;
    let cloudwatch = Arc::new(CloudWatch::new(context.clone(), sink));
    let metrics: Arc<dyn MetricSink> = Arc::clone(&cloudwatch) as Arc<dyn MetricSink>;
    let services = Services {
        sfn: StepFunctions::new(context.clone(), metrics),
        s3: Arc::new(Absent("S3")),
        redshift: Arc::new(Absent("Redshift Data")),
        secrets: Arc::new(Secrets::new(context.clone())),
        faults: Faults::default(),
        context,
        cloudwatch,
        sns,
        sqs,
    };
    tokio::spawn(async move { axum::serve(listener, router(services)).await });
    aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .endpoint_url(base_url)
        .credentials_provider(Credentials::new("any", "any", None, None, "test"))
        .load()
        .await
}

#[tokio::test]
async fn an_alarm_reaches_the_queue_and_is_deleted() {
    let config = serve().await;
    let cloudwatch = aws_sdk_cloudwatch::Client::new(&config);
    let sns = aws_sdk_sns::Client::new(&config);
    let sqs = aws_sdk_sqs::Client::new(&config);

    let missing = sqs.get_queue_url().queue_name("no").send().await;
    assert!(
        missing
            .unwrap_err()
            .into_service_error()
            .is_queue_does_not_exist()
    );
    let queue = sqs
        .create_queue()
        .queue_name("demo-signals")
        .attributes(
            QueueAttributeName::Policy,
            crate::aws::open_policy("sns.amazonaws.com"),
        )
        .send()
        .await
        .unwrap();
    let queue = queue.queue_url().unwrap();
    let topic = sns
        .create_topic()
        .name("demo-signals")
        .send()
        .await
        .unwrap();
    let topic = topic.topic_arn().unwrap();
    let subscribe = sns.subscribe().topic_arn(topic).protocol("sqs");
    let arn = "arn:aws:sqs:eu-west-1:123456789012:demo-signals";
    subscribe.endpoint(arn).send().await.unwrap();

    let alarm = cloudwatch.put_metric_alarm().alarm_name("demo-a-out");
    let alarm = alarm
        .namespace("AWS/States")
        .metric_name("ActivityScheduleTime");
    let alarm = alarm
        .statistic(Statistic::Average)
        .period(60)
        .threshold(60.0);
    let alarm = alarm.comparison_operator(ComparisonOperator::GreaterThanThreshold);
    alarm
        .evaluation_periods(3)
        .alarm_actions(topic)
        .send()
        .await
        .unwrap();
    let set = cloudwatch.set_alarm_state().alarm_name("demo-a-out");
    let set = set
        .state_value(StateValue::Alarm)
        .state_reason("a <test> & more");
    set.send().await.unwrap();

    let alarms = cloudwatch.describe_alarms().send().await.unwrap();
    let alarm = &alarms.metric_alarms()[0];
    assert_eq!(alarm.state_value(), Some(&StateValue::Alarm));
    assert_eq!(alarm.threshold(), Some(60.0));
    assert!(alarm.state_updated_timestamp().is_some());

    let receive = sqs.receive_message().queue_url(queue).wait_time_seconds(5);
    let received = receive.send().await.unwrap();
    let message = &received.messages()[0];
    let envelope: serde_json::Value = serde_json::from_str(message.body().unwrap()).unwrap();
    let alarm: serde_json::Value =
        serde_json::from_str(envelope["Message"].as_str().unwrap()).unwrap();
    assert_eq!(alarm["NewStateReason"], "a <test> & more");
    assert_eq!(alarm["Region"], "EU (Ireland)");
    let delete = sqs.delete_message().queue_url(queue);
    let delete = delete.receipt_handle(message.receipt_handle().unwrap());
    delete.send().await.unwrap();
    let attributes = sqs.get_queue_attributes().queue_url(queue);
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
async fn metric_data_and_math_over_it() {
    let config = serve().await;
    let cloudwatch = aws_sdk_cloudwatch::Client::new(&config);
    let at = DateTime::from_secs(1_700_000_040);
    for value in [3.0, 4.5] {
        let datum = MetricDatum::builder().metric_name("waiting").value(value);
        let put = cloudwatch.put_metric_data().namespace("stepfleet");
        put.metric_data(datum.timestamp(at).build())
            .send()
            .await
            .unwrap();
    }
    let metric = Metric::builder()
        .namespace("stepfleet")
        .metric_name("waiting");
    let stat = MetricStat::builder()
        .metric(metric.build())
        .period(60)
        .stat("Sum");
    let waiting = MetricDataQuery::builder()
        .id("waiting")
        .metric_stat(stat.build());
    let double = MetricDataQuery::builder()
        .id("double")
        .expression("FILL(waiting, 1) * 2");
    let output = cloudwatch
        .get_metric_data()
        .start_time(DateTime::from_secs(1_700_000_040))
        .end_time(DateTime::from_secs(1_700_000_160))
        .metric_data_queries(waiting.return_data(false).build())
        .metric_data_queries(double.build())
        .send()
        .await
        .unwrap();
    let [result] = output.metric_data_results() else {
        panic!("one result: {output:?}");
    };
    assert_eq!(result.values(), [2.0, 15.0]);
    assert_eq!(result.timestamps()[1], at);
}

/// What the SDK reads of statistics, lists, histories and tags.
#[tokio::test]
async fn what_is_told_of_metrics_and_alarms_is_read_by_the_client() {
    let config = serve().await;
    let cloudwatch = aws_sdk_cloudwatch::Client::new(&config);
    let at = DateTime::from_secs(1_700_000_040);
    let datum = MetricDatum::builder().metric_name("m").timestamp(at);
    let datum = datum.set_values(Some(vec![1.0, 2.0, 3.0])).build();
    let put = cloudwatch.put_metric_data().namespace("n");
    put.metric_data(datum).send().await.unwrap();
    let statistics = cloudwatch.get_metric_statistics().namespace("n");
    let statistics = statistics.metric_name("m").period(60);
    let statistics = statistics.statistics(Statistic::Sum);
    let statistics = statistics.extended_statistics("p50");
    let statistics = statistics.start_time(at);
    let told = statistics.end_time(DateTime::from_secs(1_700_000_100));
    let told = told.send().await.unwrap();
    let [point] = told.datapoints() else {
        panic!("one point: {told:?}");
    };
    assert_eq!((point.timestamp(), point.sum()), (Some(&at), Some(6.0)));
    assert_eq!(point.extended_statistics().unwrap()["p50"], 2.0);
    let metrics = cloudwatch.list_metrics().send().await.unwrap();
    assert_eq!(metrics.metrics()[0].metric_name(), Some("m"));

    let alarm = cloudwatch.put_metric_alarm().alarm_name("a").namespace("n");
    let alarm = alarm
        .metric_name("m")
        .extended_statistic("p99.5")
        .period(60);
    let alarm = alarm.threshold(2.5).evaluation_periods(1);
    let alarm = alarm.comparison_operator(ComparisonOperator::GreaterThanThreshold);
    alarm.send().await.unwrap();
    let found = cloudwatch.describe_alarms_for_metric().namespace("n");
    let found = found.metric_name("m").send().await.unwrap();
    let alarm = &found.metric_alarms()[0];
    assert_eq!(alarm.extended_statistic(), Some("p99.5"));
    let history = cloudwatch.describe_alarm_history().send().await.unwrap();
    let [made] = history.alarm_history_items() else {
        panic!("one item: {history:?}");
    };
    assert_eq!(made.history_summary(), Some("Alarm \"a\" created"));
    assert!(made.timestamp().unwrap().secs() > 1_700_000_000);
    let tag = aws_sdk_cloudwatch::types::Tag::builder()
        .key("k")
        .value("v");
    let arn = alarm.alarm_arn().unwrap();
    let put = cloudwatch.tag_resource().resource_arn(arn);
    put.tags(tag.build()).send().await.unwrap();
    let tags = cloudwatch.list_tags_for_resource().resource_arn(arn);
    assert_eq!(tags.send().await.unwrap().tags()[0].value(), Some("v"));
    let composite = cloudwatch
        .put_composite_alarm()
        .alarm_name("c")
        .alarm_rule("ALARM(a)");
    let (_, message) = crate::aws::refused(composite.send().await);
    assert!(message.contains("PutCompositeAlarm"), "{message}");
}
