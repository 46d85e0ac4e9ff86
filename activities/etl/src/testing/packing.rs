//! Files that are packed in different ways, of which no COPY takes two.

use serde_json::json;

use super::faulty::{Dies, execution, run_as, run_of, tick};
use super::world::{Condition, Lack, Way, World, input, lock};
use crate::LoadInput;

/// The world's warehouse loads the text as it is: only how it is grouped counts.
const FILES: [(&str, &str); 6] = [
    ("a.csv", "1,1\n"),
    ("b.csv.gz", "2,2\n"),
    ("c.csv.gz", "3,3\n"),
    ("d.csv.zst", "4,4\n"),
    ("e", "5,5\n"),
    ("f", "BZh91AY&SY6,6\n"),
];

/// Each batch's files and how its COPY was told that they are packed.
fn batches(world: &World) -> Vec<(String, Vec<String>)> {
    lock(&world.db).packed()
}

#[tokio::test(start_paused = true)]
async fn every_copy_reads_files_that_are_packed_in_one_way() {
    for way in [Way::Statements, Way::Procedure] {
        let world = World::loading(way, &FILES);
        let run = tick(&world).await;
        let looks = run.calls.iter().filter(|call| **call == "begins").count();
        assert_eq!(looks, 2, "only into those whose names say nothing");
        assert_eq!(run.output().files, 6);
        world.assert_loaded_once(&FILES, &format!("{way:?}"));
        let names = |names: &[&str]| -> Vec<String> {
            names
                .iter()
                .map(|name| format!("p/incoming/{name}"))
                .collect()
        };
        let wanted = [
            ("plain".to_owned(), names(&["a.csv", "e"])),
            ("gzip".to_owned(), names(&["b.csv.gz", "c.csv.gz"])),
            ("zstd".to_owned(), names(&["d.csv.zst"])),
            ("bzip2".to_owned(), names(&["f"])),
        ];
        assert_eq!(batches(&world), wanted, "the oldest first");
    }
    let said = LoadInput {
        compression: serde_json::from_value(json!("zstd")).expect("one"),
        ..input()
    };
    let world = World::loading(Way::Statements, &FILES);
    let how = (execution(&world), Dies::Never);
    let run = run_of(&world, (&said, json!({})), how).await;
    assert!(!run.calls.contains(&"begins"), "it is said");
    assert_eq!(batches(&world).len(), 1);
    assert_eq!(batches(&world)[0].0, "zstd");
}

#[tokio::test(start_paused = true)]
async fn a_crash_between_two_ways_of_packing_loses_and_doubles_nothing() {
    let world = World::loading(Way::Statements, &FILES);
    let calls = tick(&world).await.calls.len();
    for dies in (1..=calls).flat_map(|call| [Dies::Before(call), Dies::After(call)]) {
        let world = World::loading(Way::Statements, &FILES);
        let crashed = run_as(&world, json!({}), (execution(&world), dies)).await;
        assert!(crashed.result.is_none(), "{dies:?}: it died");
        for _ in 0..3 {
            world.pass(301);
            // A load that was still under way makes a conflict.
            let _ = tick(&world).await;
        }
        world.assert_loaded_once(&FILES, &format!("{dies:?}"));
    }
}

/// One that may not be looked into holds nobody up: its COPY says what is wrong.
#[tokio::test(start_paused = true)]
async fn a_file_that_may_not_be_looked_into_is_judged_by_the_warehouse() {
    let world = World::loading(Way::Statements, &FILES);
    *lock(&world.lacks) = Some((Condition::Begins, Lack::Refused));
    assert_eq!(tick(&world).await.output().files, 6);
    world.assert_loaded_once(&FILES, "as plain ones");
}

/// One that is another by the time it is looked into is left to the next run, and
/// a bad one stops its own batch alone.
#[tokio::test(start_paused = true)]
async fn what_becomes_of_one_file_is_not_that_of_the_others() {
    let world = World::loading(Way::Statements, &FILES);
    world.arrive("b/bad.csv.gz", "7,bad\n");
    world.pass(60);
    world.before("begins", |world| world.arrive("e", "9,9\n"));
    let output = tick(&world).await.output();
    assert_eq!((output.files, output.failed, output.remaining), (5, 1, 1));
    world.pass(60);
    assert_eq!(tick(&world).await.output().files, 1);
    assert!(world.keys("incoming").is_empty());
}
