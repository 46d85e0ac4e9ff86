//! A worker dies before and after each outside call of one load, and another
//! finishes: no row is lost, no row is doubled, no file is left.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::{StreamExt as _, stream};
use nix::sys::signal::Signal;
use tokio::time::timeout;

use crate::proxy::{Call, Proxy, When};
use crate::world::{FILES, Target, World};

/// Deaths at once: much of a case is waiting, for statements and for the retry.
const AT_ONCE: usize = 8;
/// A load, on a busy machine.
const LONG: Duration = Duration::from_secs(180);
/// So long that no heartbeat lapses by itself: the scenario says when.
const HEARTBEAT: &str = "100s";
/// The last call of a load.
const REPORT: &str = "SendTaskSuccess";

/// Where a worker dies. Each has an activity and a table of its own.
#[derive(Debug, Clone, Copy)]
struct Death {
    call: usize,
    when: When,
}

impl Death {
    fn name(self) -> String {
        format!("{:?}{}", self.when, self.call).to_lowercase()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_at_any_call_loses_and_doubles_nothing() {
    let _alone = crate::MACHINE.lock().await;
    let mut world = World::start("crash", &["whole".to_owned()], ("0s", HEARTBEAT)).await;
    let calls = calls_of_a_load(&world).await;
    let deaths: Vec<Death> = (1..=calls.len())
        .flat_map(|call| [When::Before, When::After].map(|when| Death { call, when }))
        .collect();
    let names: Vec<String> = deaths.iter().map(|death| death.name()).collect();
    world.set_up(&names).await;
    let targets = world.targets(&names).await;

    let deaths = stream::iter(deaths.iter().zip(&targets))
        .map(async |(death, target)| (death.when, crash(&world, target, *death).await));
    let died: Vec<(When, String)> = deaths.buffer_unordered(AT_ONCE).collect().await;
    // Moves run side by side, so that their order varies; their kinds do not.
    let kinds: BTreeSet<&str> = calls.iter().map(String::as_str).collect();
    for when in [When::Before, When::After] {
        let died = died.iter().filter(|(of, _)| *of == when);
        let at: BTreeSet<&str> = died.map(|(_, call)| call.as_str()).collect();
        assert_eq!(at, kinds, "{when:?}");
    }
}

/// Every call of a load in which nothing happens, from the poll to the report.
async fn calls_of_a_load(world: &World) -> Vec<String> {
    let targets = world.targets(&["whole".to_owned()]).await;
    targets[0].land(&FILES).await;
    let proxy = Proxy::start(&world.endpoint, None).await;
    let execution = world.start_execution("whole", &targets[0].input()).await;
    let _worker = world.worker_at(("whole", "only"), &proxy.url);
    let output = world.succeeded(&execution, LONG).await;
    assert_eq!(
        (&output["files"], &output["rows"], &output["moved"]),
        (&3.into(), &6.into(), &3.into()),
        "{output}"
    );
    targets[0].assert_loaded_once("no crash").await;
    let mut calls = proxy.calls();
    let report = calls.iter().position(|call| call == REPORT);
    calls.truncate(report.expect("a report") + 1);
    assert!(calls.len() > 20, "these are not all of them: {calls:?}");
    calls
}

/// One death and what comes after it; gives the call at which it was.
async fn crash(world: &World, target: &Target<'_>, death: Death) -> String {
    let activity = death.name();
    target.land(&FILES).await;
    let hold = (Call::Number(death.call), death.when);
    let proxy = Proxy::start(&world.endpoint, Some(hold)).await;
    let execution = world.start_execution(&activity, &target.input()).await;
    let mut victim = world.worker_at((&activity, "victim"), &proxy.url);
    let Ok(call) = timeout(LONG, proxy.held()).await else {
        panic!("{activity}: only {:?}\n{}", proxy.calls(), victim.said());
    };
    victim.signal(Signal::SIGKILL);
    assert_eq!(victim.ended(LONG).await, None, "{activity}: it was killed");
    if let Some(token) = proxy.token() {
        world.lapse(&token).await;
    }
    drop(proxy);

    let what = format!("{:?} call {}, {call}", death.when, death.call);
    let _fresh = world.worker_at((&activity, "fresh"), &world.endpoint);
    world.succeeded(&execution, LONG).await;
    target.assert_loaded_once(&what).await;
    call
}
