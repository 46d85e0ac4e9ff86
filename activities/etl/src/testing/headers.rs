//! Files that begin with names, and JSON that is about something else.

use serde_json::{Value, json};
use stepfleet_activity::{ActivityError, Class};

use super::faulty::{Dies, Run, execution, run_of};
use super::world::{Way, World, lock};
use crate::LoadInput;

async fn tick(world: &World, more: Value) -> Run {
    let mut input = json!({"bucket": "land", "prefix": "p/", "table": "public.t", "format": "csv"});
    let fields = input.as_object_mut().expect("an object");
    fields.extend(more.as_object().expect("an object").clone());
    let input: LoadInput = serde_json::from_value(input).expect("an input");
    let how = (execution(world), Dies::Never);
    run_of(world, (&input, json!({})), how).await
}

fn rows(world: &World) -> Vec<String> {
    let db = lock(&world.db);
    let mut rows: Vec<String> = db.rows("public.t").into_iter().map(str::to_owned).collect();
    rows.sort_unstable();
    rows
}

/// One name each, and the reason: what the reports in `failed/` say.
fn failed(world: &World) -> Vec<(String, String, String)> {
    let text = |report: &Value, field: &str| report[field].as_str().unwrap_or_default().to_owned();
    let failed = world.failed().into_iter();
    failed
        .map(|(name, report)| (name, text(&report, "line"), text(&report, "reason")))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn files_of_one_header_go_into_one_copy_and_the_wrong_ones_aside() {
    for way in [Way::Statements, Way::Procedure] {
        let files = [
            ("a.csv", "id,name\n1,ann\n"),
            ("b.csv", "name,id\nbob,2\n"),
            ("c.csv", "ID, Name\n3,cid\n"),
            ("d.csv", ""),
            ("e.csv", "4,dan\n"),
            ("f.csv", "id\n5\n"),
            ("g.csv", "id,name,name\n6,x,y\n"),
        ];
        let world = World::loading(way, &files);
        let columns = json!({"header": true, "columns": ["id", "name"]});
        let output = tick(&world, columns).await.output();
        assert_eq!((output.files, output.failed, output.remaining), (4, 3, 0));
        assert_eq!(rows(&world), ["1,ann", "2,bob", "3,cid"]);
        // One for each order of the names.
        assert_eq!(lock(&world.db).submitted(), 2, "{way:?}");
        let failed = failed(&world);
        let places: Vec<(&str, &str)> = failed
            .iter()
            .map(|(name, line, _)| (name.as_str(), line.as_str()))
            .collect();
        assert_eq!(places, [("e.csv", "1"), ("f.csv", "1"), ("g.csv", "1")]);
        for ((_, _, reason), says) in failed.iter().zip([
            "the header names \"4\", which is none of the columns: id, name",
            "the header does not name \"name\"",
            "the header names \"name\" twice",
        ]) {
            assert!(reason.contains(says), "{reason}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn without_columns_the_warehouse_judges_the_names() {
    let files = [
        ("a.csv", "name,id\nann,1\n"),
        ("b.csv", "id,gone\n2,x\n"),
        ("c.csv", "id,gone\n3,x\n"),
    ];
    let world = World::loading(Way::Statements, &files);
    let output = tick(&world, json!({"header": "match"})).await.output();
    assert_eq!((output.files, output.failed), (1, 2));
    assert_eq!(rows(&world), ["1,ann"]);
    for (_, line, reason) in failed(&world) {
        assert_eq!(line, "1");
        assert_eq!(
            reason,
            "the header names \"gone\", which is no column of public.t"
        );
    }
    // Where the load names the columns, the load is at fault, and no file is.
    let world = World::loading(Way::Statements, &[("b.csv", "id,gone\n2,x\n")]);
    let columns = json!({"header": true, "columns": ["id", "gone"]});
    let error = tick(&world, columns).await.error();
    assert_eq!(error.class(), Class::Permanent, "{error}");
    assert_eq!(world.keys("incoming"), ["b.csv"]);
}

#[tokio::test(start_paused = true)]
async fn a_header_that_is_skipped_is_not_read() {
    let world = World::loading(Way::Statements, &[("a.csv", "x,y\n1,ann\n")]);
    let run = tick(&world, json!({"header": "skip"})).await;
    assert!(!run.calls.contains(&"begins"), "{:?}", run.calls);
    assert_eq!(run.output().rows, 1);
    let world = World::loading(Way::Statements, &[("a.csv", "1,ann\n")]);
    let run = tick(&world, json!({})).await;
    assert!(!run.calls.contains(&"begins"), "{:?}", run.calls);
}

#[tokio::test(start_paused = true)]
async fn json_about_something_else_is_a_bad_file() {
    let files = [
        ("a.json", "{\"ID\": 1, \"Name\": \"ann\"}\n"),
        ("b.json", "{\"foo\": 1}\n{\"bar\": 2}\n"),
    ];
    let world = World::loading(Way::Statements, &files);
    let json = json!({"format": "json", "columns": ["id", "name"]});
    let output = tick(&world, json).await.output();
    assert_eq!((output.files, output.failed), (1, 1));
    let (name, _, reason) = &failed(&world)[0];
    assert_eq!(name, "b.json");
    assert!(reason.contains("no object in the first"), "{reason}");
}

/// A worker that dies while it looks has changed nothing, at any call.
#[tokio::test(start_paused = true)]
async fn a_death_while_looking_loses_and_doubles_nothing() {
    let files = [("a.csv", "id,name\n1,ann\n"), ("b.csv", "name,id\nbob,2\n")];
    let input: LoadInput = serde_json::from_value(
        json!({"bucket": "land", "prefix": "p/", "table": "public.t", "format": "csv",
        "header": true, "columns": ["id", "name"]}),
    )
    .expect("an input");
    for at in 0..200 {
        let world = World::loading(Way::Statements, &files);
        let how = execution(&world);
        let first = run_of(&world, (&input, json!({})), (how.clone(), Dies::Before(at))).await;
        let died = first.result.is_none();
        world.pass(600);
        world.end_all();
        let mut result: Option<Result<_, ActivityError>> = first.result;
        for _ in 0..3 {
            if matches!(result, Some(Ok(_))) {
                break;
            }
            result = run_of(&world, (&input, json!({})), (how.clone(), Dies::Never))
                .await
                .result;
            world.pass(600);
        }
        assert!(matches!(result, Some(Ok(_))), "call {at}: {result:?}");
        assert_eq!(rows(&world), ["1,ann", "2,bob"], "call {at}");
        assert_eq!(world.keys("incoming"), Vec::<String>::new(), "call {at}");
        if !died {
            return;
        }
    }
    panic!("it has never ended");
}
