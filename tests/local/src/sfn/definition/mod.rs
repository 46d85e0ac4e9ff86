//! A state machine's definition, read and checked as a whole.

mod fields;
mod rules;
mod states;
#[cfg(test)]
mod tests;
mod work;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

pub(crate) use self::fields::Fault;
use self::fields::{Faults, Fields};
use super::choice::Condition;
use super::digits;
use super::integration::Integration;
use super::intrinsic::Expression;
use super::path::Path;
use super::retry::{Catcher, Retrier};
use super::template::Template;

/// A definition that holds together: every name leads to a state. Also a
/// branch, and what a Map state does with an item.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Definition {
    pub(crate) start_at: Arc<str>,
    pub(crate) states: BTreeMap<Arc<str>, State>,
    pub(crate) timeout: Option<Duration>,
}

/// One state. A path that is `None` was `null`: it gives `{}`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct State {
    pub(crate) name: Arc<str>,
    pub(crate) input_path: Option<Path>,
    pub(crate) output_path: Option<Path>,
    pub(crate) kind: Kind,
}

/// What a state does.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    Pass(Pass),
    Work(Box<Work>),
    Wait(Until, Then),
    Choice(Vec<Rule>, Option<Arc<str>>),
    Succeed,
    Fail(Fail),
}

/// Where a state leads: `None` is the end.
pub(crate) type Then = Option<Arc<str>>;

/// A Pass state's own fields.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Pass {
    pub(crate) result: Option<Value>,
    pub(crate) parameters: Option<Template>,
    pub(crate) result_path: Option<Path>,
    pub(crate) then: Then,
}

/// The fields of a state that can fail and be retried.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Work {
    pub(crate) what: What,
    pub(crate) parameters: Option<Template>,
    pub(crate) result_selector: Option<Template>,
    pub(crate) result_path: Option<Path>,
    pub(crate) retry: Vec<Retrier>,
    pub(crate) catch: Vec<Catcher>,
    pub(crate) then: Then,
}

/// What is done.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum What {
    Task(Task),
    Parallel(Vec<Arc<Definition>>),
    Map(Box<Map>),
}

/// A Task state's own fields.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Task {
    pub(crate) resource: Resource,
    pub(crate) timeout: Option<Number>,
    pub(crate) heartbeat: Option<Number>,
}

/// Who does it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Resource {
    /// By its ARN.
    Activity(Arc<str>),
    Service(Arc<Integration>),
}

/// A Map state's own fields.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Map {
    pub(crate) processor: Arc<Definition>,
    pub(crate) items: Path,
    pub(crate) selector: Option<Template>,
    pub(crate) concurrency: Option<Number>,
    pub(crate) batcher: Option<Batcher>,
}

/// How items are put together. AWS has it in Distributed mode only.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Batcher {
    pub(crate) most_items: Option<Number>,
    pub(crate) most_bytes: Option<Number>,
    pub(crate) input: Option<Template>,
}

/// A whole number, or where it is found, and what it must lie within.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Number {
    Literal(u64),
    Path(Path, RangeInclusive<u64>),
}

/// How long a Wait state waits.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Until {
    Seconds(Number),
    Time(Timestamp),
    TimePath(Path),
}

/// One entry of `Choices`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rule {
    pub(crate) condition: Condition,
    pub(crate) next: Arc<str>,
}

/// A Fail state's own fields.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Fail {
    pub(crate) error: Option<Text>,
    pub(crate) cause: Option<Text>,
}

/// A text, or where it is found, or what makes it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Text {
    Literal(String),
    Expression(Expression),
}

/// The types of the events of a kind of state.
#[derive(Debug)]
pub(crate) struct Events {
    pub(crate) entered: &'static str,
    pub(crate) exited: &'static str,
    pub(crate) aborted: &'static str,
}

macro_rules! events {
    ($kind:literal) => {
        Events {
            entered: concat!($kind, "StateEntered"),
            exited: concat!($kind, "StateExited"),
            aborted: concat!($kind, "StateAborted"),
        }
    };
}

// === impl Definition ===

impl Definition {
    /// Reads a definition.
    ///
    /// # Errors
    /// All that is wrong with it or not supported here, each with its place.
    pub(crate) fn parse(text: &str) -> Result<Self, Vec<Fault>> {
        const KNOWN: &[&str] = &[
            "Comment",
            "StartAt",
            "States",
            "TimeoutSeconds",
            "Version",
            "QueryLanguage",
        ];
        let faults = Faults::default();
        let value: Value = match digits::read(text) {
            Ok(value) => value,
            Err(error) => {
                faults.push("INVALID_JSON_DESCRIPTION", error.to_string(), "");
                return Err(faults.into_list());
            }
        };
        let definition = Fields::of(&value, "", &faults).and_then(|top| {
            top.one_of("Version", &["1.0"]);
            top.one_of("QueryLanguage", &["JSONPath"]);
            let timeout = top.seconds("TimeoutSeconds", 1).map(Duration::from_secs);
            let machine = machine(&top, (KNOWN, "the state machine"))?;
            Some(Self { timeout, ..machine })
        });
        if let Some(definition) = &definition {
            definition.check_names(&mut BTreeSet::new(), &faults);
        }
        match (definition, faults.into_list()) {
            (Some(definition), faults) if faults.is_empty() => Ok(definition),
            (_, faults) => Err(faults),
        }
    }

