//! Which of many loads are run.

use std::time::Duration;

use serde_json::json;
use stepfleet_activity::{ActivityError, Class, Clock as _, TaskContext};

use super::faulty::{Dies, Faulty};
use super::world::World;
use crate::LoadConfig;
use crate::LoadInput;
use crate::PlanInput;
use crate::PlanOutput;
use crate::outside::{At, PutIf};
use crate::s3_load::table::Dialect;
use crate::s3_plan::Planner;

fn load(prefix: &str) -> LoadInput {
    let load = json!({"bucket": "land", "prefix": prefix, "table": format!("public.{}", &prefix[..1]), "format": "csv", "match": "*.csv"});
    serde_json::from_value(load).expect("a load")
}

fn arrive(world: &World, key: &str) {
    let at = At {
        bucket: "land",
        key,
    };
    world.put(at, b"1,1\n".to_vec(), PutIf::Absent);
}

async fn plan(
    world: &World,
    loads: &[LoadInput],
    input: PlanInput,
) -> Result<PlanOutput, ActivityError> {
    let faulty = Faulty::new(world, Dies::Never);
    let config = json!({"warehouse": "main", "settle": "10s", "loads": loads});
    let now = world.clock.now();
    let context = TaskContext {
        attempt: None,
        received: now,
        deadline: now,
        heartbeat_interval: Duration::from_secs(20),
        progress: Default::default(),
    };
    let planner = Planner {
        store: faulty.clone(),
        signals: faulty,
        clock: world.clock.clone(),
        config: LoadConfig::read(&config).expect("a config"),
        dialect: Dialect::Redshift,
    };
    planner.run(input, &context).await
}

#[tokio::test(start_paused = true)]
async fn only_loads_for_which_something_has_settled_are_run() {
    let world = World::new();
    let loads = ["a/", "b/", "c/", "d/"].map(load);
    arrive(&world, "a/incoming/x.csv");
    arrive(&world, "c/incoming/x.csv.bak");
    arrive(&world, "c/processed/2026-01-01/1/x.csv");
    world.pass(60);
    arrive(&world, "b/incoming/young.csv");
    let planned = plan(&world, &loads, PlanInput::default()).await;
    let planned = planned.expect("a plan");
    assert_eq!((planned.loads, planned.idle), (vec![load("a/")], 3));
    // Those that no run will publish for: one file too young, and twice none.
    let mut waiting: Vec<u64> = world.published().iter().map(|one| one.files).collect();
    waiting.sort_unstable();
    assert_eq!(waiting, [0, 0, 1]);
    let mut ignored: Vec<u64> = world.published().iter().map(|one| one.ignored).collect();
    ignored.sort_unstable();
    assert_eq!(ignored, [0, 0, 1], "no run of theirs would say it");
    world.pass(60);
    let input = PlanInput {
        loads: vec![load("b/"), load("d/")],
    };
    let planned = plan(&world, &loads, input).await.expect("a plan");
    assert_eq!((planned.loads, planned.idle), (vec![load("b/")], 1));
}

#[tokio::test(start_paused = true)]
async fn nothing_to_plan_is_said() {
    let world = World::new();
    let error = plan(&world, &[], PlanInput::default()).await;
    let error = error.expect_err("no loads");
    assert_eq!(error.class(), Class::Permanent);
    assert!(error.cause().contains("name `loads`"), "{error}");
    let mut wrong = load("a/");
    wrong.prefix = "a".to_owned();
    let input = PlanInput { loads: vec![wrong] };
    let error = plan(&world, &[], input).await.expect_err("no table");
    assert_eq!(error.name(), "Worker.BadInput");
}
