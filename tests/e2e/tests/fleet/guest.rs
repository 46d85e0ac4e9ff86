//! A fleet on an AWS that is there already: what follows from its catalogue is
//! made over the SDKs, named by the fleet, and removed when the scenario has passed.

use std::path::Path;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_cloudwatch::operation::put_metric_alarm::builders::PutMetricAlarmFluentBuilder;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{Dimension, Metric, MetricDataQuery, MetricStat, Statistic};
use aws_sdk_sqs::types::QueueAttributeName;
use stepfleet_activity::alarm::{self, AlarmSpec, Watched};
use stepfleet_activity::catalogue::{self, ReadOptions};
use stepfleet_activity::signals::SignalPath;
use stepfleet_activity::{Catalogue, Clock as _, SystemClock};

use super::{Fleet, Plan, SIGNALLED, platform};
use crate::process::Server;
use crate::world::config;

/// AWS has no shorter datapoints.
const MINUTE: Duration = Duration::from_secs(60);
/// What to do about an endpoint that has none either.
const SHORT: &str = "this scenario needs datapoints of 10 s, soon after their end: \
    start the endpoint with --metric-resolution 10s --metric-delay 2s";

/// What a fleet has on an AWS that is not its own.
pub(super) struct Guest {
    catalogue: Catalogue,
    path: SignalPath,
    cloudwatch: aws_sdk_cloudwatch::Client,
    sfn: aws_sdk_sfn::Client,
    sns: aws_sdk_sns::Client,
    sqs: aws_sdk_sqs::Client,
}

impl Guest {
    /// Makes the activities, the signals' path and the alarms of a catalogue.
    pub(super) async fn start(catalogue: &Path, aws: &SdkConfig) -> Self {
        let options = ReadOptions {
            allow_short_periods: true,
        };
        let catalogue = catalogue::read(catalogue, &options).expect("a catalogue");
        let guest = Self {
            path: SignalPath::of(&catalogue),
            catalogue,
            cloudwatch: aws_sdk_cloudwatch::Client::new(aws),
            sfn: aws_sdk_sfn::Client::new(aws),
            sns: aws_sdk_sns::Client::new(aws),
            sqs: aws_sdk_sqs::Client::new(aws),
        };
        for activity in guest.catalogue.activities.values() {
            let name = activity.arn.rsplit(':').next().expect("a name");
            let made = guest.sfn.create_activity().name(name).send().await;
            let made = made.expect("an activity").activity_arn;
            assert_eq!(made, activity.arn, "not the account that the endpoint has");
        }
        guest.make_path().await;
        for spec in guest.alarms() {
            guest.make_alarm(&spec).await;
        }
        guest
    }

    fn alarms(&self) -> Vec<AlarmSpec> {
        let activities = self.catalogue.activities.values();
        let alarms = activities.flat_map(|activity| alarm::alarms(&self.catalogue, activity));
        alarms.collect()
    }

    async fn make_path(&self) {
        let path = &self.path;
        // AWS's default is version 1, over SHA-1.
        let topic = self.sns.create_topic().name(&path.name);
        let topic = topic.attributes("SignatureVersion", "2").send().await;
        topic.expect("a topic");
        let dead = self.sqs.create_queue().queue_name(&path.dead_name);
        dead.send().await.expect("a dead-letter queue");
        let queue = (self.sqs.create_queue())
            .queue_name(&path.name)
            .attributes(QueueAttributeName::Policy, path.policy())
            .attributes(QueueAttributeName::RedrivePolicy, path.redrive_policy());
        queue.send().await.expect("a queue");
        let subscribe = self.sns.subscribe().topic_arn(&path.topic);
        let subscribe = subscribe.protocol("sqs").endpoint(&path.queue);
        subscribe.send().await.expect("a subscription");
    }

    async fn make_alarm(&self, spec: &AlarmSpec) {
        let put = (self.cloudwatch.put_metric_alarm())
            .alarm_name(&spec.name)
            .alarm_actions(&self.path.topic)
            .ok_actions(&self.path.topic)
            .evaluation_periods(number(spec.evaluation_periods))
            .datapoints_to_alarm(number(spec.datapoints_to_alarm))
            .threshold(spec.threshold)
            .comparison_operator(spec.comparison.as_str().into())
            .treat_missing_data(spec.missing.as_str());
        let put = watching(put, spec).send().await;
        let hint = match spec.period < MINUTE {
            true => SHORT,
            false => "",
        };
        put.unwrap_or_else(|error| panic!("alarm {}: {error:?}\n{hint}", spec.name));
    }

    /// Fails where the datapoints of this AWS are too long for the catalogue, when
    /// tasks have come for four periods.
    pub(super) async fn assert_short_periods(&self) {
        let period = self.catalogue.signals.period;
        let now = SystemClock.now().as_second();
        let span = 4 * i64::try_from(period.as_secs()).expect("short");
        let mut seen = 0;
        for activity in self.catalogue.activities.values() {
            let asked = (self.cloudwatch.get_metric_statistics())
                .namespace(alarm::NAMESPACE)
                .metric_name("ActivitiesScheduled")
                .dimensions(dimension(&activity.arn))
                .statistics(Statistic::Sum)
                .period(seconds(period))
                .start_time(DateTime::from_secs(now - span - 60))
                .end_time(DateTime::from_secs(now));
            let answer = asked.send().await.unwrap_or_else(|error| {
                panic!("{error:?}\n{SHORT}");
            });
            seen += answer.datapoints().len();
        }
        assert!(seen > 1, "{seen} datapoints: {SHORT}");
    }

