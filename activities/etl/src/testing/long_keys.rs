//! Keys up to S3's own limit: loaded, moved, set aside and moved back.

use super::faulty::{Dies, Faulty, execution, run_with, tick, until_death};
use super::world::{Way, World, lock};
use crate::outside::Answer;
use crate::outside::parts::CopyLimits;
use crate::s3_load::keys;
use crate::s3_load::reprocess::{Fate, Reprocess, Reprocessed, Run};

const NONE: [&str; 0] = [];

/// A name whose key in `incoming/` has so many bytes.
fn name(bytes: usize, of: &str) -> String {
    let room = bytes - "p/incoming/".len() - ".csv".len();
    let times = room / of.len();
    format!("{}{}.csv", of.repeat(times), "x".repeat(room % of.len()))
}

/// At every length from which on something has to be shorter, and of two that
/// differ at their end alone.
fn names() -> Vec<String> {
    let mut names: Vec<String> = [900, 947, 948, 995, 996, 1009, 1010, 1024]
        .map(|bytes| name(bytes, "a/b"))
        .into();
    names.push(name(1024, "日本/"));
    names.push(format!("{}y.csv", &name(1024, "a/b")[..1024 - 11 - 5]));
    names
}

fn files<'a>(names: &'a [String], bodies: &'a [String]) -> Vec<(&'a str, &'a str)> {
    let both = names.iter().zip(bodies);
    both.map(|(name, body)| (name.as_str(), body.as_str()))
        .collect()
}

fn bodies(end: &str) -> Vec<String> {
    (0..names().len())
        .map(|row| format!("{row},{end}\n"))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn every_key_that_s3_takes_is_loaded_and_moved() {
    let (names, bodies) = (names(), bodies("1"));
    let files = files(&names, &bodies);
    for way in Way::ALL {
        let world = World::loading(way, &files);
        let output = tick(&world).await.output();
        assert_eq!(output.moved, files.len() as u64, "{way:?}");
        world.assert_loaded_once(&files, &format!("{way:?}"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_crash_moves_no_long_key_to_two_places() {
    let (names, bodies) = ([names()[7].clone(), names()[9].clone()], bodies("1"));
    let files = files(&names, &bodies);
    for way in Way::ALL {
        let calls = tick(&World::loading(way, &files)).await.calls.len();
        for dies in (1..=calls).flat_map(|call| [Dies::Before(call), Dies::After(call)]) {
            let world = World::loading(way, &files);
            run_with(&world, 200, (execution(&world), dies)).await;
            world.end_all();
            world.pass(301);
            tick(&world).await.output();
            world.assert_loaded_once(&files, &format!("{way:?}, {dies:?}"));
        }
    }
}

async fn reprocess(world: &World, dies: Dies) -> Option<Answer<Vec<Reprocessed>>> {
    let request = Reprocess {
        bucket: "land".to_owned(),
        prefix: "p/".to_owned(),
        starting_with: String::new(),
        dry_run: false,
        conditional_delete: Default::default(),
    };
    let faulty = Faulty::new(world, dies);
    let run = Run {
        store: &faulty,
        request: &request,
        limits: CopyLimits { whole: 12, part: 7 },
    };
    until_death(&faulty, run.run()).await
}

async fn set_aside(files: &[(&str, &str)]) -> World {
    let world = World::loading(Way::Statements, &[]);
    // So far apart that they are no evidence against the table.
    for (name, body) in files {
        world.arrive(name, body);
        world.pass(60);
        let output = tick(&world).await.output();
        assert_eq!((output.files, output.failed), (0, 1));
        world.pass(3_600);
    }
    lock(&world.db).lenient = true;
    world.pass(60);
    world
}

#[tokio::test(start_paused = true)]
async fn a_long_key_that_fails_is_set_aside_and_comes_back_as_it_was() {
    let (names, bodies) = (names(), bodies("bad"));
    let files = files(&names, &bodies);
    let world = set_aside(&files).await;
    for (found, report) in world.failed() {
        let file = report["file"].as_str().expect("a file");
        let rest = file.strip_prefix("s3://land/p/incoming/").expect("ours");
        assert!(names.iter().any(|name| name == rest), "{rest}");
        assert!(keys::is_name_of(&found, rest), "{found} of {rest}");
    }
    let done = reprocess(&world, Dies::Never).await.expect("alive");
    let done = done.expect("fine");
    assert!(done.iter().all(|one| one.fate == Fate::Moved), "{done:?}");
    let mut back = world.keys("incoming");
    let mut wanted = names.clone();
    back.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(back, wanted);
    world.pass(60);
    tick(&world).await.output();
    world.assert_loaded_once(&files, "moved back");
    assert_eq!(world.keys("failed"), NONE);
}

#[tokio::test(start_paused = true)]
async fn a_crash_of_reprocess_loses_and_doubles_no_long_key() {
    let (names, bodies) = ([names()[7].clone()], bodies("bad"));
    let files = files(&names, &bodies);
    let calls = {
        let world = set_aside(&files).await;
        reprocess(&world, Dies::Never)
            .await
            .expect("alive")
            .expect("fine");
        12 // More than it makes for one file.
    };
    for call in 1..=calls {
        for (dies, loads_between) in [
            (Dies::Before(call), false),
            (Dies::After(call), false),
            (Dies::After(call), true),
        ] {
            let what = format!("{dies:?}, a tick in between: {loads_between}");
            let world = set_aside(&files).await;
            let _ = reprocess(&world, dies).await;
            world.pass(60);
            if loads_between {
                tick(&world).await.output();
            }
            let again = reprocess(&world, Dies::Never).await.expect("alive");
            let again = again.expect("fine");
            assert!(again.iter().all(|one| one.fate == Fate::Moved), "{what}");
            world.pass(60);
            tick(&world).await.output();
            world.assert_loaded_once(&files, &what);
            // A report may stay; a file may not.
            let left = world.keys("failed");
            assert!(left.iter().all(|key| key.ends_with(".json")), "{left:?}");
        }
    }
}

/// Without its report nobody knows what it was called: it is left alone.
#[tokio::test(start_paused = true)]
async fn a_long_key_without_its_report_stays_and_is_said() {
    let (names, bodies) = ([names()[7].clone()], bodies("bad"));
    let world = set_aside(&files(&names, &bodies)).await;
    let keys = world.keys("failed");
    let report = keys
        .iter()
        .find(|key| !key.contains('/'))
        .expect("a report");
    world.remove_key(&format!("p/failed/{report}"));
    let done = reprocess(&world, Dies::Never).await.expect("alive");
    let fates: Vec<Fate> = done.expect("fine").iter().map(|one| one.fate).collect();
    assert_eq!(fates, [Fate::Nameless]);
    assert_eq!(world.keys("failed").len(), 1);
    assert_eq!(world.keys("incoming"), NONE);
}

/// Another file of its key was loaded since, and its name was cut as well.
#[tokio::test(start_paused = true)]
async fn a_long_key_that_was_loaded_since_is_left_to_a_person() {
    let (names, bodies) = ([names()[7].clone()], bodies("bad"));
    let world = set_aside(&files(&names, &bodies)).await;
    world.arrive(&names[0], "1,1\n");
    world.pass(60);
    assert_eq!(tick(&world).await.output().moved, 1);
    let done = reprocess(&world, Dies::Never).await.expect("alive");
    let fates: Vec<Fate> = done.expect("fine").iter().map(|one| one.fate).collect();
    assert_eq!(fates, [Fate::Superseded]);
    assert_eq!(world.keys("incoming"), NONE);
}
