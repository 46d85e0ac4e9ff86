//! What reads input that others choose.

use std::sync::OnceLock;
use std::time::Duration;

use futures::FutureExt as _;
use jiff::Timestamp;
use serde_json::Value;
use stepfleet_activity::catalogue::{self, ReadOptions};
use stepfleet_activity::{
    ActivityError, ActivityTask, Catalogue, Envelope, Progress, RawValue, TaskContext, TaskToken,
};
use stepfleet_autoscaler::signal::{self, Trust};
use stepfleet_autoscaler::sns::{self, Shown};
use stepfleet_etl::{EventReader, LoadInput, PlanInput};
use stepfleet_worker::{Load, handler_fn};
use tower_service::Service as _;

/// A reader of input, and the folder of its samples.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// As the folder is called.
    pub name: &'static str,
    /// Reads an input; whatever it makes of it, it comes back.
    pub run: fn(&[u8]),
}

/// All of them.
pub const TARGETS: [Target; 7] = [
    target("s3-event", s3_event),
    target("signal", signal),
    target("sns-envelope", sns_envelope),
    target("task", task),
    target("load-input", load_input),
    target("catalogue", catalogue),
    target("load-report", load_report),
];

const fn target(name: &'static str, run: fn(&[u8])) -> Target {
    Target { name, run }
}

/// When the samples are.
const NOW: Timestamp = Timestamp::constant(1_772_366_400, 0);
const FLEET: &str = include_str!("../corpus/catalogue/fleet.yaml");

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A body of the queue that `etl-worker trigger` receives from.
fn s3_event(bytes: &[u8]) {
    static READER: OnceLock<EventReader> = OnceLock::new();
    let reader = READER.get_or_init(|| {
        let load = |prefix| {
            let load = serde_json::json!({"bucket": "land", "prefix": prefix, "table": "public.t", "format": "csv"});
            serde_json::from_value(load).ok()
        };
        let loads = ["a/", ""].into_iter().filter_map(load).collect();
        EventReader::new(loads, Duration::from_secs(10), Duration::from_secs(30))
    });
    if let Ok(executions) = reader.executions(&text(bytes), NOW) {
        assert!(executions.len() <= 100 && executions.iter().all(|name| name.len() <= 80));
    }
}

fn fleet() -> Option<&'static Catalogue> {
    static READ: OnceLock<Option<Catalogue>> = OnceLock::new();
    READ.get_or_init(|| catalogue::parse("fleet.yaml", FLEET, &options()).ok())
        .as_ref()
}

fn options() -> ReadOptions {
    ReadOptions {
        allow_short_periods: true,
    }
}

/// A body of the queue that the autoscaler receives from.
fn signal(bytes: &[u8]) {
    static TRUST: OnceLock<Option<Trust>> = OnceLock::new();
    let trust = TRUST.get_or_init(|| fleet().map(Trust::of));
    if let (Ok(claim), Some(trust)) = (signal::parse_bytes(bytes), trust) {
        drop(trust.check(&claim, NOW));
    }
}

/// The same, as far as its signature goes.
fn sns_envelope(bytes: &[u8]) {
    if let Shown::Signed(url) = sns::inspect(bytes, "eu-west-1") {
        let ours = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-";
        assert!(url.starts_with(ours), "a certificate from elsewhere");
    }
}

/// What goes with an input that is passed on as it is.
#[derive(serde::Deserialize, serde::Serialize)]
struct Item {
    #[serde(default)]
    id: i128,
    #[serde(default)]
    names: Vec<String>,
    #[serde(default)]
    rest: Option<Box<RawValue>>,
}

/// The input of a task, from its envelope to the handler's typed input.
fn task(bytes: &[u8]) {
    let Ok(Envelope { attempt, input }) = Envelope::parse(&text(bytes)) else {
        return;
    };
    if let Some(attempt) = &attempt {
        attempt.wait(NOW);
    }
    let task = ActivityTask {
        name: "fuzz".into(),
        token: TaskToken::new("token"),
        input: input.clone(),
        context: TaskContext {
            attempt,
            received: NOW,
            deadline: NOW,
            heartbeat_interval: Duration::from_secs(1),
            progress: Progress::default(),
        },
    };
    let echo = |input: Box<RawValue>, _: TaskContext| async { Ok::<_, ActivityError>(input) };
    let said = handler_fn(echo).call(task.clone()).now_or_never();
    let same = said.is_some_and(|said| said.is_ok_and(|said| said.get() == input.get()));
    assert!(same, "an echo that is another");
    let typed = |item: Item, _: TaskContext| async { Ok::<_, ActivityError>(item) };
    drop(handler_fn(typed).call(task.clone()).now_or_never());
    let value = |value: Value, _: TaskContext| async { Ok::<_, ActivityError>(value) };
    drop(handler_fn(value).call(task).now_or_never());
}

/// The inputs of the loader and of its planner.
fn load_input(bytes: &[u8]) {
    let Ok(value) = serde_json::from_slice::<Value>(bytes) else {
        return;
    };
    for said in [
        LoadInput::read(&value).map(drop),
        PlanInput::read(&value).map(drop),
    ] {
        if let Err(error) = said {
            assert!(error.cause().len() <= 32_768, "a cause that nobody takes");
        }
    }
}

/// A catalogue alone, and laid over one.
fn catalogue(bytes: &[u8]) {
    let text = text(bytes);
    let alone = catalogue::parse("fuzz.yaml", &text, &options());
    let over = catalogue::parse_all(&[("fleet.yaml", FLEET), ("fuzz.yaml", &text)], &options());
    for read in [alone, over] {
        match read {
            Err(faults) => drop(faults.to_string()),
            Ok(catalogue) => check(&catalogue),
        }
    }
}

/// As every binary does before it works with it.
fn check(catalogue: &Catalogue) {
    let handlers = stepfleet_etl::handlers();
    for activity in catalogue.activities.values() {
        let own = handlers.iter().find(|spec| spec.name == activity.handler);
        if let Some(own) = own {
            drop((own.check_config)(activity, catalogue));
        }
    }
    drop(Trust::of(catalogue));
}

/// What a worker's `/load` says, as its readers read it.
fn load_report(bytes: &[u8]) {
    if let Ok(load) = serde_json::from_slice::<Load>(bytes) {
        drop(serde_json::to_string(&load));
    }
}
