//! Fills the status page: looks at every service once a second.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http_body_util::{BodyExt as _, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use stepfleet_activity::Clock;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::{ActivityRow, AlarmRow, Board, DecisionRow, DeploymentRow, Executions, Files, Sample};
use crate::cloudwatch::CloudWatch;
use crate::cluster::Cluster;
use crate::s3::S3;
use crate::sfn::StepFunctions;

/// How many decisions the page shows.
const DECISIONS: usize = 20;

/// What the sampler looks at.
#[derive(Debug, Clone)]
pub(crate) struct Sources {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) sfn: Arc<StepFunctions>,
    pub(crate) cloudwatch: Arc<CloudWatch>,
    pub(crate) s3: Arc<S3>,
    pub(crate) cluster: Arc<Cluster>,
    /// The Deployments whose replicas are shown.
    pub(crate) deployments: Vec<String>,
    /// Where an autoscaler says its decisions, once it is known.
    pub(crate) decisions_url: Arc<Mutex<Option<String>>>,
}

/// Samples once a second, for ever.
pub(crate) async fn run(sources: Sources, board: Board) {
    let client: Client<_, Empty<bytes::Bytes>> =
        Client::builder(TokioExecutor::new()).build(HttpConnector::new());
    let mut ticks = interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        board.push(sources.sample());
        let (files, executions, alarms) = (sources.files(), sources.executions(), sources.alarms());
        board.update(|status| {
            status.files = files;
            status.executions = executions;
            status.alarms = alarms;
            status.activities = sources.activities();
            status.deployments = sources.deployments();
        });
        let url = sources
            .decisions_url
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        // An autoscaler that does not answer leaves what it said last.
        if let Some(url) = url
            && let Some(decisions) = decisions(&client, &url).await
        {
            board.update(|status| status.decisions = decisions);
        }
    }
}

impl Sources {
    fn sample(&self) -> Sample {
        let activities = self.sfn.snapshot();
        let oldest = activities
            .iter()
            .filter_map(|activity| activity.oldest_wait)
            .max();
        Sample {
            at: self.clock.now(),
            waiting: activities.iter().map(|activity| activity.waiting).sum(),
            running: activities.iter().map(|activity| activity.running).sum(),
            polls: activities.iter().map(|activity| activity.pollers).sum(),
            oldest_wait: oldest.unwrap_or_default().as_secs_f64(),
            replicas: self
                .deployments
                .iter()
                .filter_map(|name| self.cluster.replicas(name))
                .map(|count| count as usize)
                .sum(),
            ready: self
                .cluster
                .pods()
                .iter()
                .filter(|pod| pod.ready && !pod.terminating)
                .count(),
        }
    }

    fn files(&self) -> Files {
        let mut files = Files::default();
        for bucket in self.s3.buckets() {
            for object in self.s3.list(&bucket, "") {
                let below = |folder: &str| {
                    object.key.starts_with(folder) || object.key.contains(&format!("/{folder}"))
                };
                if below("incoming/") {
                    files.incoming += 1;
                } else if below("processed/") {
                    files.processed += 1;
                } else if below("failed/") {
                    files.failed += 1;
                }
            }
        }
        files
    }

    fn executions(&self) -> Executions {
        let counts = self.sfn.execution_counts();
        Executions {
            running: counts.running,
            succeeded: counts.succeeded,
            failed: counts.failed + counts.timed_out + counts.aborted,
        }
    }

    fn activities(&self) -> Vec<ActivityRow> {
        let all = self.sfn.snapshot().into_iter();
        all.map(|activity| ActivityRow {
            name: activity.name,
            waiting: activity.waiting,
            running: activity.running,
            polls: activity.pollers,
            oldest_wait: activity.oldest_wait.unwrap_or_default().as_secs_f64(),
        })
        .collect()
    }

    fn deployments(&self) -> Vec<DeploymentRow> {
        let pods = self.cluster.pods();
        let ready = |name: &str| {
            let own = pods.iter().filter(|pod| pod.deployment == name);
            own.filter(|pod| pod.ready && !pod.terminating).count()
        };
        let known = self.deployments.iter();
        known
            .filter_map(|name| {
                Some(DeploymentRow {
                    name: name.clone(),
                    replicas: self.cluster.replicas(name)?,
                    ready: ready(name),
                })
            })
            .collect()
    }

    fn alarms(&self) -> Vec<AlarmRow> {
        let rows = self.cloudwatch.snapshot().into_iter();
        rows.map(|alarm| AlarmRow {
            name: alarm.name,
            state: alarm.state.as_str().to_owned(),
            since: alarm.since,
            reason: alarm.reason,
        })
        .collect()
    }
}

async fn decisions(
    client: &Client<HttpConnector, Empty<bytes::Bytes>>,
    url: &str,
) -> Option<Vec<DecisionRow>> {
    let response = timeout(Duration::from_millis(500), client.get(url.parse().ok()?))
        .await
        .ok()?
        .ok()?;
    let body = response.into_body().collect().await.ok()?.to_bytes();
    let mut rows: Vec<DecisionRow> = serde_json::from_slice(&body).ok()?;
    rows.sort_by_key(|row| std::cmp::Reverse(row.at));
    rows.truncate(DECISIONS);
    Some(rows)
}
