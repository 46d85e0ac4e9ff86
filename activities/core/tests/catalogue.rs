//! The documented example, the schema, and every fault with its place.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use stepfleet_activity::catalogue::{
    self, Amount, Catalogue, PostgresTls, ReadOptions, WarehouseTarget, parse,
};

const SHORT: ReadOptions = ReadOptions {
    allow_short_periods: true,
};

const BASE: &str = r#"version: 1
fleet: demo
aws: {account: "123456789012", region: eu-west-1}
signals: {max_age: 15m, period: 60s}
warehouses:
  main: {workgroup: analytics, database: dev}
deployments:
  pods:
    replicas: {min: 1, max: 8}
activities:
  load:
    handler: etl.s3-load
    deployment: pods
    worker: {slots: 2, timeout: 5m}
"#;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn base() -> Catalogue {
    parse("fleet.yaml", BASE, &ReadOptions::default()).unwrap()
}

#[test]
fn the_documented_example_is_read() {
    let catalogue = catalogue::read(&root().join("fleet.yaml"), &SHORT).unwrap();
    let activity = &catalogue.activities["s3-load"];
    assert_eq!(
        activity.arn,
        "arn:aws:states:eu-west-1:123456789012:activity:demo-s3-load"
    );
    assert_eq!((activity.worker.slots, activity.worker.pollers_max), (2, 2));
    assert_eq!(activity.objective.unwrap().late, 0.01);
    assert_eq!(activity.config["settle"], "0s");
    assert_eq!(activity.alarms.out.steps[1].add, Amount::Percent(100.0));
    let drain = catalogue.deployments["s3-load"].drain;
    assert_eq!(drain, Duration::from_secs(300 + 60 + 30));
    assert_eq!(catalogue.activities_of("s3-load").count(), 1);
    assert!(catalogue.activity_by_arn(&activity.arn).is_some());

    let long = catalogue::read(&root().join("fleet.yaml"), &ReadOptions::default());
    assert!(
        long.unwrap_err()
            .to_string()
            .contains("--allow-short-periods")
    );
}

#[test]
fn what_is_unsaid_has_the_defaults_of_the_design() {
    let catalogue = base();
    let activity = &catalogue.activities["load"];
    assert_eq!(
        (activity.worker.pollers_min, activity.worker.pollers_max),
        (1, 2)
    );
    assert_eq!(activity.worker.heartbeat, Duration::from_secs(60));
    assert_eq!(activity.alarms.out.above, Duration::from_secs(30));
    assert_eq!(activity.alarms.out.steps.len(), 3);
    assert_eq!(activity.alarms.in_.below, Duration::from_millis(200));
    assert_eq!(activity.alarms.starved_for, Duration::from_secs(180));
    assert_eq!(activity.objective, None);
    let damping = &catalogue.deployments["pods"].damping;
    assert_eq!(damping.cooldown_in, Duration::from_secs(600));
    assert_eq!(damping.flap_budget.reversals, 40);
}

#[test]
fn defaults_give_way_key_by_key() {
    let text =
        format!("{BASE}defaults:\n  worker: {{slots: 9, pollers: {{max: 4}}, heartbeat: 20s}}\n");
    let catalogue = parse("f", &text, &ReadOptions::default()).unwrap();
    let worker = &catalogue.activities["load"].worker;
    assert_eq!(
        (worker.slots, worker.pollers_max),
        (2, 2),
        "clamped, not refused"
    );
    assert_eq!(worker.heartbeat, Duration::from_secs(20));
}

