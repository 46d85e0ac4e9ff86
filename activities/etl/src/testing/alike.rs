//! Files that fail alike: the table's fault, and none of them leaves `incoming/`.

use serde_json::{Value, json};
use stepfleet_activity::Class;

use super::faulty::{Dies, Run, execution, run_as, tick};
use super::world::{Way, World, lock};
use crate::outside::{At, PutIf};

const NONE: [&str; 0] = [];
const HOUR: i64 = 3_600;

fn files(count: usize, body: &str) -> Vec<(String, String)> {
    let named = |at| (format!("{at:03}.csv"), format!("{at},1\n{body}\n"));
    (0..count).map(named).collect()
}

fn texts(files: &[(String, String)]) -> Vec<(&str, &str)> {
    let files = files.iter();
    files
        .map(|(name, body)| (name.as_str(), body.as_str()))
        .collect()
}

fn put(world: &World, key: &str, body: &str) {
    let at = At {
        bucket: "land",
        key,
    };
    world.put(at, body.as_bytes().to_vec(), PutIf::Absent);
}

async fn run(world: &World, settings: Value) -> Run {
    run_as(world, settings, (execution(world), Dies::Never)).await
}

/// And once the table is mended, all of them load.
#[tokio::test(start_paused = true)]
async fn a_table_of_another_shape_empties_nothing_in_any_way() {
    for way in Way::ALL {
        for count in [2, 5, 60] {
            let files = files(count, "1,bad");
            let world = World::loading(way, &texts(&files));
            for _ in 0..2 {
                let error = tick(&world).await.error();
                assert_eq!(
                    (error.name(), error.class()),
                    ("Load.Shape", Class::Permanent),
                    "{way:?}"
                );
                assert!(
                    error
                        .cause()
                        .contains("line 2, column amount: Invalid digit"),
                    "{error}"
                );
                assert_eq!(world.keys("failed"), NONE, "{way:?}");
                assert_eq!(world.keys("incoming").len(), count, "{way:?}");
            }
            lock(&world.db).lenient = true;
            assert_eq!(tick(&world).await.output().files, count as u64, "{way:?}");
            world.assert_loaded_once(&texts(&files), "mended");
        }
    }
}

