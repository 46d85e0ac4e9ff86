//! Bad files: found, moved to `failed/` with the reason, and the rest loaded.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};
use stepfleet_activity::Class;

use super::faulty::{Dies, Run, execution, run_as, tick};
use super::world::{World, lock};

const TOPIC: &str = "arn:aws:sns:eu-west-1:123456789012:alerts";
const NONE: [&str; 0] = [];

async fn run(world: &World, settings: Value) -> Run {
    run_as(world, settings, (execution(world), Dies::Never)).await
}

/// Fifty files, of which some are not as the others.
fn fifty(bad: &[(usize, &str)]) -> (World, Vec<(String, String)>) {
    let world = World::new();
    let mut good = Vec::new();
    for at in 0..50 {
        let name = format!("{at:02}.csv");
        let amount = bad.iter().find(|(number, _)| *number == at);
        let body = format!("{at},1\n{at},{}\n", amount.map_or("1", |(_, bad)| bad));
        world.arrive(&name, &body);
        if amount.is_none() {
            good.push((name, body));
        }
    }
    world.pass(60);
    (world, good)
}

fn texts(files: &[(String, String)]) -> Vec<(&str, &str)> {
    let files = files.iter();
    files
        .map(|(name, body)| (name.as_str(), body.as_str()))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn one_bad_file_of_fifty_is_named_and_the_rest_is_loaded_at_once() {
    let (world, good) = fifty(&[(31, "bad")]);
    let output = tick(&world).await.output();
    assert_eq!((output.files, output.failed, output.moved), (49, 1, 49));
    assert_eq!((output.rows, output.remaining), (98, 0));
    assert_eq!(lock(&world.db).submitted(), 2, "with it, and without it");
    world.assert_loaded_once(&texts(&good), "one of fifty");
    let failed = world.failed();
    let [(name, report)] = failed.as_slice() else {
        panic!("{failed:?}");
    };
    assert_eq!(name, "31.csv");
    for (field, wanted) in [
        ("file", "s3://land/p/incoming/31.csv"),
        ("table", "public.t"),
        ("line", "2"),
        ("column", "amount"),
        ("reason", "Invalid digit"),
    ] {
        assert_eq!(report[field], wanted, "{field}");
    }
    assert_eq!(report["batch_id"].as_str().map(str::len), Some(64));
    assert!(report["failed_at"].is_string() && report["etag"].is_string());
    assert_eq!(world.published().last().map(|one| one.files), Some(0));
}

#[tokio::test(start_paused = true)]
async fn a_bad_file_that_nobody_names_is_found_by_halving() {
    for at in [0, 17, 49] {
        let (world, good) = fifty(&[(at, "ugly")]);
        let output = tick(&world).await.output();
        assert_eq!((output.files, output.failed), (49, 1), "{at}");
        let copies = lock(&world.db).submitted();
        assert!(copies <= 13, "{at}: {copies} COPYs for 50 files");
        world.assert_loaded_once(&texts(&good), "halved");
        let (name, report) = &world.failed()[0];
        assert_eq!(*name, format!("{at:02}.csv"));
        let reason = report["reason"].as_str().expect("a reason");
        assert!(reason.contains("does not like it"), "{reason}");
        assert!(report["line"].is_null(), "nobody knows the line");
    }
}

#[tokio::test(start_paused = true)]
async fn named_and_nameless_bad_files_come_together() {
    let (world, good) = fifty(&[(3, "bad"), (20, "ugly"), (41, "bad")]);
    let output = tick(&world).await.output();
    assert_eq!((output.files, output.failed), (47, 3));
    world.assert_loaded_once(&texts(&good), "three of fifty");
    let names: Vec<String> = world.failed().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["03.csv", "20.csv", "41.csv"]);
}

/// A right that is lost, or a table of another shape, is not the files' fault.
#[tokio::test(start_paused = true)]
async fn where_nothing_can_be_loaded_nothing_is_moved() {
    let (world, _) = fifty(&[]);
    lock(&world.db).refuses = true;
    let error = tick(&world).await.error();
    assert_eq!(error.class(), Class::Permanent);
    assert!(error.cause().contains("does not like it"), "{error}");
    assert_eq!(lock(&world.db).submitted(), 20, "isolate.attempts");
    assert_eq!(world.keys("failed"), NONE);
    assert_eq!(world.keys("incoming").len(), 50);
    lock(&world.db).refuses = false;
    assert_eq!(tick(&world).await.output().files, 50);
    assert_eq!(world.keys("leases"), NONE, "there is nothing to tell");
}

