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
        let (files, executions, alarms) = (
            Files::of(&sources.s3),
            sources.executions(),
            sources.alarms(),
        );
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

impl Files {
    fn of(s3: &S3) -> Self {
        let mut files = Self::default();
        s3.each_key(|key| files.count(key));
        files
    }

    /// Takes a key into account, by the first of the folders that is in it.
    fn count(&mut self, key: &str) {
        let below = |folder: &str| key.starts_with(&folder[1..]) || key.contains(folder);
        if below("/incoming/") {
            self.incoming += 1;
        } else if below("/processed/") {
            self.processed += 1;
        } else if below("/failed/") {
            self.failed += 1;
        }
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

#[cfg(test)]
mod tests {
    use stepfleet_activity::SystemClock;

    use super::*;
    use crate::Context;
    use crate::sqs::Sqs;
    use crate::timers::Timers;

    #[tokio::test]
    async fn files_are_counted_over_all_buckets_by_their_folders() {
        let dir = tempfile::tempdir().expect("a folder");
        let context = Context {
            clock: Arc::new(SystemClock),
            account: "123456789012".to_owned(),
            region: "eu-west-1".to_owned(),
            base_url: String::new(),
            dir: dir.path().to_path_buf(),
            metric_resolution: Duration::from_secs(60),
            metric_delay: Duration::ZERO,
            timers: Timers::default(),
        };
        let queues = Arc::new(Sqs::new(context.clone()));
        let s3 = S3::open(&context, queues).expect("a store");
        assert_eq!(Files::of(&s3), Files::default());
        let keys = [
            ("one", "incoming/a"),
            ("one", "t/incoming/processed/a"),
            ("one", "t/processed/2026-11-21/b/a"),
            ("one", "incoming"),
            ("one", "not-incoming/a"),
            ("one", "t/manifests/failed.json"),
            ("two", "deep/er/incoming/a"),
            ("two", "failed/a"),
            ("two", "t/failed/"),
            ("two", "leases/t"),
        ];
        for bucket in ["one", "two", "empty"] {
            s3.create_bucket(bucket).expect("a bucket");
        }
        for (bucket, key) in keys {
            s3.put(bucket, key, b"").await.expect("an object");
        }
        let found = Files::of(&s3);
        let wanted = Files {
            incoming: 3,
            processed: 1,
            failed: 2,
        };
        assert_eq!(found, wanted);
    }
}
