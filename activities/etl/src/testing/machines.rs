//! The state machines, run to their ends by Step Functions on this machine: an
//! execution says itself how it failed, by name and by cause.

use std::time::Duration;

use serde_json::{Value, json};
use stepfleet_activity::Catalogue;
use stepfleet_activity::catalogue::{ReadOptions, parse};
use stepfleet_local::serve::{Local, LocalOptions, WarehouseOption};

use crate::setup;

const ARN: &str = "arn:aws:states:eu-west-1:123456789012";
const SILENT: &str = "Step Functions gave no cause";

const CATALOGUE: &str = r#"version: 1
fleet: f
aws: {account: "123456789012", region: eu-west-1}
warehouses: {main: {workgroup: main, database: dev}}
deployments: {d: {replicas: {min: 1, max: 1}}}
activities:
  load:
    handler: etl.s3-load
    deployment: d
    config:
      warehouse: main
      loads: [{bucket: land, prefix: a/, table: public.a, format: csv}]
      trigger: {queue: "https://sqs/1/q"}
  all: {handler: etl.s3-plan, deployment: d, config: {load: load, concurrency: 2}}
"#;

/// What a worker answers to a task: an output, or an error and a cause.
type Reply = Result<Value, Value>;

struct Machines {
    local: Local,
    _dir: tempfile::TempDir,
    started: u32,
}

fn catalogue() -> Catalogue {
    parse("f", CATALOGUE, &ReadOptions::default()).expect("a catalogue")
}

impl Machines {
    async fn start() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let mut options = LocalOptions::new(dir.path().join("aws"));
        options.warehouse = WarehouseOption::None;
        let local = Local::start(options).await.expect("an AWS");
        let machines = Self {
            local,
            _dir: dir,
            started: 0,
        };
        let catalogue = catalogue();
        for activity in catalogue.activities.values() {
            let name = activity.arn.rsplit(':').next().expect("a name");
            machines.call("CreateActivity", json!({"name": name})).await;
            for (name, definition) in setup::machines(&catalogue, activity) {
                // Nobody waits here.
                let definition = definition.replace("\"Seconds\": 5", "\"Seconds\": 0");
                let machine = json!({"name": name, "definition": definition, "roleArn": "arn:aws:iam::123456789012:role/r"});
                machines.call("CreateStateMachine", machine).await;
            }
        }
        machines
    }

    async fn call(&self, operation: &str, body: Value) -> Value {
        let answer = self.local.sfn.call(operation, body).await;
        answer.unwrap_or_else(|error| panic!("{operation}: {error:?}"))
    }

    /// Answers the next task of an activity; its table picks among replies.
    async fn answer(&self, activity: &str, reply: impl Fn(&Value) -> Reply) {
        let poll = json!({"activityArn": format!("{ARN}:activity:f-{activity}")});
        let task = self.call("GetActivityTask", poll).await;
        let token = task["taskToken"].as_str().expect("a task");
        let input: Value =
            serde_json::from_str(task["input"].as_str().expect("an input")).expect("JSON");
        let (operation, body) = match reply(&input["input"]) {
            Ok(output) => (
                "SendTaskSuccess",
                json!({"taskToken": token, "output": output.to_string()}),
            ),
            Err(mut body) => {
                body["taskToken"] = json!(token);
                ("SendTaskFailure", body)
            }
        };
        self.call(operation, body).await;
    }

    async fn execution(&mut self, machine: &str, input: Value) -> String {
        self.started += 1;
        let start = json!({"stateMachineArn": format!("{ARN}:stateMachine:f-{machine}"),
            "name": format!("e{}", self.started), "input": input.to_string()});
        let started = self.call("StartExecution", start).await;
        started["executionArn"].as_str().expect("an ARN").to_owned()
    }

    /// How it ended: status, name and cause.
    async fn ended(&self, execution: &str) -> (String, String, String) {
        let mut ticks = tokio::time::interval(Duration::from_millis(5));
        let end = async {
            loop {
                ticks.tick().await;
                let described = self
                    .call("DescribeExecution", json!({"executionArn": execution}))
                    .await;
                let text = |field: &str| described[field].as_str().unwrap_or_default().to_owned();
                if text("status") != "RUNNING" {
                    return (text("status"), text("error"), text("cause"));
                }
            }
        };
        let ended = tokio::time::timeout(Duration::from_secs(30), end).await;
        ended.expect("it ends")
    }
}

