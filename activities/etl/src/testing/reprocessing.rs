//! Failed files that are moved back: loaded once, whatever happens meanwhile.

use super::faulty::{Dies, Faulty, tick, until_death};
use super::world::{World, lock};
use crate::outside::Answer;
use crate::outside::parts::CopyLimits;
use crate::s3_load::reprocess::{Fate, Reprocess, Reprocessed, Run};

/// The longer one goes in parts.
const FAILED: [(&str, &str); 2] = [
    ("2026/bad.csv", "8,8\n9,9\n10,bad\n"),
    ("b 'x'+.csv", "7,bad\n"),
];
const NONE: [&str; 0] = [];

fn request(starting_with: &str, dry_run: bool) -> Reprocess {
    Reprocess {
        bucket: "land".to_owned(),
        prefix: "p/".to_owned(),
        starting_with: starting_with.to_owned(),
        dry_run,
        conditional_delete: Default::default(),
    }
}

async fn with(faulty: &Faulty, request: &Reprocess) -> Option<Answer<Vec<Reprocessed>>> {
    let run = Run {
        store: faulty,
        request,
        limits: CopyLimits { whole: 12, part: 7 },
    };
    until_death(faulty, run.run()).await
}

async fn fates(world: &World, request: &Reprocess) -> Vec<(String, Fate)> {
    let faulty = Faulty::new(world, Dies::Never);
    let done = with(&faulty, request).await.expect("alive").expect("fine");
    let name = |key: &str| key.trim_start_matches("p/incoming/").to_owned();
    done.iter().map(|one| (name(&one.key), one.fate)).collect()
}

/// Two files in `failed/`, each of its own time; the table is mended since: it
/// takes them now.
async fn failed() -> World {
    let world = World::new();
    for (name, body) in FAILED {
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
async fn a_dry_run_says_what_it_would_do_and_does_nothing() {
    let world = failed().await;
    let before = world.keys("failed");
    let all = fates(&world, &request("", true)).await;
    let wanted = FAILED.map(|(name, _)| (name.to_owned(), Fate::WouldMove));
    assert_eq!(all, wanted);
    assert_eq!(world.keys("failed"), before);
    assert_eq!(world.keys("incoming"), NONE);
}

#[tokio::test(start_paused = true)]
async fn only_what_was_asked_for_goes_back_and_is_loaded_as_a_new_batch() {
    let world = failed().await;
    let some = fates(&world, &request("2026/", false)).await;
    assert_eq!(some, [("2026/bad.csv".to_owned(), Fate::Moved)]);
    assert_eq!(world.failed().len(), 1, "with its report");
    world.pass(60);
    assert_eq!(tick(&world).await.output().files, 1);
    let rest = fates(&world, &request("", false)).await;
    assert_eq!(rest, [("b 'x'+.csv".to_owned(), Fate::Moved)]);
    world.pass(60);
    assert_eq!(tick(&world).await.output().files, 1);
    world.assert_loaded_once(&FAILED, "moved back");
    assert_eq!(world.keys("failed"), NONE, "neither file nor report");
    assert_eq!(fates(&world, &request("", false)).await, []);
}

/// A key that is in use keeps the file where it is, and nothing is overwritten.
#[tokio::test(start_paused = true)]
async fn a_key_that_is_taken_is_left_to_whoever_has_it() {
    let name = FAILED[1].0;
    for early in [true, false] {
        let world = failed().await;
        if early {
            world.arrive(name, "1,1\n");
        } else {
            world.before("copy", |world| world.arrive(FAILED[1].0, "1,1\n"));
        }
        let fate = fates(&world, &request("b", false)).await;
        assert_eq!(fate, [(name.to_owned(), Fate::KeyTaken)], "{early}");
        assert_eq!(world.failed().len(), 2, "{early}");
        // Once that one is loaded, a person has to say whether it is the same.
        world.pass(60);
        assert_eq!(tick(&world).await.output().files, 1, "{early}");
        let fate = fates(&world, &request("b", false)).await;
        assert_eq!(fate, [(name.to_owned(), Fate::Superseded)], "{early}");
        assert_eq!(lock(&world.db).rows("public.t"), ["1,1"], "{early}");
    }
}

/// Between the copy and the deletion the loader finds the file, which fails again:
/// what is in `failed/` then is not what is deleted.
#[tokio::test(start_paused = true)]
async fn a_file_that_fails_again_meanwhile_is_not_lost() {
    let world = failed().await;
    lock(&world.db).lenient = false;
    let request = request("b", false);
    let calls = {
        let world = failed().await;
        let faulty = Faulty::new(&world, Dies::Never);
        with(&faulty, &request).await.expect("alive").expect("fine");
        faulty.calls()
    };
    let delete = calls.iter().position(|call| *call == "delete");
    let delete = delete.expect("a deletion") + 1;
    let before = world.keys("failed");
    let faulty = Faulty::new(&world, Dies::Before(delete));
    assert!(with(&faulty, &request).await.is_none());
    world.pass(60);
    assert_eq!(tick(&world).await.output().failed, 1, "once more");
    assert_eq!(world.keys("incoming"), NONE);
    let again = world.keys("failed").into_iter();
    let again: Vec<String> = again.filter(|key| !before.contains(key)).collect();
    assert_eq!(again.len(), 2, "a place of its own: {again:?}");
}

#[tokio::test(start_paused = true)]
async fn a_crash_at_any_call_loses_and_doubles_nothing() {
    let world = failed().await;
    let faulty = Faulty::new(&world, Dies::Never);
    let request = request("", false);
    with(&faulty, &request).await.expect("alive").expect("fine");
    let calls = faulty.calls();
    for wanted in ["copy", "copy_part", "complete", "delete"] {
        assert!(calls.contains(&wanted), "{calls:?}");
    }
    let deaths = (1..=calls.len()).flat_map(|call| [Dies::Before(call), Dies::After(call)]);
    for dies in deaths {
        for loads_between in [false, true] {
            let what = format!("{dies:?}, a tick in between: {loads_between}");
            let world = failed().await;
            let faulty = Faulty::new(&world, dies);
            assert!(with(&faulty, &request).await.is_none(), "{what}");
            world.pass(60);
            if loads_between {
                tick(&world).await.output();
            }
            let again = fates(&world, &request).await;
            let moved = again.iter().all(|(_, fate)| *fate == Fate::Moved);
            assert!(moved, "{what}: {again:?}");
            for _ in 0..2 {
                world.pass(60);
                tick(&world).await.output();
            }
            world.assert_loaded_once(&FAILED, &what);
            assert_eq!(
                world.keys("failed"),
                NONE,
                "{what}: neither file nor report"
            );
        }
    }
}