/// Each: what is replaced in the base, by what, and the beginning and a part of the fault.
const FAULTS: &[(&str, &str, &str, &str)] = &[
    (
        "version: 1",
        "version: 2",
        "f:1:10: version: found `2`",
        "allowed is 1",
    ),
    (
        "fleet: demo",
        "fleet: Demo_1",
        "f:2:8: fleet: found `Demo_1`",
        "lower-case",
    ),
    (
        "fleet: demo",
        "flet: demo",
        "f:2:1: flet: `flet` is no key",
        "did you mean `fleet`?",
    ),
    (
        "\"123456789012\"",
        "\"1234\"",
        "f:3:16: aws.account: found `1234`",
        "12 digits",
    ),
    (
        "\"123456789012\"",
        "123456789012",
        "f:3:16: aws.account: found the number",
        "in quotes",
    ),
    (
        "eu-west-1",
        "europe",
        "f:3:40: aws.region: found `europe`",
        "eu-west-1",
    ),
    (
        "period: 60s",
        "period: 90s",
        "f:4:33: signals.period: found `1m 30s`",
        "multiple",
    ),
    (
        "period: 60s",
        "period: 10s",
        "f:4:33: signals.period: found `10s`",
        "--allow-short-periods",
    ),
    (
        "max_age: 15m",
        "max_age: 10s",
        "f:4:20: signals.max_age: found `10s`",
        "or more",
    ),
    (
        "period: 60s",
        "delivery: kafka",
        "f:4:35: signals.delivery: found `kafka`",
        "allowed are: sns, raw, eventbridge",
    ),
    (
        "workgroup: analytics, ",
        "",
        "f:6:3: warehouses.main: found neither",
        "workgroup",
    ),
    (
        "workgroup: analytics",
        "workgroup: a, cluster: b",
        "f:6:33: warehouses.main.cluster: found both",
        "one of them",
    ),
    (
        "workgroup: analytics",
        "workgroup: analytics, postgres: db:5432, user: loader",
        "f:6:21: warehouses.main.workgroup: found `workgroup` beside `postgres`",
        "Redshift's",
    ),
    (
        "workgroup: analytics",
        "postgres: db",
        "f:6:3: warehouses.main.user: found none",
        "name of a user",
    ),
    (
        "workgroup: analytics",
        "postgres: \"db:http\", user: loader",
        "f:6:20: warehouses.main.postgres: found `db:http`",
        "host:port",
    ),
    (
        "workgroup: analytics",
        "workgroup: analytics, password_env: PASSWORD",
        "f:6:46: warehouses.main.password_env: found a `password_env`",
        "beside `postgres` only",
    ),
    (
        "workgroup: analytics",
        "workgroup: analytics, tls: require",
        "f:6:37: warehouses.main.tls: found a `tls`",
        "beside `postgres` only",
    ),
    (
        "workgroup: analytics",
        "workgroup: analytics, tls_ca: /ca.pem",
        "f:6:40: warehouses.main.tls_ca: found a `tls_ca`",
        "always has TLS",
    ),
    (
        "workgroup: analytics",
        "postgres: db, user: u, tls: prefer",
        "f:6:38: warehouses.main.tls: found `prefer`",
        "verify-full",
    ),
    (
        "workgroup: analytics",
        "postgres: db, user: u, tls: disable",
        "f:6:38: warehouses.main.tls: found `disable` for the host `db`",
        "in the clear",
    ),
    (
        "workgroup: analytics",
        "postgres: 127.0.0.1.example.com, user: u, tls: disable",
        "f:6:57: warehouses.main.tls: found `disable` for the host",
        "`verify-full` or `require`",
    ),
    (
        "workgroup: analytics",
        "postgres: 10.0.0.1, user: u, tls: disable",
        "f:6:44: warehouses.main.tls: found `disable`",
        "in the clear",
    ),
    (
        "workgroup: analytics",
        "postgres: db, user: u, tls: require, tls_ca: /ca.pem",
        "f:6:55: warehouses.main.tls_ca: found a file",
        "verify-full",
    ),
    (
        "workgroup: analytics",
        "postgres: localhost, user: u, tls: disable, tls_ca: /ca.pem",
        "f:6:62: warehouses.main.tls_ca: found a file",
        "verify-full",
    ),
    (
        "workgroup: analytics",
        "postgres: db, user: u, tls_ca: ca.pem",
        "f:6:41: warehouses.main.tls_ca: found `ca.pem`",
        "absolute path",
    ),
    (
        "workgroup: analytics",
        "postgres: /run/postgresql, user: u, tls: require",
        "f:6:51: warehouses.main.tls: found it for the socket",
        "no TLS",
    ),
    (
        "workgroup: analytics",
        "postgres: /run/postgresql, user: u, tls_ca: /ca.pem",
        "f:6:54: warehouses.main.tls_ca: found it for the socket",
        "no TLS",
    ),
    (
        "workgroup: analytics",
        "postgres: db, user: u, secret: \"arn:aws:secretsmanager:eu-west-1:123456789012:secret:db\"",
        "f:6:30: warehouses.main.user: found a `user` beside a `secret`",
        "the secret says",
    ),
    (
        "workgroup: analytics",
        "postgres: db, password_env: P, secret: \"arn:aws:secretsmanager:eu-west-1:123456789012:secret:db\"",
        "f:6:38: warehouses.main.password_env: found a `password_env` beside a `secret`",
        "the secret says",
    ),
    (
        "workgroup: analytics",
        "postgres: db, secret: hunter2",
        "f:6:32: warehouses.main.secret: found a text",
        "never written",
    ),
    (
        "workgroup: analytics",
        "postgres: db, user: u, copy_role: \"arn:aws:iam::123456789012:role/r\"",
        "f:6:44: warehouses.main.copy_role: found `copy_role` beside `postgres`",
        "Redshift's",
    ),
    (
        "database: dev",
        "database: dev, secret: hunter2",
        "f:6:55: warehouses.main.secret: found a text",
        "never written",
    ),
    (
        "min: 1,",
        "min: 0,",
        "f:9:21: deployments.pods.replicas.min: found 0",
        "nothing can wake a fleet from zero yet",
    ),
    (
        "min: 1,",
        "min: 9,",
        "f:9:21: deployments.pods.replicas.min: found min 9 above max 8",
        "min up to max",
    ),
    (
        "max: 8",
        "max: 401",
        "f:11:3: activities.load: found 401 replicas and 101 more in a rollout x 2 pollers = 1004",
        "allowed are 1000",
    ),
    (
        "max: 8",
        "max: 8, schedule: [{days: mon-fry, from: \"06:00\", to: \"20:00\", min: 2}]",
        "f:9:50: deployments.pods.replicas.schedule[0].days: found `mon-fry`",
        "mon-fri",
    ),
    (
        "max: 8",
        "max: 8, schedule: [{from: \"6:00\", to: \"20:00\", min: 2}]",
        "f:9:50: deployments.pods.replicas.schedule[0].from: found `6:00`",
        "00:00",
    ),
    (
        "max: 8",
        "max: 8, schedule: [{from: \"06:00\", to: \"20:00\", zone: Mars/X, min: 2}]",
        "f:9:78: deployments.pods.replicas.schedule[0].zone: found `Mars/X`",
        "IANA",
    ),
    (
        "max: 8",
        "max: 8, schedule: [{from: \"06:00\", to: \"20:00\", min: 9}]",
        "f:9:43: deployments.pods.replicas.schedule[0]: found min 9 above max 8",
        "min up to max",
    ),
    (
        "max: 8}",
        "max: 8}\n    damping: {cooldown: {out: 0s}}",
        "f:10:31: deployments.pods.damping.cooldown.out: found `0s`",
        "allowed is",
    ),
    (
        "  load:",
        "  lo.ad:",
        "f:11:3: activities.lo.ad: found the name `lo.ad`",
        "ASCII",
    ),
    (
        "deployment: pods",
        "deployment: pod",
        "f:13:17: activities.load.deployment: found `pod`",
        "did you mean `pods`?",
    ),
    (
        "deployment: pods",
        "deployment: pod",
        "f:8:3: deployments.pods: found no activity",
        "at least one",
    ),
    (
        "deployment: pods",
        "deployment: pods\n    arn: arn:aws:states:eu-west-1:999999999999:activity:x",
        "f:14:10: activities.load.arn: found",
        "this account and region",
    ),
    (
        "    handler: etl.s3-load\n",
        "",
        "f:11:3: activities.load: `handler` is missing",
        "no default",
    ),
    (
        "slots: 2",
        "slotz: 2",
        "f:14:14: activities.load.worker.slotz: `slotz` is no key",
        "did you mean `slots`?",
    ),
    (
        "slots: 2",
        "slots: many",
        "f:14:21: activities.load.worker.slots: found the text `many`",
        "whole number",
    ),
    (
        "slots: 2",
        "slots: 0",
        "f:14:21: activities.load.worker.slots: found 0",
        "1 to 10000",
    ),
    (
        "slots: 2",
        "slots: 2, pollers: {max: 3}",
        "f:14:39: activities.load.worker.pollers.max: found 3 pollers for 2 slots",
        "1 to 2",
    ),
    (
        "timeout: 5m",
        "timeout: 5 parsecs",
        "f:14:33: activities.load.worker.timeout: found `5 parsecs`",
        "a duration like",
    ),
    (
        "timeout: 5m",
        "timeout: 30s",
        "f:14:33: activities.load.worker.timeout: found heartbeat `1m` for timeout `30s`",
        "below",
    ),
    (
        "5m}",
        "5m}\n    objective: {wait: 5s, late: 0%}",
        "f:15:33: activities.load.objective.late: found `0%`",
        "above 0%",
    ),
    (
        "5m}",
        "5m}\n    alarms: {out: {for: 90s}}",
        "f:15:25: activities.load.alarms.out.for: found `1m 30s`",
        "multiple of the period, `1m`",
    ),
    (
        "5m}",
        "5m}\n    alarms: {in: {for: 2days}}",
        "f:15:24: activities.load.alarms.in.for: found `2days`",
        "up to `1day`",
    ),
    (
        "5m}",
        "5m}\n    alarms: {in: {below: 30s}}",
        "f:15:26: activities.load.alarms.in.below: found `30s` for out above `30s`",
        "less",
    ),
    (
        "5m}",
        "5m}\n    alarms: {out: {steps: [{to: 60s, add: 1}, {to: 50s, add: 2}, {add: 3}]}}",
        "f:15:52: activities.load.alarms.out.steps[1].to: found `50s`",
        "the step before",
    ),
    (
        "5m}",
        "5m}\n    alarms: {out: {steps: [{to: 60s, add: 1}]}}",
        "f:15:33: activities.load.alarms.out.steps[0].to: found a `to`",
        "last",
    ),
    (
        "5m}",
        "5m}\n    alarms: {out: {steps: [{add: lots}]}}",
        "f:15:34: activities.load.alarms.out.steps[0].add: found `lots`",
        "percentage",
    ),
];