/// What a worker reports; it may leave out either.
fn reported(error: Option<&str>, cause: Option<&str>) -> Value {
    let said = [("error", error), ("cause", cause)].into_iter();
    said.filter_map(|(field, text)| Some((field.to_owned(), json!(text?))))
        .collect()
}

fn failed(name: &str, cause: &str) -> (String, String, String) {
    ("FAILED".to_owned(), name.to_owned(), cause.to_owned())
}

/// What a worker reports, and what the execution says.
const FAILURES: [(Option<&str>, Option<&str>, &str, &str); 4] = [
    (
        Some("Load.Permanent"),
        Some("file a, line 2: {bad} 'digit'"),
        "Load.Permanent",
        "file a, line 2: {bad} 'digit'",
    ),
    (Some("Worker.BadInput"), Some(""), "Worker.BadInput", ""),
    (
        Some("Load.Poison"),
        None,
        "Load.Poison",
        "Step Functions gave no cause: a timeout has none",
    ),
    (None, Some("c"), "States.TaskFailed", "c"),
];

#[tokio::test]
async fn an_execution_says_how_its_load_failed() {
    let mut machines = Machines::start().await;
    for machine in ["load", "load-drain", "all"] {
        let activity = machine.trim_end_matches("-drain");
        for (error, cause, name, said) in FAILURES {
            let input = json!({"bucket": "land", "table": "public.a", "format": "csv"});
            let execution = machines.execution(machine, input).await;
            machines
                .answer(activity, |_| Err(reported(error, cause)))
                .await;
            let ended = machines.ended(&execution).await;
            assert_eq!(ended, failed(name, said), "{machine}: {error:?}, {cause:?}");
        }
    }
    machines.local.stop().await;
}

/// Who drains goes on after a bad file, and says it in the end.
#[tokio::test]
async fn a_bad_file_stops_no_drain_and_is_said_by_it() {
    let mut machines = Machines::start().await;
    let loaded = |remaining: u64| Ok(json!({"files": 1, "held": false, "remaining": remaining}));
    let bad = |cause: &str| Err(reported(Some("Load.Failed"), Some(cause)));
    let cases: [(Vec<Reply>, _); 4] = [
        (vec![bad("one"), loaded(0)], failed("Load.Failed", "one")),
        (
            vec![loaded(3), bad("one"), loaded(1), loaded(0)],
            failed("Load.Failed", "one"),
        ),
        (
            vec![bad("one"), bad("two"), loaded(0)],
            failed("Load.Failed", "two"),
        ),
        (
            vec![bad("one"), Err(reported(Some("Load.Shape"), Some("alike")))],
            failed("Load.Shape", "alike"),
        ),
    ];
    for (replies, want) in cases {
        let input = json!({"bucket": "land", "table": "public.a", "format": "csv"});
        let execution = machines.execution("load-drain", input).await;
        for reply in &replies {
            machines.answer("load", |_| reply.clone()).await;
        }
        assert_eq!(machines.ended(&execution).await, want, "{replies:?}");
    }
    machines.local.stop().await;
}

