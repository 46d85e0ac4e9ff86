//! Executions of state machines, and how they end.

use std::time::Duration;

use aws_sdk_sfn::operation::describe_execution::DescribeExecutionOutput;
use aws_sdk_sfn::types::ExecutionStatus;
use serde_json::Value;

use super::{ACCOUNT, REGION, World};
use crate::process::until_or_none;

impl World {
    pub(crate) async fn start_execution(&self, activity: &str, input: &Value) -> String {
        let machine = format!(
            "arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{}-{activity}",
            self.fleet
        );
        let started = self.sfn.start_execution().state_machine_arn(machine);
        let started = started.input(input.to_string()).send().await;
        started.expect("an execution").execution_arn
    }

    /// Which workers got its task, in order: one name for each attempt.
    pub(crate) async fn attempts(&self, execution: &str) -> Vec<String> {
        let history = self.sfn.get_execution_history().execution_arn(execution);
        let history = history.send().await.expect("a history");
        let events = history.events().iter();
        let started = events.filter_map(|event| event.activity_started_event_details());
        let names = started.map(|started| started.worker_name().unwrap_or_default());
        names.map(str::to_owned).collect()
    }

    /// Fails an attempt whose worker is dead, instead of its heartbeat's lapse:
    /// it is tried again. One that has ended stays as it is.
    pub(crate) async fn lapse(&self, token: &str) {
        let fail = self.sfn.send_task_failure().task_token(token);
        let failed = fail.error("Worker.Shutdown").send().await;
        if let Err(error) = failed {
            let ended = error.as_service_error().is_some_and(|error| {
                error.is_task_timed_out()
                    || error.is_task_does_not_exist()
                    || error.is_invalid_token()
            });
            assert!(ended, "{error:?}");
        }
    }

    /// Whether an execution has not ended yet.
    pub(crate) async fn runs(&self, execution: &str) -> bool {
        let look = self.sfn.describe_execution().execution_arn(execution);
        let look = look.send().await.expect("a description");
        *look.status() == ExecutionStatus::Running
    }

    /// The executions of a state machine, by name, with their status.
    pub(crate) async fn executions(&self, machine: &str) -> Vec<(String, ExecutionStatus)> {
        let machine = format!(
            "arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{}-{machine}",
            self.fleet
        );
        let list = self.sfn.list_executions().state_machine_arn(machine);
        let listed = list.send().await.expect("a list");
        let executions = listed.executions().iter();
        executions
            .map(|one| (one.name().to_owned(), one.status().clone()))
            .collect()
    }

    async fn ended(&self, execution: &str, within: Duration) -> Option<DescribeExecutionOutput> {
        until_or_none(within, async || {
            let look = self.sfn.describe_execution().execution_arn(execution);
            let look = look.send().await.expect("a description");
            (*look.status() != ExecutionStatus::Running).then_some(look)
        })
        .await
    }

    /// Waits until an execution has ended; it has to have failed. Gives its error.
    pub(crate) async fn failed(&self, execution: &str, within: Duration) -> String {
        let ended = self.ended(execution, within).await.expect("it ends");
        assert_eq!(*ended.status(), ExecutionStatus::Failed, "{ended:?}");
        ended.error().unwrap_or_default().to_owned()
    }

    /// Waits until an execution has ended; it has to have succeeded.
    pub(crate) async fn succeeded(&self, execution: &str, within: Duration) -> Value {
        let ended = self.ended(execution, within).await;
        match &ended {
            Some(ended) if *ended.status() == ExecutionStatus::Succeeded => {
                let output = ended.output().expect("an output");
                serde_json::from_str(output).expect("JSON")
            }
            _ => {
                let history = self.sfn.get_execution_history().execution_arn(execution);
                let history = history.send().await.expect("a history");
                panic!("no success within {within:?}: {:#?}", history.events())
            }
        }
    }
}