/// One column more, and something else in one of them.
#[tokio::test(start_paused = true)]
async fn one_that_fails_otherwise_lets_the_others_not_move() {
    for way in Way::ALL {
        let mut files = files(4, "1,bad");
        files.push(("odd.csv".to_owned(), "bad,1\n".to_owned()));
        let world = World::loading(way, &texts(&files));
        assert_eq!(tick(&world).await.error().name(), "Load.Shape", "{way:?}");
        assert_eq!(world.keys("failed"), NONE, "{way:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_fails_alike_beside_good_ones_is_at_fault() {
    for way in Way::ALL {
        let good = files(50, "1,1");
        let world = World::loading(way, &texts(&good));
        world.arrive("x.csv", "1,bad\n");
        world.arrive("y.csv", "2,bad\n");
        world.pass(60);
        let output = tick(&world).await.output();
        assert_eq!((output.files, output.failed), (50, 2), "{way:?}");
        assert_eq!(world.failed()[0].1["loaded_beside"], 50, "{way:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn files_that_fail_each_in_its_own_way_are_at_fault() {
    for way in Way::ALL {
        let world = World::loading(way, &[("a.csv", "1,bad\n"), ("b.csv", "bad,1\n")]);
        let output = tick(&world).await.output();
        assert_eq!((output.files, output.failed), (0, 2), "{way:?}");
    }
}

/// What has failed a short while ago is evidence, if nothing was loaded beside it.
#[tokio::test(start_paused = true)]
async fn a_feed_of_one_file_a_tick_is_not_emptied() {
    for way in Way::ALL {
        let world = World::loading(way, &[]);
        for at in 0..4 {
            world.arrive(&format!("{at}.csv"), "1,bad\n");
            world.pass(60);
            let ended = tick(&world).await.result.expect("alive");
            let name = ended
                .map_err(|error| error.name().to_owned())
                .map(|output| output.failed);
            let want = if at == 0 {
                Ok(1)
            } else {
                Err("Load.Shape".to_owned())
            };
            assert_eq!(name, want, "{way:?}, tick {at}");
            assert_eq!(world.failed().len(), 1, "{way:?}, tick {at}");
        }
        // A good one says that it was the files.
        world.arrive("good.csv", "1,1\n");
        world.pass(60);
        let output = tick(&world).await.output();
        assert_eq!(
            (output.files, output.failed, output.remaining),
            (1, 3, 0),
            "{way:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn one_bad_file_alone_is_set_aside_as_ever() {
    for way in Way::ALL {
        // Beside a good one, of another fault, of another table, or long ago.
        let others: [&dyn Fn(&World); 4] = [
            &|world| {
                world.arrive("old.csv", "1,bad\n");
                world.arrive("good.csv", "1,1\n");
            },
            &|world| world.arrive("old.csv", "bad,1\n"),
            &|_| (),
            &|world| world.arrive("old.csv", "1,bad\n"),
        ];
        for (at, arrive) in others.into_iter().enumerate() {
            let world = World::loading(way, &[]);
            arrive(&world);
            world.pass(60);
            tick(&world).await.output();
            if at == 2 {
                let report = json!({"batch_id": "b", "file": "s3://land/x", "table": "public.other", "etag": "e",
                    "line": "1", "column": "amount", "reason": "Invalid digit", "failed_at": "2026-03-01T23:58:30Z"});
                put(
                    &world,
                    "p/failed/0123456789abcdef.json",
                    &report.to_string(),
                );
                put(&world, "p/failed/fedcba9876543210.json", "{not JSON");
            }
            if at == 3 {
                world.pass(HOUR);
            }
            world.arrive("new.csv", "1,bad\n");
            world.pass(60);
            let output = tick(&world).await.output();
            assert_eq!((output.files, output.failed), (0, 1), "{way:?}, case {at}");
        }
    }
}

/// A right that is lost in the middle of a run is nobody's of the files.
#[tokio::test(start_paused = true)]
async fn a_right_that_is_lost_in_the_middle_moves_nothing() {
    for way in Way::ALL {
        let mut files = files(30, "1,1");
        files[3].1 = "1,bad\n".to_owned();
        let world = World::loading(way, &texts(&files));
        let call = if way == Way::OneByOne {
            "load"
        } else {
            "submit"
        };
        let deny = |world: &World| lock(&world.db).denied = true;
        world.before(call, |_| ());
        world.before(call, deny);
        let error = tick(&world).await.error();
        assert_eq!(error.name(), "Load.Permanent", "{way:?}: {error}");
        assert!(error.cause().contains("permission denied"), "{error}");
        assert_eq!(world.keys("failed"), NONE, "{way:?}");
        let loaded = usize::from(way == Way::OneByOne);
        assert_eq!(world.keys("incoming").len(), 30 - loaded, "{way:?}");
        // It stays so, however often somebody looks.
        tick(&world).await.error();
        assert_eq!(world.keys("failed"), NONE, "{way:?}");
        lock(&world.db).denied = false;
        let output = tick(&world).await.output();
        assert_eq!(
            (output.files as usize, output.failed),
            (29 - loaded, 1),
            "{way:?}"
        );
    }
}

/// Others were loaded before it was lost: they are no evidence.
#[tokio::test(start_paused = true)]
async fn a_right_that_is_lost_between_two_copies_moves_nothing() {
    for way in [Way::Statements, Way::Procedure] {
        let mut files = files(30, "1,1");
        files[25].1 = "1,ugly\n".to_owned();
        let world = World::loading(way, &texts(&files));
        for _ in 0..2 {
            world.before("submit", |_| ());
        }
        world.before("submit", |world| lock(&world.db).denied = true);
        let error = tick(&world).await.error();
        assert_eq!(error.name(), "Load.Permanent", "{way:?}: {error}");
        assert!(error.cause().contains("permission denied"), "{error}");
        assert_eq!(lock(&world.db).submitted(), 3, "{way:?}: no file is asked");
        assert_eq!(world.keys("failed"), NONE, "{way:?}");
        lock(&world.db).denied = false;
        let output = tick(&world).await.output();
        assert_eq!(
            (output.files, output.failed, output.remaining),
            (14, 1, 0),
            "{way:?}"
        );
    }
}

/// One file for which a trigger needs a right: the others judge it.
#[tokio::test(start_paused = true)]
async fn one_by_one_a_file_that_is_denied_alone_is_at_fault() {
    for name in ["a.csv", "z.csv"] {
        let world = World::loading(Way::OneByOne, &[(name, "denied\n"), ("m.csv", "1,1\n")]);
        let ended = tick(&world).await.result.expect("alive");
        if name == "z.csv" {
            // Nothing was loaded after it; in the next run something is.
            assert_eq!(ended.expect_err("unsure").name(), "Load.Permanent");
            tick(&world).await.error();
            assert_eq!(world.keys("failed"), NONE);
            world.arrive("later.csv", "2,2\n");
            world.pass(60);
            assert_eq!(tick(&world).await.output().failed, 1);
        } else {
            assert_eq!(ended.expect("judged").failed, 1);
        }
        assert_eq!(world.keys("incoming"), NONE, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_file_is_a_failure_once_all_others_are_loaded() {
    for way in Way::ALL {
        let good = files(5, "1,1");
        let world = World::loading(way, &texts(&good));
        world.arrive("bad.csv", "1,bad\n");
        world.pass(60);
        let settings = json!({"on_failed": "fail"});
        let error = run(&world, settings.clone()).await.error();
        assert_eq!(
            (error.name(), error.class()),
            ("Load.Failed", Class::Poison),
            "{way:?}"
        );
        for part in [
            "1 files",
            "s3://land/p/failed/",
            "bad.csv, line 1, column amount",
            "5 others were loaded",
        ] {
            assert!(error.cause().contains(part), "{part}: {error}");
        }
        world.assert_loaded_once(&texts(&good), "all others");
        let failed: Vec<u64> = world.published().iter().map(|one| one.failed).collect();
        assert_eq!(failed, [1], "{way:?}");
        // The next run is a new one.
        let output = run(&world, settings).await.output();
        assert_eq!(output.failed, 0);
        let last = world.published().last().map(|one| one.failed);
        assert_eq!(last, Some(0), "{way:?}");
    }
}
