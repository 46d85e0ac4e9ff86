//! Runs an execution, state by state.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::StepFunctions;
use super::dataflow::sized;
use super::definition::{Definition, Kind, State, Then};
use super::digits;
use super::end::End;
use super::failure::Failure;
use super::history::{Event, iso};
use super::machines::Revision;
use super::progress::{Place, Progress};

/// One thread of an execution: all of it, a branch, or the work on an item.
#[derive(Debug, Clone)]
pub(super) struct Run {
    pub(super) service: Arc<StepFunctions>,
    pub(super) arn: Arc<str>,
    /// How often it had been redriven: what is left of an earlier run says
    /// nothing in a later one.
    pub(super) round: usize,
    pub(super) definition: Arc<Definition>,
    /// What `$$` is.
    pub(super) context: Value,
    /// The event that the next one follows from.
    pub(super) last: usize,
    pub(super) progress: Arc<Progress>,
    /// It goes on where its progress says, until it has gone on.
    pub(super) resume: bool,
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
        Ok(Ok(output)) => End::Succeeded(digits::write(&output)),
        Ok(Err(failure)) => End::Failed(failure),
    };
    run.service.end((&run.arn, run.round), end);
}

// === impl Run ===

impl Run {
    /// `ids` are the machine's ARN, the execution's ARN and its name.
    pub(super) fn new(
        service: &Arc<StepFunctions>,
        revision: &Revision,
        (machine_arn, arn, name): (&str, &Arc<str>, &str),
        (input, started): (&Value, Timestamp),
    ) -> Self {
        let context = json!({
            "Execution": {
                "Id": &**arn, "Name": name, "Input": input, "StartTime": iso(started),
                "RoleArn": revision.role, "RedriveCount": 0,
            },
            "State": {},
            "StateMachine": {"Id": machine_arn, "Name": revision.name},
        });
        Self {
            service: Arc::clone(service),
            arn: Arc::clone(arn),
            round: 0,
            definition: Arc::clone(&revision.definition),
            context,
            last: 0,
            progress: Arc::default(),
            resume: false,
        }
    }

    /// From the first state to the last.
    pub(super) async fn drive(&mut self, input: Value) -> Result<Value, Failure> {
        let definition = Arc::clone(&self.definition);
        let (first, mut data) = self.take_up(input);
        let mut at = Some(&first);
        while let Some(state) = at.and_then(|name| definition.states.get(name)) {
            if !self.resume {
                self.enter(state, &data)?;
            }
            let mut inside = Inside::of(self, state);
            let stepped = self.step(state, data).await;
            self.resume = false;
            inside.left = true;
            let (output, then) = stepped?;
            let text = sized(&output, &state.name)?;
            let details = json!({"name": &*state.name, "output": text});
            let exited = self.event(state.events().exited);
            self.log(exited.with("stateExitedEventDetails", &details));
            data = output;
            at = then
                .and_then(|next| definition.states.get_key_value(&next))
                .map(|(name, _)| name);
        }
        self.progress.finish(self.last);
        Ok(data)
    }

    /// The state to begin with, and what goes into it.
    fn take_up(&mut self, input: Value) -> (Arc<str>, Value) {
        let place = match (self.resume, self.progress.place()) {
            (true, Place::In(event)) => self.service.entered(&self.arn, event),
            _ => None,
        };
        self.resume = place.is_some();
        let Some((name, input, at)) = place else {
            return (Arc::clone(&self.definition.start_at), input);
        };
        self.context["State"] = json!({"Name": name, "EnteredTime": iso(at), "RetryCount": 0});
        (name.into(), input)
    }

    /// Where the history is full, the execution has ended.
    fn enter(&mut self, state: &State, data: &Value) -> Result<(), Failure> {
        if let Some(context) = self.context.as_object_mut() {
            context.remove("Task");
        }
        let entered = iso(self.service.now());
        self.context["State"] =
            json!({"Name": &*state.name, "EnteredTime": entered, "RetryCount": 0});
        let event = self.event(state.events().entered);
        let details = json!({"name": &*state.name, "input": digits::write(data)});
        self.log(event.with("stateEnteredEventDetails", &details));
        if self.last == 0 {
            return Err(Failure::runtime("The execution has ended"));
        }
        self.progress.enter(self.last);
        Ok(())
    }

    pub(super) fn event(&self, kind: &'static str) -> Event {
        Event::new(self.service.now(), kind)
    }

    /// Adds to the history what follows from the last event of this thread.
    pub(super) fn log(&mut self, event: Event) {
        let run = (&*self.arn, self.round);
        self.last = self.service.log(run, event.after(self.last));
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
    round: usize,
    aborted: &'static str,
    entered: usize,
    left: bool,
}

// === impl Inside ===

impl Inside {
    fn of(run: &Run, state: &State) -> Self {
        Self {
            service: Arc::clone(&run.service),
            arn: Arc::clone(&run.arn),
            round: run.round,
            aborted: state.events().aborted,
            entered: run.last,
            left: false,
        }
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        if !self.left {
            let event = Event::new(self.service.now(), self.aborted);
            let run = (&*self.arn, self.round);
            self.service.log(run, event.after(self.entered));
        }
    }
}
