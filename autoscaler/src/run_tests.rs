//! The loop under paused time, over a world that writes down what is asked of it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use stepfleet_activity::catalogue::ReadOptions;
use stepfleet_activity::{Catalogue, Clock};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use crate::cloudwatch::{Watch, WatchError};
use crate::config::Config;
use crate::decision::tests::at;
use crate::decision::{Action, Seen};
use crate::http::{Part, Shared};
use crate::inbox::Poller;
use crate::lease::{Fence, LeaseState};
use crate::metrics::Metrics;
use crate::queue::{Message, Queue, QueueError};
use crate::record::{AlarmRecord, Level};
use crate::run::{Loop, State};
use crate::scale::{Cluster, ClusterError, Versioned};
use crate::sns::Verifier;
use crate::sns::tests::{Table, genuine};

const START: i64 = 1_767_268_800;
const TICK: Duration = Duration::from_secs(15);
const CATALOGUE: &str = r#"
version: 1
fleet: demo
aws: {account: "123456789012", region: eu-west-1}
signals: {max_age: 15m, period: 60s}
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
    sns: Table,
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
            sns: Table::default(),
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
        self.lock().replicas = scale.value;
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
        (tokio::time::timeout(wait, poll).await).unwrap_or_else(|_| Ok(Vec::new()))
    }

    async fn delete(&self, receipts: &[String]) -> Result<(), QueueError> {
        if !receipts.is_empty() {
            self.log(format!("delete {}", receipts.join(" ")));
        }
        Ok(())
    }

    async fn extend(&self, receipts: &[String]) -> Result<(), QueueError> {
        self.log(format!("extend {}", receipts.join(" ")));
        Ok(())
    }
}