/// A table of another shape, however many attempts there are.
#[tokio::test(start_paused = true)]
async fn where_all_fail_alike_nothing_is_moved_and_the_run_says_so() {
    let all: Vec<(usize, &str)> = (0..50).map(|at| (at, "bad")).collect();
    for (attempts, name) in [
        (1, "Load.Poison"),
        (2, "Load.Shape"),
        (20, "Load.Shape"),
        (100, "Load.Shape"),
    ] {
        let (world, _) = fifty(&all);
        let error = run(&world, json!({"isolate": {"attempts": attempts}})).await;
        let error = error.error();
        assert_eq!(error.name(), name, "{attempts}: {error}");
        let place = "file s3://land/p/incoming/00.csv, line 2, column amount: Invalid digit";
        assert!(error.cause().contains(place), "{error}");
        assert!(error.cause().contains("nothing was moved"), "{error}");
        assert_eq!(lock(&world.db).submitted(), attempts.min(50), "{attempts}");
        assert_eq!(world.keys("failed"), NONE);
        assert_eq!(world.keys("incoming").len(), 50);
        let published = world.published();
        let published = published.last().expect("a metric");
        assert_eq!(
            (published.files, published.failed),
            (50, attempts.min(50) as u64)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn people_are_told_from_so_many_failed_files_on() {
    let world = World::new();
    let settings = json!({"notify": {"topic": TOPIC, "failed_files": 2}});
    for (at, told) in [(1, 0), (2, 1), (3, 2)] {
        world.arrive(&format!("{at}.csv"), &format!("{at},bad\n"));
        world.arrive(&format!("good-{at}.csv"), "1,1\n");
        world.pass(60);
        run(&world, settings.clone()).await.output();
        assert_eq!(world.notices().len(), told, "{at} failed files");
    }
    run(&world, settings).await.output();
    assert_eq!(world.notices().len(), 2, "nothing new is no news");
    let notice = &world.notices()[1];
    assert_eq!(notice.subject, "stepfleet: 3 failed files of public.t");
    let message: Value = serde_json::from_str(&notice.message).expect("JSON");
    assert_eq!(message["failed_files"], 3);
    assert_eq!(message["first"][0]["file"], "s3://land/p/incoming/3.csv");
    assert_eq!(message["first"][0]["line"], "1");
}

/// Nobody would look into `failed/`: so the file stays where it is, and the run
/// fails; the rest is loaded all the same.
#[tokio::test(start_paused = true)]
async fn a_file_leaves_only_after_people_were_told() {
    for fault in ["bad", "ugly"] {
        let (world, good) = fifty(&[(7, fault)]);
        let settings = json!({"notify": {"topic": TOPIC}});
        world.mute.store(true, Ordering::SeqCst);
        for _ in 0..2 {
            let error = run(&world, settings.clone()).await.error();
            assert_eq!(error.class(), Class::Transient, "{fault}");
            assert_eq!(world.keys("incoming"), ["07.csv"], "{fault}");
            assert_eq!(lock(&world.db).rows("public.t").len(), 98, "{fault}");
        }
        world.mute.store(false, Ordering::SeqCst);
        // Alone by now, it is still known for what it is.
        let output = run(&world, settings).await.output();
        assert_eq!((output.files, output.failed), (0, 1), "{fault}");
        assert_eq!(world.notices().len(), 1, "{fault}");
        world.assert_loaded_once(&texts(&good), "told at last");
        assert_eq!(world.failed().len(), 1, "{fault}");
    }
}

/// What is there now is a new file, which may be mended.
#[tokio::test(start_paused = true)]
async fn a_bad_file_that_is_replaced_is_a_new_file() {
    for (call, kept) in [("copy", 0), ("delete", 1)] {
        let world = World::new();
        world.arrive("a.csv", "1,bad\n");
        world.pass(60);
        world.before(call, |world| world.arrive("a.csv", "1,1\n"));
        let output = tick(&world).await.output();
        assert_eq!((output.files, output.failed), (0, 0), "{call}");
        assert_eq!(world.keys("incoming"), ["a.csv"], "{call}: it stays");
        assert_eq!(world.failed().len(), kept, "{call}");
        world.pass(60);
        assert_eq!(tick(&world).await.output().files, 1, "{call}");
        world.assert_loaded_once(&[("a.csv", "1,1\n")], call);
    }
}

/// A trigger's own error, a refused read: the file is judged by the others.
#[tokio::test(start_paused = true)]
async fn one_by_one_no_file_holds_up_the_others() {
    let world = World::new();
    lock(&world.db).one_by_one = true;
    for at in 0..25 {
        world.arrive(&format!("{at:02}.csv"), &format!("odd,{at}\n"));
    }
    world.pass(60);
    let error = tick(&world).await.error();
    assert_eq!(error.class(), Class::Permanent, "{error}");
    assert_eq!(
        world.keys("failed"),
        NONE,
        "all fail alike: nothing is moved"
    );
    world.arrive("good.csv", "1,1\n");
    world.pass(60);
    let output = tick(&world).await.output();
    assert_eq!((output.files, output.failed, output.remaining), (1, 25, 0));
}

/// A table of another shape, and one file more that fails by itself: there is no
/// evidence against any of them.
#[tokio::test(start_paused = true)]
async fn one_by_one_a_suspect_does_not_let_a_storm_move() {
    for odd in ["odd,1\n", "1,bad\n"] {
        let world = World::new();
        lock(&world.db).one_by_one = true;
        for at in 0..60 {
            world.arrive(&format!("{at:02}.csv"), "1,bad\n");
        }
        world.arrive("99.csv", odd);
        world.pass(60);
        tick(&world).await.error();
        assert_eq!(world.keys("failed"), NONE, "{odd}");
    }
}
