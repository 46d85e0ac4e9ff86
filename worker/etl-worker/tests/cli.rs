//! The command line of the real binary: what it says and how it exits. Nothing
//! here reaches a network.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::Command;

const CATALOGUE: &str = r#"version: 1
fleet: demo
aws: {account: "123456789012", region: eu-west-1}
warehouses:
  main: {workgroup: analytics, database: dev}
deployments:
  pods:
activities:
  load:
    handler: etl.s3-load
    deployment: pods
    config: {warehouse: main}
  resize:
    handler: resize.plan
    deployment: pods
  notify:
    handler: acme.notify
    deployment: pods
"#;

/// A folder of the test's own, under the target folder.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn write(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

/// The exit code, standard output and standard error.
fn run(args: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_etl-worker"))
        .args(args)
        .env_remove("STEPFLEET_CATALOGUE")
        .env_remove("STEPFLEET_STATES_ROLE")
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn what_it_cannot_serve_is_usage_and_says_why() {
    let folder = folder("usage");
    let good = write(&folder, "good.yaml", CATALOGUE);
    let foreign = CATALOGUE.replace("etl.s3-load", "acme.load");
    let foreign = write(&folder, "foreign.yaml", &foreign);
    let wrong = CATALOGUE.replace("etl.s3-load", "etl.s3-laod");
    let wrong = write(&folder, "wrong.yaml", &wrong);
    let planless = CATALOGUE.replace(
        "handler: resize.plan\n    deployment: pods",
        "handler: etl.s3-plan\n    deployment: pods\n    config: {load: laod}",
    );
    let planless = write(&folder, "planless.yaml", &planless);
    let table: &[(&[&str], &str)] = &[
        (&[], "name the catalogue: --catalogue fleet.yaml"),
        (
            &["--catalogue", &foreign],
            "so there is nothing to serve: the catalogue's are acme.load, acme.notify, resize.plan; `etl-worker handlers` lists",
        ),
        (
            &["--catalogue", &good, "--activity", "resize"],
            "activity \"resize\" wants the handler \"resize.plan\", which etl-worker does not have",
        ),
        (
            &["check", "--catalogue", &good, "--activity", "notify"],
            "activity \"notify\" wants the handler \"acme.notify\", which etl-worker does not have",
        ),
        (
            &["--catalogue", &good, "--activity", "laod"],
            "the catalogue has no activity \"laod\"; it has load, notify, resize",
        ),
        (
            &["--catalogue", &wrong],
            "wrong.yaml:10:14: activities.load.handler: found `etl.s3-laod`",
        ),
        (
            &["check", "--catalogue", &wrong],
            "did you mean `etl.s3-load`?",
        ),
        (
            &["check", "--catalogue", &planless],
            "activities.resize.config.load: found `laod`; there is no such activity of etl.s3-load, there are: load",
        ),
        (
            &["setup", "--catalogue", &good, "--activity", "load"],
            "setup takes no --activity",
        ),
        (
            &[
                "reprocess",
                "--catalogue",
                &good,
                "--bucket",
                "b",
                "--activity",
                "load",
            ],
            "reprocess takes no --activity",
        ),
        (
            &["trigger", "--catalogue", &good, "--activity", "laod"],
            "the catalogue has no activity \"laod\"",
        ),
        (
            &["check", "--catalogue", "nowhere.yaml"],
            "nowhere.yaml: cannot read this file",
        ),
    ];
    for (args, says) in table {
        let (code, _, error) = run(args);
        assert_eq!(code, Some(64), "{args:?}: {error}");
        assert!(error.contains(says), "{args:?}: {error}");
    }
    let (code, _, error) = run(&["trigger", "--catalogue", &good]);
    assert_eq!(code, Some(1));
    let says = "none of these has `trigger` in its config: load";
    assert!(error.contains(says), "{error}");
}

#[test]
fn a_shared_catalogue_is_fine_and_says_what_is_others() {
    let folder = folder("shared");
    let good = write(&folder, "good.yaml", CATALOGUE);
    let (code, text, error) = run(&["check", "--catalogue", &good]);
    assert_eq!(code, Some(0), "{error}");
    for line in [
        "fleet demo: 3 activities, 1 deployments, no faults",
        "etl-worker serves load by etl.s3-load",
        "etl-worker leaves notify to others: acme.notify",
        "etl-worker leaves resize to others: resize.plan",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}

#[test]
fn handlers_say_what_their_config_and_input_are() {
    let (code, text, _) = run(&["handlers"]);
    assert_eq!(code, Some(0));
    let squeezed: Vec<String> = text
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    for line in [
        "warehouse text required The name of a warehouse of the catalogue.",
        "max_files whole number, 1 to 10000 200 Files in one load at most.",
        "max_bytes bytes, like 512MB or 1GiB 1GiB Bytes in one load at most; a single file over it is loaded alone.",
        "settle duration, 0s to 1day 10s How long an object must have been there before it is loaded.",
        "commit transaction | procedure transaction How a batch comes into Redshift: by statements, or by a stored procedure.",
        "isolate.attempts whole number, 1 to 1000 20 COPYs in one run at most. With 1, a bad file stops its batch, and nothing is moved.",
        "notify.topic text required The ARN of an SNS topic. It is told at least once.",
        "format csv | text | json | fixed_width required How the files are written.",
        "header match | skip | none none Whether each file begins with a line of names: `match` (or true) finds each field's column by them, `skip` passes over the line.",
        "columns list of text none The columns in the files' order; without them, the table's own. Names in double quotes keep their case where the warehouse does.",
    ] {
        assert!(squeezed.iter().any(|one| one == line), "{line}\n{text}");
    }
    for line in [
        "load text required The loader's activity: its `loads` are planned, and it runs them.",
        "watch.above whole number 1000 More files than this are too many...",
        "trigger.debounce duration, 1s to 15m 10s Events of so long start one execution.",
    ] {
        assert!(squeezed.iter().any(|one| one == line), "{line}\n{text}");
    }
    let (code, json, _) = run(&["handlers", "--json"]);
    assert_eq!(code, Some(0));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json[0]["name"], "etl.s3-load");
    assert_eq!(json[0]["cancel"], "cancel-safe");
    let settle = &json[0]["config"]["properties"]["settle"];
    assert_eq!(
        (settle["type"].as_str(), settle["default"].as_str()),
        (Some("string"), Some("10s"))
    );
    assert_eq!(json[0]["input"]["required"][0], "bucket");
}

#[test]
fn overlays_are_merged_printed_and_blamed() {
    let folder = folder("overlays");
    let base = write(&folder, "base.yaml", CATALOGUE);
    let prod = "fleet: prod\nactivities:\n  load:\n    worker: {slots: 7}\n";
    let prod = write(&folder, "prod.yaml", prod);
    let wrong = "activities:\n  load:\n    config: {max_flies: 7}\n";
    let wrong = write(&folder, "wrong.yaml", wrong);
    let both = ["check", "--catalogue", &base, "--catalogue", &prod];
    let (code, text, error) = run(&both);
    assert_eq!(code, Some(0), "{error}");
    assert!(text.contains("load by etl.s3-load: 7 slots"), "{text}");
    let (code, text, error) = run(&[&both[..], &["--print"]].concat());
    assert_eq!(code, Some(0), "{error}");
    assert!(error.contains("fleet prod: 3 activities"), "{error}");
    assert!(
        text.starts_with("version: 1  # "),
        "only the catalogue: {text}"
    );
    assert!(
        text.contains("slots: 7  # ") && text.contains("prod.yaml:4\n"),
        "{text}"
    );
    let printed = write(&folder, "printed.yaml", &text);
    let (code, again, error) = run(&["check", "--catalogue", &printed, "--print"]);
    assert_eq!(code, Some(0), "{error}");
    let places = text.lines().map(|line| line.split("  # ").next());
    assert!(places.eq(again.lines().map(Some)), "{again}");
    let (code, _, error) = run(&[&both[..], &["--catalogue", &wrong]].concat());
    assert_eq!(code, Some(64));
    let place = "wrong.yaml:3:25: activities.load.config.max_flies: `max_flies` is no key here";
    assert!(error.contains(place), "{error}");
    assert!(error.contains("did you mean `max_files`?"), "{error}");
}

#[test]
fn the_sql_of_a_warehouse_is_printed_for_those_who_run_it_by_hand() {
    let folder = folder("ddl");
    let good = write(&folder, "good.yaml", CATALOGUE);
    let (code, text, error) = run(&["ddl", "--catalogue", &good]);
    assert_eq!(code, Some(0), "{error}");
    for part in [
        "CREATE SCHEMA IF NOT EXISTS stepfleet;",
        "CREATE TABLE IF NOT EXISTS stepfleet.ledger (",
        "CREATE TABLE IF NOT EXISTS stepfleet.lock_31 (",
        "CREATE OR REPLACE PROCEDURE stepfleet.load_batch_2(",
        "$load_batch$ LANGUAGE plpgsql;",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
}

#[test]
fn help_teaches_by_example() {
    for (args, says) in [
        (
            &["--help"][..],
            "etl-worker check --catalogue fleet.yaml --catalogue prod.yaml --print",
        ),
        (
            &["setup", "--help"],
            "--role-arn arn:aws:iam::123456789012:role/load-states",
        ),
        (&["setup", "--help"], "[env: STEPFLEET_STATES_ROLE=]"),
        (&["--help"], "Move failed files back to incoming/"),
        (
            &["trigger", "--help"],
            "an event never names what is\nloaded",
        ),
        (
            &["reprocess", "--help"],
            "etl-worker reprocess --catalogue fleet.yaml --bucket my-bucket --prefix orders/ --dry-run",
        ),
    ] {
        let (code, text, _) = run(args);
        assert_eq!(code, Some(0), "{args:?}");
        assert!(text.contains(says), "{says} is not in\n{text}");
    }
    let half = ["reprocess", "--bucket", "land", "--prefix", "orders"];
    let (code, _, error) = run(&half);
    assert_eq!(code, Some(64));
    assert!(error.contains("a prefix that ends in /"), "{error}");
    let (code, _, error) = run(&["reprocess", "--bucket", "land"]);
    assert_eq!(code, Some(64));
    assert!(error.contains("name the catalogue"), "{error}");
    let (code, _, error) = run(&["setup", "--role-arn", "load-states"]);
    assert_eq!(code, Some(64));
    assert!(
        error.contains("arn:aws:iam::<account>:role/<name>"),
        "{error}"
    );
}
