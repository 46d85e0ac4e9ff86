//! Runs an execution, state by state.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until, timeout};

use super::choice;
use super::definition::{Definition, Fail, Kind, Pass, Rule, Span, State, Task, Text, Then, Until};
use super::end::End;
use super::history::{Event, MOST};
use super::machines::Machine;
use super::path::{Path, Scope};
use super::retry::{Catcher, Retries, matches, name};
use super::tasks::{Failure, Order};
use super::template::Template;
use super::{LARGEST, StepFunctions};

/// One execution on its way.
#[derive(Debug)]
pub(super) struct Run {
    service: Arc<StepFunctions>,
    arn: Arc<str>,
    definition: Arc<Definition>,
    /// What `$$` is.
    context: Value,
}

/// What a state gave, and where to.
type Step = (Value, Then);

/// Runs it to its end, which is written down.
pub(super) async fn run(mut run: Run, input: Value) {
    let limit = run.definition.timeout;
    let driven = match limit {
        Some(limit) => timeout(limit, run.drive(input)).await,
        None => Ok(run.drive(input).await),
    };
    let end = match driven {
        Err(_) => End::TimedOut,
        Ok(Ok(output)) => End::Succeeded(output.to_string()),
        Ok(Err(failure)) => End::Failed(failure),
    };
    run.service.end(&run.arn, end);
}

// === impl Run ===

impl Run {
    /// `ids` are the machine's ARN, the execution's ARN and its name.
    pub(super) fn new(
        service: &Arc<StepFunctions>,
        machine: &Machine,
        (machine_arn, arn, name): (&str, &Arc<str>, &str),
        (input, started): (&Value, Timestamp),
    ) -> Self {
        let context = json!({
            "Execution": {
                "Id": &**arn, "Name": name, "Input": input, "StartTime": iso(started),
                "RoleArn": machine.role,
            },
            "State": {},
            "StateMachine": {"Id": machine_arn, "Name": machine.name},
        });
        Self {
            service: Arc::clone(service),
            arn: Arc::clone(arn),
            definition: Arc::clone(&machine.definition),
            context,
        }
    }

    async fn drive(&mut self, input: Value) -> Result<Value, Failure> {
        let definition = Arc::clone(&self.definition);
        let mut data = input;
        let mut at = Some(&definition.start_at);
        while let Some(state) = at.and_then(|name| definition.states.get(name)) {
            self.enter(state, &data)?;
            let (output, then) = self.step(state, data).await?;
            let text = sized(&output, &state.name)?;
            let event = Event::new(
                self.service.now(),
                format!("{}StateExited", state.type_name()),
            );
            let details = json!({"name": &*state.name, "output": text});
            self.service
                .log(&self.arn, event.with("stateExitedEventDetails", details));
            data = output;
            at = then
                .and_then(|next| definition.states.get_key_value(&next))
                .map(|(name, _)| name);
        }
        Ok(data)
    }

    fn enter(&mut self, state: &State, data: &Value) -> Result<(), Failure> {
        let now = self.service.now();
        self.context["State"] =
            json!({"Name": &*state.name, "EnteredTime": iso(now), "RetryCount": 0});
        let event = Event::new(now, format!("{}StateEntered", state.type_name()));
        let details = json!({"name": &*state.name, "input": data.to_string()});
        let length = self
            .service
            .log(&self.arn, event.with("stateEnteredEventDetails", details));
        within_history(length)
    }

    fn scope<'a>(&'a self, data: &'a Value) -> Scope<'a> {
        Scope {
            data,
            context: &self.context,
        }
    }

