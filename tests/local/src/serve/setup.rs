//! Makes what a catalogue says: activities, topic, queues, alarms, Deployments.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};
use stepfleet_activity::Catalogue;
use stepfleet_activity::alarm::{self, AlarmSpec, Metric, Watched};
use stepfleet_activity::catalogue::{Delivery, Deployment};
use stepfleet_activity::signals::SignalPath;

use super::{Local, LocalOptions, StartError};
use crate::cluster::WorkerDeployment;

/// What a warehouse's secret says: the form that Redshift has, and no secret.
const WAREHOUSE_SECRET: &str = r#"{"username": "local", "password": "local"}"#;

/// Makes everything that the catalogue says; where AWS is another one, the Deployments alone.
pub(super) async fn make(
    local: &Local,
    catalogue: &Catalogue,
    options: &LocalOptions,
) -> Result<(), StartError> {
    if options.aws_endpoint.is_none() {
        aws(local, catalogue).await?;
    }
    match &local.workers.program {
        Some(program) => deployments(local, catalogue, (options, program)),
        None => Ok(()),
    }
}

/// Activities, secrets, the signals' path and alarms.
async fn aws(local: &Local, catalogue: &Catalogue) -> Result<(), StartError> {
    for activity in catalogue.activities.values() {
        let name = activity.arn.rsplit(':').next().unwrap_or_default();
        let made = local.sfn.call("CreateActivity", json!({"name": name}));
        made.await
            .map_err(StartError::setup(format!("activity {name}")))?;
    }
    for (name, warehouse) in &catalogue.warehouses {
        if let Some(arn) = &warehouse.secret {
            local
                .secrets
                .provide(arn, WAREHOUSE_SECRET)
                .map_err(StartError::setup(format!("secret of warehouse {name}")))?;
        }
    }
    let topic = signals(local, catalogue).await?;
    for activity in catalogue.activities.values() {
        for spec in alarm::alarms(catalogue, activity) {
            local
                .cloudwatch
                .call("PutMetricAlarm", put_alarm(&spec, &topic))
                .map_err(StartError::setup(format!("alarm {}", spec.name)))?;
        }
    }
    Ok(())
}

/// Topic, queue, dead-letter queue and subscription; gives the topic.
async fn signals(local: &Local, catalogue: &Catalogue) -> Result<String, StartError> {
    let path = SignalPath::of(catalogue);
    let name = path.name.as_str();
    let attributes = json!({"Policy": path.policy(), "RedrivePolicy": path.redrive_policy()});
    let queues = [(path.dead_name.as_str(), json!({})), (name, attributes)];
    for (queue, attributes) in queues {
        let body = json!({"QueueName": queue, "Attributes": attributes});
        let made = local.sqs.call("CreateQueue", body).await;
        made.map_err(StartError::setup(format!("queue {queue}")))?;
    }
    let raw = catalogue.signals.delivery == Delivery::Raw;
    let subscription = [
        ("TopicArn", path.topic.as_str()),
        ("Protocol", "sqs"),
        ("Endpoint", &path.queue),
        ("Attributes.entry.1.key", "RawMessageDelivery"),
        (
            "Attributes.entry.1.value",
            if raw { "true" } else { "false" },
        ),
    ];
    // AWS's default is version 1, over SHA-1.
    let topic_input = [
        ("Name", name),
        ("Attributes.entry.1.key", "SignatureVersion"),
        ("Attributes.entry.1.value", "2"),
    ];
    let calls: [(&str, &[(&str, &str)]); 2] =
        [("CreateTopic", &topic_input), ("Subscribe", &subscription)];
    for (action, fields) in calls {
        let form = fields
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect::<BTreeMap<_, _>>();
        let made = local.sns.call(action, form);
        made.map_err(StartError::setup(format!("topic {name}")))?;
    }
    Ok(path.topic)
}

fn put_alarm(spec: &AlarmSpec, topic: &str) -> Value {
    let period = spec.period.as_secs();
    let mut body = json!({
        "AlarmName": spec.name,
        "ActionsEnabled": true,
        "AlarmActions": [topic],
        "OKActions": [topic],
        "EvaluationPeriods": spec.evaluation_periods,
        "DatapointsToAlarm": spec.datapoints_to_alarm,
        "Threshold": spec.threshold,
        "ComparisonOperator": spec.comparison.as_str(),
        "TreatMissingData": spec.missing.as_str(),
    });
    match &spec.watched {
        Watched::Metric(watched) => {
            for (name, value) in metric(watched) {
                body[name] = value;
            }
            body["Statistic"] = json!(watched.statistic);
            body["Period"] = json!(period);
        }
        Watched::Math {
            metrics,
            expression,
        } => {
            let stats = metrics.iter().map(|(id, watched)| {
                let metric: serde_json::Map<_, _> = metric(watched).into_iter().collect();
                json!({
                    "Id": id,
                    "MetricStat": {
                        "Metric": metric, "Period": period, "Stat": watched.statistic,
                    },
                    "ReturnData": false,
                })
            });
            let sum = json!({
                "Id": "value", "Expression": expression, "Period": period, "ReturnData": true,
            });
            body["Metrics"] = stats.chain([sum]).collect();
        }
    }
    body
}

fn metric(watched: &Metric) -> [(String, Value); 3] {
    let dimension = json!([{"Name": alarm::DIMENSION, "Value": watched.activity_arn}]);
    [
        ("Namespace".to_owned(), json!(alarm::NAMESPACE)),
        ("MetricName".to_owned(), json!(watched.name)),
        ("Dimensions".to_owned(), dimension),
    ]
}

fn deployments(
    local: &Local,
    catalogue: &Catalogue,
    (options, worker): (&LocalOptions, &Path),
) -> Result<(), StartError> {
    let mut files = Vec::new();
    for path in &local.workers.catalogues {
        files.extend(["--catalogue".to_owned(), path.display().to_string()]);
    }
    for deployment in catalogue.deployments.values() {
        let mut args = files.clone();
        if options.allow_short_periods {
            args.push("--allow-short-periods".to_owned());
        }
        for name in activities(catalogue, deployment) {
            args.extend(["--activity".to_owned(), name.to_owned()]);
        }
        args.extend([
            "--listen".to_owned(),
            "127.0.0.1:$(STEPFLEET_PORT)".to_owned(),
        ]);
        let workers = WorkerDeployment {
            name: deployment.name.clone(),
            command: vec![worker.display().to_string()],
            args,
            replicas: deployment.replicas.min,
            grace: deployment.drain.as_secs(),
            readiness: Some("/readyz".to_owned()),
            ..WorkerDeployment::default()
        };
        let made = local.cluster.apply_deployment(&workers);
        made.map_err(|message| StartError::Setup {
            what: format!("Deployment {}", deployment.name),
            message,
        })?;
    }
    Ok(())
}

fn activities<'a>(
    catalogue: &'a Catalogue,
    deployment: &'a Deployment,
) -> impl Iterator<Item = &'a str> {
    let all = catalogue.activities.values();
    all.filter(|activity| activity.deployment == deployment.name)
        .map(|activity| activity.name.as_str())
}