#[test]
fn every_fault_says_where_and_what() {
    let mut missed = Vec::new();
    for (old, new, begins, holds) in FAULTS {
        assert!(BASE.contains(old), "{old}");
        let text = BASE.replacen(old, new, 1);
        let faults = parse("f", &text, &ReadOptions::default()).expect_err(new);
        let all: Vec<String> = faults.iter().map(ToString::to_string).collect();
        let found = all
            .iter()
            .any(|fault| fault.starts_with(begins) && fault.contains(holds));
        if !found {
            missed.push(format!("{new}: no `{begins}` with `{holds}` in\n{faults}"));
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n\n"));
}

#[test]
fn a_postgres_is_never_spoken_to_in_the_clear_beyond_loopback() {
    let system = || PostgresTls::VerifyFull { ca: None };
    let file = || PostgresTls::VerifyFull {
        ca: Some("/ca.pem".into()),
    };
    for (said, want) in [
        ("postgres: db.internal", system()),
        ("postgres: \"10.0.0.1:5433\"", system()),
        ("postgres: db, tls: verify-full", system()),
        ("postgres: db, tls_ca: /ca.pem", file()),
        ("postgres: db, tls: verify-full, tls_ca: /ca.pem", file()),
        ("postgres: db, tls: require", PostgresTls::Require),
        ("postgres: localhost", PostgresTls::Disable),
        ("postgres: \"127.0.0.2:5433\"", PostgresTls::Disable),
        ("postgres: localhost, tls: disable", PostgresTls::Disable),
        ("postgres: /run/postgresql", PostgresTls::Disable),
        ("postgres: localhost, tls: verify-full", system()),
        ("postgres: localhost, tls_ca: /ca.pem", file()),
        ("postgres: localhost, tls: require", PostgresTls::Require),
    ] {
        let secret = "secret: \"arn:aws:secretsmanager:eu-west-1:123456789012:secret:db-AbCdEf\"";
        for (login, who) in [("user: loader", Some("loader")), (secret, None)] {
            let text = BASE.replace("workgroup: analytics", &format!("{said}, {login}"));
            let catalogue = parse("f", &text, &ReadOptions::default()).expect(said);
            let warehouse = &catalogue.warehouses["main"];
            let WarehouseTarget::Postgres { user, tls, .. } = &warehouse.target else {
                panic!("{said}: {warehouse:?}");
            };
            assert_eq!((tls, user.as_deref()), (&want, who), "{said}");
            assert_eq!(warehouse.secret.is_some(), who.is_none(), "{said}");
        }
    }
}

#[test]
fn all_faults_come_at_once_and_a_secret_is_not_repeated() {
    let text = BASE
        .replace("fleet: demo", "fleet: D")
        .replace("slots: 2", "slots: 0")
        .replace("min: 1", "min: 0")
        .replace("database: dev", "database: dev, secret: hunter2");
    let faults = parse("f", &text, &ReadOptions::default()).unwrap_err();
    let paths: Vec<&str> = faults.iter().map(|fault| fault.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "fleet",
            "warehouses.main.secret",
            "deployments.pods.replicas.min",
            "activities.load.worker.slots"
        ]
    );
    assert!(!faults.to_string().contains("hunter2"));
}

#[test]
fn what_is_no_yaml_is_one_fault_with_its_place() {
    let faults = parse("f", "version: 1\nfleet: [", &ReadOptions::default()).unwrap_err();
    assert_eq!(faults.iter().count(), 1);
    assert!(faults.iter().all(|fault| fault.line >= 2), "{faults}");
}

#[test]
fn two_activities_of_one_arn_are_refused() {
    let text = format!(
        "{BASE}  other:\n    handler: x\n    deployment: pods\n    arn: arn:aws:states:eu-west-1:123456789012:activity:demo-load\n"
    );
    let faults = parse("f", &text, &ReadOptions::default())
        .unwrap_err()
        .to_string();
    assert!(
        faults.starts_with("f:18:10: activities.other.arn: found"),
        "{faults}"
    );
}

#[test]
fn the_schema_in_the_repository_is_the_one_of_the_types() {
    let path = root().join("fleet.schema.json");
    let now = format!(
        "{}\n",
        serde_json::to_string_pretty(&catalogue::schema()).unwrap()
    );
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(&path, &now).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == now, "run this test with UPDATE_SCHEMA=1");
}

