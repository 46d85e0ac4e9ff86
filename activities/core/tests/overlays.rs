//! A catalogue in several files: a base and what an environment lays over it.
#![allow(clippy::unwrap_used)]

use std::path::PathBuf;
use std::time::Duration;

use stepfleet_activity::catalogue::{
    Amount, Catalogue, Faults, ReadOptions, parse, parse_all, read_all,
};

const BASE: &str = r#"version: 1
fleet: demo
aws: {account: "123456789012", region: eu-west-1}
defaults:
  worker: {heartbeat: 20s}
deployments:
  pods:
    replicas: {min: 1, max: 8}
activities:
  load:
    handler: etl.s3-load
    deployment: pods
    worker: {slots: 2, timeout: 5m}
    alarms: {out: {steps: [{to: 60s, add: 1}, {add: 2}]}}
    config: {warehouse: main, list: [1, 2], "06:00": "no"}
"#;

fn merged(overlays: &[&str]) -> Result<Catalogue, Faults> {
    let names: Vec<String> = (1..=overlays.len()).map(|at| format!("over{at}")).collect();
    let overlays = names
        .iter()
        .map(String::as_str)
        .zip(overlays.iter().copied());
    let files: Vec<(&str, &str)> = std::iter::once(("base", BASE)).chain(overlays).collect();
    parse_all(&files, &ReadOptions::default())
}

#[test]
fn maps_are_merged_to_any_depth_and_the_rest_is_replaced() {
    let catalogue = merged(&[
        "fleet: prod\nactivities: {load: {worker: {slots: 7}, alarms: {out: {steps: [{add: 9}]}}, config: {list: [3]}}}",
        "",
        "# nothing but a comment",
        "fleet: live\ndeployments: {spare: {replicas: {max: 3}}}\nactivities: {more: {handler: x.y, deployment: spare}}",
    ])
    .unwrap();
    assert_eq!(catalogue.fleet, "live", "the last one wins");
    let load = &catalogue.activities["load"];
    assert_eq!(load.worker.slots, 7);
    assert_eq!(load.worker.timeout, Duration::from_secs(300), "kept");
    assert_eq!(load.worker.heartbeat, Duration::from_secs(20), "kept");
    let steps: Vec<Amount> = load.alarms.out.steps.iter().map(|step| step.add).collect();
    assert_eq!(steps, [Amount::Replicas(9)], "a list is replaced");
    assert_eq!(load.config["warehouse"], "main");
    assert_eq!(load.config["list"], serde_json::json!([3]));
    assert_eq!(catalogue.activities["more"].deployment, "spare");
    assert_eq!(catalogue.deployments["pods"].replicas.max, 8);
    assert_eq!(catalogue.deployments["spare"].replicas.max, 3);
}

#[test]
fn one_file_alone_says_what_it_says() {
    let alone = parse("base", BASE, &ReadOptions::default()).unwrap();
    assert_eq!(merged(&[]).unwrap().to_yaml(), alone.to_yaml());
    assert!(!alone.to_yaml().contains('#'), "one file needs no places");
}

