//! A plan that was checked: from its text to its rules.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use stepfleet_activity::catalogue::{not_one_of, read_config};

use super::names::{SERVICES, Service, service};
use super::raw::{Moment, RawError, RawPlan, RawRule, RawWhen};
use super::rule::{Act, Counts, Glob, On, Rule, When};

/// The longest that a call is held up: an hour.
const LONGEST: Duration = Duration::from_secs(3600);

/// What goes wrong; nothing by default.
#[derive(Debug, Default)]
pub(super) struct Plan {
    seed: u64,
    pub(super) rules: Vec<Rule>,
}

/// What is wrong with a plan: at which path, what was found, what is allowed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrong(pub(super) Vec<String>);

// === impl Wrong ===

impl Wrong {
    pub(super) fn map_lines(&self, line: impl Fn(&str) -> String) -> String {
        let lines: Vec<String> = self.0.iter().map(|fault| line(fault)).collect();
        lines.join("\n")
    }
}

// === impl Plan ===

impl Plan {
    /// Reads a plan, in YAML or JSON.
    pub(super) fn parse(text: &str) -> Result<Self, Wrong> {
        let value: Value = serde_saphyr::from_str(text)
            .map_err(|error| Wrong(vec![format!("this is not YAML: {error}")]))?;
        let raw: RawPlan = match value {
            Value::Null => read_config(&json!({})),
            value => read_config(&value),
        }
        .map_err(|fault| {
            let place = match fault.path.as_str() {
                "" => String::new(),
                path => format!("{path}: "),
            };
            let meant = fault
                .suggestion
                .map(|name| format!("; did you mean `{name}`?"));
            let meant = meant.unwrap_or_default();
            Wrong(vec![format!("{place}{}{meant}", fault.message)])
        })?;
        let mut wrong = Vec::new();
        let mut rules = Vec::new();
        for (at, rule) in raw.faults.into_iter().enumerate() {
            match checked(rule, (at, raw.seed)) {
                Ok(rule) => rules.push(rule),
                Err(fault) => wrong.push(format!("faults[{at}].{fault}")),
            }
        }
        if wrong.is_empty() {
            Ok(Self {
                seed: raw.seed,
                rules,
            })
        } else {
            Err(Wrong(wrong))
        }
    }

    pub(super) fn report(&self) -> Value {
        let rules: Vec<Value> = self.rules.iter().map(Rule::report).collect();
        json!({"seed": self.seed, "faults": rules})
    }
}

fn checked(raw: RawRule, (at, seed): (usize, u64)) -> Result<Rule, String> {
    let on = on(&raw.on)?;
    let act = act(&raw)?;
    suits(&act, &on)?;
    let resource = match raw.resource.as_deref() {
        Some("") => {
            return Err(
                "resource: found an empty text, allowed is a name, an ARN, or a pattern with `*`"
                    .to_owned(),
            );
        }
        resource => resource.map(|text| Glob(text.to_owned())),
    };
    Ok(Rule {
        name: raw.name.unwrap_or_else(|| format!("fault {}", at + 1)),
        on,
        resource,
        when: raw.when.map_or(Ok(When::Always), when)?,
        per_caller: raw.per.is_some(),
        act,
        counts: Mutex::new(Counts::new(seed, at)),
    })
}

/// `service:Operation`, `service:*` or `*`.
fn on(text: &str) -> Result<On, String> {
    if text == "*" {
        return Ok(On {
            service: None,
            operation: None,
        });
    }
    let (name, operation) = text.split_once(':').ok_or_else(|| {
        format!(
            "on: found `{text}`, allowed is `service:Operation` like states:GetActivityTask, \
             `service:*`, or `*`"
        )
    })?;
    let named = |what: &str, found: &str, known: Vec<&'static str>| {
        let fault = not_one_of("on", (what, found), known);
        let meant = fault
            .suggestion
            .map(|name| format!("; did you mean `{name}`?"));
        format!("on: {}{}", fault.message, meant.unwrap_or_default())
    };
    let known: &Service = service(name).ok_or_else(|| {
        let known = SERVICES.iter().map(|service| service.name);
        named("service", name, known.collect())
    })?;
    let operation = match operation {
        "*" => None,
        operation => {
            let found = known.operations().find(|known| *known == operation);
            Some(found.ok_or_else(|| {
                let what = format!("operation of {name}");
                named(&what, operation, known.operations().collect())
            })?)
        }
    };
    Ok(On {
        service: Some(known.name),
        operation,
    })
}

