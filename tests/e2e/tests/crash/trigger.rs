//! `etl-worker trigger`: events of S3 start executions, which load.

use std::time::Duration;

use aws_sdk_sfn::types::ExecutionStatus;
use futures::future::join_all;
use nix::sys::signal::Signal;
use tokio::time::{Instant, sleep_until};

use super::{HEARTBEAT, LONG, assert_everywhere, everywhere, kill_at_held};
use crate::arrivals;
use crate::gate::{Call, When};
use crate::process::{Process, until};
use crate::proxy::Proxy;
use crate::target::Target;
use crate::world::World;

/// Each trigger hears of two tables.
const TABLES: [&str; 2] = ["a", "b"];
const FILE: [(&str, &str); 1] = [("it's 100%+.csv", "1,10\n2,20\n")];
/// The window, and how far clocks may be apart: what has arrived is due then.
const DUE: Duration = Duration::from_secs(5);
/// For that long at least a message that was received is hidden.
const HIDDEN: &str = "3m";
/// Receive, start, start, delete: what a run with two files calls.
const CALLS: [&str; 4] = [
    "ReceiveMessage",
    "StartExecution",
    "StartExecution",
    "DeleteMessageBatch",
];

/// A trigger, what it hears of, and its queue.
struct Case<'a> {
    activity: String,
    targets: Vec<Target<'a>>,
    queue: String,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_at_any_call_of_a_trigger_loses_and_doubles_nothing() {
    let _busy = crate::MACHINE.read().await;
    let calls = CALLS.map(str::to_owned);
    let deaths: Vec<(usize, When)> = everywhere(&calls).collect();
    let mut names: Vec<String> = deaths.iter().map(|death| name(*death)).collect();
    names.push("calm".to_owned());
    let mut world = World::start("trigger", &names, ("0s", HEARTBEAT)).await;
    let queues = set_up(&mut world, &names).await;
    let world = &world;
    let cases = names.iter().zip(queues).map(|(name, queue)| Case {
        activity: name.clone(),
        targets: targets(world, name),
        queue,
    });
    let cases: Vec<Case<'_>> = cases.collect();
    for target in cases.iter().flat_map(|case| &case.targets) {
        target.land(&FILE).await;
    }
    sleep_until(Instant::now() + DUE).await;

    let (calm, crashed) = cases.split_last().expect("one");
    calm_run(world, calm).await;
    let died = deaths.iter().zip(crashed);
    let died =
        join_all(died.map(async |(death, case)| (death.1, crash(world, case, *death).await)));
    let died = died.await;
    let died: Vec<(When, &str)> = died.iter().map(|(at, call)| (*at, call.as_str())).collect();
    assert_everywhere(&died, &calls);

    // What the dead have received is hidden yet.
    world.advance(HIDDEN).await;
    join_all(crashed.iter().map(|case| goes_on(world, case))).await;
}

fn name((number, when): (usize, When)) -> String {
    format!("{when:?}{number}").to_lowercase()
}

fn targets<'a>(world: &'a World, name: &str) -> Vec<Target<'a>> {
    let of = |table| world.target(&format!("{name}_{table}"));
    TABLES.map(of).into()
}

/// A loader, two tables and a queue for each name; gives the queues.
async fn set_up(world: &mut World, names: &[String]) -> Vec<String> {
    let all = names
        .iter()
        .flat_map(|name| TABLES.map(|table| format!("{name}_{table}")));
    world.targets(&all.collect::<Vec<_>>()).await;
    let prefixes: Vec<String> = names.iter().map(|name| format!("{name}_")).collect();
    let queues = arrivals::queues(world, &prefixes).await;
    let configs = names.iter().zip(&queues).map(|(name, queue)| {
        let targets = targets(world, name);
        let loads: Vec<String> = targets.iter().map(Target::as_config).collect();
        let trigger = format!("trigger: {{queue: \"{queue}\", debounce: 1s}}");
        let config = format!("warehouse: main, loads: [{}], {trigger}", loads.join(", "));
        (name.clone(), config)
    });
    let configs: Vec<(String, String)> = configs.collect();
    world.set_up_each(&configs).await;
    queues
}

fn trigger(world: &World, case: &Case<'_>, (who, endpoint): (&str, &str)) -> Process {
    let args = ["trigger", "--activity", &case.activity];
    let log = format!("trigger-{}-{who}", case.activity);
    world.start_command(&args, (&log, endpoint))
}

/// A run in which nothing happens makes the calls at which the others die.
async fn calm_run(world: &World, case: &Case<'_>) {
    let proxy = Proxy::start(&world.endpoint, None).await;
    let mut only = trigger(world, case, ("only", &proxy.url));
    assert_done(world, case).await;
    end(&mut only).await;
    assert_eq!(proxy.calls()[..CALLS.len()], CALLS);
}

/// Dies; gives the call at which it was.
async fn crash(world: &World, case: &Case<'_>, (number, when): (usize, When)) -> String {
    let proxy = Proxy::start(&world.endpoint, Some((Call::Number(number), when))).await;
    let mut victim = trigger(world, case, ("victim", &proxy.url));
    kill_at_held(&mut victim, &proxy).await
}

/// The next one starts what is missing.
async fn goes_on(world: &World, case: &Case<'_>) {
    let mut fresh = trigger(world, case, ("fresh", &world.endpoint));
    assert_done(world, case).await;
    end(&mut fresh).await;
}

async fn end(trigger: &mut Process) {
    trigger.signal(Signal::SIGTERM);
    assert_eq!(trigger.ended(LONG).await, Some(0), "{}", trigger.said());
}

/// One execution for each table, all rows once, and no message left.
async fn assert_done(world: &World, case: &Case<'_>) {
    let activity = &case.activity;
    let _worker = world.worker_at((activity, "worker"), &world.endpoint);
    let machine = format!("{activity}-drain");
    let executions = until("the executions' end", LONG, async || {
        let all = world.executions(&machine).await;
        let runs = |status: &ExecutionStatus| *status == ExecutionStatus::Running;
        let over = all.len() >= TABLES.len() && !all.iter().any(|(_, status)| runs(status));
        over.then_some(all)
    })
    .await;
    let succeeded = |(_, status): &(String, ExecutionStatus)| *status == ExecutionStatus::Succeeded;
    let all = executions.len() == TABLES.len() && executions.iter().all(succeeded);
    assert!(all, "{activity}: {executions:?}");
    for target in &case.targets {
        target.assert_loaded_once(activity).await;
    }
    until("an empty queue", LONG, async || {
        (arrivals::messages(world, &case.queue).await == 0).then_some(())
    })
    .await;
}
