//! `etl.s3-plan`: what it finds is loaded by a Map, side by side.

use futures::{StreamExt as _, stream};
use serde_json::json;

use super::{AT_ONCE, HEARTBEAT, LONG, REPORT, assert_everywhere, everywhere, kill_at_held};
use crate::gate::{Call, When};
use crate::proxy::Proxy;
use crate::target::Target;
use crate::world::{FILES, World};

const LOADER: &str = "load";
/// Workers, since each plan leads to two loads.
const WORKERS: [&str; 4] = ["one", "two", "three", "four"];
/// Of these tables two have files.
const TABLES: [&str; 3] = ["a", "b", "idle"];

/// The tables of one plan.
type Tables<'a> = [Target<'a>; 3];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_at_any_call_of_a_plan_loses_and_doubles_nothing() {
    let _busy = crate::MACHINE.read().await;
    let mut world = World::start("plans", &[LOADER.to_owned()], ("0s", HEARTBEAT)).await;
    let _workers = WORKERS.map(|name| world.worker_at((LOADER, name), &world.endpoint));
    set_up(&mut world, &["calm".to_owned()]).await;
    let calls = calls_of_a_plan(&world).await;

    let deaths: Vec<(usize, When)> = everywhere(&calls).collect();
    let names: Vec<String> = deaths.iter().map(|death| name(*death)).collect();
    set_up(&mut world, &names).await;
    let world = &world;
    let died = stream::iter(deaths).map(async |death| {
        let tables = tables(world, &name(death)).await;
        (death.1, crash(world, &tables, death).await)
    });
    let died: Vec<(When, String)> = died.buffer_unordered(AT_ONCE).collect().await;
    let died = died.iter().map(|(when, call)| (*when, call.as_str()));
    assert_everywhere(&died.collect::<Vec<_>>(), &calls);
}

fn name((number, when): (usize, When)) -> String {
    format!("{when:?}{number}").to_lowercase()
}

/// A plan for each name, beside the loader.
async fn set_up(world: &mut World, names: &[String]) {
    let plans = names.iter().map(|name| {
        format!(
            "  {name}: {{handler: etl.s3-plan, deployment: workers, \
             worker: {{slots: 1, pollers: {{min: 1, max: 1}}, heartbeat: {HEARTBEAT}, timeout: 10m}}, \
             objective: {{wait: 5s}}, config: {{load: {LOADER}, concurrency: 2}}}}\n"
        )
    });
    world.more = plans.collect();
    world.set_up(&[LOADER.to_owned()]).await;
}

async fn tables<'a>(world: &'a World, plan: &str) -> Tables<'a> {
    let names = TABLES.map(|table| format!("{plan}_{table}"));
    let targets = world.targets(&names).await;
    let [a, b, idle] = <Tables<'a>>::try_from(targets).ok().expect("all of them");
    a.land(&FILES).await;
    b.land(&FILES).await;
    [a, b, idle]
}

async fn start(world: &World, plan: &str, tables: &Tables<'_>) -> String {
    let loads = tables.each_ref().map(Target::input);
    world.start_execution(plan, &json!({"loads": loads})).await
}

async fn assert_done(world: &World, (execution, tables): (&str, &Tables<'_>), what: &str) {
    let output = world.succeeded(execution, LONG).await;
    let said = (&output["results"], &output["idle"]);
    assert_eq!(
        said,
        (&json!(["loaded", "loaded"]), &json!(1)),
        "{what}: {output}"
    );
    for table in &tables[..2] {
        table.assert_loaded_once(what).await;
    }
}

/// Every call of a plan in which nothing happens, from the poll to the report.
async fn calls_of_a_plan(world: &World) -> Vec<String> {
    let tables = tables(world, "calm").await;
    let proxy = Proxy::start(&world.endpoint, None).await;
    let execution = start(world, "calm", &tables).await;
    let _planner = world.worker_at(("calm", "only"), &proxy.url);
    assert_done(world, (&execution, &tables), "nothing happened").await;
    let mut calls = proxy.calls();
    let report = calls.iter().position(|call| call == REPORT);
    calls.truncate(report.expect("a report") + 1);
    assert!(
        calls.len() > TABLES.len(),
        "these are not all of them: {calls:?}"
    );
    calls
}

/// One death and what comes after it; gives the call at which it was.
async fn crash(world: &World, tables: &Tables<'_>, (number, when): (usize, When)) -> String {
    let plan = name((number, when));
    let execution = start(world, &plan, tables).await;
    let proxy = Proxy::start(&world.endpoint, Some((Call::Number(number), when))).await;
    let mut victim = world.worker_at((&plan, "victim"), &proxy.url);
    let call = kill_at_held(&mut victim, &proxy).await;
    if let Some(token) = proxy.token() {
        world.lapse(&token).await;
    }
    drop(proxy);
    let _fresh = world.worker_at((&plan, "fresh"), &world.endpoint);
    assert_done(world, (&execution, tables), &format!("{plan}, {call}")).await;
    call
}
