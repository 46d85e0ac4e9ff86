//! `etl-worker reprocess`: failed files go back once the table is mended.

use futures::{StreamExt as _, stream};

use super::{AT_ONCE, HEARTBEAT, LONG, assert_everywhere, everywhere, kill_at_held};
use crate::gate::{Call, When};
use crate::process::Process;
use crate::proxy::Proxy;
use crate::target::Target;
use crate::world::World;

const ACTIVITY: &str = "load";
/// Workers, since all files are loaded twice at least.
const WORKERS: [&str; 4] = ["one", "two", "three", "four"];
/// Too narrow for one of the files, and wide enough for it.
const NARROW: &str = "id varchar(2), amount bigint";
const WIDE: &str = "varchar(8)";
const GOOD: (&str, &str) = ("a.csv", "1,10\n2,20\n");
const LONG_IDS: (&str, &str) = ("b/b 'x'+.csv", "100,30\n200,40\n");

/// Where a run dies, and whether the loader comes by before the next one.
#[derive(Debug, Clone, Copy)]
struct Death {
    number: usize,
    when: When,
    loads_between: bool,
}

impl Death {
    fn name(&self) -> String {
        let between = if self.loads_between { "_loads" } else { "" };
        format!("{:?}{}{between}", self.when, self.number).to_lowercase()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_at_any_call_that_moves_files_back_loses_and_doubles_nothing() {
    let _busy = crate::MACHINE.read().await;
    let activities = [ACTIVITY.to_owned()];
    let mut world = World::start("back", &activities, ("0s", HEARTBEAT)).await;
    // A bad file is what this is about, and no failure.
    let config = "warehouse: main, on_failed: succeed";
    world.set_up_as(&activities, config).await;
    let _workers = WORKERS.map(|name| world.worker_at((ACTIVITY, name), &world.endpoint));
    let calls = calls_of_a_run(&world).await;
    let deaths = everywhere(&calls).flat_map(|(number, when)| {
        [false, true].map(|loads_between| Death {
            number,
            when,
            loads_between,
        })
    });
    let deaths: Vec<Death> = deaths.collect();
    let names: Vec<String> = deaths.iter().map(Death::name).collect();
    let targets = with_failed_files(&world, &names).await;
    let died = stream::iter(deaths.iter().zip(&targets))
        .map(async |(death, target)| (death.when, crash(&world, target, death).await));
    let died: Vec<(When, String)> = died.buffer_unordered(AT_ONCE).collect().await;
    let died = died.iter().map(|(when, call)| (*when, call.as_str()));
    assert_everywhere(&died.collect::<Vec<_>>(), &calls);
}

/// Tables that have refused one of two files, and would take it now.
async fn with_failed_files<'a>(world: &'a World, names: &[String]) -> Vec<Target<'a>> {
    let targets = world.targets_of(names, NARROW).await;
    let failed = stream::iter(&targets).map(async |target| {
        target.land(&[GOOD, LONG_IDS]).await;
        let output = load(world, target).await;
        let counts = (&output["files"], &output["failed"]);
        assert_eq!(counts, (&1.into(), &1.into()), "{output}");
    });
    failed.buffer_unordered(AT_ONCE).collect::<()>().await;
    let mended = targets.iter().map(|target| {
        let table = target.table();
        format!("ALTER TABLE {table} ALTER COLUMN id TYPE {WIDE}")
    });
    world.execute_all(&mended.collect::<Vec<_>>()).await;
    targets
}

async fn load(world: &World, target: &Target<'_>) -> serde_json::Value {
    let execution = world.start_execution(ACTIVITY, &target.input()).await;
    world.succeeded(&execution, LONG).await
}

/// Starts a run over the failed files of a table.
fn reprocess(world: &World, target: &Target<'_>, (name, endpoint): (&str, &str)) -> Process {
    let input = target.input();
    let prefix = input["prefix"].as_str().expect("a prefix");
    let args = [
        "reprocess",
        "--bucket",
        world.fleet(),
        "--prefix",
        prefix,
        "--json",
    ];
    let log = format!("{}-{name}", prefix.trim_end_matches('/'));
    world.start_command(&args, (&log, endpoint))
}

/// Every call of a run in which nothing happens.
async fn calls_of_a_run(world: &World) -> Vec<String> {
    let targets = with_failed_files(world, &["calm".to_owned()]).await;
    let target = &targets[0];
    let proxy = Proxy::start(&world.endpoint, None).await;
    let mut run = reprocess(world, target, ("only", &proxy.url));
    assert_eq!(run.ended(LONG).await, Some(0), "{}", run.said());
    load(world, target).await;
    assert_done(target, "nothing happened").await;
    let calls = proxy.calls();
    assert!(calls.len() > 6, "these are not all of them: {calls:?}");
    calls
}

/// One death and what comes after it; gives the call at which it was.
async fn crash(world: &World, target: &Target<'_>, death: &Death) -> String {
    let hold = (Call::Number(death.number), death.when);
    let proxy = Proxy::start(&world.endpoint, Some(hold)).await;
    let mut victim = reprocess(world, target, ("victim", &proxy.url));
    let call = kill_at_held(&mut victim, &proxy).await;
    drop(proxy);
    let what = format!("{death:?}, {call}");
    if death.loads_between {
        load(world, target).await;
    }
    let mut fresh = reprocess(world, target, ("fresh", &world.endpoint));
    assert_eq!(fresh.ended(LONG).await, Some(0), "{what}: {}", fresh.said());
    load(world, target).await;
    assert_done(target, &what).await;
    call
}

/// All is loaded once, and nothing is left in `failed/`: no file, no report.
async fn assert_done(target: &Target<'_>, what: &str) {
    target.assert_loaded_once(what).await;
    let none: [&str; 0] = [];
    assert_eq!(target.keys("failed").await, none, "{what}");
}