    async fn step(&mut self, state: &State, raw: Value) -> Result<Step, Failure> {
        if let Kind::Task(task) = &state.kind {
            return self.task(state, task, raw).await;
        }
        let input = self.select(state.input_path.as_ref(), &raw)?;
        match &state.kind {
            Kind::Pass(pass) => {
                let output = self.pass(pass, input, raw)?;
                Ok((
                    self.select(state.output_path.as_ref(), &output)?,
                    pass.then.clone(),
                ))
            }
            Kind::Wait(until, then) => {
                sleep_until(self.until(until, &input)?).await;
                Ok((
                    self.select(state.output_path.as_ref(), &input)?,
                    then.clone(),
                ))
            }
            Kind::Choice(rules, default) => {
                let next = self.choose(rules, default.as_ref(), &input)?;
                Ok((self.select(state.output_path.as_ref(), &input)?, Some(next)))
            }
            Kind::Fail(fail) => Err(self.fail(fail, &input)),
            Kind::Succeed | Kind::Task(_) => {
                Ok((self.select(state.output_path.as_ref(), &input)?, None))
            }
        }
    }

    /// InputPath and OutputPath.
    fn select(&self, path: Option<&Path>, data: &Value) -> Result<Value, Failure> {
        let Some(path) = path else {
            return Ok(json!({}));
        };
        self.find(path, data).cloned()
    }

    fn find<'a>(&'a self, path: &Path, data: &'a Value) -> Result<&'a Value, Failure> {
        path.find(self.scope(data)).ok_or_else(|| {
            runtime(format!(
                "Invalid path '{path}': it leads to nothing in the input"
            ))
        })
    }

    fn fill(&self, template: Option<&Template>, data: Value) -> Result<Value, Failure> {
        match template {
            Some(template) => template.fill(self.scope(&data)).map_err(runtime),
            None => Ok(data),
        }
    }

    fn pass(&self, pass: &Pass, input: Value, raw: Value) -> Result<Value, Failure> {
        let result = match &pass.result {
            Some(result) => result.clone(),
            None => self.fill(pass.parameters.as_ref(), input)?,
        };
        merge(pass.result_path.as_ref(), raw, result)
    }

    fn until(&self, until: &Until, input: &Value) -> Result<Instant, Failure> {
        let time = match until {
            Until::Span(span) => return Ok(Instant::now() + self.span(span, input)?),
            Until::Time(time) => *time,
            Until::TimePath(path) => {
                choice::timestamp(self.find(path, input)?).ok_or_else(|| {
                    runtime(format!("The path '{path}' does not lead to a timestamp"))
                })?
            }
        };
        let left = time
            .duration_since(self.service.now())
            .max(SignedDuration::ZERO);
        Ok(Instant::now() + left.unsigned_abs())
    }

    fn span(&self, span: &Span, input: &Value) -> Result<Duration, Failure> {
        let seconds = match span {
            Span::Seconds(seconds) => *seconds,
            Span::Path(path) => self
                .find(path, input)?
                .as_u64()
                .filter(|seconds| *seconds <= 99_999_999)
                .ok_or_else(|| {
                    runtime(format!("The path '{path}' does not lead to whole seconds"))
                })?,
        };
        Ok(Duration::from_secs(seconds))
    }

    fn choose(
        &self,
        rules: &[Rule],
        default: Option<&Arc<str>>,
        input: &Value,
    ) -> Result<Arc<str>, Failure> {
        for rule in rules {
            if rule.condition.holds(self.scope(input)).map_err(runtime)? {
                return Ok(Arc::clone(&rule.next));
            }
        }
        default.cloned().ok_or_else(|| {
            failure(
                name::NO_CHOICE,
                "No rule of the Choice state matched, and it has no Default",
            )
        })
    }

    fn fail(&self, fail: &Fail, input: &Value) -> Failure {
        let text = |text: &Option<Text>| match text {
            None => Ok(None),
            Some(Text::Literal(text)) => Ok(Some(text.clone())),
            Some(Text::Path(path)) => match self.find(path, input)?.as_str() {
                Some(text) => Ok(Some(text.to_owned())),
                None => Err(runtime(format!(
                    "The path '{path}' does not lead to a string"
                ))),
            },
        };
        match (text(&fail.error), text(&fail.cause)) {
            (Ok(error), Ok(cause)) => Failure { error, cause },
            (Err(failure), _) | (_, Err(failure)) => failure,
        }
    }