/// Each: the overlay, and the beginnings of all faults, in order.
const FAULTS: &[(&str, &[&str])] = &[
    (
        "activities: {load: {worker: {slots: 0}}}",
        &["over1:1:37: activities.load.worker.slots: found 0"],
    ),
    (
        "activities:\n  load:\n    worker: {slotz: 3}",
        &["over1:3:14: activities.load.worker.slotz: `slotz` is no key here"],
    ),
    ("flet: x", &["over1:1:1: flet: `flet` is no key here"]),
    // The heartbeat is the base's; the timeout that it is too long for is not.
    (
        "activities: {load: {worker: {timeout: 10s}}}",
        &["over1:1:39: activities.load.worker.timeout: found heartbeat `20s` for timeout `10s`"],
    ),
    // What is said once in each file is said in the order of the files.
    (
        "fleet: Bad\ndeployments: {pods: {replicas: {min: 9}}}",
        &[
            "over1:1:8: fleet: found `Bad`",
            "over1:2:38: deployments.pods.replicas.min: found min 9 above max 8",
        ],
    ),
    (
        "defaults: {worker: {heartbeat: soon}}",
        &["over1:1:32: defaults.worker.heartbeat: found `soon`"],
    ),
    // A fault of the base that only the overlay brings about is the base's.
    (
        "aws: {region: us-east-1}\nactivities: {load: {deployment: gone}}",
        &[
            "base:7:3: deployments.pods: found no activity",
            "over1:2:33: activities.load.deployment: found `gone`",
        ],
    ),
    (
        "activities: {load: }",
        &[
            "base:7:3: deployments.pods: found no activity",
            "over1:1:14: activities.load: `handler` is missing",
        ],
    ),
    (
        "- a\n- list",
        &["over1:1:1: found a list; allowed is a map of sections"],
    ),
    ("a: [", &["over1:"]),
];

#[test]
fn a_fault_names_the_file_that_holds_it() {
    for (overlay, begin) in FAULTS {
        let faults = merged(&[overlay]).expect_err(overlay);
        let found: Vec<String> = faults.iter().map(ToString::to_string).collect();
        assert_eq!(found.len(), begin.len(), "{overlay}:\n{faults}");
        for (found, begin) in found.iter().zip(*begin) {
            assert!(
                found.starts_with(begin),
                "{overlay}: no `{begin}` in\n{faults}"
            );
        }
    }
    let faults = merged(&["fleet: [", "aws: ["]).unwrap_err();
    let files: Vec<&str> = faults.iter().map(|fault| fault.file.as_str()).collect();
    assert_eq!(files, ["over1", "over2"], "each file that cannot be read");
}

#[test]
fn the_line_that_is_shown_is_of_the_same_file() {
    let faults = merged(&["# one\nfleet: Bad"]).unwrap_err().to_string();
    assert!(
        faults.contains(" 2 | fleet: Bad\n   |        ^"),
        "{faults}"
    );
}

#[test]
fn what_is_printed_says_where_it_comes_from_and_is_read_the_same_again() {
    let catalogue = merged(&[
        "activities: {load: {worker: {slots: 7}, config: {empty: {}, none: }}}",
        "warehouses: {files: {postgres: db, tls: verify-full, tls_ca: /ca.pem, user: u, database: app}}",
    ]);
    let text = catalogue.unwrap().to_yaml();
    for line in [
        "fleet: demo  # base:2\n",
        "      slots: 7  # over1:1\n",
        "      timeout: 5m  # base:13\n",
        "        steps:\n          - {to: 60s, add: 1}  # base:14\n",
        "      \"06:00\": \"no\"  # base:15\n",
        "      empty: {}  # over1:1\n",
        "      none: null  # over1:1\n",
        "    tls: verify-full  # over2:1\n    tls_ca: \"/ca.pem\"  # over2:1\n",
    ] {
        assert!(text.contains(line), "{line:?} is not in\n{text}");
    }
    let again = parse("printed", &text, &ReadOptions::default()).unwrap();
    assert_eq!(again.activities["load"].worker.slots, 7);
    let bare: String = text
        .lines()
        .map(|line| format!("{}\n", line.split("  # ").next().unwrap()))
        .collect();
    assert_eq!(again.to_yaml(), bare);
}

#[test]
fn every_file_that_is_not_there_is_named() {
    let paths = [PathBuf::from("nowhere.yaml"), PathBuf::from("neither.yaml")];
    let faults = read_all(&paths, &ReadOptions::default()).unwrap_err();
    let mut files: Vec<&str> = faults.iter().map(|fault| fault.file.as_str()).collect();
    files.sort_unstable();
    assert_eq!(files, ["neither.yaml", "nowhere.yaml"]);
    assert!(
        read_all(&[], &ReadOptions::default()).is_err(),
        "none at all"
    );
}
