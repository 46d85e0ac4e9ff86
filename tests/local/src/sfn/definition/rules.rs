//! Retry, Catch and Choices.

use std::sync::Arc;
use std::time::Duration;

use super::fields::Fields;
use super::{Kind, Rule};
use crate::sfn::choice::{Check, Condition, Test};
use crate::sfn::digits;
use crate::sfn::retry::{Catcher, Retrier, name};

pub(super) fn retry(fields: &Fields<'_>) -> Vec<Retrier> {
    const KNOWN: &[&str] = &[
        "Comment",
        "ErrorEquals",
        "IntervalSeconds",
        "MaxAttempts",
        "BackoffRate",
        "MaxDelaySeconds",
        "JitterStrategy",
    ];
    let entries = fields.objects("Retry");
    let count = entries.len();
    let read = |(i, entry): (usize, Fields<'_>)| {
        entry.only(KNOWN, "a retrier");
        let interval = entry.seconds("IntervalSeconds", 1).unwrap_or(1);
        let max_delay = entry.seconds("MaxDelaySeconds", 1);
        if max_delay.is_some_and(|max| max <= interval) {
            entry.fault("MaxDelaySeconds", "must be greater than IntervalSeconds");
        }
        entry.one_of("JitterStrategy", &["FULL", "NONE"]);
        let attempts = entry.seconds("MaxAttempts", 0).unwrap_or(3);
        Retrier {
            errors: errors(&entry, i + 1 == count),
            interval: Duration::from_secs(interval),
            max_attempts: u32::try_from(attempts).unwrap_or(u32::MAX),
            backoff: backoff(&entry),
            max_delay: max_delay.map(Duration::from_secs),
            jitter: entry.get("JitterStrategy").is_some_and(|how| how == "FULL"),
        }
    };
    entries.into_iter().enumerate().map(read).collect()
}

fn backoff(entry: &Fields<'_>) -> f64 {
    let Some(value) = entry.get("BackoffRate") else {
        return 2.0;
    };
    let rate = digits::as_f64(value).filter(|rate| *rate >= 1.0);
    rate.unwrap_or_else(|| {
        entry.fault("BackoffRate", "must be a number from 1.0 on");
        2.0
    })
}

pub(super) fn catch(fields: &Fields<'_>) -> Vec<Catcher> {
    let entries = fields.objects("Catch");
    let count = entries.len();
    let read = |(i, entry): (usize, Fields<'_>)| {
        entry.only(
            &["Comment", "ErrorEquals", "Next", "ResultPath"],
            "a catcher",
        );
        let errors = errors(&entry, i + 1 == count);
        let next = entry.required_text("Next")?;
        Some(Catcher {
            errors,
            next: next.into(),
            result_path: entry.result_path(),
        })
    };
    entries.into_iter().enumerate().filter_map(read).collect()
}

fn errors(entry: &Fields<'_>, last: bool) -> Vec<String> {
    let listed = entry.get("ErrorEquals").and_then(|value| value.as_array());
    let errors: Option<Vec<String>> = listed.filter(|list| !list.is_empty()).and_then(|list| {
        list.iter()
            .map(|one| one.as_str().map(str::to_owned))
            .collect()
    });
    let Some(errors) = errors else {
        entry.fault("ErrorEquals", "must be a list of error names");
        return Vec::new();
    };
    if errors.iter().any(|error| error == name::ALL) && (errors.len() > 1 || !last) {
        entry.fault(
            "ErrorEquals",
            "States.ALL must stand alone, and in the last entry",
        );
    }
    for error in errors.iter().filter(|error| error.starts_with("States.")) {
        if !RESERVED.contains(&error.as_str()) {
            entry.fault(
                "ErrorEquals",
                format!("'{error}' is no error name: 'States.' is reserved"),
            );
        }
    }
    errors
}

const RESERVED: &[&str] = &[
    name::ALL,
    name::DATA_LIMIT,
    name::HEARTBEAT,
    name::NO_CHOICE,
    name::RESULT_PATH,
    name::RUNTIME,
    name::TASK_FAILED,
    name::TIMEOUT,
    "States.BranchFailed",
    "States.ExceedToleratedFailureThreshold",
    name::INTRINSIC,
    "States.ItemReaderFailed",
    "States.ParameterPathFailure",
    "States.Permissions",
    "States.ResultWriterFailed",
];

pub(super) fn choice(fields: &Fields<'_>) -> Option<Kind> {
    let entries = fields.objects("Choices");
    if entries.is_empty() {
        fields.fault("Choices", "must be a list with a rule in it");
        return None;
    }
    let count = entries.len();
    let rules: Vec<Rule> = entries.iter().filter_map(rule).collect();
    let default: Option<Arc<str>> = fields.text("Default").map(Arc::from);
    (rules.len() == count).then_some(Kind::Choice(rules, default))
}

fn rule(entry: &Fields<'_>) -> Option<Rule> {
    let next = entry.required_text("Next");
    let condition = condition(entry, &["Next", "Comment"]);
    Some(Rule {
        condition: condition?,
        next: next?.into(),
    })
}

/// One comparison: `beside` are the fields that may stand next to it.
fn condition(entry: &Fields<'_>, beside: &[&str]) -> Option<Condition> {
    let own: Vec<_> = entry
        .iter()
        .filter(|(key, _)| !beside.contains(&key.as_str()))
        .collect();
    match own.as_slice() {
        [(key, _)] if key.as_str() == "And" => several(entry, "And").map(Condition::And),
        [(key, _)] if key.as_str() == "Or" => several(entry, "Or").map(Condition::Or),
        [(key, value)] if key.as_str() == "Not" => {
            let below = Fields::of(value, &format!("{}/Not", entry.at()), entry.faults)?;
            Some(Condition::Not(Box::new(condition(&below, &["Comment"])?)))
        }
        [_, _] if entry.get("Variable").is_some() => test(entry, &own),
        _ => {
            entry.fault(
                "",
                "a rule has And, Or or Not, or Variable and one comparison",
            );
            None
        }
    }
}

fn several(entry: &Fields<'_>, key: &str) -> Option<Vec<Condition>> {
    let below = entry.objects(key);
    if below.is_empty() {
        entry.fault(key, "must be a list with a rule in it");
        return None;
    }
    let count = below.len();
    let read: Vec<_> = below
        .iter()
        .filter_map(|one| condition(one, &["Comment"]))
        .collect();
    (read.len() == count).then_some(read)
}

fn test(entry: &Fields<'_>, own: &[(&String, &serde_json::Value)]) -> Option<Condition> {
    let variable = entry.path("Variable");
    let (operator, operand) = own.iter().find(|(key, _)| key.as_str() != "Variable")?;
    let check = Check::parse(operator, operand).map_err(|why| {
        let why = why.unwrap_or_else(|| format!("the field '{operator}' is no comparison"));
        entry.fault(operator, why);
    });
    Some(Condition::Test(Test {
        variable: variable?,
        check: check.ok()?,
    }))
}
