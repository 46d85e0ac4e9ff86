//! Stores that are S3 in all but a condition: what `setup` says of them, and what
//! the loader does with them.

use serde_json::{Value, json};
use stepfleet_activity::Class;

use super::faulty::{Dies, Faulty, Run, execution, run_as};
use super::world::{Condition, Lack, Way, World, lock};
use crate::outside::Answer;
use crate::outside::deleting::{ConditionalDelete, Store};
use crate::setup::probe::Probe;

const FILES: [(&str, &str); 2] = [("a.csv", "1,1\n"), ("large.csv", "2,1000000\n3,1000000\n")];

fn by_head() -> Value {
    json!({"s3": {"conditional_delete": "head"}})
}

async fn probe(world: &World, deletes: ConditionalDelete) -> Answer<()> {
    let store = Store::new(Faulty::new(world, Dies::Never), deletes);
    let probe = Probe {
        store: &store,
        bucket: "land",
        prefix: "p/",
        nonce: "1-2",
    };
    let probed = probe.run().await;
    assert_eq!(world.keys("leases"), [""; 0], "nothing stays");
    assert_eq!(world.unfinished(), 0, "nor parts");
    probed
}

#[tokio::test(start_paused = true)]
async fn setup_says_every_condition_that_a_store_does_not_keep() {
    for deletes in [ConditionalDelete::IfMatch, ConditionalDelete::Head] {
        probe(&World::new(), deletes).await.expect("S3 keeps all");
    }
    for (condition, named) in [
        (Condition::PutAbsent, "PUT with If-None-Match"),
        (Condition::PutMatch, "PUT with If-Match"),
        (Condition::Begins, "GET with If-Match"),
        (
            Condition::CopySource,
            "COPY with x-amz-copy-source-if-match",
        ),
        (Condition::CopyAbsent, "COPY with If-None-Match"),
        (
            Condition::Part,
            "UploadPartCopy with x-amz-copy-source-if-match",
        ),
        (Condition::Delete, "conditional_delete: head"),
    ] {
        for (lack, how) in [
            (Lack::Refused, "NotImplemented"),
            (Lack::Ignored, "it is let pass"),
        ] {
            let world = World::new();
            *lock(&world.lacks) = Some((condition, lack));
            let error = probe(&world, ConditionalDelete::IfMatch).await;
            let error = error.expect_err("a lack");
            assert_eq!(error.class, Class::Permanent, "{condition:?}");
            assert!(error.reason.contains(named), "{condition:?}: {error}");
            assert!(error.reason.contains(how), "{condition:?}: {error}");
            assert!(!error.reason.contains("; "), "that alone: {error}");
            let probed = probe(&world, ConditionalDelete::Head).await;
            let without = condition == Condition::Delete;
            assert_eq!(probed.is_ok(), without, "{condition:?}: {probed:?}");
        }
    }
}

async fn run(world: &World, settings: Value, dies: Dies) -> Run {
    run_as(world, settings, (execution(world), dies)).await
}

/// It is loaded, once, whatever is tried; and the reason is said, as one that no
/// retry mends.
#[tokio::test(start_paused = true)]
async fn a_store_without_conditional_delete_fails_once_and_then_works_by_head() {
    for way in Way::ALL {
        let world = World::loading(way, &FILES);
        *lock(&world.lacks) = Some((Condition::Delete, Lack::Refused));
        for _ in 0..2 {
            let error = run(&world, json!({}), Dies::Never).await.error();
            assert_eq!(error.name(), "Load.Permanent", "{way:?}: {error}");
            assert!(error.cause().contains("NotImplemented"), "{error}");
            // The lease could not be removed either.
            world.pass(301);
        }
        let output = run(&world, by_head(), Dies::Never).await.output();
        // Both were loaded at first: one that cannot be moved holds up no other.
        assert_eq!((output.files, output.moved), (0, 2), "{way:?}");
        world.remove_key("p/leases/incoming.json");
        world.assert_loaded_once(&FILES, &format!("{way:?}"));
    }
}

#[tokio::test(start_paused = true)]
async fn by_head_a_crash_at_any_call_loses_and_doubles_nothing() {
    for way in Way::ALL {
        let world = World::loading(way, &FILES);
        *lock(&world.lacks) = Some((Condition::Delete, Lack::Refused));
        let whole = run(&world, by_head(), Dies::Never).await;
        let calls = whole.calls.len();
        assert!(!whole.calls.contains(&"delete"), "{:?}", whole.calls);
        assert_eq!(whole.output().moved, 2, "{way:?}");
        for dies in (1..=calls).flat_map(|call| [Dies::Before(call), Dies::After(call)]) {
            let what = format!("{way:?}, {dies:?}");
            let world = World::loading(way, &FILES);
            *lock(&world.lacks) = Some((Condition::Delete, Lack::Refused));
            let crashed = run(&world, by_head(), dies).await;
            assert!(crashed.result.is_none(), "{what}: it died");
            world.end_all();
            world.pass(301);
            run(&world, by_head(), Dies::Never).await.output();
            world.assert_loaded_once(&FILES, &what);
        }
    }
}

/// By HEAD too, what was replaced since it was loaded is a new file.
#[tokio::test(start_paused = true)]
async fn by_head_a_file_that_is_replaced_is_loaded_as_a_new_one() {
    let world = World::loading(Way::Statements, &[("a.csv", "1,1\n")]);
    world.before("head", |world| world.arrive("a.csv", "2,2\n"));
    let output = run(&world, by_head(), Dies::Never).await.output();
    assert_eq!((output.files, output.moved), (1, 0));
    world.pass(60);
    run(&world, by_head(), Dies::Never).await.output();
    assert_eq!(lock(&world.db).rows("public.t"), ["1,1", "2,2"]);
    assert!(world.keys("incoming").is_empty());
}
