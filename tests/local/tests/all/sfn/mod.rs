//! Step Functions over HTTP, with the real client and in real time.

mod refusals;
mod runs;
mod services;

use aws_sdk_sfn::Client;
use aws_sdk_sfn::operation::describe_execution::DescribeExecutionOutput;
use aws_sdk_sfn::operation::get_activity_task::GetActivityTaskOutput;
use aws_sdk_sfn::types::{ExecutionStatus, HistoryEvent};
use serde_json::{Value, json};

use crate::aws::{self, Aws, until};

const PREFIX: &str = "arn:aws:states:eu-west-1:123456789012";

/// One activity, and whatever machines a test makes of it.
struct Bench {
    sfn: Client,
    activity: String,
    aws: Aws,
}

impl Bench {
    async fn new() -> Self {
        let aws = aws::start(|_| {}).await;
        let sfn = Client::new(&aws.config);
        let made = sfn.create_activity().name("demo-a").send().await.unwrap();
        Self {
            sfn,
            activity: made.activity_arn,
            aws,
        }
    }

    /// A machine of one Task state with these fields.
    async fn machine(&self, name: &str, fields: &Value) -> String {
        let mut task = json!({"Type": "Task", "Resource": self.activity, "End": true});
        let fields = fields.as_object().unwrap().clone();
        task.as_object_mut().unwrap().extend(fields);
        let definition = json!({"StartAt": "Work", "States": {"Work": task}});
        let create = self.sfn.create_state_machine().name(name);
        let create = create.definition(definition.to_string());
        let made = create.role_arn("arn:aws:iam::123456789012:role/r").send();
        made.await.unwrap().state_machine_arn
    }

    async fn start(&self, machine: &str, name: &str) -> String {
        let start = self.sfn.start_execution().state_machine_arn(machine);
        let started = start.name(name).send().await.unwrap();
        started.execution_arn
    }

    async fn poll(&self) -> GetActivityTaskOutput {
        let poll = self.sfn.get_activity_task().activity_arn(&self.activity);
        poll.worker_name("w").send().await.unwrap()
    }

    async fn token(&self) -> String {
        self.poll().await.task_token.expect("a task")
    }

    async fn describe(&self, execution: &str) -> DescribeExecutionOutput {
        let describe = self.sfn.describe_execution().execution_arn(execution);
        describe.send().await.unwrap()
    }

    /// How an execution ends.
    async fn end(&self, execution: &str) -> DescribeExecutionOutput {
        let mut last = None;
        until("the execution ends", async || {
            let described = self.describe(execution).await;
            let runs = described.status == ExecutionStatus::Running;
            last = Some(described);
            !runs
        })
        .await;
        last.unwrap()
    }

    async fn history(&self, execution: &str) -> Vec<HistoryEvent> {
        let history = self.sfn.get_execution_history().execution_arn(execution);
        history.send().await.unwrap().events
    }

    /// The types of the events, without the `s` of the states.
    async fn kinds(&self, execution: &str) -> Vec<String> {
        let history = self.history(execution).await;
        let kinds = history.iter().map(|event| event.r#type.as_str().to_owned());
        kinds.collect()
    }
}
