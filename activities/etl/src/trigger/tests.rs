//! The trigger against a queue and a Step Functions in memory: whatever is lost,
//! repeated or out of order, every file is listed by an execution after it has
//! settled.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use stepfleet_activity::{Class, Clock as _, VirtualClock};

use super::{Counts, EventReader, Inner, Memory, Message, Queue, Starter};
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
    /// What was published.
    rejected: Vec<u64>,
    /// Executions of these names cannot be started.
    refused: Vec<String>,
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

    fn trigger(&self) -> Inner<Self, Self, Self> {
        let load = json!({"bucket": "land", "prefix": "p/", "table": "public.t", "format": "csv", "match": "*.csv"});
        let load = serde_json::from_value(load).expect("a load");
        Inner {
            queue: self.clone(),
            starter: self.clone(),
            counts: self.clone(),
            reader: EventReader::new(vec![load], SETTLE, WINDOW),
            clock: self.clock.clone(),
        }
    }

    fn send(&self, receipt: &str, body: &Value) {
        self.send_text(receipt, body.to_string());
    }

    fn send_text(&self, receipt: &str, body: String) {
        let body = (body, false);
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
                    id: receipt.clone(),
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
        if self.with(|held| held.refused.iter().any(|refused| refused == name)) {
            return Err(CallError {
                what: "start".to_owned(),
                reason: "refused".to_owned(),
                class: Class::Permanent,
            });
        }
        self.call(|held| {
            held.starts += 1;
            let known = held.executions.entry(name.to_owned());
            let (same, _) = known.or_insert_with(|| (input.to_owned(), now));
            assert_eq!(same, input, "one name has one input");
        })
    }
}

impl Counts for World {
    async fn rejected(&self, count: u64) -> Answer<()> {
        self.with(|held| held.rejected.push(count));
        Ok(())
    }
}

#[tokio::test]
async fn a_burst_wakes_one_execution_after_it_has_settled() {
    let world = World::new();
    let (trigger, mut memory) = (world.trigger(), Memory::default());
    for at in 0..5 {
        world.arrive(&format!("m{at}"), &format!("{at}.csv"));
        trigger.round(&mut memory).await.expect("fine");
    }
    assert_eq!(world.starts(), [], "nothing is due yet");
    assert_eq!(world.left(), 5, "nothing is deleted before it is started");
    let arrived = world.clock.now();
    world.pass(45);
    trigger.round(&mut memory).await.expect("fine");
    let [started] = world.starts()[..] else {
        panic!("{:?}", world.starts());
    };
    assert!(started.duration_since(arrived).as_secs() >= 10);
    assert_eq!(world.left(), 0);
}

#[tokio::test]
async fn what_is_not_about_a_load_is_deleted_and_nonsense_is_left() {
    let world = World::new();
    let (trigger, mut memory) = (world.trigger(), Memory::default());
    world.send("test", &json!({"Event": "s3:TestEvent", "Bucket": "land"}));
    world.send("nonsense", &json!({"hello": 1}));
    world.arrive("ours", "a.csv.bak");
    trigger.round(&mut memory).await.expect("fine");
    assert_eq!(world.starts(), []);
    let left: Vec<String> = world.with(|held| held.messages.keys().cloned().collect());
    assert_eq!(left, ["nonsense"], "the dead-letter queue gets it");
}

