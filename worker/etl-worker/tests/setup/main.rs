//! `setup` against services in memory: what it makes, and that doing it again
//! changes nothing.
#![allow(clippy::unwrap_used)]

mod store;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Output;
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::process::Command;

use store::Store;

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
    config: {warehouse: main, commit: procedure}
  notify:
    handler: acme.notify
    deployment: pods
"#;

/// What there is, and which calls were made.
#[derive(Debug, Clone, Default, PartialEq)]
struct Cloud {
    activities: Vec<String>,
    machines: BTreeMap<String, (Value, Value)>,
    statements: BTreeMap<String, u32>,
    calls: Vec<String>,
    store: Store,
}

impl Cloud {
    /// Step Functions takes the same request again, and refuses another one
    /// under the same name.
    fn answer(&mut self, target: &str, body: &Value) -> Response {
        self.calls.push(target.to_owned());
        let name = body["name"].as_str().unwrap_or_default().to_owned();
        let machine = (body["definition"].clone(), body["roleArn"].clone());
        match target {
            "AWSStepFunctions.CreateActivity" => {
                if !self.activities.contains(&name) {
                    self.activities.push(name);
                }
                Json(json!({"activityArn": "arn:x", "creationDate": 1})).into_response()
            }
            "AWSStepFunctions.CreateStateMachine" => {
                let there = self.machines.entry(name).or_insert_with(|| machine.clone());
                if *there == machine {
                    return Json(json!({"stateMachineArn": "arn:x", "creationDate": 1}))
                        .into_response();
                }
                let error = json!({"__type": "StateMachineAlreadyExists", "message": "another"});
                (StatusCode::BAD_REQUEST, Json(error)).into_response()
            }
            "AWSStepFunctions.UpdateStateMachine" => {
                let arn = body["stateMachineArn"].as_str().unwrap_or_default();
                let name = arn.rsplit(':').next().unwrap_or_default();
                self.machines.insert(name.to_owned(), machine);
                Json(json!({"updateDate": 1})).into_response()
            }
            "RedshiftData.ExecuteStatement" => {
                let sql = body["Sql"].as_str().unwrap_or_default().to_owned();
                *self.statements.entry(sql).or_default() += 1;
                Json(json!({"Id": "s1"})).into_response()
            }
            "RedshiftData.BatchExecuteStatement" => {
                for sql in body["Sqls"].as_array().into_iter().flatten() {
                    let sql = sql.as_str().unwrap_or_default().to_owned();
                    *self.statements.entry(sql).or_default() += 1;
                }
                Json(json!({"Id": "s1"})).into_response()
            }
            "RedshiftData.DescribeStatement" => {
                Json(json!({"Id": "s1", "Status": "FINISHED", "HasResultSet": false}))
                    .into_response()
            }
            other => (StatusCode::NOT_IMPLEMENTED, other.to_owned()).into_response(),
        }
    }
}

/// The services' address, and what they hold.
async fn serve() -> (String, Arc<Mutex<Cloud>>) {
    let cloud = Arc::new(Mutex::new(Cloud::default()));
    let held = Arc::clone(&cloud);
    let answer = move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| async move {
        let mut held = held.lock().unwrap();
        // Of those that are asked here, only S3 names no operation.
        let Some(target) = headers.get("x-amz-target") else {
            return held.store.answer(&method, &uri, &headers);
        };
        let body: Value = serde_json::from_slice(&body).unwrap();
        held.answer(target.to_str().unwrap(), &body)
    };
    let app = Router::new().fallback(answer);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    (format!("http://{address}"), cloud)
}

async fn setup(endpoint: &str, test: &str, args: &[&str]) -> Output {
    setup_of(CATALOGUE, endpoint, (test, args)).await
}

async fn setup_of(catalogue: &str, endpoint: &str, (test, args): (&str, &[&str])) -> Output {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("setup-{test}.yaml"));
    std::fs::write(&path, catalogue).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_etl-worker"))
        .arg("setup")
        .arg("--catalogue")
        .arg(path)
        .args(args)
        .env_remove("STEPFLEET_CATALOGUE")
        .env_remove("STEPFLEET_STATES_ROLE")
        .env("AWS_ENDPOINT_URL", endpoint)
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .output()
        .await
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

fn lines(output: &Output) -> Vec<String> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn a_dry_run_says_everything_and_calls_nothing() {
    let (endpoint, cloud) = serve().await;
    let said = lines(&setup(&endpoint, "dry", &["--dry-run"]).await);
    assert_eq!(
        said,
        [
            "would create activity demo-load",
            "would create or update state machine demo-load with role arn:aws:iam::123456789012:role/stepfleet-demo-states",
            "would create activity demo-notify",
            "would create schema stepfleet with the ledger and its locks in warehouse main, database dev",
            "would create or replace procedures stepfleet.load_batch_2 and stepfleet.reload_batch in warehouse main, database dev",
        ]
    );
    assert_eq!(*cloud.lock().unwrap(), Cloud::default());
    let done = lines(&setup(&endpoint, "dry", &[]).await);
    let same = done.iter().zip(&said);
    for (done, said) in same {
        assert_eq!(done.strip_prefix("done: "), said.strip_prefix("would "));
    }
    assert_eq!(done.len(), said.len());
}

