//! The trigger against a queue and a Step Functions in memory: whatever is lost,
//! repeated or out of order, every file is listed by an execution after it has
//! settled.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use stepfleet_activity::{Class, Clock as _, VirtualClock};

use super::{Inner, Message, Pending, Queue, Starter};
use crate::outside::Answer;
use crate::outside::call::CallError;

const SETTLE: Duration = Duration::from_secs(10);
const WINDOW: Duration = Duration::from_secs(30);

#[derive(Debug, Default)]
struct Held {
    /// Body, and whether somebody has it.
    messages: BTreeMap<String, (String, bool)>,
    /// Name to input and time of the start.
    executions: BTreeMap<String, (String, Timestamp)>,
    starts: usize,
    calls: usize,
}

/// Everything outside; it outlives the trigger's crash.
#[derive(Debug, Clone)]
struct World {
    held: Arc<Mutex<Held>>,
    clock: Arc<VirtualClock>,
    /// The call at which the process dies, and whether before its effect.
    dies: Option<(usize, bool)>,
}

impl World {
    fn new() -> Self {
        let now = "2026-03-01T12:00:00Z".parse().expect("a time");
        Self {
            held: Arc::default(),
            clock: Arc::new(VirtualClock::new(now)),
            dies: None,
        }
    }

    fn with<T>(&self, effect: impl FnOnce(&mut Held) -> T) -> T {
        effect(&mut self.held.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A crash is an error that ends the run: nothing after it takes place.
    fn call<T>(&self, effect: impl FnOnce(&mut Held) -> T) -> Answer<T> {
        let number = self.with(|held| {
            held.calls += 1;
            held.calls
        });
        let dead = CallError {
            what: "a call".to_owned(),
            reason: "the process died".to_owned(),
            class: Class::Transient,
        };
        if self.dies == Some((number, true)) {
            return Err(dead);
        }
        let answer = self.with(effect);
        if self.dies == Some((number, false)) {
            return Err(dead);
        }
        Ok(answer)
    }

    fn trigger(&self) -> Inner<Self, Self> {
        let load = json!({"bucket": "land", "prefix": "p/", "table": "public.t", "format": "csv", "match": "*.csv"});
        Inner {
            queue: self.clone(),
            starter: self.clone(),
            loads: vec![serde_json::from_value(load).expect("a load")],
            settle: SETTLE,
            window: WINDOW,
            clock: self.clock.clone(),
        }
    }

    fn send(&self, receipt: &str, body: &Value) {
        let body = (body.to_string(), false);
        self.with(|held| held.messages.insert(receipt.to_owned(), body));
    }

    /// A file that arrives now.
    fn arrive(&self, receipt: &str, key: &str) -> Timestamp {
        let at = self.clock.now();
        self.send(receipt, &json!({"Records": [{
            "eventName": "ObjectCreated:Put", "eventTime": at.to_string(),
            "s3": {"bucket": {"name": "land"}, "object": {"key": format!("p/incoming/{key}"), "sequencer": "1"}},
        }]}));
        at
    }

    fn pass(&self, seconds: i64) {
        self.clock.advance(SignedDuration::from_secs(seconds));
    }

    /// What somebody has received and not deleted comes again.
    fn lapse(&self) {
        self.with(|held| {
            held.messages
                .values_mut()
                .for_each(|(_, taken)| *taken = false)
        });
    }

    fn left(&self) -> usize {
        self.with(|held| held.messages.len())
    }

    fn starts(&self) -> Vec<Timestamp> {
        self.with(|held| held.executions.values().map(|(_, at)| *at).collect())
    }
}

impl Queue for World {
    async fn receive(&self, _: Duration, _: Duration) -> Answer<Vec<Message>> {
        self.call(|held| {
            let free = held.messages.iter_mut().filter(|(_, (_, taken))| !taken);
            free.map(|(receipt, (body, taken))| {
                *taken = true;
                Message {
                    body: body.clone(),
                    receipt: receipt.clone(),
                }
            })
            .collect()
        })
    }

    async fn delete(&self, receipts: &[String]) -> Answer<()> {
        self.call(|held| {
            for receipt in receipts {
                held.messages.remove(receipt);
            }
        })
    }
}

impl Starter for World {
    async fn start(&self, name: &str, input: &str) -> Answer<()> {
        let now = self.clock.now();
        self.call(|held| {
            held.starts += 1;
            let known = held.executions.entry(name.to_owned());
            let (same, _) = known.or_insert_with(|| (input.to_owned(), now));
            assert_eq!(same, input, "one name has one input");
        })
    }
}

#[tokio::test]
async fn a_burst_wakes_one_execution_after_it_has_settled() {
    let world = World::new();
    let (trigger, mut pending) = (world.trigger(), Pending::default());
    for at in 0..5 {
        world.arrive(&format!("m{at}"), &format!("{at}.csv"));
        trigger.round(&mut pending).await.expect("fine");
    }
    assert_eq!(world.starts(), [], "nothing is due yet");
    assert_eq!(world.left(), 5, "nothing is deleted before it is started");
    let arrived = world.clock.now();
    world.pass(45);
    trigger.round(&mut pending).await.expect("fine");
    let [started] = world.starts()[..] else {
        panic!("{:?}", world.starts());
    };
    assert!(started.duration_since(arrived).as_secs() >= 10);
    assert_eq!(world.left(), 0);
}

#[tokio::test]
async fn what_is_not_about_a_load_is_deleted_and_nonsense_is_left() {
    let world = World::new();
    let (trigger, mut pending) = (world.trigger(), Pending::default());
    world.send("test", &json!({"Event": "s3:TestEvent", "Bucket": "land"}));
    world.send("nonsense", &json!({"hello": 1}));
    world.arrive("ours", "a.csv.bak");
    trigger.round(&mut pending).await.expect("fine");
    assert_eq!(world.starts(), []);
    let left: Vec<String> = world.with(|held| held.messages.keys().cloned().collect());
    assert_eq!(left, ["nonsense"], "the dead-letter queue gets it");
}

/// Repeated and late: the execution that exists already has seen the file.
#[tokio::test]
async fn a_repeated_event_starts_nothing_new() {
    let world = World::new();
    let (trigger, mut pending) = (world.trigger(), Pending::default());
    world.arrive("one", "a.csv");
    let copy = world.with(|held| held.messages["one"].0.clone());
    world.pass(45);
    trigger.round(&mut pending).await.expect("fine");
    world.pass(7_200);
    let copy: Value = serde_json::from_str(&copy).expect("JSON");
    world.send("again", &copy);
    let another = world.trigger();
    another.round(&mut Pending::default()).await.expect("fine");
    assert_eq!(world.starts().len(), 1);
    assert_eq!(world.left(), 0);
}

/// A process dies before and after each call; another one comes. The message is
/// never gone before an execution was started that lists late enough.
#[tokio::test]
async fn a_crash_at_any_call_loses_no_wake_and_doubles_none() {
    for number in 1..=4 {
        for before in [true, false] {
            let what = format!("call {number}, before its effect: {before}");
            let mut world = World::new();
            let arrived = world.arrive("one", "a.csv");
            world.dies = Some((number, before));
            let (trigger, mut pending) = (world.trigger(), Pending::default());
            let mut died = trigger.round(&mut pending).await.is_err();
            world.pass(45);
            if !died {
                died = trigger.round(&mut pending).await.is_err();
            }
            assert!(
                died,
                "{what}: four calls are receive, receive, start, delete"
            );
            let started = world.starts();
            let safe = world.left() == 1 || started.len() == 1;
            assert!(safe, "{what}: deleted before the start");
            world.dies = None;
            world.lapse();
            world.pass(45);
            let mut fresh = Pending::default();
            world.trigger().round(&mut fresh).await.expect("fine");
            assert_eq!(world.left(), 0, "{what}");
            let [started] = world.starts()[..] else {
                panic!("{what}: {:?}", world.starts());
            };
            let waited = started.duration_since(arrived).as_secs();
            assert!(waited >= 10, "{what}: it lists before the file has settled");
        }
    }
}