impl Watch for Arc<World> {
    async fn describe(&self, _: &[String]) -> Result<BTreeMap<String, AlarmRecord>, WatchError> {
        self.log("describe");
        let alarms = self.lock().alarms.clone();
        alarms.ok_or_else(|| WatchError("broken".to_owned()))
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
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), CATALOGUE).expect("written");
    let config = Config::load(vec![file.path().to_owned()], ReadOptions::default()).expect("good");
    let shared = Arc::new(Shared::new(Metrics::new().expect("metrics")));
    shared.ready(Part::Lease);
    let (fence, fenced) = watch::channel(fence);
    let (stop, stopped) = watch::channel(false);
    let (send, inbox) = mpsc::channel(1);
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
    tokio::spawn(async move {
        let poller = Poller {
            queue: &*queue,
            verifier: Verifier::new(&queue.sns, ("eu-west-1", None), true),
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

fn message(receipt: &str, alarm: &str, state: &str, second: i64) -> Message {
    let metric = json!({"MetricName": "ActivityScheduleTime", "Namespace": "AWS/States",
        "Dimensions": [{"name": "ActivityArn", "value": "arn:aws:states:eu-west-1:123456789012:activity:demo-s3-load"}]});
    let body = json!({"AlarmName": alarm, "AWSAccountId": "123456789012", "NewStateValue": state,
        "StateChangeTime": at(START + second).to_string(), "Region": "EU (Ireland)", "Trigger": metric});
    Message {
        body: body.to_string(),
        receipt: receipt.to_owned(),
    }
}

fn breach(receipt: &str, second: i64) -> Message {
    message(receipt, "demo-s3-load-out", "ALARM", second)
}

#[tokio::test(start_paused = true)]
async fn a_cycle_runs_on_a_tick_and_at_once_on_a_signal() {
    let world = World::new();
    let running = start(&world, OURS);
    assert!(running.shared.why_unready().is_some(), "no cycle has ended");
    world.until(22).await;
    assert_eq!(running.shared.why_unready(), None);
    assert_eq!(world.times("observe"), [0, 15]);
    world.send(vec![breach("r1", 21)]);
    world.until(35).await;
    assert_eq!(world.times("observe"), [0, 15, 22, 30]);
    assert_eq!(
        world.times("metrics"),
        [0, 22],
        "each period, and for a signal"
    );
    assert_eq!(
        world.asked_at(22),
        [
            "poll for 20 s",
            "metrics",
            "observe",
            "record",
            "scale to 5",
            "record",
            "event",
            "delete r1"
        ]
        .map(str::to_owned),
        "the intent before the act, and deleted after both"
    );
}

#[tokio::test(start_paused = true)]
async fn a_message_is_deleted_only_when_what_it_changed_is_durable() {
    let world = World::new();
    let running = start(&world, OURS);
    world.until(1).await;
    world.lock().broken = true;
    let unparsable = Message {
        body: "{".to_owned(),
        receipt: "unparsable".to_owned(),
    };
    let forged = message("forged", "demo-other-out", "ALARM", 1);
    world.send(vec![unparsable, forged, breach("r1", 1)]);
    world.until(2).await;
    let metrics = &running.shared.metrics;
    assert_eq!(
        world.times("delete forged"),
        [1],
        "rejected ones need nothing"
    );
    assert_eq!(
        world
            .lock()
            .log
            .iter()
            .filter(|(_, what)| what.contains("delete"))
            .count(),
        1
    );
    assert_eq!(
        metrics.rejected.with_label_values(&["unknown-alarm"]).get(),
        1
    );
    assert_eq!(metrics.failures.with_label_values(&["parse"]).get(), 1);
    let why = running.shared.why_unready().expect("nothing was decided");
    assert!(why.contains("s3-load") && why.contains("broken"), "{why}");

    world.lock().broken = false;
    // Nobody deleted them, so they come again, and once more after that.
    world.send(vec![breach("r2", 1)]);
    world.until(3).await;
    world.send(vec![breach("r3", 1)]);
    world.until(4).await;
    assert_eq!(world.times("delete r2"), [2]);
    assert_eq!(
        world.times("delete r3"),
        [3],
        "a duplicate is durable already"
    );
    assert_eq!(world.times("scale"), [2], "and takes no second step");
    assert_eq!(metrics.rejected.with_label_values(&["duplicate"]).get(), 1);
    assert_eq!(running.shared.why_unready(), None);
}

#[tokio::test(start_paused = true)]
async fn messages_stay_ours_while_a_cycle_is_slow() {
    let world = World::new();
    let running = start(&world, OURS);
    world.until(10).await;
    world.lock().slow = Duration::from_secs(50);
    world.send(vec![breach("r1", 9)]);
    world.until(200).await;
    assert_eq!(world.times("extend r1"), [40, 70, 100]);
    assert_eq!(
        world.times("delete r1"),
        [110],
        "two writes of the record later"
    );
    drop(running);
}

#[tokio::test(start_paused = true)]
async fn a_cycle_that_runs_is_finished_before_the_end() {
    let world = World::new();
    let running = start(&world, OURS);
    world.until(10).await;
    world.lock().slow = Duration::from_secs(5);
    world.send(vec![breach("r1", 9)]);
    world.until(11).await;
    assert!(world.times("scale").is_empty());
    running.stop.send_replace(true);
    running.looping.await.expect("ended");
    assert_eq!(world.times("scale to 5"), [15]);
    assert_eq!(world.times("delete r1"), [20]);
    world.until(100).await;
    assert_eq!(world.times("observe").last(), Some(&10), "none after it");
}

#[tokio::test(start_paused = true)]
async fn who_stands_by_does_nothing_and_starts_at_once_when_it_leads() {
    let world = World::new();
    let running = start(&world, None);
    world.until(20).await;
    assert_eq!(world.lock().log, []);
    running.fence.send_replace(OURS);
    world.until(21).await;
    assert_eq!(world.times("describe"), [20], "not at the next tick");
    assert_eq!(world.times("poll"), [20, 20], "a short one and a long one");
    world.until(29).await;
    running.fence.send_replace(None);
    world.until(100).await;
    assert_eq!(world.times("observe"), [20]);
    assert_eq!(running.shared.metrics.leader.get(), 0);
    running.fence.send_replace(OURS);
    world.until(101).await;
    assert_eq!(
        world.times("describe"),
        [20, 100],
        "levels of long ago are not believed"
    );
}

#[tokio::test(start_paused = true)]
async fn a_lost_ok_is_healed_by_reading_the_alarms_again() {
    let world = World::new();
    let _running = start(&world, OURS);
    world.until(1).await;
    world.send(vec![breach("r1", 1)]);
    world.until(50).await;
    let ok = level("out", Level::Ok, 45);
    if let Some(alarms) = &mut world.lock().alarms {
        alarms.extend([ok]);
    }
    world.until(400).await;
    assert_eq!(world.times("describe"), [0, 120, 240, 360]);
    assert_eq!(
        world.times("scale"),
        [1, 75],
        "again after the cooldown, until it is known to be OK"
    );
}

#[tokio::test(start_paused = true)]
async fn alarms_that_cannot_be_read_are_asked_for_again_and_stay_unknown() {
    let world = World::new();
    let running = start(&world, OURS);
    world.lock().alarms = None;
    world.until(40).await;
    assert_eq!(world.times("describe"), [0, 15, 30]);
    let metrics = &running.shared.metrics;
    assert_eq!(
        metrics
            .failures
            .with_label_values(&["describe-alarms"])
            .get(),
        3
    );
    let held = metrics
        .decisions
        .with_label_values(&["s3-load", "hold", "unknown"]);
    assert_eq!(held.get(), 3);
    world.lock().alarms = Some(BTreeMap::new());
    world.until(50).await;
    assert_eq!(world.times("describe"), [0, 15, 30, 45]);
    assert_eq!(held.get(), 4, "alarms that do not exist are unknown too");
}

#[tokio::test(start_paused = true)]
async fn the_catalogue_is_read_anew_each_cycle_and_a_faulty_one_changes_nothing() {
    let world = World::new();
    let running = start(&world, OURS);
    let metrics = &running.shared.metrics;
    let write = |text: &str| std::fs::write(running.file.path(), text).expect("written");
    world.until(1).await;
    write(&CATALOGUE.replace("min: 1", "min: 6"));
    world.until(16).await;
    assert_eq!(world.times("scale to 6"), [15], "without a signal");
    write("version: 1");
    world.until(46).await;
    let faulty = metrics.failures.with_label_values(&["catalogue"]);
    assert_eq!((metrics.config_faulty.get(), faulty.get()), (1, 2));
    assert_eq!(
        world.times("observe"),
        [0, 15, 30, 45],
        "it goes on by the last good one"
    );
    write(
        &CATALOGUE
            .replace("s3-load:", "other:")
            .replace("deployment: s3-load", "deployment: other"),
    );
    world.until(61).await;
    assert_eq!((metrics.config_faulty.get(), faulty.get()), (0, 2));
    let text = metrics.text();
    assert!(text.contains("replicas{deployment=\"other\"}"), "{text}");
    assert!(
        !text.contains("replicas{deployment=\"s3-load\"}"),
        "it left the catalogue"
    );
}

/// What `/readyz` says, without what has not happened yet.
fn unready(running: &Running) -> String {
    running.shared.why_unready().unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_cannot_be_received_keeps_us_from_being_ready() {
    let world = World::new();
    let refused = || Err(QueueError("denied".to_owned()));
    world.lock().polls.extend([refused(), refused()]);
    let running = start(&world, OURS);
    world.until(2).await;
    assert!(
        unready(&running).contains("denied"),
        "{}",
        unready(&running)
    );
    assert_eq!(world.times("observe"), [0], "alarms are read all the same");
    world.until(12).await;
    assert_eq!(unready(&running), "");
    world.lock().polls.push_back(refused());
    world.arrived.notify_one();
    world.until(13).await;
    assert!(unready(&running).contains("denied"), "later as well");
    world.until(18).await;
    assert_eq!(unready(&running), "", "healed, and not 20 s later");
    assert_eq!(world.times("poll for 0 s"), [0, 5, 10, 17]);
    assert_eq!(world.times("poll for 20 s"), [10, 17]);
    let failures = &running.shared.metrics.failures;
    assert_eq!(failures.with_label_values(&["receive"]).get(), 3);
}

#[tokio::test(start_paused = true)]
async fn not_ready_before_the_first_observation_and_while_alarms_cannot_be_read() {
    let world = World::new();
    world.lock().alarms = None;
    let running = start(&world, OURS);
    for part in ["the signal queue", "the alarms", "the first cycle"] {
        assert!(unready(&running).contains(part), "{}", unready(&running));
    }
    world.until(1).await;
    assert_eq!(
        unready(&running),
        "the alarms cannot be read: CloudWatch did not answer: broken"
    );
    world.lock().alarms = Some(BTreeMap::new());
    world.until(16).await;
    assert_eq!(unready(&running), "");
    world.lock().broken = true;
    world.until(31).await;
    let why = unready(&running);
    assert!(why.contains("s3-load") && why.contains("broken"), "{why}");
    world.lock().broken = false;
    world.until(46).await;
    assert_eq!(unready(&running), "");
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_decides_and_says_so_and_touches_nothing() {
    let world = World::new();
    let running = start(&world, OURS);
    let dry = CATALOGUE.replace("s3-load: {replicas", "s3-load: {mode: recommend, replicas");
    std::fs::write(running.file.path(), dry).expect("written");
    world.until(1).await;
    world.send(vec![breach("r1", 1)]);
    world.until(200).await;
    assert!(world.times("scale").is_empty() && world.times("event").is_empty());
    assert_eq!(world.lock().replicas, 4);
    assert_eq!(world.times("delete r1"), [1], "what it folded is durable");
    let metrics = running.shared.metrics.text();
    for line in [
        "replicas{deployment=\"s3-load\"} 4",
        "replicas_recommended{deployment=\"s3-load\"} 5",
        "breach_open{deployment=\"s3-load\"} 1",
        "action=\"hold\",deployment=\"s3-load\",reason=\"recommended\"",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
}

#[tokio::test(start_paused = true)]
async fn gauges_tell_what_is_there_what_is_asked_for_and_the_upper_bound() {
    let world = World::new();
    let running = start(&world, OURS);
    let few = CATALOGUE.replace("max: 20", "max: 5");
    std::fs::write(running.file.path(), few).expect("written");
    let gauges = || {
        let metrics = &running.shared.metrics;
        let of = |gauge: &prometheus::IntGaugeVec| gauge.with_label_values(&["s3-load"]).get();
        (
            of(&metrics.replicas),
            of(&metrics.recommended),
            of(&metrics.breached),
            of(&metrics.at_max),
        )
    };
    world.until(1).await;
    assert_eq!(gauges(), (4, 4, 0, 0));
    world.send(vec![breach("r1", 1)]);
    world.until(2).await;
    assert_eq!(gauges(), (5, 5, 1, 0), "one step");
    world.until(70).await;
    assert_eq!(gauges(), (5, 5, 1, 1), "more is asked for than is allowed");
    let ok = message("r2", "demo-s3-load-out", "OK", 70);
    world.send(vec![ok]);
    world.until(71).await;
    assert_eq!(gauges(), (5, 5, 0, 0));
    assert_eq!(running.shared.metrics.leader.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn signals_that_come_late_repeat_or_lose_their_order_change_nothing() {
    let world = World::new();
    let running = start(&world, OURS);
    world.until(10).await;
    // The OK overtook its ALARM, in one receive and then in two.
    let ok = |receipt, second| message(receipt, "demo-s3-load-out", "OK", second);
    world.send(vec![ok("r1", 9), breach("r2", 8)]);
    world.until(11).await;
    world.send(vec![breach("r3", 8), ok("r4", 9)]);
    world.until(12).await;
    world.send(vec![breach("old", -1000)]);
    world.until(100).await;
    assert!(world.times("scale").is_empty());
    for (receipts, second) in [("r1 r2", 10), ("r3 r4", 11), ("old", 12)] {
        assert_eq!(world.times(&format!("delete {receipts}")), [second]);
    }
    let rejected = |reason| {
        let metrics = &running.shared.metrics;
        metrics.rejected.with_label_values(&[reason]).get()
    };
    assert_eq!(
        (rejected("late"), rejected("duplicate"), rejected("too-old")),
        (2, 1, 1)
    );
    assert_eq!(
        (running.shared.metrics.signals)
            .with_label_values(&["s3-load"])
            .get(),
        1
    );
}

#[tokio::test(start_paused = true)]
async fn a_signal_waits_in_the_queue_until_its_signature_can_be_verified() {
    let world = World::new();
    let running = start(&world, OURS);
    world.until(2).await;
    assert_eq!(unready(&running), "");
    world.send(vec![genuine("r1")]);
    world.until(3).await;
    let why = unready(&running);
    assert!(why.contains("certificate") && why.contains("404"), "{why}");
    assert!(world.times("scale").is_empty() && world.times("delete").is_empty());
    world.until(60).await;
    let failures = running
        .shared
        .metrics
        .failures
        .with_label_values(&["certificate"]);
    assert_eq!(failures.get(), 2, "asked again with each receive");
    assert_eq!(unready(&running), why);

    world.sns.heal();
    world.until(80).await;
    assert_eq!(unready(&running), "", "without another signal");
    // It was never deleted, so it comes again; then one that somebody changed.
    world.send(vec![genuine("r2")]);
    world.until(81).await;
    assert_eq!(world.times("scale to 5"), [80]);
    assert_eq!(world.times("delete r2"), [80]);
    let mut forged = genuine("r3");
    forged.body = forged.body.replace("ALARM:", "alarm:");
    world.send(vec![forged]);
    world.until(82).await;
    assert_eq!(world.times("delete r3"), [81], "rejected");
    let rejected = &running.shared.metrics.rejected;
    assert_eq!(rejected.with_label_values(&["signature"]).get(), 1);
}
