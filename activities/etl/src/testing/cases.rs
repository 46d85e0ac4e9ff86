//! What the world does to a load, case by case.

use serde_json::json;
use stepfleet_activity::Class;

use super::faulty::{Dies, execution, run_of, run_with, tick};
use super::world::{Way, World, input, lock};
use crate::LoadInput;
use crate::s3_load::signals::Unprocessed;

const ODD: [&str; 6] = [
    "a b.csv",
    "it's.csv",
    "1+1.csv",
    "é/日本.csv",
    "\"q\"\n.csv",
    "50%25.csv",
];

#[tokio::test(start_paused = true)]
async fn any_key_is_loaded_and_moved() {
    let world = World::new();
    let bodies: Vec<String> = (0..ODD.len()).map(|row| format!("{row},1\n")).collect();
    let files: Vec<(&str, &str)> = ODD
        .into_iter()
        .zip(bodies.iter().map(String::as_str))
        .collect();
    for (name, body) in &files {
        world.arrive(name, body);
    }
    world.pass(60);
    let output = tick(&world).await.output();
    assert_eq!((output.files, output.rows, output.moved), (6, 6, 6));
    world.assert_loaded_once(&files, "odd keys");
}

#[tokio::test(start_paused = true)]
async fn a_file_that_arrives_during_the_load_waits_for_the_next() {
    let world = World::new();
    world.arrive("a.csv", "1,1\n");
    world.pass(60);
    world.before("commit", |world| world.arrive("a.csv.csv", "2,2\n"));
    let output = tick(&world).await.output();
    assert_eq!((output.files, output.rows), (1, 1), "COPY takes no prefix");
    assert_eq!(world.keys("incoming"), ["a.csv.csv"]);
    world.pass(60);
    tick(&world).await.output();
    let files = [("a.csv", "1,1\n"), ("a.csv.csv", "2,2\n")];
    world.assert_loaded_once(&files, "both");
}

/// Whether it is a file says `match`, and never how a key begins.
#[tokio::test(start_paused = true)]
async fn a_key_that_begins_like_another_is_left_alone() {
    let world = World::new();
    world.arrive("a.csv", "1,1\n");
    world.arrive("a.csv.bak", "2,2\n");
    world.pass(60);
    let csv = LoadInput {
        matches: serde_json::from_value(json!("*.csv")).expect("a glob"),
        ..input()
    };
    let how = (execution(&world), Dies::Never);
    let output = run_of(&world, (&csv, json!({})), how).await.output();
    assert_eq!((output.files, output.remaining, output.ignored), (1, 0, 1));
    assert_eq!(output.ignored_key.as_deref(), Some("p/incoming/a.csv.bak"));
    assert_eq!(lock(&world.db).rows("public.t"), ["1,1"]);
    assert_eq!(world.keys("incoming"), ["a.csv.bak"]);
}

/// Loaded, waiting, failed or ignored: no key is none of these, in any mode.
#[tokio::test(start_paused = true)]
async fn every_key_is_accounted_for() {
    const FILES: [&str; 6] = [
        "part-00000-x",
        "0000_part_00",
        "c.txt",
        "x/d.tsv",
        "x.ndjson",
        "stream-1-2026-03-01-12-00-00-5e1c",
    ];
    const MARKERS: [&str; 7] = [
        "",
        "x/",
        "_SUCCESS",
        "_committed_1",
        "_started_1",
        "x/.part.crc",
        "_temporary/0/part-1",
    ];
    for way in Way::ALL {
        let world = World::loading(way, &FILES.map(|name| (name, "1,1\n")));
        for marker in MARKERS {
            world.arrive(marker, "");
        }
        world.arrive("bad", "9,bad\n");
        world.pass(60);
        world.arrive("young", "2,2\n");
        let output = tick(&world).await.output();
        let counts = [
            output.files,
            output.failed,
            output.remaining,
            output.ignored,
        ];
        assert_eq!(counts, [6, 1, 1, 7], "{way:?}");
        assert_eq!(world.keys("incoming").len(), 8, "{way:?}: they stay");
        let published = world.published();
        let published = published.last().expect("a metric");
        assert_eq!((published.files, published.ignored), (1, 7), "{way:?}");
        // Where there is nothing else, it is said too.
        world.pass(60);
        tick(&world).await.output();
        let output = tick(&world).await.output();
        let said = (output.files, output.ignored, output.ignored_key.is_some());
        assert_eq!(said, (0, 7, true), "{way:?}");
    }
}

