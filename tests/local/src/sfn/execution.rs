//! Runs an execution, state by state.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::StepFunctions;
use super::dataflow::sized;
use super::definition::{Definition, Kind, State, Then};
use super::end::End;
use super::failure::Failure;
use super::history::{Event, MOST};
use super::machines::Machine;

/// One thread of an execution: all of it, a branch, or the work on an item.
#[derive(Debug, Clone)]
pub(super) struct Run {
    pub(super) service: Arc<StepFunctions>,
    pub(super) arn: Arc<str>,
    pub(super) definition: Arc<Definition>,
    /// What `$$` is.
    pub(super) context: Value,
    /// The event that the next one follows from.
    pub(super) last: usize,
}

/// What a state gave, and where to.
pub(super) type Step = (Value, Then);

/// Runs it to its end, which is written down.
pub(super) async fn run(mut run: Run, input: Value) {
    let limit = run.definition.timeout;
    let driven = match limit {
        Some(limit) => {
            let timers = run.service.context.timers.clone();
            timers.timeout(limit, run.drive(input)).await
        }
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
            // That it was started.
            last: 1,
        }
    }

    /// From the first state to the last.
    pub(super) async fn drive(&mut self, input: Value) -> Result<Value, Failure> {
        let definition = Arc::clone(&self.definition);
        let mut data = input;
        let mut at = Some(&definition.start_at);
        while let Some(state) = at.and_then(|name| definition.states.get(name)) {
            self.enter(state, &data)?;
            let mut inside = Inside::of(self, state);
            let stepped = self.step(state, data).await;
            inside.left = true;
            let (output, then) = stepped?;
            let text = sized(&output, &state.name)?;
            let details = json!({"name": &*state.name, "output": text});
            let exited = self.event(format!("{}StateExited", state.type_name()));
            self.log(exited.with("stateExitedEventDetails", details));
            data = output;
            at = then
                .and_then(|next| definition.states.get_key_value(&next))
                .map(|(name, _)| name);
        }
        Ok(data)
    }

    fn enter(&mut self, state: &State, data: &Value) -> Result<(), Failure> {
        let entered = iso(self.service.now());
        self.context["State"] =
            json!({"Name": &*state.name, "EnteredTime": entered, "RetryCount": 0});
        let event = self.event(format!("{}StateEntered", state.type_name()));
        let details = json!({"name": &*state.name, "input": data.to_string()});
        self.log(event.with("stateEnteredEventDetails", details));
        within_history(self.last)
    }

    pub(super) fn event(&self, kind: impl Into<String>) -> Event {
        Event::new(self.service.now(), kind)
    }

    /// Adds to the history what follows from the last event of this thread.
    pub(super) fn log(&mut self, event: Event) {
        self.last = self.service.log(&self.arn, event.after(self.last));
    }

    async fn step(&mut self, state: &State, raw: Value) -> Result<Step, Failure> {
        if let Kind::Work(work) = &state.kind {
            return self.work(state, work, raw).await;
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
                let until = self.until(until, &input)?;
                self.service.context.timers.sleep_until(until).await;
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
            Kind::Succeed | Kind::Work(_) => {
                Ok((self.select(state.output_path.as_ref(), &input)?, None))
            }
        }
    }
}

/// A state that a thread is in: when the thread is given up, it is aborted.
struct Inside {
    service: Arc<StepFunctions>,
    arn: Arc<str>,
    kind: &'static str,
    entered: usize,
    left: bool,
}

// === impl Inside ===

impl Inside {
    fn of(run: &Run, state: &State) -> Self {
        Self {
            service: Arc::clone(&run.service),
            arn: Arc::clone(&run.arn),
            kind: state.type_name(),
            entered: run.last,
            left: false,
        }
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        if !self.left {
            let event = Event::new(self.service.now(), format!("{}StateAborted", self.kind));
            self.service.log(&self.arn, event.after(self.entered));
        }
    }
}

/// An attempt and the exit that follows must still find a place.
pub(super) fn within_history(length: usize) -> Result<(), Failure> {
    if length + 8 < MOST {
        return Ok(());
    }
    let why = format!("The execution reached the maximum number of history events ({MOST}).");
    Err(Failure::runtime(why))
}

/// As the context object has times: UTC, to the millisecond.
fn iso(at: Timestamp) -> String {
    format!("{at:.3}")
}
