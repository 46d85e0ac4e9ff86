//! One table in several spellings, and several tables on one prefix.

use serde_json::{Value, json};
use stepfleet_activity::{Class, Clock as _};

use super::faulty::{Dies, Run, execution, run_of};
use super::world::{Way, World, lock};
use crate::LoadInput;
use crate::s3_load::batch::Batch;
use crate::s3_load::table::Dialect;

const FILES: [(&str, &str); 2] = [("a.csv", "1,1\n"), ("b.csv", "2,2\n3,3\n")];

fn spelt(table: &str) -> LoadInput {
    let input = json!({"bucket": "land", "prefix": "p/", "table": table, "format": "csv"});
    let input: LoadInput = serde_json::from_value(input).expect("an input");
    input.on(Dialect::Redshift).expect("a table")
}

fn world(way: Way) -> World {
    World::loading(way, &FILES)
}

async fn tick(world: &World, table: &str) -> Run {
    dying(world, table, Dies::Never).await
}

async fn dying(world: &World, table: &str, dies: Dies) -> Run {
    let settings = (&spelt(table), Value::Null);
    run_of(world, settings, (execution(world), dies)).await
}

#[tokio::test(start_paused = true)]
async fn of_two_spellings_at_once_one_loads_and_the_other_is_held() {
    for way in Way::ALL {
        let world = world(way);
        let (one, two) = tokio::join!(tick(&world, "public.t"), tick(&world, "Public.\"T\""));
        let (one, two) = (one.output(), two.output());
        assert_ne!(one.held, two.held, "{way:?}");
        assert_eq!(one.files + two.files, 2, "{way:?}");
        world.assert_loaded_once(&FILES, "two spellings");
    }
}

/// A worker dies anywhere, and the next run spells the table otherwise.
#[tokio::test(start_paused = true)]
async fn a_crash_between_two_spellings_doubles_nothing() {
    for way in Way::ALL {
        let calls = {
            let world = world(way);
            tick(&world, "public.t").await.calls.len()
        };
        for call in 1..=calls {
            let world = world(way);
            dying(&world, "PUBLIC.T", Dies::After(call)).await;
            world.end_all();
            world.pass(301);
            tick(&world, "public.t").await.output();
            world.assert_loaded_once(&FILES, &format!("{way:?}, after call {call}"));
        }
    }
}

/// A loader of before has noted the table as it was spelt, and has moved nothing.
#[tokio::test(start_paused = true)]
async fn what_was_noted_under_a_spelling_is_not_loaded_again() {
    for way in Way::ALL {
        let world = world(way);
        let loaded = tick(&world, "public.t").await.output();
        assert_eq!(loaded.files, 2);
        lock(&world.db).spell_ledger("Public.T");
        for (name, body) in FILES {
            world.arrive(name, body);
        }
        world.pass(60);
        let again = tick(&world, "Public.T").await.output();
        assert_eq!((again.files, again.moved), (0, 2), "{way:?}");
        world.assert_loaded_once(&FILES, "noted before");
    }
}

#[test]
fn a_batch_has_one_name_however_its_table_is_spelt() {
    let world = world(Way::Statements);
    let files = world.list("p/incoming/");
    let id = |table| Batch::new(&spelt(table), files.clone(), "2026-01-01".to_owned()).id;
    assert_eq!(id("public.t"), id("PUBLIC.\"T\""));
    assert_ne!(id("public.t"), id("public.tt"));
}

#[tokio::test(start_paused = true)]
async fn of_two_tables_on_one_prefix_one_is_told_and_touches_nothing() {
    for way in Way::ALL {
        let world = world(way);
        let names = ["public.t", "public.other"];
        let runs = tokio::join!(tick(&world, names[0]), tick(&world, names[1]));
        let runs = [runs.0, runs.1].map(|run| run.result.expect("alive"));
        // Either may be first.
        let loser = runs.iter().position(Result::is_err).expect("one is told");
        let [Ok(loaded), Err(error)] = &[&runs[1 - loser], &runs[loser]] else {
            panic!("{way:?}: {runs:?}");
        };
        assert_eq!(
            (loaded.files, error.class()),
            (2, Class::Conflict),
            "{way:?}"
        );
        let said = format!(
            "load {} from s3://land/p/: it is being loaded into {}",
            names[loser],
            names[1 - loser]
        );
        assert!(error.cause().starts_with(&said), "{error}");
        let db = lock(&world.db);
        assert_eq!(db.rows(names[loser]), [""; 0], "{way:?}");
        assert_eq!(db.rows(names[1 - loser]).len(), 3, "{way:?}");
        drop(db);
        assert_eq!(world.keys("processed").len(), 2, "{way:?}");
        assert_eq!(world.published().len(), 2, "what waits is said by both");
    }
}

/// A worker that died is no reason to refuse another table for ever.
#[tokio::test(start_paused = true)]
async fn an_expired_lease_of_another_table_is_taken_over() {
    let world = world(Way::Statements);
    dying(&world, "public.other", Dies::After(1)).await;
    let died = world.clock.now();
    assert_eq!(
        tick(&world, "public.t").await.error().class(),
        Class::Conflict
    );
    world.pass(301);
    assert!(world.clock.now() > died);
    assert_eq!(tick(&world, "public.t").await.output().files, 2);
    world.assert_loaded_once(&FILES, "after the other");
}