/// Repeated and late: the execution that exists already has seen the file.
#[tokio::test]
async fn a_repeated_event_starts_nothing_new() {
    let world = World::new();
    let (trigger, mut memory) = (world.trigger(), Memory::default());
    world.arrive("one", "a.csv");
    let copy = world.with(|held| held.messages["one"].0.clone());
    world.pass(45);
    trigger.round(&mut memory).await.expect("fine");
    world.pass(7_200);
    let copy: Value = serde_json::from_str(&copy).expect("JSON");
    world.send("again", &copy);
    let another = world.trigger();
    another.round(&mut Memory::default()).await.expect("fine");
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
            let (trigger, mut memory) = (world.trigger(), Memory::default());
            let mut died = trigger.round(&mut memory).await.is_err();
            world.pass(45);
            if !died {
                died = trigger.round(&mut memory).await.is_err();
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
            let mut fresh = Memory::default();
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

fn record(at: &str, key: &str, sequencer: &str) -> Value {
    json!({
        "eventName": "ObjectCreated:Put", "eventTime": at,
        "s3": {"bucket": {"name": "land"}, "object": {"key": key, "sequencer": sequencer}},
    })
}

/// What ended the process once, and the like: each costs itself and nothing else,
/// however often it comes.
#[tokio::test]
async fn a_message_that_cannot_be_worked_on_is_counted_and_left_and_others_go_on() {
    const KEY: &str = "p/incoming/a.csv";
    let world = World::new();
    let (trigger, mut memory) = (world.trigger(), Memory::default());
    let now = "2026-03-01T12:00:00Z";
    let killer = [record(now, KEY, "1"), record(now, KEY, &"0".repeat(70_000))];
    let windows = (1..=25).flat_map(|day| (0..5).map(move |hour| (day, hour)));
    let greedy: Vec<Value> = windows
        .map(|(day, hour)| {
            let at = format!("2026-01-{day:02}T{hour:02}:00:00Z");
            record(&at, &format!("p/incoming/{day}-{hour}.csv"), "1")
        })
        .collect();
    world.send("killer", &json!({ "Records": killer }));
    world.send("greedy", &json!({ "Records": greedy }));
    world.send_text("deep", "[".repeat(100_000));
    for (name, at, key) in [
        ("future", "9999-12-30T00:00:00Z", KEY),
        ("encoded", now, "%+1"),
    ] {
        world.send(name, &json!({"Records": [record(at, key, "1")]}));
    }
    world.arrive("ours", "b.csv");
    for _ in 0..2 {
        trigger.round(&mut memory).await.expect("fine");
        world.pass(61);
        world.lapse();
        trigger.round(&mut memory).await.expect("fine");
    }
    let left: Vec<String> = world.with(|held| held.messages.keys().cloned().collect());
    assert_eq!(left, ["deep", "encoded", "future", "greedy"]);
    assert_eq!(
        world.starts().len(),
        1,
        "the killer's file is of our window"
    );
    let rejected = world.with(|held| held.rejected.iter().sum::<u64>());
    assert!(rejected >= 8, "four of them, twice and more: {rejected}");
}

#[tokio::test]
async fn an_execution_that_cannot_be_started_keeps_no_other_one_from_it() {
    let world = World::new();
    let (trigger, mut memory) = (world.trigger(), Memory::default());
    world.arrive("one", "a.csv");
    world.pass(60);
    trigger.round(&mut memory).await.expect("fine");
    world.with(|held| {
        held.refused.extend(held.executions.keys().cloned());
        held.executions.clear();
    });
    let again = world.clock.now() - SignedDuration::from_secs(60);
    let file = record(&again.to_string(), "p/incoming/a.csv", "1");
    world.send("again", &json!({"Records": [file]}));
    world.arrive("other", "b.csv");
    world.pass(60);
    let mut fresh = Memory::default();
    let refused = trigger.round(&mut fresh).await;
    assert!(refused.is_err_and(|error| error.reason == "refused"));
    assert_eq!(world.starts().len(), 1, "the other one was started");
    let left: Vec<String> = world.with(|held| held.messages.keys().cloned().collect());
    assert_eq!(left, ["again"]);
}

/// It comes again by the queue, and with another receipt: it is held once.
#[tokio::test]
async fn what_the_queue_gives_to_others_is_not_held_any_more() {
    let world = World::new();
    let (trigger, mut memory) = (world.trigger(), Memory::default());
    world.arrive("one", "a.csv");
    trigger.round(&mut memory).await.expect("fine");
    world.with(|held| held.messages.clear());
    assert!(memory.pending.next().is_some());
    let ours = SETTLE + WINDOW + super::SPARE;
    memory.pending.lapse(world.clock.now() + ours);
    assert_eq!(memory.pending.next(), None);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_received_while_very_much_is_held() {
    let world = World::new();
    let (trigger, mut memory) = (world.trigger(), Memory::default());
    for at in 0..20_000 {
        world.arrive(&format!("m{at}"), "a.csv");
    }
    trigger.round(&mut memory).await.expect("fine");
    world.arrive("more", "a.csv");
    trigger.round(&mut memory).await.expect("fine");
    let taken = |held: &mut Held| held.messages["more"].1;
    assert!(!world.with(taken), "it waits in the queue");
    world.pass(45);
    trigger.round(&mut memory).await.expect("fine");
    trigger.round(&mut memory).await.expect("fine");
    assert_eq!((world.left(), world.starts().len()), (0, 1));
}

#[test]
fn a_panic_over_a_message_is_its_reason() {
    let caught = super::caught::<()>(|| panic!("a fault of ours"));
    assert_eq!(caught, Err("reading it panicked"));
}
