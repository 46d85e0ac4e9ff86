//! The loop under paused time, over a world that writes down what is asked of it.

mod cycles;
mod flood;
mod readiness;
mod signals;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use stepfleet_activity::catalogue::ReadOptions;
use stepfleet_activity::{Catalogue, Clock};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use crate::config::Config;
use crate::decision::tests::at;
use crate::decision::{Action, Seen};
use crate::http::{Part, Shared};
use crate::lease::{Fence, LeaseState};
use crate::metrics::Metrics;
use crate::poller::{Poller, RECEIVES};
use crate::queue::{Message, Queue, QueueError};
use crate::record::{AlarmRecord, Level};
use crate::run::{Loop, State};
use crate::scale::{Cluster, ClusterError, Versioned};
use crate::sns::Verifier;
use crate::sns::tests::{Table, genuine};
use crate::watch::{Page, Watch, WatchError};

const START: i64 = 1_767_268_800;
const TICK: Duration = Duration::from_secs(15);
const CATALOGUE: &str = r#"
version: 1
fleet: demo
aws: {account: "123456789012", region: eu-west-1}
signals: {max_age: 15m, period: 60s, delivery: raw}
deployments:
  s3-load: {replicas: {min: 1, max: 20}}
activities:
  s3-load: {handler: etl.s3-load, deployment: s3-load}
"#;

/// The outside: a cluster, a queue, CloudWatch and the clock.
struct World {
    start: Instant,
    arrived: Notify,
    inner: Mutex<Inner>,
    sns: Arc<Table>,
}

#[derive(Default)]
struct Inner {
    /// Seconds since the start, and what was asked.
    log: Vec<(u64, String)>,
    replicas: u32,
    record: Option<(String, u64)>,
    /// Whether the cluster's API fails.
    broken: bool,
    /// How long a write of the record takes.
    slow: Duration,
    polls: VecDeque<Result<Vec<Message>, QueueError>>,
    /// How long an answer of the queue takes.
    latency: Duration,
    /// Comes with the first receive after that time.
    due: VecDeque<(Duration, Message)>,
    /// How long an answer of CloudWatch, and a deletion, take.
    answers: Duration,
    /// When a step was taken.
    stepped: Vec<Duration>,
    /// Whether signatures are not required.
    lax: bool,
    /// When `DescribeAlarms` was called.
    described: Vec<Instant>,
    /// What `DescribeAlarms` says; it fails where there is nothing.
    alarms: Option<BTreeMap<String, AlarmRecord>>,
}