#[test]
fn no_aws_crate_and_no_runtime_in_the_dependencies() {
    let output = std::process::Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--offline",
            "--filter-platform",
            "x86_64-unknown-linux-gnu",
            "--manifest-path",
        ])
        .arg(root().join("Cargo.toml"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let nodes = metadata["resolve"]["nodes"].as_array().unwrap();
    let own = metadata["packages"].as_array().unwrap().iter();
    let own = own.filter(|package| package["name"] == "stepfleet-activity");
    let mut open: Vec<&str> = own.map(|package| package["id"].as_str().unwrap()).collect();
    let mut seen = std::collections::BTreeSet::new();
    while let Some(id) = open.pop() {
        if !seen.insert(id) {
            continue;
        }
        let node = nodes.iter().find(|node| node["id"] == id).unwrap();
        for dep in node["deps"].as_array().unwrap() {
            let mut kinds = dep["dep_kinds"].as_array().unwrap().iter();
            if kinds.any(|kind| kind["kind"].is_null()) {
                open.push(dep["pkg"].as_str().unwrap());
            }
        }
    }
    assert!(seen.len() > 8, "the closure was followed: {seen:?}");
    let packages = metadata["packages"].as_array().unwrap().iter();
    let used = packages.filter(|package| seen.contains(package["id"].as_str().unwrap()));
    let names: Vec<&str> = used
        .map(|package| package["name"].as_str().unwrap())
        .collect();
    let bad = names
        .iter()
        .filter(|name| name.starts_with("aws-") || name.starts_with("tokio"));
    assert_eq!(bad.count(), 0, "{names:?}");
}

proptest::proptest! {
    #[test]
    fn an_amount_is_at_least_one_and_no_less_than_its_share(current in 0u32..100_000, percent in 0.01f64..1000.0) {
        let amount = Amount::Percent(percent).of(current);
        proptest::prop_assert!(amount >= 1);
        proptest::prop_assert!(f64::from(amount) + 1e-6 >= f64::from(current) * percent / 100.0);
        proptest::prop_assert!(f64::from(amount) <= f64::from(current) * percent / 100.0 + 1.0);
    }

    #[test]
    fn any_timeout_of_whole_seconds_is_read_as_it_was_written(seconds in 61u64..99_999_999) {
        let written = humantime::format_duration(Duration::from_secs(seconds)).to_string();
        let text = BASE.replace("timeout: 5m", &format!("timeout: {written}"));
        let catalogue = parse("f", &text, &ReadOptions::default()).unwrap();
        proptest::prop_assert_eq!(catalogue.activities["load"].worker.timeout.as_secs(), seconds);
    }
}
