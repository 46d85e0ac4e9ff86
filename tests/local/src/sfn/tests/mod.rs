use std::time::Duration;

use jiff::SignedDuration;
use serde_json::json;
use stepfleet_activity::Clock;

use super::*;

mod attempts;
mod branches;
mod executions;
mod integrations;
mod limits;
mod numbers;
mod redrive;
mod requests;
mod services;

use self::services::Fake;

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
    /// The other services.
    others: Arc<Fake>,
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
            others: Arc::default(),
        };
        bench.sfn.reach(bench.others.clone());
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

    /// Runs a machine of these states to its end; the first is called `S`.
    async fn run(&self, states: Value, input: Value) -> (String, Value) {
        self.begin(states, input).await;
        self.ended().await
    }

    /// Starts a machine of these states; the first is called `S`.
    async fn begin(&self, states: Value, input: Value) {
        let definition = json!({"StartAt": "S", "States": states});
        self.machine(definition).await;
        self.sfn.lock().executions.clear();
        self.start(input).await;
    }

    async fn events(&self) -> Vec<Value> {
        let history = json!({"executionArn": RUN, "maxResults": 1000});
        let history = self.ok("GetExecutionHistory", history).await;
        history["events"].as_array().expect("events").clone()
    }

    async fn kinds(&self) -> Vec<String> {
        let events = self.events().await;
        let kind = |event: &Value| event["type"].as_str().expect("a type").to_owned();
        events.iter().map(kind).collect()
    }

    fn metric(&self, name: &str) -> Vec<f64> {
        let all = self.metrics.0.lock().expect("a lock");
        all.iter()
            .filter(|(metric, _)| *metric == name)
            .map(|(_, value)| *value)
            .collect()
    }
}

/// Lets so much of the paused time pass.
async fn pass(seconds: u64) {
    tokio::time::sleep_until(Instant::now() + Duration::from_secs(seconds)).await;
}

fn succeeded(output: Value) -> (String, Value) {
    ("SUCCEEDED".to_owned(), text(output))
}

fn failed(error: &str) -> (String, Value) {
    ("FAILED".to_owned(), json!(error))
}

fn text(value: Value) -> Value {
    json!(value.to_string())
}