#[tokio::test]
async fn an_execution_of_many_loads_says_which_failed_and_how() {
    let mut machines = Machines::start().await;
    let load = |table: &str| json!({"bucket": "land", "table": table, "format": "csv"});
    let loads = ["public.a", "public.b", "public.c", "public.d"];
    // Those that fail, and what the execution says then: never how many or in
    // which order others were done.
    let cases: [(&[&str], Option<&str>); 5] = [
        (&[], None),
        (&["public.a"], Some("public.a: why public.a")),
        (&["public.d"], Some("public.d: why public.d")),
        (&["public.b", "public.c"], Some("public.b: why public.b")),
        (&loads, Some("public.a: why public.a")),
    ];
    for (bad, said) in cases {
        let execution = machines.execution("all", json!({})).await;
        let planned = json!({"loads": loads.map(load), "idle": 3});
        machines.answer("all", |_| Ok(planned.clone())).await;
        for _ in loads {
            let reply = |input: &Value| {
                let table = input["table"].as_str().expect("a table");
                if !bad.contains(&table) {
                    return Ok(json!({"files": 1}));
                }
                Err(reported(Some("Load.Poison"), Some(&format!("why {table}"))))
            };
            machines.answer("load", reply).await;
        }
        let ended = machines.ended(&execution).await;
        match said {
            None => assert_eq!(ended.0, "SUCCEEDED", "{ended:?}"),
            Some(said) => assert_eq!(ended, failed("Load.Poison", said), "{bad:?}"),
        }
    }
    // One without a cause, and a plan of nothing.
    let execution = machines.execution("all", json!({})).await;
    let planned = json!({"loads": [load("public.a")], "idle": 0});
    machines.answer("all", |_| Ok(planned.clone())).await;
    machines
        .answer("load", |_| Err(reported(Some("Load.Poison"), None)))
        .await;
    let (_, name, cause) = machines.ended(&execution).await;
    assert_eq!(name, "Load.Poison");
    assert!(cause.starts_with(&format!("public.a: {SILENT}")), "{cause}");
    let execution = machines.execution("all", json!({})).await;
    machines
        .answer("all", |_| Ok(json!({"loads": [], "idle": 3})))
        .await;
    assert_eq!(machines.ended(&execution).await.0, "SUCCEEDED");
    machines.local.stop().await;
}

/// Two hundred loads that fail with all that a cause takes, each cut by its worker.
#[tokio::test]
async fn many_long_causes_fit_into_the_state() {
    let mut machines = Machines::start().await;
    let table = |at: usize| format!("public.a_rather_long_name_of_a_table_{at}");
    let load = |at| json!({"bucket": "land", "prefix": format!("tables/{at}/"), "table": table(at), "format": "csv"});
    let loads: Vec<Value> = (0..200).map(load).collect();
    let execution = machines.execution("all", json!({})).await;
    let planned = json!({"loads": loads, "idle": 0});
    machines.answer("all", |_| Ok(planned.clone())).await;
    for _ in 0..loads.len() {
        let poll = json!({"activityArn": format!("{ARN}:activity:f-load")});
        let task = machines.call("GetActivityTask", poll).await;
        let input: Value =
            serde_json::from_str(task["input"].as_str().expect("an input")).expect("JSON");
        assert_eq!(input["stepfleet"]["siblings"], 200);
        // As the worker's share says.
        let cause = "x".repeat(100_000 / 200 - 150);
        let fail =
            json!({"taskToken": task["taskToken"], "error": "Load.Permanent", "cause": cause});
        machines.call("SendTaskFailure", fail).await;
    }
    let (status, error, cause) = machines.ended(&execution).await;
    assert_eq!(
        (status.as_str(), error.as_str()),
        ("FAILED", "Load.Permanent"),
        "{cause}"
    );
    assert!(cause.starts_with(&table(0)), "{cause}");
    machines.local.stop().await;
}

/// A constant on a Fail state would stand where the reason belongs.
#[test]
fn no_machine_ends_with_a_name_of_its_own() {
    let catalogue = catalogue();
    let mut fails = 0;
    for activity in catalogue.activities.values() {
        for (name, definition) in setup::machines(&catalogue, activity) {
            let machine: Value = serde_json::from_str(&definition).expect("JSON");
            let states = machine["States"].as_object().expect("states").iter();
            for (state, fail) in states.filter(|(_, state)| state["Type"] == "Fail") {
                assert!(
                    fail["Error"].is_null() && fail["ErrorPath"].is_string(),
                    "{name}: {state}"
                );
                fails += 1;
            }
        }
    }
    assert_eq!(fails, 8, "two of each failure");
}
