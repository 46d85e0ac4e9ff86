use std::collections::BTreeMap;
use std::time::Duration;

use jiff::SignedDuration;
use serde_json::json;
use stepfleet_activity::Clock;
use tokio::time::timeout;

use super::*;

mod branches;

const ACTIVITY: &str = "arn:aws:states:eu-west-1:123456789012:activity:demo-a";
const MACHINE: &str = "arn:aws:states:eu-west-1:123456789012:stateMachine:demo-a";
const RUN: &str = "arn:aws:states:eu-west-1:123456789012:execution:demo-a:one";

/// Tells the time that tokio's paused clock has.
#[derive(Debug)]
struct Paused(Instant);

impl Clock for Paused {
    fn now(&self) -> Timestamp {
        let passed = SignedDuration::try_from(self.0.elapsed()).expect("a span");
        Timestamp::UNIX_EPOCH + passed
    }
}

#[derive(Debug, Default)]
struct Recorded(Mutex<Vec<(&'static str, f64)>>);

impl MetricSink for Recorded {
    fn record(&self, metric: &'static str, arn: &str, value: f64, _: Timestamp) {
        assert_eq!(arn, ACTIVITY);
        self.0.lock().expect("a lock").push((metric, value));
    }
}

struct Bench {
    sfn: Arc<StepFunctions>,
    metrics: Arc<Recorded>,
}

impl Bench {
    /// A machine of one Task state with `fields` added to it, then `rest`.
    async fn new(fields: Value, rest: Value) -> Self {
        let metrics = Arc::new(Recorded::default());
        let context = Context {
            clock: Arc::new(Paused(Instant::now())),
            account: "123456789012".to_owned(),
            region: "eu-west-1".to_owned(),
            base_url: String::new(),
            dir: std::path::PathBuf::new(),
            metric_resolution: Duration::from_secs(60),
            metric_delay: Duration::ZERO,
            timers: crate::timers::Timers::default(),
        };
        let bench = Self {
            sfn: StepFunctions::new(context, metrics.clone()),
            metrics,
        };
        bench.ok("CreateActivity", json!({"name": "demo-a"})).await;
        let mut task = json!({"Type": "Task", "Resource": ACTIVITY, "End": true});
        let fields = fields.as_object().expect("fields").clone();
        task.as_object_mut().expect("a task").extend(fields);
        if task.get("Next").is_some() {
            task.as_object_mut().expect("a task").remove("End");
        }
        let mut states = json!({"Work": task});
        states
            .as_object_mut()
            .expect("states")
            .extend(rest.as_object().expect("states").clone());
        bench
            .machine(json!({"StartAt": "Work", "States": states}))
            .await;
        bench
    }

    async fn machine(&self, definition: Value) {
        let create =
            json!({"name": "demo-a", "roleArn": "arn:r", "definition": definition.to_string()});
        if self.sfn.call("CreateStateMachine", create).await.is_err() {
            let update = json!({"stateMachineArn": MACHINE, "definition": definition.to_string()});
            self.ok("UpdateStateMachine", update).await;
        }
    }

    async fn ok(&self, operation: &str, body: Value) -> Value {
        self.sfn.call(operation, body).await.expect(operation)
    }

    async fn refused(&self, operation: &str, body: Value) -> &'static str {
        self.sfn
            .call(operation, body)
            .await
            .expect_err(operation)
            .code
    }

    async fn start(&self, input: Value) {
        let start = json!({"stateMachineArn": MACHINE, "name": "one", "input": input.to_string()});
        self.ok("StartExecution", start).await;
    }

    async fn poll(&self) -> Value {
        self.ok(
            "GetActivityTask",
            json!({"activityArn": ACTIVITY, "workerName": "w"}),
        )
        .await
    }

    async fn token(&self) -> String {
        let task = self.poll().await;
        task["taskToken"].as_str().expect("a task").to_owned()
    }

    async fn succeed(&self, token: &str, output: Value) {
        let report = json!({"taskToken": token, "output": output.to_string()});
        self.ok("SendTaskSuccess", report).await;
    }

    async fn fail(&self, token: &str, error: &str) {
        self.ok(
            "SendTaskFailure",
            json!({"taskToken": token, "error": error, "cause": "c"}),
        )
        .await;
    }

    /// Waits for the end, in paused time: its status and what it gave.
    async fn ended(&self) -> (String, Value) {
        for _ in 0..100_000 {
            let shown = self
                .ok("DescribeExecution", json!({"executionArn": RUN}))
                .await;
            let status = shown["status"].as_str().expect("a status").to_owned();
            if status != "RUNNING" {
                let gave = ["output", "error"].iter().find_map(|key| shown.get(*key));
                return (status, gave.cloned().unwrap_or_default());
            }
            let far = Instant::now() + Duration::from_millis(100);
            tokio::time::sleep_until(far).await;
        }
        panic!("it never ended")
    }

    async fn kinds(&self) -> Vec<String> {
        let history = self
            .ok("GetExecutionHistory", json!({"executionArn": RUN}))
            .await;
        let events = history["events"].as_array().expect("events");
        events
            .iter()
            .map(|event| event["type"].as_str().expect("a type").to_owned())
            .collect()
    }

    fn metric(&self, name: &str) -> Vec<f64> {
        let all = self.metrics.0.lock().expect("a lock");
        all.iter()
            .filter(|(metric, _)| *metric == name)
            .map(|(_, value)| *value)
            .collect()
    }
}

fn text(value: Value) -> Value {
    json!(value.to_string())
}

#[tokio::test(start_paused = true)]
async fn a_task_goes_its_way_with_events_and_metrics() {
    let parameters = json!({"Parameters": {"stepfleet": {"execution.$": "$$.Execution.Id",
        "state.$": "$$.State.Name", "entered.$": "$$.State.EnteredTime",
        "retry.$": "$$.State.RetryCount"}, "input.$": "$"},
        "TimeoutSeconds": 60, "HeartbeatSeconds": 20, "ResultSelector": {"n.$": "$.rows"}, "ResultPath": "$.done"});
    let bench = Bench::new(parameters, json!({})).await;
    bench.start(json!({"a": 1})).await;
    tokio::time::sleep_until(Instant::now() + Duration::from_secs(5)).await;
    let task = bench.poll().await;
    let input: Value = serde_json::from_str(task["input"].as_str().expect("input")).expect("JSON");
    let stepfleet = json!({"execution": RUN, "state": "Work", "entered": "1970-01-01T00:00:00.000Z", "retry": 0});
    assert_eq!(input, json!({"stepfleet": stepfleet, "input": {"a": 1}}));
    tokio::time::sleep_until(Instant::now() + Duration::from_secs(2)).await;
    bench
        .succeed(
            task["taskToken"].as_str().expect("a token"),
            json!({"rows": 3}),
        )
        .await;
    assert_eq!(
        bench.ended().await,
        (
            "SUCCEEDED".to_owned(),
            text(json!({"a": 1, "done": {"n": 3}}))
        )
    );
    let kinds = [
        "ExecutionStarted",
        "TaskStateEntered",
        "ActivityScheduled",
        "ActivityStarted",
        "ActivitySucceeded",
        "TaskStateExited",
        "ExecutionSucceeded",
    ];
    assert_eq!(bench.kinds().await, kinds);
    let metrics: BTreeMap<_, _> = bench
        .metrics
        .0
        .lock()
        .expect("a lock")
        .iter()
        .map(|(name, value)| (*name, value.round()))
        .collect();
    let want = BTreeMap::from([
        ("ActivitiesScheduled", 1.0),
        ("ActivitiesStarted", 1.0),
        ("ActivitiesSucceeded", 1.0),
        ("ActivityScheduleTime", 5000.0),
        ("ActivityRunTime", 2000.0),
        ("ActivityTime", 7000.0),
    ]);
    assert_eq!(metrics, want);
    assert_eq!(
        bench.sfn.execution_counts(),
        ExecutionCounts {
            succeeded: 1,
            ..ExecutionCounts::default()
        }
    );
}

#[tokio::test(start_paused = true)]
async fn a_poll_without_a_task_is_empty_after_a_minute() {
    let bench = Bench::new(json!({}), json!({})).await;
    let began = Instant::now();
    assert_eq!(bench.poll().await, json!({}));
    assert_eq!(began.elapsed().as_secs(), 60);
    assert_eq!(bench.sfn.snapshot()[0].pollers, 0);
    let unknown = json!({"activityArn": format!("{ACTIVITY}x")});
    assert_eq!(
        bench.refused("GetActivityTask", unknown).await,
        "ActivityDoesNotExist"
    );
}

#[tokio::test(start_paused = true)]
async fn the_task_of_a_poll_that_hung_up_is_lost_until_its_heartbeat_lapses() {
    let retry = json!([{"ErrorEquals": ["States.HeartbeatTimeout"], "IntervalSeconds": 1, "MaxAttempts": 1}]);
    let bench = Bench::new(
        json!({"TimeoutSeconds": 100, "HeartbeatSeconds": 10, "Retry": retry}),
        json!({}),
    )
    .await;
    assert!(
        timeout(Duration::from_secs(1), bench.poll()).await.is_err(),
        "hung up"
    );
    assert_eq!(bench.sfn.snapshot()[0].pollers, 1);
    bench.start(json!({})).await;
    let began = Instant::now();
    let token = bench.token().await;
    assert_eq!(
        began.elapsed().as_secs(),
        11,
        "the heartbeat and the retry's interval"
    );
    bench.succeed(&token, json!(1)).await;
    assert_eq!(bench.ended().await.0, "SUCCEEDED");
    assert_eq!(bench.metric("ActivitiesHeartbeatTimedOut"), [1.0]);
    assert_eq!(bench.metric("ActivitiesTimedOut"), [0.0; 0]);
}

#[tokio::test(start_paused = true)]
async fn polls_and_tasks_are_first_in_first_out_and_polls_are_limited() {
    let bench = Arc::new(Bench::new(json!({}), json!({})).await);
    let polls: Vec<_> = (0..1000)
        .map(|_| {
            tokio::spawn({
                let bench = Arc::clone(&bench);
                async move { bench.poll().await }
            })
        })
        .collect();
    tokio::time::sleep_until(Instant::now() + Duration::from_secs(1)).await;
    let body = json!({"activityArn": ACTIVITY});
    assert_eq!(
        bench.refused("GetActivityTask", body).await,
        "ActivityWorkerLimitExceeded"
    );
    for name in ["x", "y"] {
        let start =
            json!({"stateMachineArn": MACHINE, "name": name, "input": json!(name).to_string()});
        bench.ok("StartExecution", start).await;
        tokio::task::yield_now().await;
    }
    let mut polls = polls.into_iter();
    for want in ["\"x\"", "\"y\""] {
        let task = polls.next().expect("a poll").await.expect("joined");
        assert_eq!(task["input"], json!(want));
    }
    assert_eq!(
        polls.next().expect("a poll").await.expect("joined"),
        json!({})
    );
}

#[tokio::test(start_paused = true)]
async fn a_timeout_runs_without_a_worker_and_covers_the_attempt() {
    let bench = Bench::new(
        json!({"TimeoutSeconds": 30, "HeartbeatSeconds": 10}),
        json!({}),
    )
    .await;
    bench.start(json!({})).await;
    let began = Instant::now();
    assert_eq!(
        bench.ended().await,
        ("FAILED".to_owned(), json!("States.Timeout"))
    );
    assert_eq!(began.elapsed().as_secs(), 30);
    assert_eq!(bench.metric("ActivitiesTimedOut"), [1.0]);
    assert_eq!(bench.metric("ActivityScheduleTime").len(), 1);
    assert_eq!(bench.metric("ActivityRunTime").len(), 0);
    assert_eq!(bench.sfn.snapshot()[0].waiting, 0);
}

#[tokio::test(start_paused = true)]
async fn heartbeats_keep_an_attempt_but_not_beyond_its_timeout() {
    let bench = Bench::new(
        json!({"TimeoutSeconds": 30, "HeartbeatSeconds": 10}),
        json!({}),
    )
    .await;
    bench.start(json!({})).await;
    let token = bench.token().await;
    let beat = json!({"taskToken": token});
    for _ in 0..3 {
        tokio::time::sleep_until(Instant::now() + Duration::from_secs(9)).await;
        bench.ok("SendTaskHeartbeat", beat.clone()).await;
    }
    tokio::time::sleep_until(Instant::now() + Duration::from_secs(4)).await;
    assert_eq!(
        bench.refused("SendTaskHeartbeat", beat.clone()).await,
        "TaskTimedOut"
    );
    assert_eq!(bench.ended().await.1, json!("States.Timeout"));
}

#[tokio::test(start_paused = true)]
async fn retries_back_off_and_then_the_error_is_caught() {
    let fields = json!({"Next": "Good",
        "Retry": [{"ErrorEquals": ["A"], "IntervalSeconds": 2, "MaxAttempts": 2, "BackoffRate": 3}],
        "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Caught", "ResultPath": "$.e"}],
        "Parameters": {"retry.$": "$$.State.RetryCount"}});
    let rest = json!({"Good": {"Type": "Succeed"}, "Caught": {"Type": "Pass", "End": true, "OutputPath": "$.e"}});
    let bench = Bench::new(fields, rest).await;
    bench.start(json!({})).await;
    for (retry, wait) in [(0, 0), (1, 2), (2, 6)] {
        let began = Instant::now();
        let task = bench.poll().await;
        assert_eq!(began.elapsed().as_secs(), wait);
        assert_eq!(task["input"], text(json!({"retry": retry})));
        bench
            .fail(task["taskToken"].as_str().expect("a token"), "A")
            .await;
    }
    let want = text(json!({"Error": "A", "Cause": "c"}));
    assert_eq!(bench.ended().await, ("SUCCEEDED".to_owned(), want));
}

