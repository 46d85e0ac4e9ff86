//! A handler that is dropped because its attempt is closed: the worker lives on,
//! and cleans up after it.

use stepfleet_activity::Class;
use tokio::time::{Duration, Instant};

use super::faulty::{Dies, execution, run_with, tick};
use super::world::{World, lock};
use crate::outside::{At, PutIf};
use crate::s3_load::lease::LEASE;

const FILE: (&str, &str) = ("a.csv", "1,10\n");

fn world() -> World {
    let world = World::new();
    world.arrive(FILE.0, FILE.1);
    world.pass(60);
    world
}

/// Lets the worker do what the handler left it to do.
async fn settle() {
    tokio::time::sleep_until(Instant::now() + Duration::from_secs(90)).await;
}

/// The number of the first look at the statement, in a run that nothing disturbs.
async fn first_look() -> usize {
    let run = tick(&world()).await;
    let at = run.calls.iter().position(|call| *call == "describe");
    at.expect("it waits") + 1
}

#[tokio::test(start_paused = true)]
async fn its_statement_is_cancelled_and_the_table_is_free() {
    let look = first_look().await;
    for dies in [Dies::DroppedBefore(look), Dies::DroppedAfter(look)] {
        let world = world();
        let run = run_with(&world, 200, (execution(&world), dies)).await;
        assert!(run.result.is_none(), "{dies:?}");
        settle().await;
        assert_eq!(lock(&world.db).cancelled(), 1, "{dies:?}");
        assert_eq!(lock(&world.db).rows("public.t").len(), 0, "{dies:?}");
        assert_eq!(world.keys("leases").len(), 0, "{dies:?}");
        let output = tick(&world).await.output();
        assert!(!output.held, "{dies:?}: nobody waits for a lease to expire");
        assert_eq!(lock(&world.db).submitted(), 2, "{dies:?}");
        world.assert_loaded_once(&[FILE], "after the cancellation");
    }
}

/// The cancellation comes too late: the ledger says so, and nothing is loaded again.
#[tokio::test(start_paused = true)]
async fn a_statement_that_ends_first_is_as_good() {
    let look = first_look().await;
    let world = world();
    world.before("cancel", World::end_all);
    run_with(&world, 200, (execution(&world), Dies::DroppedAfter(look))).await;
    settle().await;
    assert_eq!(lock(&world.db).cancelled(), 0);
    assert_eq!(world.keys("leases").len(), 0, "the table is free");
    let output = tick(&world).await.output();
    assert_eq!((output.files, output.moved), (0, 1), "only moved");
    assert_eq!(lock(&world.db).submitted(), 1);
    world.assert_loaded_once(&[FILE], "committed before it was cancelled");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_cancelled_once_another_attempt_has_the_lease() {
    let look = first_look().await;
    let world = world();
    world.before("get", |world| {
        let key = format!("p/leases/{LEASE}");
        let at = At {
            bucket: "land",
            key: &key,
        };
        let etag = world.etag(&key).expect("a lease");
        world.put(at, b"another's".to_vec(), PutIf::Match(&etag));
    });
    run_with(&world, 200, (execution(&world), Dies::DroppedAfter(look))).await;
    settle().await;
    assert_eq!(lock(&world.db).cancelled(), 0);
    assert_eq!(world.keys("leases").len(), 1, "and its lease stays");
    world.end_all();
    assert_eq!(lock(&world.db).rows("public.t"), ["1,10"]);
}

/// What is cancelled after it was adopted is submitted again at once.
#[tokio::test(start_paused = true)]
async fn an_adopted_statement_that_is_cancelled_is_submitted_again() {
    let look = first_look().await;
    let world = world();
    run_with(&world, 200, (execution(&world), Dies::After(look))).await;
    world.pass(301);
    world.before("describe", |world| world.cancel("0").expect("it runs"));
    let output = tick(&world).await.output();
    assert_eq!((output.files, output.moved), (1, 1));
    assert_eq!(lock(&world.db).cancelled(), 1);
    world.assert_loaded_once(&[FILE], "adopted, cancelled, submitted");
}

/// Nobody but a person cancels what an attempt waits for that lives.
#[tokio::test(start_paused = true)]
async fn a_statement_of_ones_own_that_is_cancelled_is_reported() {
    let world = world();
    world.before("describe", |world| world.cancel("0").expect("it runs"));
    let error = tick(&world).await.error();
    assert_eq!(error.class(), Class::Transient);
    assert!(
        error.cause().contains("was cancelled in the warehouse"),
        "{error}"
    );
    assert_eq!(lock(&world.db).submitted(), 1);
    tick(&world).await.output();
    world.assert_loaded_once(&[FILE], "the attempt after");
}

/// A batch that was committed a day ago, and whose worker died before it had
/// verified it.
async fn left_unverified() -> World {
    let world = world();
    let run = tick(&self::world()).await;
    let at = run.calls.iter().position(|call| *call == "mark_verified");
    let dies = Dies::Before(at.expect("it verifies") + 1);
    run_with(&world, 200, (execution(&world), dies)).await;
    world.pass(25 * 3_600);
    lock(&world.db).forgotten = true;
    world
}

#[tokio::test(start_paused = true)]
async fn a_batch_older_than_its_statement_is_verified_by_its_manifest() {
    let world = left_unverified().await;
    let run = tick(&world).await;
    assert!(run.calls.contains(&"loaded_by_manifest"), "{:?}", run.calls);
    let output = run.output();
    assert_eq!((output.files, output.moved), (0, 1), "not loaded again");
    world.assert_loaded_once(&[FILE], "a day later");
}

#[tokio::test(start_paused = true)]
async fn a_batch_older_than_the_history_is_left_for_a_person() {
    let world = left_unverified().await;
    lock(&world.db).forget_history();
    for _ in 0..2 {
        let error = tick(&world).await.error();
        assert_eq!(error.name(), "Load.Permanent");
        for part in [
            "has no completed COPY of it",
            "UPDATE stepfleet.ledger SET verified = true WHERE batch_id = '",
        ] {
            assert!(error.cause().contains(part), "{error}");
        }
        assert_eq!(world.keys("incoming"), ["a.csv"], "nothing is moved");
        assert_eq!(lock(&world.db).submitted(), 1, "nothing is loaded again");
    }
}
