//! Files that were loaded before and come again with the same bytes.

use serde_json::json;
use stepfleet_activity::{Attempt, Class};

use super::faulty::{Dies, Run, execution, run_of, tick};
use super::world::{Way, World, input, lock};
use crate::LoadInput;

const AGAIN: [(&str, &str); 2] = [("a.csv", "1,1\n"), ("b/b 'x'+.csv", "2,2000000\n3,3\n")];
const NEW: (&str, &str) = ("new.csv", "4,4\n");

/// A table that has two files, which have come again, with another one.
async fn world(way: Way) -> World {
    let world = World::loading(way, &AGAIN);
    assert_eq!(tick(&world).await.output().files, 2);
    world.pass(3_600);
    for (name, body) in AGAIN.iter().chain([&NEW]) {
        world.arrive(name, body);
    }
    world.pass(60);
    world
}

async fn reload(world: &World, attempt: &Attempt, dies: Dies) -> Run {
    let input = LoadInput {
        reload: true,
        ..input()
    };
    run_of(world, (&input, json!({})), (attempt.clone(), dies)).await
}

/// The rows of all files, the old ones so many times.
fn assert_rows(world: &World, times: usize, what: &str) {
    let old = AGAIN.iter().flat_map(|(_, body)| body.lines());
    let old: Vec<&str> = old.collect();
    let mut wanted = old.repeat(times);
    wanted.extend(NEW.1.lines());
    wanted.sort_unstable();
    let db = lock(&world.db);
    let mut rows = db.rows("public.t");
    rows.sort_unstable();
    assert_eq!(rows, wanted, "{what}");
    assert!(db.all_verified(), "{what}");
    drop(db);
    assert_eq!(world.keys("incoming"), [""; 0], "{what}");
    assert_eq!(world.keys("leases"), [""; 0], "{what}");
}

#[tokio::test(start_paused = true)]
async fn what_comes_again_is_said_and_moved_unread() {
    for way in Way::ALL {
        let world = world(way).await;
        let output = tick(&world).await.output();
        let counts = [output.files, output.already, output.moved, output.remaining];
        assert_eq!(counts, [1, 2, 3, 0], "{way:?}");
        assert_rows(&world, 1, &format!("{way:?}"));
        // They are where they were: the same bytes.
        assert_eq!(world.keys("processed").len(), 3, "{way:?}");
    }
}

/// What an earlier run has loaded and not moved has not come again.
#[tokio::test(start_paused = true)]
async fn a_leftover_is_no_file_that_came_again() {
    for way in Way::ALL {
        let probe = World::loading(way, &AGAIN);
        let calls = tick(&probe).await.calls;
        let copy = calls
            .iter()
            .position(|call| *call == "copy")
            .expect("a move");
        let world = World::loading(way, &AGAIN);
        let first = execution(&world);
        run_of(
            &world,
            (&input(), json!({})),
            (first, Dies::Before(copy + 1)),
        )
        .await;
        world.pass(301);
        let output = reload(&world, &execution(&world), Dies::Never)
            .await
            .output();
        // One after another, the second one was not loaded yet.
        let files = u64::from(way == Way::OneByOne);
        let counts = [output.files, output.already, output.moved];
        assert_eq!(counts, [files, 0, 2], "{way:?}");
        world.assert_loaded_once(&AGAIN, &format!("{way:?}"));
    }
}

#[tokio::test(start_paused = true)]
async fn each_arrival_is_loaded_once_more_if_that_is_asked_for() {
    for way in Way::ALL {
        let world = world(way).await;
        let output = reload(&world, &execution(&world), Dies::Never)
            .await
            .output();
        let counts = [output.files, output.already, output.moved, output.rows];
        assert_eq!(counts, [3, 0, 3, 4], "{way:?}");
        assert_rows(&world, 2, &format!("{way:?}"));
        // Nothing has come since: nothing is loaded.
        let output = reload(&world, &execution(&world), Dies::Never)
            .await
            .output();
        assert_eq!((output.files, output.batch_id), (0, None), "{way:?}");
        // And a third time, since it has.
        world.pass(3_600);
        for (name, body) in AGAIN {
            world.arrive(name, body);
        }
        world.pass(60);
        let output = reload(&world, &execution(&world), Dies::Never)
            .await
            .output();
        assert_eq!((output.files, output.rows), (2, 3), "{way:?}");
        assert_rows(&world, 3, &format!("{way:?}"));
    }
}

/// Whoever comes after a crash, and whatever the warehouse has done by then, the
/// files are loaded exactly once more.
#[tokio::test(start_paused = true)]
async fn a_crash_at_any_call_of_a_reload_loses_and_doubles_nothing() {
    for way in Way::ALL {
        let whole = world(way).await;
        let run = reload(&whole, &execution(&whole), Dies::Never).await;
        let calls = run.calls.len();
        let deaths = (1..=calls).flat_map(|call| {
            [
                Dies::Before(call),
                Dies::After(call),
                Dies::DroppedBefore(call),
                Dies::DroppedAfter(call),
            ]
        });
        for dies in deaths {
            for is_retry in [true, false] {
                for lingers in [false, true] {
                    let what = format!("{way:?}, {dies:?}, {is_retry}, {lingers}");
                    let world = world(way).await;
                    let mut attempt = execution(&world);
                    let crashed = reload(&world, &attempt, dies).await;
                    assert!(crashed.result.is_none(), "{what}: it died");
                    if !lingers {
                        world.end_all();
                    }
                    for _ in 0..4 {
                        world.pass(if is_retry { 30 } else { 301 });
                        attempt.retry += 1;
                        if !is_retry {
                            attempt = execution(&world);
                        }
                        match reload(&world, &attempt, Dies::Never).await.result {
                            Some(Ok(_)) => {}
                            Some(Err(error)) => {
                                assert_eq!(error.class(), Class::Conflict, "{what}: {error}");
                            }
                            None => panic!("{what}: it lives"),
                        }
                    }
                    world.end_all();
                    assert_rows(&world, 2, &what);
                }
            }
        }
    }
}

/// What was loaded long ago says nothing about today's table.
#[tokio::test(start_paused = true)]
async fn a_file_that_comes_again_is_no_evidence_against_others() {
    for way in [Way::Statements, Way::Procedure] {
        let world = world(way).await;
        world.remove(NEW.0);
        for name in ["x.csv", "y.csv"] {
            world.arrive(name, "1,ugly\n");
        }
        world.pass(60);
        tick(&world).await.error();
        assert_eq!(world.keys("failed"), [""; 0], "{way:?}");
        assert_eq!(world.keys("incoming"), ["x.csv", "y.csv"], "{way:?}");
    }
}

/// Two that are asked for at once are one.
#[tokio::test(start_paused = true)]
async fn two_reloads_at_once_load_each_arrival_once() {
    for way in Way::ALL {
        let world = world(way).await;
        let (one, two) = (execution(&world), execution(&world));
        let (one, two) = tokio::join!(
            reload(&world, &one, Dies::Never),
            reload(&world, &two, Dies::Never)
        );
        assert_eq!(one.output().files + two.output().files, 3, "{way:?}");
        reload(&world, &execution(&world), Dies::Never)
            .await
            .output();
        assert_rows(&world, 2, &format!("{way:?}"));
    }
}
