//! A state machine's definition, read and checked as a whole.

mod fields;
mod rules;
mod states;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use self::fields::{Faults, Fields};
use super::choice::Condition;
use super::path::Path;
use super::retry::{Catcher, Retrier};
use super::template::Template;

/// A definition that holds together: every name leads to a state.
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
    Task(Box<Task>),
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

/// A Task state's own fields.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Task {
    pub(crate) activity: Arc<str>,
    pub(crate) parameters: Option<Template>,
    pub(crate) result_selector: Option<Template>,
    pub(crate) result_path: Option<Path>,
    pub(crate) timeout: Option<Span>,
    pub(crate) heartbeat: Option<Span>,
    pub(crate) retry: Vec<Retrier>,
    pub(crate) catch: Vec<Catcher>,
    pub(crate) then: Then,
}

/// Whole seconds, or where they are found.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Span {
    Seconds(u64),
    Path(Path),
}

/// How long a Wait state waits.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Until {
    Span(Span),
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

/// A text, or where it is found.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Text {
    Literal(String),
    Path(Path),
}

// === impl Definition ===

impl Definition {
    /// Reads a definition.
    ///
    /// # Errors
    /// All that is wrong with it or not supported here, each with its place.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        const KNOWN: &[&str] = &[
            "Comment",
            "StartAt",
            "States",
            "TimeoutSeconds",
            "Version",
            "QueryLanguage",
        ];
        let value: Value = serde_json::from_str(text)
            .map_err(|error| format!("INVALID_JSON_DESCRIPTION: {error}"))?;
        let faults = Faults::default();
        let definition = Fields::of(&value, "", &faults).and_then(|top| {
            top.only(KNOWN, "the state machine");
            top.one_of("Version", &["1.0"]);
            top.one_of("QueryLanguage", &["JSONPath"]);
            top.text("Comment");
            let timeout = top.seconds("TimeoutSeconds", 1).map(Duration::from_secs);
            let start_at = top.required_text("StartAt");
            let states = read_states(&top, &faults);
            Some(Self {
                start_at: start_at?.into(),
                states: states?,
                timeout,
            })
        });
        if let Some(definition) = &definition {
            definition.check_ways(&faults);
        }
        match (definition, faults.into_text()) {
            (Some(definition), None) => Ok(definition),
            (_, faults) => Err(format!(
                "SCHEMA_VALIDATION_FAILED: {}",
                faults.unwrap_or_default()
            )),
        }
    }

    /// Every name must be a state, and every state must be reached.
    fn check_ways(&self, faults: &Faults) {
        if !self.states.contains_key(&self.start_at) {
            faults.add("/StartAt", format!("there is no state '{}'", self.start_at));
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
            for next in state.ways() {
                if !self.states.contains_key(next) {
                    faults.add(
                        &format!("/States/{name}"),
                        format!("there is no state '{next}' to go to"),
                    );
                }
            }
            if !reached.contains(name) {
                faults.add(
                    &format!("/States/{name}"),
                    "no way leads to this state".to_owned(),
                );
            }
        }
    }
}

fn read_states(top: &Fields<'_>, faults: &Faults) -> Option<BTreeMap<Arc<str>, State>> {
    let Some(value) = top.get("States") else {
        faults.add("/States", "is missing".to_owned());
        return None;
    };
    let all = Fields::of(value, "/States", faults)?;
    if all.is_empty() {
        faults.add("/States", "must hold a state".to_owned());
    }
    let mut states = BTreeMap::new();
    for (name, value) in all.iter() {
        let at = format!("/States/{name}");
        if name.is_empty() || name.chars().count() > 80 {
            faults.add(&at, "a state's name has 1 to 80 characters".to_owned());
        }
        let name: Arc<str> = name.as_str().into();
        let state = Fields::of(value, &at, faults).and_then(|fields| states::read(&name, &fields));
        if let Some(state) = state {
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
            Kind::Task(task) => {
                let caught = task.catch.iter().map(|catcher| &catcher.next);
                task.then.iter().chain(caught).collect()
            }
            Kind::Choice(rules, default) => {
                rules.iter().map(|rule| &rule.next).chain(default).collect()
            }
            Kind::Succeed | Kind::Fail(_) => Vec::new(),
        }
    }

    /// As in `TaskStateEntered`.
    pub(crate) fn type_name(&self) -> &'static str {
        match self.kind {
            Kind::Pass(_) => "Pass",
            Kind::Task(_) => "Task",
            Kind::Wait(..) => "Wait",
            Kind::Choice(..) => "Choice",
            Kind::Succeed => "Succeed",
            Kind::Fail(_) => "Fail",
        }
    }
}