/// What follows from standing loads: a machine that drains, one that plans, and
/// three alarms a table.
#[tokio::test]
async fn standing_loads_have_machines_and_alarms() {
    let catalogue = CATALOGUE.replace(
        "config: {warehouse: main, commit: procedure}",
        "config:
      warehouse: main
      loads:
        - {bucket: land, prefix: a/, table: public.a, format: csv}
        - {bucket: land, prefix: b/, table: public.b, format: json}
      trigger: {queue: https://sqs.eu-west-1.amazonaws.com/123456789012/arrivals}
      watch: {topic: arn:aws:sns:eu-west-1:123456789012:alerts, for: 5m}
  load-all:
    handler: etl.s3-plan
    deployment: pods
    config: {load: load, concurrency: 3}",
    );
    let (endpoint, cloud) = serve().await;
    let said = lines(&setup_of(&catalogue, &endpoint, ("standing", &["--dry-run"])).await);
    let role = "with role arn:aws:iam::123456789012:role/stepfleet-demo-states";
    let tells = "which tells arn:aws:sns:eu-west-1:123456789012:alerts";
    for step in [
        format!("would create or update state machine demo-load {role}"),
        format!("would create or update state machine demo-load-drain {role}"),
        format!("would create or update state machine demo-load-all {role}"),
        format!("would put alarm demo-load-public.a-unprocessed, {tells}"),
        format!("would put alarm demo-load-public.a-not-falling, {tells}"),
        format!("would put alarm demo-load-public.a-failed, {tells}"),
        format!("would put alarm demo-load-public.b-failed, {tells}"),
        format!("would put alarm demo-load-public.b-unprocessed, {tells}"),
        format!("would put alarm demo-load-public.b-not-falling, {tells}"),
    ] {
        assert!(said.contains(&step), "{step} is not in {said:#?}");
    }
    assert_eq!(*cloud.lock().unwrap(), Cloud::default());
    let quiet = catalogue.lines().filter(|line| !line.contains("watch:"));
    let quiet: Vec<&str> = quiet.collect();
    setup_of(&quiet.join("\n"), &endpoint, ("machines", &[])).await;
    let probed = cloud.lock().unwrap().store.clone();
    assert_ne!(probed, Store::default(), "the bucket was tried");
    assert!(probed.paths().is_empty(), "{probed:?}");
    let machines = cloud.lock().unwrap().machines.clone();
    let all: Value = serde_json::from_str(machines["demo-load-all"].0.as_str().unwrap()).unwrap();
    let each = &all["States"]["LoadEach"];
    assert_eq!(each["MaxConcurrency"], 3);
    let load = &each["ItemProcessor"]["States"]["Load"]["Resource"];
    assert_eq!(
        load,
        "arn:aws:states:eu-west-1:123456789012:activity:demo-load"
    );
    let plan = &all["States"]["Plan"]["Resource"];
    assert_eq!(
        plan,
        "arn:aws:states:eu-west-1:123456789012:activity:demo-load-all"
    );
    for (name, (definition, _)) in &machines {
        let definition = definition.as_str().unwrap();
        assert!(!definition.contains("${"), "{name}: {definition}");
    }
}

#[tokio::test]
async fn doing_it_again_changes_nothing_and_another_role_is_taken() {
    let (endpoint, cloud) = serve().await;
    let role = "arn:aws:iam::123456789012:role/load-states";
    setup(&endpoint, "again", &["--role-arn", role]).await;
    let first = cloud.lock().unwrap().clone();
    assert_eq!(first.activities, ["demo-load", "demo-notify"]);
    assert_eq!(first.machines["demo-load"].1, role);
    setup(&endpoint, "again", &["--role-arn", role]).await;
    let second = cloud.lock().unwrap().clone();
    assert_eq!(second.activities, first.activities);
    assert_eq!(second.machines, first.machines);
    let updates = |cloud: &Cloud| {
        let calls = cloud.calls.iter();
        calls
            .filter(|call| call.ends_with("UpdateStateMachine"))
            .count()
    };
    assert_eq!(updates(&second), 0, "the same definition and role");
    for (sql, times) in &second.statements {
        let repeatable = sql.contains(" IF NOT EXISTS ") || sql.starts_with("CREATE OR REPLACE ");
        assert!(repeatable, "{sql} is not repeatable");
        assert_eq!(*times, 2, "{sql}");
    }
    let other = "arn:aws:iam::123456789012:role/other";
    setup(&endpoint, "again", &["--role-arn", other]).await;
    let third = cloud.lock().unwrap().clone();
    assert_eq!(
        (updates(&third), &third.machines["demo-load"].1),
        (1, &json!(other))
    );
    assert_eq!(third.machines["demo-load"].0, first.machines["demo-load"].0);
}