impl World {
    fn new() -> Arc<Self> {
        let levels = ["out", "in", "starved"].map(|role| level(role, Level::Ok, -600));
        Arc::new(Self {
            start: Instant::now(),
            arrived: Notify::new(),
            inner: Mutex::new(Inner {
                replicas: 4,
                alarms: Some(levels.into()),
                ..Inner::default()
            }),
            sns: Arc::default(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("a lock")
    }

    fn log(&self, what: impl Into<String>) {
        let second = self.start.elapsed().as_secs();
        self.lock().log.push((second, what.into()));
    }

    /// The seconds at which something was asked.
    fn times(&self, what: &str) -> Vec<u64> {
        let inner = self.lock();
        let matching = inner
            .log
            .iter()
            .filter(|(_, asked)| asked.starts_with(what));
        matching.map(|(second, _)| *second).collect()
    }

    /// What was asked in one second.
    fn asked_at(&self, second: u64) -> Vec<String> {
        let inner = self.lock();
        let matching = inner.log.iter().filter(|(at, _)| *at == second);
        matching.map(|(_, asked)| asked.clone()).collect()
    }

    fn send(&self, messages: Vec<Message>) {
        self.lock().polls.push_back(Ok(messages));
        self.arrived.notify_one();
    }

    /// CloudWatch says this of an alarm from now on.
    fn say(&self, role: &str, level: Level, second: i64) {
        let said = self::level(role, level, second);
        if let Some(alarms) = &mut self.lock().alarms {
            alarms.extend([said]);
        }
    }

    /// An alarm changes, and its signal comes.
    fn change(&self, receipt: &str, state: &str, second: i64) {
        let level = match state {
            "ALARM" => Level::Alarm,
            _ => Level::Ok,
        };
        self.say("out", level, second);
        self.send(vec![message(receipt, "demo-s3-load-out", state, second)]);
    }

    /// The wait is too long, and the signal of that comes.
    fn breach(&self, receipt: &str, second: i64) {
        self.change(receipt, "ALARM", second);
    }

    /// The level of the alarm in the record.
    fn recorded(&self, role: &str) -> Option<AlarmRecord> {
        let inner = self.lock();
        let (text, _) = inner.record.as_ref()?;
        let record = crate::record::Record::from_json(text).expect("ours");
        record.alarms.get(&format!("demo-s3-load-{role}")).copied()
    }

    /// Lets time pass until so many seconds after the start, and what is due happen.
    async fn until(&self, second: u64) {
        sleep_until(self.start + Duration::from_secs(second) + Duration::from_millis(500)).await;
    }

    fn call(&self, what: &str) -> Result<(), ClusterError> {
        self.log(what);
        if self.lock().broken {
            return Err(ClusterError::Unavailable("broken".to_owned()));
        }
        Ok(())
    }
}

fn level(role: &str, level: Level, second: i64) -> (String, AlarmRecord) {
    let since = at(START + second);
    (format!("demo-s3-load-{role}"), AlarmRecord { level, since })
}

impl std::fmt::Debug for World {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("World")
    }
}

impl Clock for World {
    fn now(&self) -> Timestamp {
        let elapsed = SignedDuration::try_from(self.start.elapsed()).expect("short");
        at(START) + elapsed
    }
}

impl Cluster for World {
    async fn scale(&self, _: &str) -> Result<Versioned<u32>, ClusterError> {
        self.call("observe")?;
        let value = self.lock().replicas;
        let version = value.to_string();
        Ok(Versioned { value, version })
    }

    async fn set_scale(&self, _: &str, scale: Versioned<u32>) -> Result<(), ClusterError> {
        self.call(&format!("scale to {}", scale.value))?;
        let now = self.start.elapsed();
        let mut inner = self.lock();
        inner.replicas = scale.value;
        inner.stepped.push(now);
        Ok(())
    }

    async fn record(&self, _: &str) -> Result<Option<Versioned<Option<String>>>, ClusterError> {
        let stored = self.lock().record.clone();
        Ok(stored.map(|(value, version)| Versioned {
            value: Some(value),
            version: version.to_string(),
        }))
    }

    async fn put_record(
        &self,
        _: &str,
        text: String,
        _: Option<String>,
    ) -> Result<String, ClusterError> {
        self.call("record")?;
        let slow = self.lock().slow;
        sleep_until(Instant::now() + slow).await;
        let mut inner = self.lock();
        let version = inner.record.as_ref().map_or(1, |(_, version)| version + 1);
        inner.record = Some((text, version));
        Ok(version.to_string())
    }

    async fn autoscaled(&self) -> Result<Vec<String>, ClusterError> {
        Ok(Vec::new())
    }

    async fn event(&self, _: &str, _: &Action, _: Timestamp) -> Result<(), ClusterError> {
        self.call("event")
    }

    async fn lease(&self, _: &str) -> Result<Option<Versioned<LeaseState>>, ClusterError> {
        Ok(None)
    }

    async fn put_lease(
        &self,
        _: &str,
        _: LeaseState,
        _: Option<String>,
    ) -> Result<(), ClusterError> {
        Ok(())
    }
}

impl Queue for World {
    async fn receive(&self, wait: Duration) -> Result<Vec<Message>, QueueError> {
        self.log(format!("poll for {} s", wait.as_secs()));
        let poll = async {
            loop {
                let poll = self.lock().polls.pop_front();
                if let Some(poll) = poll {
                    return poll;
                }
                self.arrived.notified().await;
            }
        };
        let Ok(mut poll) = tokio::time::timeout(wait, poll).await else {
            return Ok(Vec::new());
        };
        let latency = self.lock().latency;
        sleep_until(Instant::now() + latency).await;
        let (now, mut inner) = (self.start.elapsed(), self.lock());
        if let Ok(messages) = &mut poll {
            let due = inner.due.pop_front_if(|(at, _)| *at <= now);
            messages.extend(due.map(|(_, message)| message));
        }
        poll
    }

    async fn delete(&self, receipts: &[String]) -> Result<(), QueueError> {
        if !receipts.is_empty() {
            self.log(format!("delete {}", receipts.join(" ")));
        }
        let answers = self.lock().answers;
        sleep_until(Instant::now() + answers).await;
        Ok(())
    }

    async fn extend(&self, receipts: &[String]) -> Result<(), QueueError> {
        self.log(format!("extend {}", receipts.join(" ")));
        Ok(())
    }
}

impl Watch for Arc<World> {
    async fn alarms(&self, names: &[String], _: Option<String>) -> Result<Page, WatchError> {
        self.log("describe");
        self.lock().described.push(Instant::now());
        let answers = self.lock().answers;
        sleep_until(Instant::now() + answers).await;
        let inner = self.lock();
        let mut alarms = inner.alarms.clone().ok_or_else(|| WatchError {
            why: "broken".to_owned(),
            again: false,
        })?;
        alarms.retain(|name, _| names.contains(name));
        let next = None;
        Ok(Page { alarms, next })
    }

    async fn metrics(
        &self,
        _: &Catalogue,
        _: Timestamp,
    ) -> Result<BTreeMap<String, Seen>, WatchError> {
        self.log("metrics");
        Ok(BTreeMap::new())
    }
}

/// The loop and the poller, running.
struct Running {
    file: tempfile::NamedTempFile,
    shared: Arc<Shared>,
    fence: watch::Sender<Option<Fence>>,
    stop: watch::Sender<bool>,
    looping: JoinHandle<()>,
}

const OURS: Option<Fence> = Some(Fence {
    epoch: 1,
    until: Timestamp::MAX,
});

fn start(world: &Arc<World>, fence: Option<Fence>) -> Running {
    start_with(world, fence, CATALOGUE)
}

fn start_with(world: &Arc<World>, fence: Option<Fence>, catalogue: &str) -> Running {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), catalogue).expect("written");
    let config = Config::load(vec![file.path().to_owned()], ReadOptions::default()).expect("good");
    let shared = Arc::new(Shared::new(Metrics::new().expect("metrics")));
    shared.ready(Part::Lease);
    let (fence, fenced) = watch::channel(fence);
    let (stop, stopped) = watch::channel(false);
    let (send, inbox) = mpsc::channel(RECEIVES);
    let looping = Loop {
        cluster: Arc::clone(world),
        cloudwatch: Arc::clone(world),
        queue: Arc::clone(world),
        clock: Arc::clone(world) as Arc<dyn Clock>,
        config,
        shared: Arc::clone(&shared),
        fence: fenced.clone(),
        state: State::default(),
    };
    let (queue, told) = (Arc::clone(world), Arc::clone(&shared));
    let required = !world.lock().lax;
    tokio::spawn(async move {
        let poller = Poller {
            queue: &*queue,
            verifier: Verifier::new(Arc::clone(&queue.sns), ("eu-west-1", None), required),
            inbox: send,
            shared: &told,
        };
        poller.run(fenced).await;
    });
    Running {
        file,
        shared,
        fence,
        stop,
        looping: tokio::spawn(looping.run(TICK, inbox, stopped)),
    }
}

/// With signatures.
fn signed() -> String {
    CATALOGUE.replace("delivery: raw", "delivery: sns")
}

fn message(receipt: &str, alarm: &str, state: &str, second: i64) -> Message {
    Message {
        body: notification(alarm, state, second).to_string(),
        receipt: receipt.to_owned(),
    }
}

/// As CloudWatch says it.
fn notification(alarm: &str, state: &str, second: i64) -> Value {
    let metric = json!({"MetricName": "ActivityScheduleTime", "Namespace": "AWS/States",
        "Dimensions": [{"name": "ActivityArn", "value": "arn:aws:states:eu-west-1:123456789012:activity:demo-s3-load"}]});
    json!({"AlarmName": alarm, "AWSAccountId": "123456789012", "NewStateValue": state,
        "StateChangeTime": at(START + second).to_string(), "Region": "EU (Ireland)", "Trigger": metric})
}

fn breach(receipt: &str, second: i64) -> Message {
    message(receipt, "demo-s3-load-out", "ALARM", second)
}

/// What `/readyz` says, without what has not happened yet.
fn unready(running: &Running) -> String {
    running.shared.why_unready().unwrap_or_default()
}
