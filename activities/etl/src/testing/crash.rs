//! A crash before and after each call to the outside, then another run: no row
//! is lost, no row is doubled.

use serde_json::json;
use stepfleet_activity::{Attempt, Class};

use super::faulty::{Dies, Run, execution, run_as};
use super::world::{World, lock};

const FILES: [(&str, &str); 3] = [
    ("a.csv", "1,10\n2,20\n"),
    ("b/b 'x'+.csv", "3,30\n"),
    ("c.csv", "4,40\n5,50\n6,60\n"),
];
const LATE: (&str, &str) = ("late.csv", "7,70\n");
/// What the warehouse refuses: one by name, one without.
const BAD: [(&str, &str); 2] = [("bad.csv", "8,8\n9,bad\n"), ("b/ugly 'x'+.csv", "9,ugly\n")];
const TOPIC: &str = "arn:aws:sns:eu-west-1:123456789012:alerts";

/// What is loaded, and by which statements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mode(Files, Way);

/// How the files come into the warehouse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Transaction,
    Procedure,
    OneByOne,
}

const MODES: [Mode; 6] = [
    Mode(Files::Good, Way::Transaction),
    Mode(Files::Good, Way::Procedure),
    Mode(Files::Good, Way::OneByOne),
    Mode(Files::Mixed, Way::Transaction),
    Mode(Files::Mixed, Way::Procedure),
    Mode(Files::Mixed, Way::OneByOne),
];

/// What is loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Files {
    /// Good files only.
    Good,
    /// Bad files among them, of which people are told.
    Mixed,
}

impl Mode {
    fn world(self) -> World {
        let world = World::new();
        lock(&world.db).procedure = self.1 == Way::Procedure;
        lock(&world.db).one_by_one = self.1 == Way::OneByOne;
        let bad = if self.0 == Files::Mixed {
            &BAD[..]
        } else {
            &[]
        };
        for (name, body) in FILES.iter().chain(bad) {
            world.arrive(name, body);
        }
        world.pass(60);
        world
    }

    /// Nothing lost, nothing doubled, nothing left over, and people were told.
    fn assert_done(self, world: &World, late: &[(&str, &str)], what: &str) {
        world.assert_loaded_once(&[FILES.as_slice(), late].concat(), what);
        let failed: Vec<String> = world.failed().into_iter().map(|(name, _)| name).collect();
        match self.0 {
            Files::Good => assert_eq!(failed, [""; 0], "{what}"),
            Files::Mixed => {
                assert_eq!(failed, ["b/ugly 'x'+.csv", "bad.csv"], "{what}");
                let notices: Vec<String> = world
                    .notices()
                    .into_iter()
                    .map(|notice| notice.message)
                    .collect();
                for (name, _) in BAD {
                    let told = notices.iter().any(|notice| notice.contains(name));
                    assert!(told, "{what}: nobody was told of {name}");
                }
            }
        }
    }
}

/// What the warehouse does with a load whose worker is dead.
#[derive(Debug, Clone, Copy)]
enum Warehouse {
    /// Ends it before anybody looks again.
    Ends,
    /// Is still at it when the next run comes; it commits before that run's own.
    Lingers,
    /// Is still at it, and the next run's own load commits first.
    LingersLonger,
}

/// Who comes after the crash.
#[derive(Debug, Clone, Copy)]
enum Next {
    /// The same state's retry, which need not wait for the lease.
    Retry,
    /// Another execution, after the lease has expired.
    Tick,
}

impl Way {
    /// A transaction of one's own connection does not outlive its worker.
    fn warehouses(self) -> &'static [Warehouse] {
        match self {
            Self::OneByOne => &[Warehouse::Ends],
            _ => &[
                Warehouse::Ends,
                Warehouse::Lingers,
                Warehouse::LingersLonger,
            ],
        }
    }
}

async fn run(world: &World, attempt: &Attempt, dies: Dies) -> Run {
    let settings = json!({"notify": {"topic": TOPIC}});
    run_as(world, settings, (attempt.clone(), dies)).await
}

/// How many calls a load makes that nothing disturbs.
async fn calls(mode: Mode) -> usize {
    let world = mode.world();
    let run = run(&world, &execution(&world), Dies::Never).await;
    let calls = run.calls.len();
    let puts = run.calls.iter().filter(|call| **call == "put").count();
    if mode.1 != Way::OneByOne {
        assert!(puts > 3, "the lease, manifest, list, and the lease again");
    }
    let parts = run.calls.iter().filter(|call| **call == "copy_part");
    assert_eq!(parts.count(), 3, "15 bytes in parts of 7");
    let told = run.calls.contains(&"notify");
    assert_eq!(told, mode.0 == Files::Mixed);
    assert_eq!(run.output().rows, 6);
    mode.assert_done(&world, &[], "no crash");
    calls
}