    /// Removes all that there is under the fleet's name, but for bucket and tables.
    pub(super) async fn end(&self) {
        let names = self.alarms().into_iter().map(|spec| spec.name);
        let alarms = self.cloudwatch.delete_alarms();
        let gone = alarms.set_alarm_names(Some(names.collect())).send().await;
        gone.expect("the alarms are deleted");
        let subscriptions = self.sns.list_subscriptions_by_topic();
        let listed = subscriptions.topic_arn(&self.path.topic).send().await;
        for subscription in listed.expect("subscriptions").subscriptions() {
            let gone = self.sns.unsubscribe();
            let gone = gone.set_subscription_arn(subscription.subscription_arn.clone());
            gone.send().await.expect("unsubscribed");
        }
        let topic = self.sns.delete_topic().topic_arn(&self.path.topic);
        topic.send().await.expect("the topic is deleted");
        for name in [&self.path.name, &self.path.dead_name] {
            let url = self.sqs.get_queue_url().queue_name(name).send().await;
            let queue = self.sqs.delete_queue();
            let queue = queue.set_queue_url(url.expect("a queue").queue_url);
            queue.send().await.expect("the queue is deleted");
        }
        for activity in self.catalogue.activities.values() {
            // Not all fleets have state machines: one that is not there is deleted too.
            let machine = activity.arn.replace(":activity:", ":stateMachine:");
            let machine = self.sfn.delete_state_machine().state_machine_arn(machine);
            machine.send().await.expect("the state machine is deleted");
            let gone = self.sfn.delete_activity().activity_arn(&activity.arn);
            gone.send().await.expect("the activity is deleted");
        }
    }
}

fn watching(put: PutMetricAlarmFluentBuilder, spec: &AlarmSpec) -> PutMetricAlarmFluentBuilder {
    let period = seconds(spec.period);
    match &spec.watched {
        Watched::Metric(watched) => put
            .namespace(alarm::NAMESPACE)
            .metric_name(watched.name)
            .dimensions(dimension(&watched.activity_arn))
            .statistic(watched.statistic.into())
            .period(period),
        Watched::Math {
            metrics,
            expression,
        } => {
            let metrics = metrics.iter().map(|(id, watched)| {
                let metric = Metric::builder()
                    .namespace(alarm::NAMESPACE)
                    .metric_name(watched.name)
                    .dimensions(dimension(&watched.activity_arn));
                let stat = MetricStat::builder()
                    .metric(metric.build())
                    .period(period)
                    .stat(watched.statistic);
                let query = MetricDataQuery::builder().id(*id).return_data(false);
                query.metric_stat(stat.build()).build()
            });
            let value = MetricDataQuery::builder().id("value").return_data(true);
            let value = value.expression(expression).period(period).build();
            put.set_metrics(Some(metrics.chain([value]).collect()))
        }
    }
}

fn dimension(activity: &str) -> Dimension {
    let dimension = Dimension::builder().name(alarm::DIMENSION);
    dimension.value(activity).build()
}

fn seconds(span: Duration) -> i32 {
    i32::try_from(span.as_secs()).expect("short")
}

fn number(count: u32) -> i32 {
    i32::try_from(count).expect("few")
}

/// Nothing of the fleet is there before, all works, and nothing of it is left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_is_a_guest_on_an_aws_that_is_there_already() {
    let dir = tempfile::tempdir().expect("a folder");
    let listen = format!("{}:0", platform::host());
    let args = ["--no-warehouse", "--listen", &listen];
    let server = Server::start(dir.path(), &args).await;
    let endpoint = &server.environment["AWS_ENDPOINT_URL"];
    let plan = Plan::of_steps(("10s", "20s"), 1);
    let fleet = Fleet::start_at(Some(endpoint), "guest", &plan).await;
    let series = fleet.series();
    fleet.breach().await;
    let stepped = series.until(SIGNALLED, |replicas| replicas == 2).await;
    assert!(stepped.is_some(), "no step:\n{}", fleet.said().await);
    fleet.end().await;

    let aws = config(endpoint).await;
    let alarms = aws_sdk_cloudwatch::Client::new(&aws).describe_alarms();
    let alarms = alarms.send().await.expect("alarms");
    assert!(alarms.metric_alarms().is_empty(), "{alarms:?}");
    let sns = aws_sdk_sns::Client::new(&aws);
    let topics = sns.list_topics().send().await.expect("topics");
    assert!(topics.topics().is_empty(), "{topics:?}");
    let subscriptions = sns.list_subscriptions().send().await;
    let subscriptions = subscriptions.expect("subscriptions");
    assert!(
        subscriptions.subscriptions().is_empty(),
        "{subscriptions:?}"
    );
    let queues = aws_sdk_sqs::Client::new(&aws).list_queues();
    let queues = queues.send().await.expect("queues");
    assert!(queues.queue_urls().is_empty(), "{queues:?}");
    let activities = aws_sdk_sfn::Client::new(&aws).list_activities();
    let activities = activities.send().await.expect("activities");
    assert!(activities.activities().is_empty(), "{activities:?}");
}
