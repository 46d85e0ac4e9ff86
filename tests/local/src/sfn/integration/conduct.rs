//! Runs a Task state that calls a service: the call, and what is waited for after it.

use std::pin::pin;
use std::sync::Arc;

use futures::future::{BoxFuture, Either, select};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::failure::failure;
use super::{Integration, Pattern, Service, shape};
use crate::AwsError;
use crate::sfn::digits;
use crate::sfn::failure::Failure;
use crate::sfn::retry::name;
use crate::sfn::targets::Step;
use crate::sfn::tasks::{Closed, Pending};
use crate::sfn::{LARGEST, StepFunctions};

/// An execution that is waited for. Whoever waits no more stops it, as far as
/// that is possible.
struct Child {
    service: Arc<StepFunctions>,
    arn: String,
    ended: bool,
}

// === impl StepFunctions ===

impl StepFunctions {
    /// Sees an attempt on a service through to its end, or to its timeout.
    pub(in crate::sfn) async fn conduct(
        self: &Arc<Self>,
        pending: Pending,
        integration: &Arc<Integration>,
        parameters: Value,
    ) -> Closed {
        let id = pending.id();
        let work = pin!(self.work_on(id, integration, parameters));
        match select(pending, work).await {
            Either::Left((closed, _)) => closed,
            Either::Right(((), pending)) => pending.await,
        }
    }

    async fn work_on(self: &Arc<Self>, id: u64, integration: &Integration, parameters: Value) {
        let answer = match self.ask(integration, parameters).await {
            Ok(answer) => answer,
            Err(why) => return self.finish(id, integration, Err(why)),
        };
        let arn = answer["ExecutionArn"].as_str().map(str::to_owned);
        match (integration.pattern, arn) {
            (Pattern::Token, _) => self.submit(id, &answer),
            (Pattern::Sync | Pattern::Sync2, Some(arn)) => {
                self.submit(id, &answer);
                let ended = self.child(integration, arn).await;
                self.finish(id, integration, ended);
            }
            _ => self.finish(id, integration, Ok(answer)),
        }
    }

    async fn ask(
        self: &Arc<Self>,
        integration: &Integration,
        parameters: Value,
    ) -> Result<Value, Failure> {
        let input = shape::input(integration, parameters).map_err(Failure::runtime)?;
        let operation = integration.operation();
        let answer = match (integration.service, self.integrations.get()) {
            (Service::StepFunctions, _) => self.call_itself(operation, input).await,
            (service, Some(others)) => others.call(service, &operation, input).await,
            (service, None) => Err(AwsError::internal(format!(
                "Step Functions runs by itself here: aws-sdk:{} is not reached",
                service.sdk_name()
            ))),
        };
        let answer = answer.map_err(|error| failure(integration, &error))?;
        Ok(shape::output(integration, answer))
    }

    /// In a box: an execution that starts executions has no end as a type.
    fn call_itself(
        self: &Arc<Self>,
        operation: String,
        input: Value,
    ) -> BoxFuture<'static, Result<Value, AwsError>> {
        let this = Arc::clone(self);
        Box::pin(async move { this.call(&operation, input).await })
    }

    /// The end of the execution that was started.
    async fn child(
        self: &Arc<Self>,
        integration: &Integration,
        arn: String,
    ) -> Result<Value, Failure> {
        let mut child = Child {
            service: Arc::clone(self),
            arn,
            ended: false,
        };
        if let Some(end) = self.watch_end(&child.arn) {
            // Dropped without a word where the execution is forgotten.
            drop(end.await);
        }
        child.ended = true;
        let described = self.describe_execution(json!({"executionArn": child.arn}));
        let described = described.map_err(|error| failure(integration, &error))?;
        let succeeded = described["status"] == "SUCCEEDED";
        let told = shape::ended(described, integration.pattern == Pattern::Sync2);
        if succeeded {
            return Ok(told);
        }
        Err(Failure::new(name::TASK_FAILED, digits::write(&told)))
    }

    /// Tells who waits, unless it is too late.
    fn finish(&self, id: u64, integration: &Integration, outcome: Result<Value, Failure>) {
        let outcome = outcome.and_then(|output| {
            let text = digits::write(&output);
            if text.len() <= LARGEST {
                return Ok((output, text));
            }
            let why = format!(
                "The state/task '{}' returned a result with a size exceeding the maximum number of bytes service limit.",
                integration.resource_type()
            );
            Err(Failure::new(name::DATA_LIMIT, why))
        });
        let mut state = self.lock();
        if let Some(attempt) = state.close(id) {
            self.report(&mut state, attempt, outcome);
        }
    }

    /// Whoever has the token may have been quicker: then there is nothing to say.
    fn submit(&self, id: u64, answer: &Value) {
        let details = json!({"output": digits::write(answer)});
        self.note(&mut self.lock(), id, (Step::Submitted, details));
    }

    /// Hears of the end of an execution; nothing where it has ended.
    fn watch_end(&self, arn: &str) -> Option<oneshot::Receiver<()>> {
        let (ended, end) = oneshot::channel();
        self.lock().watch_end(arn, ended).then_some(end)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let stop = json!({"executionArn": self.arn});
        if let Err(error) = self.service.stop_execution(stop) {
            tracing::debug!(execution = self.arn, %error, "a nested execution goes on");
        }
    }
}