#[tokio::test(start_paused = true)]
async fn a_start_is_idempotent_only_while_it_runs() {
    let bench = Bench::new(json!({}), json!({})).await;
    let start = json!({"stateMachineArn": MACHINE, "name": "one", "input": "{}"});
    let other = json!({"stateMachineArn": MACHINE, "name": "one", "input": "{ }"});
    let first = bench.ok("StartExecution", start.clone()).await;
    tokio::time::sleep_until(Instant::now() + Duration::from_secs(1)).await;
    assert_eq!(bench.ok("StartExecution", start.clone()).await, first);
    assert_eq!(
        bench.refused("StartExecution", other).await,
        "ExecutionAlreadyExists"
    );
    let token = bench.token().await;
    bench.succeed(&token, json!(1)).await;
    bench.ended().await;
    assert_eq!(
        bench.refused("StartExecution", start).await,
        "ExecutionAlreadyExists"
    );
    assert_eq!(bench.metric("ActivitiesScheduled"), [1.0]);
}

#[tokio::test(start_paused = true)]
async fn sizes_are_held_to_the_byte() {
    let bench = Bench::new(json!({}), json!({})).await;
    let json_of = |bytes: usize| format!("\"{}\"", "x".repeat(bytes - 2));
    let start = |input: String| json!({"stateMachineArn": MACHINE, "name": "one", "input": input});
    assert_eq!(
        bench
            .refused("StartExecution", start(json_of(262_145)))
            .await,
        "ValidationException"
    );
    assert_eq!(
        bench.refused("StartExecution", start("{".to_owned())).await,
        "InvalidExecutionInput"
    );
    bench.ok("StartExecution", start(json_of(262_144))).await;
    let token = bench.token().await;
    let report = |output: String| json!({"taskToken": token, "output": output});
    assert_eq!(
        bench
            .refused("SendTaskSuccess", report(json_of(262_145)))
            .await,
        "ValidationException"
    );
    assert_eq!(
        bench
            .refused("SendTaskSuccess", report("{".to_owned()))
            .await,
        "InvalidOutput"
    );
    bench.ok("SendTaskSuccess", report(json_of(262_144))).await;
    assert_eq!(bench.ended().await.0, "SUCCEEDED");
}