/// The one thing that happens.
fn act(raw: &RawRule) -> Result<Act, String> {
    let said: Vec<(&str, Act)> = [
        raw.latency.map(|span| ("latency", Act::Latency(span.0))),
        raw.error
            .as_ref()
            .map(|error| Ok::<_, String>(("error", refusal(error)?)))
            .transpose()?,
        raw.throttle.map(|_| ("throttle", Act::Throttle)),
        raw.hang_up.map(|moment| ("hang_up", Act::HangUp(moment))),
        raw.duplicate.map(|_| ("duplicate", Act::Duplicate)),
        raw.reorder.map(|_| ("reorder", Act::Reorder)),
        raw.lose.map(|_| ("lose", Act::Lose)),
        raw.kill.map(|moment| ("kill", Act::Kill(moment))),
    ]
    .into_iter()
    .flatten()
    .collect();
    if let [(name, _), (other, _), ..] = said.as_slice() {
        return Err(format!(
            "{other}: found beside `{name}`, allowed is one of them: write another fault"
        ));
    }
    match said.into_iter().next() {
        Some((_, Act::Latency(span))) if span > LONGEST => Err(format!(
            "latency: found {}, allowed is up to 1h",
            humantime::format_duration(span)
        )),
        Some((_, act)) => Ok(act),
        None => Err(
            "on: nothing happens there; allowed is one of latency, error, throttle, hang_up, \
             duplicate, reorder, lose, kill"
                .to_owned(),
        ),
    }
}

fn refusal(error: &RawError) -> Result<Act, String> {
    let letters = |c: char| c.is_ascii_alphanumeric() || c == '.';
    if error.code.is_empty() || !error.code.chars().all(letters) {
        return Err(format!(
            "error.code: found `{}`, allowed is a name as AWS has them, like InternalFailure",
            error.code
        ));
    }
    if !(400..=599).contains(&error.status) {
        return Err(format!(
            "error.status: found {}, allowed is 400 to 599",
            error.status
        ));
    }
    let message = error.message.clone();
    Ok(Act::Error {
        code: lasting(&error.code),
        status: error.status,
        message: message.unwrap_or_else(|| "a fault that was asked for".to_owned()),
    })
}

/// The names of errors are constants everywhere else; those that plans bring
/// stay as long as the process, each once.
fn lasting(code: &str) -> &'static str {
    static KNOWN: Mutex<Vec<&'static str>> = Mutex::new(Vec::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(code) = known.iter().find(|known| **known == code) {
        return code;
    }
    let code: &'static str = Box::leak(code.to_owned().into_boxed_str());
    known.push(code);
    code
}

/// Whether it can happen to such a call.
fn suits(act: &Act, on: &On) -> Result<(), String> {
    let is = |service, operation| on.service == Some(service) && on.operation == Some(operation);
    let (poll, receive) = (is("states", "GetActivityTask"), is("sqs", "ReceiveMessage"));
    match act {
        Act::Lose if !poll && !receive => Err(format!(
            "lose: found on {on}, allowed is on states:GetActivityTask and sqs:ReceiveMessage"
        )),
        Act::Reorder if !receive => Err(format!(
            "reorder: found on {on}, allowed is on sqs:ReceiveMessage"
        )),
        Act::Duplicate if poll => Err(
            "duplicate: found on states:GetActivityTask, which hands a task out once; allowed is \
             `lose`, or a duplicate of what reports it"
                .to_owned(),
        ),
        _ => Ok(()),
    }
}

fn when(raw: RawWhen) -> Result<When, String> {
    let said: Vec<When> = [
        raw.nth.map(When::Nth),
        raw.first.map(When::First),
        raw.every.map(When::Every),
        raw.probability.map(When::Probability),
    ]
    .into_iter()
    .flatten()
    .collect();
    match said.as_slice() {
        [When::Probability(p)] if !(*p > 0.0 && *p <= 1.0) => Err(format!(
            "when.probability: found {p}, allowed is above 0 and up to 1"
        )),
        [When::Nth(0) | When::First(0) | When::Every(0)] => {
            Err("when: found 0, allowed is from 1: calls are counted from one".to_owned())
        }
        [when] => Ok(*when),
        _ => Err(format!(
            "when: found {} of nth, first, every and probability, allowed is one of them",
            said.len()
        )),
    }
}

impl Moment {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::After => "after",
        }
    }
}