/// Every way to die at every call.
fn deaths(calls: usize) -> impl Iterator<Item = Dies> {
    (1..=calls).flat_map(|call| [Dies::Before(call), Dies::After(call)])
}

/// Time passes until the next attempt comes.
fn next(world: &World, attempt: &Attempt, next: Next) -> Attempt {
    match next {
        Next::Retry => {
            world.pass(30);
            Attempt {
                retry: attempt.retry + 1,
                ..attempt.clone()
            }
        }
        Next::Tick => {
            world.pass(301);
            execution(world)
        }
    }
}

/// Runs until nothing is left. Only a conflict may come in between: a load of
/// some of the files that was still under way.
async fn recover(world: &World, crashed: &Attempt, how: (Next, &str)) {
    let (who, what) = how;
    let mut attempt = crashed.clone();
    for _ in 0..4 {
        attempt = next(world, &attempt, who);
        let result = run(world, &attempt, Dies::Never).await.result;
        match result.expect("the worker is alive") {
            Ok(output) => {
                assert!(!output.held, "{what}: the lease is to be had");
                if world.keys("incoming").is_empty() {
                    world.end_all();
                    return;
                }
            }
            Err(error) => assert_eq!(error.class(), Class::Conflict, "{what}: {error}"),
        }
    }
    panic!("{what}: {:?} is left", world.keys("incoming"));
}

fn stop(world: &World, warehouse: Warehouse) {
    match warehouse {
        Warehouse::Ends => world.end_all(),
        Warehouse::Lingers => {}
        Warehouse::LingersLonger => lock(&world.db).newest_first = true,
    }
}

/// One crash at every call, of every kind, before every kind of successor.
async fn crash_everywhere(mode: Mode, kinds: [fn(usize) -> Dies; 2], late: &[(&str, &str)]) {
    for dies in (1..=calls(mode).await).flat_map(|call| kinds.map(|kind| kind(call))) {
        for &warehouse in mode.1.warehouses() {
            for who in [Next::Retry, Next::Tick] {
                let what = format!("{mode:?}, {dies:?}, {warehouse:?}, {who:?}, {late:?}");
                let world = mode.world();
                let first = execution(&world);
                let crashed = run(&world, &first, dies).await;
                assert!(crashed.result.is_none(), "{what}: it died");
                for (name, body) in late {
                    world.arrive(name, body);
                }
                stop(&world, warehouse);
                recover(&world, &first, (who, &what)).await;
                mode.assert_done(&world, late, &what);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_crash_at_any_call_loses_and_doubles_nothing() {
    for mode in MODES {
        crash_everywhere(mode, [Dies::Before, Dies::After], &[]).await;
    }
}

/// The next run's batch is another one then, and holds the first one's files.
#[tokio::test(start_paused = true)]
async fn a_file_that_arrives_after_the_crash_changes_nothing() {
    for mode in MODES.into_iter().filter(|mode| mode.0 == Files::Good) {
        crash_everywhere(mode, [Dies::Before, Dies::After], &[LATE]).await;
    }
}

/// An execution that is redriven after hours: the tokens have expired, and a day
/// later the statements are forgotten too. The ledger is not.
#[tokio::test(start_paused = true)]
async fn a_replay_after_hours_loses_and_doubles_nothing() {
    for mode in MODES.into_iter().filter(|mode| mode.0 == Files::Good) {
        for dies in deaths(calls(mode).await) {
            for hours in [9, 25] {
                let what = format!("{mode:?}, {dies:?}, {hours} hours later");
                let world = mode.world();
                let first = execution(&world);
                run(&world, &first, dies).await;
                // Nothing runs for that long.
                world.end_all();
                lock(&world.db).tokens_expired = true;
                lock(&world.db).forgotten = hours > 24;
                world.pass(hours * 3_600);
                recover(&world, &first, (Next::Retry, &what)).await;
                mode.assert_done(&world, &[], &what);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_crash_in_the_run_after_the_crash_changes_nothing() {
    let mode = MODES[0];
    let calls = calls(mode).await;
    for first_death in deaths(calls) {
        for second_death in deaths(calls) {
            let what = format!("{first_death:?}, then {second_death:?}");
            let world = mode.world();
            let first = execution(&world);
            run(&world, &first, first_death).await;
            let second = next(&world, &first, Next::Tick);
            run(&world, &second, second_death).await;
            recover(&world, &second, (Next::Tick, &what)).await;
            mode.assert_done(&world, &[], &what);
        }
    }
}

/// The worker cleans up after a handler that is dropped, while the next attempt
/// may be at work already.
#[tokio::test(start_paused = true)]
async fn a_handler_dropped_at_any_call_loses_and_doubles_nothing() {
    for mode in MODES {
        let drops = [Dies::DroppedBefore as fn(usize) -> Dies, Dies::DroppedAfter];
        crash_everywhere(mode, drops, &[]).await;
    }
}
