//! Runs the states that can fail and be retried.

use std::sync::Arc;

use serde_json::{Value, json};

use super::dataflow::{merge, sized};
use super::definition::{Number, Resource, State, Task, What, Work};
use super::execution::{Run, Step};
use super::failure::Failure;
use super::integration::Pattern;
use super::retry::{Catcher, Retries, matches};
use super::targets::Target;
use super::tasks::Order;

// === impl Run ===

impl Run {
    /// Until it is done, or fails and is retried no more.
    pub(super) async fn work(
        &mut self,
        state: &State,
        work: &Work,
        raw: Value,
    ) -> Result<Step, Failure> {
        let mut retries = Retries::new(&work.retry);
        let mut retried = 0_u32;
        loop {
            let failure = match self.attempt(state, work, &raw).await {
                Ok(output) => return Ok((output, work.then.clone())),
                Err(failure) => failure,
            };
            if let Some(delay) = retries.next(failure.name()) {
                self.service.context.timers.sleep(delay).await;
                retried += 1;
                self.context["State"]["RetryCount"] = json!(retried);
                continue;
            }
            let mut catchers = work.catch.iter();
            let Some(catcher) = catchers.find(|one| matches(&one.errors, failure.name())) else {
                return Err(failure);
            };
            return caught(catcher, raw, &failure);
        }
    }

    /// From the input to the output of the state, once.
    async fn attempt(&mut self, state: &State, work: &Work, raw: &Value) -> Result<Value, Failure> {
        let input = self.select(state.input_path.as_ref(), raw)?;
        let result = match &work.what {
            What::Task(task) => self.task((state, work, task), input).await?,
            What::Parallel(branches) => {
                let input = self.fill(work.parameters.as_ref(), input)?;
                self.parallel(branches, input).await?
            }
            What::Map(map) => self.map(state, map, input).await?,
        };
        let result = self.fill(work.result_selector.as_ref(), result)?;
        let output = merge(work.result_path.as_ref(), raw.clone(), result)?;
        let output = self.select(state.output_path.as_ref(), &output)?;
        sized(&output, &state.name)?;
        Ok(output)
    }

    async fn task(
        &mut self,
        (state, work, task): (&State, &Work, &Task),
        input: Value,
    ) -> Result<Value, Failure> {
        let span = |span: &Option<Number>| {
            let span = span.as_ref().map(|span| self.seconds(span, &input));
            span.transpose()
        };
        let (timeout, heartbeat) = (span(&task.timeout)?, span(&task.heartbeat)?);
        if let (Some(timeout), Some(heartbeat)) = (timeout, heartbeat)
            && heartbeat >= timeout
        {
            return Err(Failure::runtime(
                "HeartbeatSeconds must be smaller than TimeoutSeconds",
            ));
        }
        let id = self.service.reserve();
        let input = self.parameters((work, task), input, id)?;
        let target = match &task.resource {
            Resource::Activity(arn) => Target::Activity(Arc::clone(arn)),
            Resource::Service(integration) => Target::Service(Arc::clone(integration)),
        };
        let order = Order {
            target,
            execution: self.arn.clone(),
            round: self.round,
            input: sized(&input, &state.name)?,
            timeout,
            heartbeat,
            after: self.last,
        };
        let pending = self.service.schedule(id, order);
        let (outcome, last) = match &task.resource {
            Resource::Activity(_) => pending.await,
            Resource::Service(integration) => {
                let service = Arc::clone(&self.service);
                service.conduct(pending, integration, input).await
            }
        };
        self.last = last;
        outcome
    }

    /// What is sent; the token of the attempt may be in it.
    fn parameters(
        &mut self,
        (work, task): (&Work, &Task),
        input: Value,
        id: u64,
    ) -> Result<Value, Failure> {
        let Resource::Service(integration) = &task.resource else {
            return self.fill(work.parameters.as_ref(), input);
        };
        if integration.pattern == Pattern::Token {
            self.context["Task"] = json!({"Token": self.service.token_of(id)});
        }
        self.fill(work.parameters.as_ref(), input)
    }
}

fn caught(catcher: &Catcher, raw: Value, failure: &Failure) -> Result<Step, Failure> {
    let mut told = json!({"Error": failure.name()});
    if let Some(cause) = &failure.cause {
        told["Cause"] = json!(cause);
    }
    let output = merge(catcher.result_path.as_ref(), raw, told)?;
    Ok((output, Some(catcher.next.clone())))
}
