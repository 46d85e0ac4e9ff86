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
            &["check", "--catalogue", "nowhere.yaml"],
            "nowhere.yaml: cannot read this file",
        ),
    ];
    for (args, says) in table {
        let (code, _, error) = run(args);
        assert_eq!(code, Some(64), "{args:?}: {error}");
        assert!(error.contains(says), "{args:?}: {error}");
    }
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