/// S3 says 412 to the move: what is there now is a new file.
#[tokio::test(start_paused = true)]
async fn a_file_that_is_replaced_after_the_copy_is_loaded_as_a_new_one() {
    for call in ["copy", "delete"] {
        let world = World::new();
        world.arrive("a.csv", "1,1\n");
        world.pass(60);
        world.before(call, |world| world.arrive("a.csv", "2,2\n"));
        let output = tick(&world).await.output();
        assert_eq!((output.files, output.moved), (1, 0), "{call}");
        assert_eq!(world.keys("incoming"), ["a.csv"], "{call}: it stays");
        world.pass(60);
        let output = tick(&world).await.output();
        assert_eq!((output.files, output.moved), (1, 1), "{call}");
        assert_eq!(lock(&world.db).rows("public.t"), ["1,1", "2,2"], "{call}");
        assert!(world.keys("incoming").is_empty(), "{call}");
    }
}

/// A file over the limit of one request is moved in parts, and only as it was
/// loaded: a part of another one is refused, and nothing of it stays.
#[tokio::test(start_paused = true)]
async fn a_large_file_is_moved_in_parts_and_never_half() {
    const LARGE: (&str, &str) = ("large.csv", "1,1000000\n2,2000000\n3,3000000\n");
    let world = World::new();
    world.arrive(LARGE.0, LARGE.1);
    world.pass(60);
    let run = tick(&world).await;
    assert!(!run.calls.contains(&"copy"), "{:?}", run.calls);
    assert_eq!(run.output().moved, 1);
    world.assert_loaded_once(&[LARGE], "in parts");
    assert_eq!(world.unfinished(), 0);
    for call in ["begin", "copy_part", "delete"] {
        let world = World::new();
        world.arrive(LARGE.0, LARGE.1);
        world.pass(60);
        world.before(call, |world| world.arrive(LARGE.0, "4,4\n"));
        let output = tick(&world).await.output();
        assert_eq!((output.files, output.moved), (1, 0), "{call}");
        assert_eq!(world.keys("incoming"), [LARGE.0], "{call}: it stays");
        let half = usize::from(call == "delete");
        assert_eq!(world.keys("processed").len(), half, "{call}");
        assert_eq!(world.unfinished(), 0, "{call}: the parts are gone");
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_that_changes_before_the_submission_stops_it() {
    let changes: [fn(&World); 2] = [
        |world| world.arrive("b.csv", "3,3\n"),
        |world| world.remove("b.csv"),
    ];
    for (case, change) in changes.into_iter().enumerate() {
        let world = World::new();
        world.arrive("a.csv", "1,1\n");
        world.arrive("b.csv", "2,2\n");
        world.pass(60);
        world.before("statements", change);
        let error = tick(&world).await.error();
        assert_eq!(error.class(), Class::Conflict, "case {case}");
        assert!(error.cause().contains("p/incoming/b.csv"), "{error}");
        assert_eq!(lock(&world.db).submitted(), 0, "case {case}");
        world.pass(60);
        tick(&world).await.output();
        let wanted = [vec!["1,1", "3,3"], vec!["1,1"]];
        assert_eq!(lock(&world.db).rows("public.t"), wanted[case]);
        assert!(world.keys("incoming").is_empty(), "case {case}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_gone_at_the_copy_is_left_out() {
    let world = World::new();
    world.arrive("a.csv", "1,1\n");
    world.arrive("b.csv", "2,2\n");
    world.pass(60);
    world.before("commit", |world| world.remove("b.csv"));
    let output = tick(&world).await.output();
    assert_eq!((output.files, output.failed), (1, 0));
    world.assert_loaded_once(&[("a.csv", "1,1\n")], "the other one");
    assert_eq!(lock(&world.db).submitted(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_oldest_is_loaded_first_though_its_key_comes_last() {
    let world = World::new();
    world.arrive("z.csv", "0,0\n");
    world.pass(60);
    world.arrive("a.csv", "1,1\n");
    world.arrive("b.csv", "2,2\n");
    world.pass(60);
    let output = run_with(&world, 2, (execution(&world), Dies::Never))
        .await
        .output();
    assert_eq!((output.files, output.remaining), (2, 1));
    let mut rows = lock(&world.db).rows("public.t").join(" ");
    assert_eq!(rows, "0,0 1,1");
    run_with(&world, 2, (execution(&world), Dies::Never))
        .await
        .output();
    rows = lock(&world.db).rows("public.t").join(" ");
    assert_eq!(rows, "0,0 1,1 2,2");
    assert_eq!(world.keys("leases"), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn of_two_ticks_at_once_one_loads_and_both_publish() {
    let world = World::new();
    world.arrive("a.csv", "1,1\n");
    world.pass(60);
    let (one, two) = tokio::join!(tick(&world), tick(&world));
    let (one, two) = (one.output(), two.output());
    assert_ne!(one.held, two.held, "one holds the table");
    let (loaded, held) = if two.held { (one, two) } else { (two, one) };
    assert_eq!((loaded.files, loaded.moved), (1, 1));
    assert_eq!((held.files, held.moved, held.batch_id), (0, 0, None));
    assert_eq!(world.published().len(), 2);
    world.assert_loaded_once(&[("a.csv", "1,1\n")], "two ticks");
}

/// A dead worker's lease holds off another execution, until it expires.
#[tokio::test(start_paused = true)]
async fn a_lease_that_lives_is_respected() {
    let world = World::new();
    world.arrive("a.csv", "1,1\n");
    world.pass(60);
    let run = run_with(&world, 200, (execution(&world), Dies::After(1))).await;
    assert_eq!(run.calls, ["put"], "the lease was written");
    world.pass(299);
    assert!(tick(&world).await.output().held);
    world.pass(1);
    assert!(!tick(&world).await.output().held);
    world.assert_loaded_once(&[("a.csv", "1,1\n")], "after the lease");
}

#[tokio::test(start_paused = true)]
async fn more_than_two_pages_of_keys_are_loaded_in_order() {
    let world = World::new();
    let files: Vec<(String, String)> = (0..2_500)
        .map(|at| (format!("{at:04}.csv"), format!("{at},1\n")))
        .collect();
    for (name, body) in &files {
        world.arrive(name, body);
    }
    world.pass(60);
    let mut loaded = Vec::new();
    for _ in 0..3 {
        let run = run_with(&world, 1_000, (execution(&world), Dies::Never)).await;
        let output = run.output();
        assert_eq!(output.files, output.moved);
        loaded.push((output.files, output.remaining));
    }
    assert_eq!(loaded, [(1_000, 1_500), (1_000, 500), (500, 0)]);
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(name, body)| (name.as_str(), body.as_str()))
        .collect();
    world.assert_loaded_once(&files, "2,500 keys");
}

#[tokio::test(start_paused = true)]
async fn the_metric_is_published_at_zero_and_with_what_waits() {
    let world = World::new();
    let output = tick(&world).await.output();
    assert_eq!((output.files, output.batch_id), (0, None));
    assert_eq!(world.published(), [Unprocessed::default()]);
    world.arrive("young.csv", "1,1\n");
    world.pass(4);
    assert_eq!(tick(&world).await.output().files, 0, "it has not settled");
    let waiting = Unprocessed {
        files: 1,
        bytes: 4,
        oldest_seconds: 4.0,
        ignored: 0,
        failed: 0,
    };
    assert_eq!(world.published().last(), Some(&waiting));
}

#[tokio::test(start_paused = true)]
async fn files_that_the_copy_did_not_count_are_not_moved() {
    let world = World::new();
    world.arrive("a.csv", "1,1\n");
    world.pass(60);
    world.before("loaded", World::falsify_history);
    let error = tick(&world).await.error();
    assert_eq!(error.class(), Class::Permanent);
    assert!(error.cause().contains("COPY says 0 files"), "{error}");
    assert_eq!(world.keys("incoming"), ["a.csv"], "not moved");
    tick(&world).await.error();
    assert_eq!(lock(&world.db).submitted(), 1, "and not loaded again");
}
