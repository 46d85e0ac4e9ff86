//! Runs the states that can fail and be retried.

use serde_json::{Value, json};

use super::dataflow::{merge, sized};
use super::definition::{Activity, Number, State, What, Work};
use super::execution::{Run, Step, within_history};
use super::failure::Failure;
use super::retry::{Catcher, Retries, matches};
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
                within_history(self.service.history_length(&self.arn))?;
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
            What::Activity(activity) => self.activity((state, work, activity), input).await?,
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

    async fn activity(
        &mut self,
        (state, work, activity): (&State, &Work, &Activity),
        input: Value,
    ) -> Result<Value, Failure> {
        let span = |span: &Option<Number>| {
            let span = span.as_ref().map(|span| self.seconds(span, &input));
            span.transpose()
        };
        let (timeout, heartbeat) = (span(&activity.timeout)?, span(&activity.heartbeat)?);
        if let (Some(timeout), Some(heartbeat)) = (timeout, heartbeat)
            && heartbeat >= timeout
        {
            return Err(Failure::runtime(
                "HeartbeatSeconds must be smaller than TimeoutSeconds",
            ));
        }
        let input = self.fill(work.parameters.as_ref(), input)?;
        let order = Order {
            activity: activity.arn.clone(),
            execution: self.arn.clone(),
            input: sized(&input, &state.name)?,
            timeout,
            heartbeat,
            after: self.last,
        };
        let pending = self.service.schedule(order);
        let (outcome, last) = pending.await;
        self.last = last;
        outcome
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
