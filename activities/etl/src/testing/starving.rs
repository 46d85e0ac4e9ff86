//! Bad files that are older than the good ones, and more than a run tries: they
//! starve nobody.

use serde_json::json;

use super::faulty::{Dies, execution, run_as, tick};
use super::world::{Way, World, lock};

const NONE: [&str; 0] = [];

/// So many bad files, then three good ones.
fn world(way: Way, bad: usize, body: &str) -> World {
    let world = World::loading(way, &[]);
    for at in 0..bad {
        world.arrive(&format!("{at:03}.csv"), &body.replace('#', &at.to_string()));
    }
    world.pass(60);
    for at in 0..3 {
        world.arrive(&format!("good-{at}.csv"), &format!("{at},1\n"));
    }
    world.pass(60);
    world
}

/// Runs until the good files are loaded, and on until nothing is left.
async fn runs(world: &World, max_files: u64) -> (usize, usize) {
    let (mut good, mut all) = (0, 0);
    for run in 1..60 {
        let how = (execution(world), Dies::Never);
        let ended = run_as(world, json!({"max_files": max_files}), how).await;
        ended.result.expect("alive").ok();
        world.pass(60);
        if good == 0 && lock(&world.db).rows("public.t").len() == 3 {
            good = run;
        }
        if world.keys("incoming").is_empty() {
            all = run;
            break;
        }
        // A producer goes on.
        if good > 0 {
            world.arrive(&format!("more-{run}.csv"), "1,1\n");
            world.pass(60);
        }
    }
    (good, all)
}

#[tokio::test(start_paused = true)]
async fn old_bad_files_starve_no_new_ones() {
    // Named, nameless, and such as may not even be read.
    for body in ["#,bad\n", "#,ugly\n", "frozen,#\n"] {
        for way in Way::ALL {
            for (bad, max_files) in [(20, 200), (25, 200), (60, 20), (90, 40)] {
                let world = world(way, bad, body);
                let (good, _) = runs(&world, max_files).await;
                let most = bad / 8 + 2;
                let what = format!("{way:?}, {bad} times {body:?} by {max_files}");
                assert!((1..=most).contains(&good), "{what}: {good} runs");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn and_are_set_aside_in_the_end() {
    for way in Way::ALL {
        let world = world(way, 45, "#,bad\n");
        let (good, all) = runs(&world, 200).await;
        assert!(good > 0 && all > 0, "{way:?}: {good} and {all} runs");
        assert_eq!(world.failed().len(), 45, "{way:?}");
        assert_eq!(world.keys("leases"), NONE, "{way:?}: nothing is noted");
    }
}

/// S3 refuses one file of fifty, by a key of KMS, a policy or an archive.
#[tokio::test(start_paused = true)]
async fn a_file_that_may_not_be_read_is_set_aside_and_holds_up_nobody() {
    for way in Way::ALL {
        for body in ["frozen\n", "frozen and named\n"] {
            let world = World::loading(way, &[]);
            for at in 0..50 {
                world.arrive(
                    &format!("{at:02}.csv"),
                    if at == 31 { body } else { "1,1\n" },
                );
            }
            world.pass(60);
            let output = tick(&world).await.output();
            assert_eq!((output.files, output.failed), (49, 1), "{way:?}: {body}");
            let (name, report) = &world.failed()[0];
            assert_eq!(name, "31.csv", "{way:?}");
            let reason = report["reason"].as_str().expect("a reason");
            assert!(reason.contains("AccessDenied"), "{reason}");
            let named = body.contains("named") && way != Way::OneByOne;
            if named {
                assert_eq!(lock(&world.db).submitted(), 2, "with it, and without it");
            }
        }
    }
}

/// Not even to be copied: it stays, and is said in every run.
#[tokio::test(start_paused = true)]
async fn a_file_that_cannot_be_moved_holds_up_nobody() {
    for way in Way::ALL {
        let world = World::loading(way, &[("a.csv", "sealed\n"), ("b.csv", "1,1\n")]);
        world.arrive("c.csv", "1,bad\n");
        world.pass(60);
        for run in 0..3 {
            let error = tick(&world).await.error();
            assert_eq!(error.name(), "Load.Permanent", "{way:?}: {error}");
            assert!(error.cause().contains("a.csv"), "{error}");
            assert_eq!(world.keys("incoming"), ["a.csv"], "{way:?}, {run}");
            world.arrive(&format!("later-{run}.csv"), "1,1\n");
            world.pass(60);
        }
        assert_eq!(world.failed_names(), ["c.csv"], "{way:?}");
        assert_eq!(lock(&world.db).rows("public.t").len(), 3, "{way:?}");
    }
}
