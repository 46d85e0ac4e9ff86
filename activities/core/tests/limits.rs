//! Names, open polls, and where a fault of `defaults` is.
#![allow(clippy::unwrap_used)]

use stepfleet_activity::catalogue::{Catalogue, Faults, ReadOptions, parse};

fn read(text: &str) -> Result<Catalogue, Faults> {
    parse("f", text, &ReadOptions::default())
}

/// Line 6 is the deployment's name, line 8 the activity's.
fn named(fleet: &str, deployment: &str, activity: &str) -> Result<Catalogue, Faults> {
    read(&format!(
        r#"version: 1
fleet: {fleet}
aws: {{account: "123456789012", region: eu-west-1}}

deployments:
  {deployment}:
activities:
  {activity}:
    handler: etl.s3-load
    deployment: {deployment}
"#
    ))
}

#[test]
fn a_name_is_ascii_and_eighty_characters_with_the_fleet() {
    let long = |length: usize| "x".repeat(length);
    let table = [
        ("load".to_owned(), None),
        ("Load_2-a".to_owned(), None),
        ("\"0\"".to_owned(), None),
        (long(75), None),
        (long(76), Some("81 characters; allowed are 80")),
        (long(300), Some("305 characters; allowed are 80")),
        (
            "lö".to_owned(),
            Some("allowed are ASCII letters, digits, `-` and `_`"),
        ),
        ("日本".to_owned(), Some("ASCII")),
        ("a.b".to_owned(), Some("ASCII")),
        ("a/b".to_owned(), Some("ASCII")),
        ("a b".to_owned(), Some("ASCII")),
        ("\"a:b\"".to_owned(), Some("ASCII")),
        ("\"\"".to_owned(), Some("ASCII")),
    ];
    for (name, fault) in table {
        let read = named("demo", "pods", &name);
        let Some(fault) = fault else {
            let catalogue = read.unwrap_or_else(|faults| panic!("{name}: {faults}"));
            let activity = catalogue.activities.values().next().unwrap();
            let of_aws = activity.arn.rsplit(':').next().unwrap();
            assert!(of_aws.is_ascii() && of_aws.len() <= 80, "{of_aws}");
            continue;
        };
        let faults = read.expect_err(&name);
        let at_name = faults.iter().find(|fault| fault.line == 8);
        let said = at_name
            .unwrap_or_else(|| panic!("{name}: {faults}"))
            .to_string();
        assert!(said.contains(fault), "{name}: {said}");
    }
}

#[test]
fn fleets_and_deployments_are_named_as_kubernetes_takes_them() {
    let long = "x".repeat(63);
    named(&"f".repeat(63), &long, "a").unwrap();
    for bad in ["ä", "Pods", "a_b", "-a", "a-", "a.b", &"x".repeat(64)] {
        let faults = named(bad, "pods", "a").expect_err(bad);
        assert!(faults.iter().any(|fault| fault.path == "fleet"), "{faults}");
        let faults = named("demo", bad, "a").expect_err(bad);
        assert!(
            faults.iter().any(|fault| fault.line == 6),
            "{bad}: {faults}"
        );
    }
}

/// Each: the deployment's replicas, the activity's worker, and the open polls
/// if these are too many.
const POLLS: &[(&str, &str, Option<u32>)] = &[
    ("{max: 200}", "{slots: 4}", None),
    ("{max: 201}", "{slots: 4}", Some(1_008)),
    ("{max: 800}", "{slots: 1}", None),
    ("{max: 801}", "{slots: 1}", Some(1_002)),
    ("{max: 80}", "{slots: 50, pollers: {max: 10}}", None),
    ("{max: 80}", "{slots: 50, pollers: {max: 11}}", Some(1_100)),
    // Slots without pollers of their own are four polls at most.
    ("{max: 200}", "{slots: 10000}", None),
    // A rollout has one pod more at the least.
    ("{max: 1}", "{slots: 10000, pollers: {max: 500}}", None),
    (
        "{max: 1}",
        "{slots: 10000, pollers: {max: 501}}",
        Some(1_002),
    ),
    // What a schedule allows counts.
    (
        "{max: 10, schedule: [{from: \"06:00\", to: \"20:00\", max: 300}]}",
        "{slots: 4}",
        Some(1_500),
    ),
];

#[test]
fn an_activity_has_a_thousand_open_polls_at_most() {
    for (replicas, worker, polls) in POLLS {
        let what = format!("replicas {replicas}, worker {worker}");
        let read = read(&format!(
            r#"version: 1
fleet: demo
aws: {{account: "123456789012", region: eu-west-1}}
deployments:
  pods: {{replicas: {replicas}}}
activities:
  load: {{handler: a.b, deployment: pods, worker: {worker}}}
"#
        ));
        let Some(polls) = polls else {
            read.unwrap_or_else(|faults| panic!("{what}: {faults}"));
            continue;
        };
        let said = read.expect_err(&what).to_string();
        let wanted = format!("= {polls} open polls; allowed are 1000 for an activity");
        assert!(said.contains(&wanted), "{what}: {said}");
    }
}

/// Each: `defaults`, and how the only fault begins.
const DEFAULTS: &[(&str, &str)] = &[
    (
        "{worker: {slots: 0}}",
        "f:4:28: defaults.worker.slots: found 0",
    ),
    (
        "{worker: {slotz: 3}}",
        "f:4:21: defaults.worker.slotz: `slotz` is no key here",
    ),
    (
        "{worker: {heartbeat: soon}}",
        "f:4:32: defaults.worker.heartbeat: found `soon`",
    ),
    (
        "{replicas: {min: 0}}",
        "f:4:28: defaults.replicas.min: found 0",
    ),
    (
        "{alarms: {out: {for: 90s}}}",
        "f:4:32: defaults.alarms.out.for: found `1m 30s`",
    ),
    (
        "{objective: {wait: 5s, late: 0%}}",
        "f:4:40: defaults.objective.late: found `0%`",
    ),
    (
        "{damping: {cooldown: {out: 0s}}}",
        "f:4:38: defaults.damping.cooldown.out: found `0s`",
    ),
    (
        "{handler: a.b}",
        "f:4:12: defaults.handler: `handler` is no key here",
    ),
];

#[test]
fn a_fault_of_the_defaults_is_said_once_and_there() {
    for (defaults, begins) in DEFAULTS {
        let faults = read(&format!(
            r#"version: 1
fleet: demo
aws: {{account: "123456789012", region: eu-west-1}}
defaults: {defaults}
deployments:
  pods:
  more:
activities:
  one: {{handler: a.b, deployment: pods}}
  two: {{handler: a.b, deployment: more}}
"#
        ))
        .expect_err(defaults);
        let said = faults.to_string();
        assert_eq!(faults.iter().count(), 1, "{defaults}: {said}");
        assert!(said.starts_with(begins), "{defaults}: {said}");
    }
}