    /// Every name must be a state, and every state must be reached.
    fn check_ways(&self, fields: &Fields<'_>) {
        if !self.states.contains_key(&self.start_at) {
            fields.fault("StartAt", format!("there is no state '{}'", self.start_at));
            return;
        }
        let mut reached = BTreeSet::from([&self.start_at]);
        let mut open = vec![&self.start_at];
        while let Some(state) = open.pop().and_then(|name| self.states.get(name)) {
            for next in state.ways() {
                if self.states.contains_key(next) && reached.insert(next) {
                    open.push(next);
                }
            }
        }
        for (name, state) in &self.states {
            let at = format!("States/{name}");
            for next in state.ways() {
                if !self.states.contains_key(next) {
                    fields.fault(&at, format!("there is no state '{next}' to go to"));
                }
            }
            if !reached.contains(name) {
                fields.fault(&at, "no way leads to this state");
            }
        }
    }

    /// A name is given once, also where it stands in a branch.
    fn check_names<'a>(&'a self, seen: &mut BTreeSet<&'a str>, faults: &Faults) {
        for (name, state) in &self.states {
            if !seen.insert(name) {
                faults.push(
                    "DUPLICATE_STATE_NAME",
                    format!("another state is called '{name}' too"),
                    &format!("/States/{name}"),
                );
            }
            for below in state.below() {
                below.check_names(seen, faults);
            }
        }
    }
}

/// Reads what has `StartAt` and `States`, and these fields beside them.
fn machine(fields: &Fields<'_>, (known, of): (&[&str], &str)) -> Option<Definition> {
    fields.only(known, of);
    fields.text("Comment");
    let start_at = fields.required_text("StartAt");
    let states = read_states(fields);
    let definition = Definition {
        start_at: start_at?.into(),
        states: states?,
        timeout: None,
    };
    definition.check_ways(fields);
    Some(definition)
}

fn read_states(of: &Fields<'_>) -> Option<BTreeMap<Arc<str>, State>> {
    let Some(value) = of.get("States") else {
        of.fault("States", "is missing");
        return None;
    };
    let all = Fields::of(value, &format!("{}/States", of.at()), of.faults)?;
    if all.is_empty() {
        of.fault("States", "must hold a state");
    }
    let mut states = BTreeMap::new();
    for (name, value) in all.iter() {
        if name.is_empty() || name.chars().count() > 80 {
            all.fault(name, "a state's name has 1 to 80 characters");
        }
        let at = format!("{}/{name}", all.at());
        let name: Arc<str> = name.as_str().into();
        let state = Fields::of(value, &at, of.faults);
        if let Some(state) = state.and_then(|fields| states::read(&name, &fields)) {
            states.insert(name, state);
        }
    }
    // A state that could not be read has said why; ways to it are no faults.
    (states.len() == all.len()).then_some(states)
}

// === impl State ===

impl State {
    /// The names of all states that it may lead to.
    fn ways(&self) -> Vec<&Arc<str>> {
        match &self.kind {
            Kind::Pass(pass) => pass.then.iter().collect(),
            Kind::Wait(_, then) => then.iter().collect(),
            Kind::Work(work) => {
                let caught = work.catch.iter().map(|catcher| &catcher.next);
                work.then.iter().chain(caught).collect()
            }
            Kind::Choice(rules, default) => {
                rules.iter().map(|rule| &rule.next).chain(default).collect()
            }
            Kind::Succeed | Kind::Fail(_) => Vec::new(),
        }
    }

    /// What runs inside it.
    fn below(&self) -> Vec<&Definition> {
        let Kind::Work(work) = &self.kind else {
            return Vec::new();
        };
        match &work.what {
            What::Task(_) => Vec::new(),
            What::Parallel(branches) => branches.iter().map(Arc::as_ref).collect(),
            What::Map(map) => vec![&map.processor],
        }
    }

    /// The events of its kind.
    pub(crate) fn events(&self) -> &'static Events {
        match &self.kind {
            Kind::Pass(_) => &events!("Pass"),
            Kind::Work(work) => match work.what {
                What::Task(_) => &events!("Task"),
                What::Parallel(_) => &events!("Parallel"),
                What::Map(_) => &events!("Map"),
            },
            Kind::Wait(..) => &events!("Wait"),
            Kind::Choice(..) => &events!("Choice"),
            Kind::Succeed => &events!("Succeed"),
            Kind::Fail(_) => &events!("Fail"),
        }
    }
}