    async fn task(&mut self, state: &State, task: &Task, raw: Value) -> Result<Step, Failure> {
        let mut retries = Retries::new(&task.retry);
        let mut retried = 0_u32;
        loop {
            let failure = match self.attempt(state, task, &raw).await {
                Ok(output) => return Ok((output, task.then.clone())),
                Err(failure) => failure,
            };
            // A worker may fail without a name: it is a failure of the task.
            let error = failure.error.as_deref().unwrap_or(name::TASK_FAILED);
            if let Some(delay) = retries.next(error) {
                sleep_until(Instant::now() + delay).await;
                within_history(self.service.history_length(&self.arn))?;
                retried += 1;
                self.context["State"]["RetryCount"] = json!(retried);
                continue;
            }
            let Some(catcher) = task.catch.iter().find(|one| matches(&one.errors, error)) else {
                return Err(failure);
            };
            return caught(catcher, raw, &failure);
        }
    }

    /// From the input to the output of the state, once.
    async fn attempt(&self, state: &State, task: &Task, raw: &Value) -> Result<Value, Failure> {
        let input = self.select(state.input_path.as_ref(), raw)?;
        let span = |span: &Option<Span>| {
            span.as_ref()
                .map(|span| self.span(span, &input))
                .transpose()
        };
        let (timeout, heartbeat) = (span(&task.timeout)?, span(&task.heartbeat)?);
        let input = self.fill(task.parameters.as_ref(), input)?;
        let order = Order {
            activity: Arc::clone(&task.activity),
            execution: Arc::clone(&self.arn),
            input: sized(&input, &state.name)?,
            timeout,
            heartbeat,
        };
        let outcome = self.service.schedule(order).await;
        let result =
            outcome.unwrap_or_else(|_| Err(runtime("The execution has ended".to_owned())))?;
        let result = self.fill(task.result_selector.as_ref(), result)?;
        let output = merge(task.result_path.as_ref(), raw.clone(), result)?;
        let output = self.select(state.output_path.as_ref(), &output)?;
        sized(&output, &state.name)?;
        Ok(output)
    }
}

fn caught(catcher: &Catcher, raw: Value, failure: &Failure) -> Result<Step, Failure> {
    let error = failure.error.as_deref().unwrap_or(name::TASK_FAILED);
    let mut told = json!({"Error": error});
    if let Some(cause) = &failure.cause {
        told["Cause"] = json!(cause);
    }
    let output = merge(catcher.result_path.as_ref(), raw, told)?;
    Ok((output, Some(Arc::clone(&catcher.next))))
}

/// ResultPath: `None` drops the result.
fn merge(path: Option<&Path>, mut raw: Value, result: Value) -> Result<Value, Failure> {
    if let Some(path) = path {
        path.put(&mut raw, result)
            .map_err(|why| failure(name::RESULT_PATH, &why))?;
    }
    Ok(raw)
}

/// The text of what a state takes or gives, if it is not too long.
fn sized(value: &Value, state: &str) -> Result<String, Failure> {
    let text = value.to_string();
    if text.len() <= LARGEST {
        return Ok(text);
    }
    let why = format!(
        "The state/task '{state}' returned a result with a size exceeding the maximum number of bytes service limit ({} over {LARGEST}).",
        text.len()
    );
    Err(failure(name::DATA_LIMIT, &why))
}

/// An attempt and the exit that follows must still find a place.
fn within_history(length: usize) -> Result<(), Failure> {
    if length + 8 < MOST {
        return Ok(());
    }
    let why = format!("The execution reached the maximum number of history events ({MOST}).");
    Err(failure(name::RUNTIME, &why))
}

fn runtime(why: String) -> Failure {
    failure(name::RUNTIME, &why)
}

fn failure(error: &str, cause: &str) -> Failure {
    Failure {
        error: Some(error.to_owned()),
        cause: Some(cause.to_owned()),
    }
}

/// As the context object has times: UTC, to the millisecond.
fn iso(at: Timestamp) -> String {
    format!("{at:.3}")
}
