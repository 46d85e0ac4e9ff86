//! Two attempts at once: a worker is stopped in the middle of a load until
//! another has finished it, and then goes on with the very call at which it
//! was: late, the call must change nothing.

use std::time::Duration;

use futures::future::join_all;
use nix::sys::signal::Signal;
use tokio::time::timeout;

use crate::gate::{Call, When};
use crate::process::Worker;
use crate::proxy::Proxy;
use crate::target::Target;
use crate::world::{FILES, World};

/// A load, the heartbeat's lapse, and the load by another worker.
const LONG: Duration = Duration::from_secs(180);

const HEARTBEAT: &str = "10s";

/// Where the first worker stops, by the activity's name, and what lands before
/// and after the other worker's load.
#[derive(Debug, Clone, Copy)]
struct Stop {
    activity: &'static str,
    call: (&'static str, When),
    before: Option<(&'static str, &'static str)>,
    after: Option<(&'static str, &'static str)>,
}

const STOPS: [Stop; 5] = [
    // The other batch has one file more, so that it is not the same statement:
    // only the ledger knows that these files are loaded.
    Stop {
        activity: "submitting",
        call: ("BatchExecuteStatement", When::Before),
        before: Some(("d.csv", "7,70\n")),
        after: None,
    },
    Stop {
        activity: "submitted",
        call: ("BatchExecuteStatement", When::After),
        before: None,
        after: None,
    },
    Stop {
        activity: "copying",
        call: ("PUT processed", When::Before),
        before: None,
        after: None,
    },
    // A new file under the old key: it is not the one that was to be deleted.
    Stop {
        activity: "deleting",
        call: ("DELETE incoming", When::Before),
        before: None,
        after: Some(("a.csv", "8,80\n")),
    },
    Stop {
        activity: "reporting",
        call: ("SendTaskSuccess", When::Before),
        before: None,
        after: None,
    },
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempt_that_goes_on_after_its_successor_changes_nothing() {
    let activities = STOPS.map(|stop| stop.activity.to_owned());
    let world = World::start("duplicate", &activities, ("300ms", HEARTBEAT)).await;
    let targets = world.targets(&activities).await;
    let all = STOPS.iter().zip(&targets);
    join_all(all.map(|(stop, target)| duplicate(&world, target, *stop))).await;
}

async fn duplicate(world: &World, target: &Target<'_>, stop: Stop) {
    let activity = stop.activity;
    target.land(&FILES).await;
    let (call, when) = stop.call;
    let proxy = Proxy::start(&world.endpoint, Some((Call::Named(call.to_owned()), when))).await;
    let first = world.worker_at((activity, "first"), &proxy.url);
    let first = Worker::new(first).await;
    let execution = world.start_execution(activity, &target.input()).await;
    let held = timeout(LONG, proxy.held()).await;
    assert!(held.is_ok(), "{activity}: {:?}", proxy.calls());
    first.process.signal(Signal::SIGSTOP);

    target.land(stop.before.as_slice()).await;
    let second = world.worker(activity, "second").await;
    world.succeeded(&execution, LONG).await;
    let finished = |load: &serde_json::Value| load["busy"] == 0 && load["finished_total"] != 0;
    second.wait_for("the successor's end", finished).await;
    let attempts = world.attempts(&execution).await;
    assert_eq!(attempts[0], format!("{activity}-first"));
    assert_eq!(attempts[attempts.len() - 1], format!("{activity}-second"));
    target.assert_loaded_once(activity).await;
    target.land(stop.after.as_slice()).await;

    // The call has its effect, or none, before the worker can do anything else.
    proxy.release().await;
    first.process.signal(Signal::SIGCONT);
    let load = first
        .wait_for("the end of the closed attempt", finished)
        .await;
    assert_eq!(load["failed_total"], 0, "{activity}: it is closed: {load}");
    let left: Vec<&str> = stop.after.iter().map(|(name, _)| *name).collect();
    assert_eq!(target.keys("incoming").await, left, "{activity}");
    let execution = world.start_execution(activity, &target.input()).await;
    world.succeeded(&execution, LONG).await;
    target.assert_loaded_once(activity).await;
}