#[tokio::test(start_paused = true)]
async fn a_result_that_grows_over_the_limit_is_not_caught_by_all() {
    let fields = json!({"ResultPath": "$.r", "Next": "Good", "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Good"}]});
    let bench = Bench::new(fields, json!({"Good": {"Type": "Succeed"}})).await;
    bench.start(json!({"a": "x".repeat(200_000)})).await;
    let token = bench.token().await;
    bench.succeed(&token, json!("y".repeat(100_000))).await;
    assert_eq!(
        bench.ended().await,
        ("FAILED".to_owned(), json!("States.DataLimitExceeded"))
    );
}

#[tokio::test(start_paused = true)]
async fn tokens_are_told_apart() {
    let bench = Bench::new(json!({}), json!({})).await;
    let other = Bench::new(json!({}), json!({})).await;
    bench.start(json!({})).await;
    other.start(json!({})).await;
    let (token, foreign) = (bench.token().await, other.token().await);
    bench.succeed(&token, json!(1)).await;
    for (token, code) in [
        (token.as_str(), "TaskTimedOut"),
        (foreign.as_str(), "TaskDoesNotExist"),
        ("nonsense", "InvalidToken"),
        ("", "InvalidToken"),
    ] {
        let beat = json!({"taskToken": token});
        assert_eq!(
            bench.refused("SendTaskHeartbeat", beat).await,
            code,
            "{token}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn stopping_closes_the_open_attempt() {
    let bench = Bench::new(json!({}), json!({})).await;
    bench.start(json!({})).await;
    let token = bench.token().await;
    bench
        .ok("StopExecution", json!({"executionArn": RUN, "error": "E"}))
        .await;
    assert_eq!(bench.ended().await, ("ABORTED".to_owned(), json!("E")));
    assert_eq!(
        bench
            .refused("SendTaskHeartbeat", json!({"taskToken": token}))
            .await,
        "TaskTimedOut"
    );
    assert_eq!(
        bench.kinds().await.last().map(String::as_str),
        Some("ExecutionAborted")
    );
    assert_eq!(bench.sfn.snapshot()[0].running, 0);
}

#[tokio::test(start_paused = true)]
async fn states_lead_to_each_other() {
    let bench = Bench::new(json!({}), json!({})).await;
    bench.machine(json!({"StartAt": "Set", "States": {
        "Set": {"Type": "Pass", "Result": 3, "ResultPath": "$.s", "Next": "Wait"},
        "Wait": {"Type": "Wait", "SecondsPath": "$.s", "Next": "Choose"},
        "Choose": {"Type": "Choice", "Choices": [
            {"Variable": "$.s", "NumericGreaterThan": 3, "Next": "Bad"},
            {"And": [{"Variable": "$.s", "NumericEquals": 3}, {"Not": {"Variable": "$.x", "IsPresent": true}}], "Next": "Until"}]},
        "Until": {"Type": "Wait", "Timestamp": "1970-01-01T00:00:10Z", "Next": "Bad"},
        "Bad": {"Type": "Fail", "ErrorPath": "$.error", "Cause": "c"}}})).await;
    let began = Instant::now();
    bench.start(json!({"error": "Told"})).await;
    assert_eq!(bench.ended().await, ("FAILED".to_owned(), json!("Told")));
    assert_eq!(began.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn what_goes_wrong_between_states_has_its_name() {
    let bench = Bench::new(json!({}), json!({})).await;
    let choice =
        json!({"Type": "Choice", "Choices": [{"Variable": "$.a", "IsNull": true, "Next": "T"}]});
    let cases = [
        (choice.clone(), json!({"a": 1}), "States.NoChoiceMatched"),
        (choice, json!({}), "States.Runtime"),
        (
            json!({"Type": "Pass", "InputPath": "$.a", "Next": "T"}),
            json!({}),
            "States.Runtime",
        ),
        (
            json!({"Type": "Pass", "Parameters": {"b.$": "$.a"}, "Next": "T"}),
            json!({}),
            "States.Runtime",
        ),
        (
            json!({"Type": "Pass", "ResultPath": "$.a.b", "Next": "T"}),
            json!({"a": 1}),
            "States.ResultPathMatchFailure",
        ),
        (
            json!({"Type": "Wait", "SecondsPath": "$.a", "Next": "T"}),
            json!({"a": -1}),
            "States.Runtime",
        ),
    ];
    for (state, input, want) in cases {
        bench
            .machine(json!({"StartAt": "S", "States": {"S": state, "T": {"Type": "Succeed"}}}))
            .await;
        bench.sfn.lock().executions.clear();
        bench.start(input).await;
        assert_eq!(
            bench.ended().await,
            ("FAILED".to_owned(), json!(want)),
            "{state}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_machine_has_a_timeout_and_a_history_an_end() {
    let bench = Bench::new(json!({}), json!({})).await;
    let wait = json!({"Type": "Wait", "Seconds": 1, "Next": "S"});
    bench
        .machine(json!({"StartAt": "S", "TimeoutSeconds": 5, "States": {"S": wait}}))
        .await;
    bench.start(json!({})).await;
    assert_eq!(bench.ended().await.0, "TIMED_OUT");
    bench
        .machine(json!({"StartAt": "S", "States": {"S": {"Type": "Pass", "Next": "S"}}}))
        .await;
    bench.sfn.lock().executions.clear();
    bench.start(json!({})).await;
    assert_eq!(
        bench.ended().await,
        ("FAILED".to_owned(), json!("States.Runtime"))
    );
    assert!(bench.sfn.lock().executions[RUN].history.len() <= history::MOST);
}

#[tokio::test(start_paused = true)]
async fn lists_come_in_pages() {
    let bench = Bench::new(json!({}), json!({})).await;
    for i in 0..5 {
        let start = json!({"stateMachineArn": MACHINE, "name": format!("r{i}")});
        bench.ok("StartExecution", start).await;
    }
    let stop = format!("{}r2", RUN.strip_suffix("one").expect("a name"));
    bench
        .ok("StopExecution", json!({"executionArn": stop}))
        .await;
    let (mut names, mut token) = (Vec::new(), Value::Null);
    loop {
        let list = json!({"stateMachineArn": MACHINE, "statusFilter": "RUNNING", "maxResults": 3, "nextToken": token});
        let page = bench.ok("ListExecutions", list).await;
        for one in page["executions"].as_array().expect("executions") {
            names.push(one["name"].as_str().expect("a name").to_owned());
        }
        token = page["nextToken"].clone();
        if token.is_null() {
            break;
        }
    }
    assert_eq!(names, ["r4", "r3", "r1", "r0"]);
    let bad = json!({"nextToken": "?"});
    assert_eq!(bench.refused("ListActivities", bad).await, "InvalidToken");
}

#[tokio::test(start_paused = true)]
async fn what_is_made_twice_or_wrong_is_refused() {
    let bench = Bench::new(json!({}), json!({})).await;
    let create = |name: &str, definition: &str| json!({"name": name, "roleArn": "arn:r", "definition": definition});
    let good = r#"{"StartAt":"A","States":{"A":{"Type":"Succeed"}}}"#;
    let cases = [
        (
            "CreateStateMachine",
            create("demo-a", good),
            "StateMachineAlreadyExists",
        ),
        ("CreateStateMachine", create("b", "{}"), "InvalidDefinition"),
        ("CreateStateMachine", create("b c", good), "InvalidName"),
        ("CreateActivity", json!({"name": ""}), "InvalidName"),
        (
            "CreateActivity",
            json!({"nome": "a"}),
            "ValidationException",
        ),
        (
            "StartExecution",
            json!({"stateMachineArn": format!("{MACHINE}x")}),
            "StateMachineDoesNotExist",
        ),
        (
            "StartExecution",
            json!({"stateMachineArn": ACTIVITY}),
            "InvalidArn",
        ),
        (
            "DescribeExecution",
            json!({"executionArn": RUN}),
            "ExecutionDoesNotExist",
        ),
        (
            "DescribeExecution",
            json!({"executionArn": "arn:x"}),
            "InvalidArn",
        ),
        ("RedriveExecution", json!({}), "UnknownOperationException"),
    ];
    for (operation, body, want) in cases {
        assert_eq!(
            bench.refused(operation, body.clone()).await,
            want,
            "{operation} {body}"
        );
    }
}
