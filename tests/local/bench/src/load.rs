//! The load: polls that stay open, and tasks that go through.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::client::{Client, Refused};

/// A run that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(600);
/// So many executions are started at a time.
const STARTERS: usize = 10;

/// A server with two activities: on one nothing but polls, on the other the tasks.
pub(crate) struct Load {
    address: String,
    idle: Value,
    busy: Value,
    machine: Value,
    /// Held open until the load is dropped.
    _polls: JoinSet<anyhow::Result<()>>,
}

// === impl Load ===

impl Load {
    pub(crate) async fn prepare(address: &str, polls: usize) -> anyhow::Result<Self> {
        let mut client = Client::connect(address).await?;
        let mut activities = Vec::new();
        for name in ["bench-idle", "bench-busy"] {
            let made = client.ok("CreateActivity", &json!({"name": name})).await?;
            activities.push(made["activityArn"].clone());
        }
        let [idle, busy] = <[Value; 2]>::try_from(activities).unwrap_or_default();
        let state = json!({"Type": "Task", "Resource": busy, "TimeoutSeconds": 300, "HeartbeatSeconds": 60, "End": true});
        let definition = json!({"StartAt": "Work", "States": {"Work": state}}).to_string();
        let create = json!({"name": "bench", "definition": definition, "roleArn": "arn:aws:iam::123456789012:role/r"});
        let made = client.ok("CreateStateMachine", &create).await?;
        let mut held = JoinSet::new();
        for _ in 0..polls {
            let mut client = Client::connect(address).await?;
            let poll = json!({"activityArn": idle});
            held.spawn(async move {
                loop {
                    client.ok("GetActivityTask", &poll).await?;
                }
            });
        }
        let load = Self {
            address: address.to_owned(),
            idle,
            busy,
            machine: made["stateMachineArn"].clone(),
            _polls: held,
        };
        load.still_open().await.context("before the run")?;
        Ok(load)
    }

    /// Where 1,000 are open, one more is refused: that proves them.
    pub(crate) async fn still_open(&self) -> anyhow::Result<()> {
        let poll = json!({"activityArn": self.idle});
        let mut client = Client::connect(&self.address).await?;
        let proven = timeout(Duration::from_secs(30), async {
            loop {
                let mut asked = Client::connect(&self.address).await?;
                let asked = asked.call("GetActivityTask", &poll);
                if let Ok(answer) = timeout(Duration::from_millis(200), asked).await {
                    return answer;
                }
                // That poll stays in the line, and is one of them now.
                client.ok("DescribeActivity", &poll).await?;
            }
        });
        match proven
            .await
            .context("the polls were never open at once")??
        {
            Err(Refused(why)) if why.contains("ActivityWorkerLimitExceeded") => Ok(()),
            other => anyhow::bail!("one poll more: {other:?}"),
        }
    }

    /// Sends so many tasks through, and says how many seconds that took.
    pub(crate) async fn run(&self, workers: usize, tasks: u64) -> anyhow::Result<f64> {
        let (started, done) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let mut set = JoinSet::new();
        let begin = Instant::now();
        for _ in 0..STARTERS {
            let client = Client::connect(&self.address).await?;
            set.spawn(start(
                client,
                self.machine.clone(),
                (Arc::clone(&started), tasks),
            ));
        }
        for _ in 0..workers {
            let client = Client::connect(&self.address).await?;
            set.spawn(work(client, self.busy.clone(), (Arc::clone(&done), tasks)));
        }
        let all = timeout(PATIENCE, async {
            while let Some(ended) = set.join_next().await {
                ended??;
                // Those workers that wait for a task that does not come need not end.
                if done.load(Ordering::Relaxed) >= tasks {
                    return anyhow::Ok(());
                }
            }
            Ok(())
        });
        all.await.context("the tasks did not get through")??;
        Ok(begin.elapsed().as_secs_f64())
    }
}

async fn start(
    mut client: Client,
    machine: Value,
    (started, tasks): (Arc<AtomicU64>, u64),
) -> anyhow::Result<()> {
    while started.fetch_add(1, Ordering::Relaxed) < tasks {
        let start =
            json!({"stateMachineArn": machine, "input": "{\"file\":\"in/2026/11/21/a.csv\"}"});
        client.ok("StartExecution", &start).await?;
    }
    Ok(())
}

async fn work(
    mut client: Client,
    activity: Value,
    (done, tasks): (Arc<AtomicU64>, u64),
) -> anyhow::Result<()> {
    let poll = json!({"activityArn": activity, "workerName": "bench"});
    while done.load(Ordering::Relaxed) < tasks {
        let task = client.ok("GetActivityTask", &poll).await?;
        let Some(token) = task["taskToken"].as_str() else {
            continue;
        };
        let success = json!({"taskToken": token, "output": "{\"rows\":1000}"});
        client.ok("SendTaskSuccess", &success).await?;
        done.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}
