//! The states, each with its own fields.

use std::sync::Arc;

use serde_json::Value;

use super::fields::{Fields, LONGEST};
use super::{Fail, Kind, Pass, State, Text, Then, Until, rules, work};
use crate::sfn::choice;
use crate::sfn::intrinsic::Expression;

const COMMON: &[&str] = &["Type", "Comment", "QueryLanguage"];

/// Reads a state; `None` says that its faults have been told.
pub(super) fn read(name: &Arc<str>, fields: &Fields<'_>) -> Option<State> {
    fields.one_of("QueryLanguage", &["JSONPath"]);
    fields.text("Comment");
    work::check_token(fields);
    let kind = match fields.required_text("Type")? {
        "Pass" => pass(fields)?,
        "Task" => work::task(fields)?,
        "Parallel" => work::parallel(fields)?,
        "Map" => work::map(fields)?,
        "Wait" => wait(fields)?,
        "Choice" => {
            only(
                fields,
                "Choice",
                &["InputPath", "OutputPath", "Choices", "Default"],
            );
            rules::choice(fields)?
        }
        "Succeed" => {
            only(fields, "Succeed", &["InputPath", "OutputPath"]);
            Kind::Succeed
        }
        "Fail" => fail(fields),
        other => {
            fields.fault(
                "Type",
                format!("the state type '{other}' is not supported here"),
            );
            return None;
        }
    };
    Some(State {
        name: Arc::clone(name),
        input_path: fields.path_or_root("InputPath"),
        output_path: fields.path_or_root("OutputPath"),
        kind,
    })
}

pub(super) fn only(fields: &Fields<'_>, kind: &str, own: &[&str]) {
    let known: Vec<&str> = COMMON.iter().chain(own).copied().collect();
    fields.only(&known, &format!("a {kind} state"));
}

fn pass(fields: &Fields<'_>) -> Option<Kind> {
    only(
        fields,
        "Pass",
        &[
            "Next",
            "End",
            "InputPath",
            "OutputPath",
            "Result",
            "ResultPath",
            "Parameters",
        ],
    );
    Some(Kind::Pass(Pass {
        result: fields.get("Result").cloned(),
        parameters: fields.template("Parameters"),
        result_path: fields.result_path(),
        then: then(fields)?,
    }))
}

fn wait(fields: &Fields<'_>) -> Option<Kind> {
    const WAYS: [&str; 4] = ["Seconds", "SecondsPath", "Timestamp", "TimestampPath"];
    let own = ["Next", "End", "InputPath", "OutputPath"];
    only(fields, "Wait", &[&own[..], &WAYS[..]].concat());
    if WAYS.iter().filter(|key| fields.get(key).is_some()).count() != 1 {
        fields.fault(
            "Seconds",
            format!("a Wait state has exactly one of {}", WAYS.join(", ")),
        );
    }
    let time = fields.get("Timestamp").and_then(|value| {
        let time = choice::timestamp(value);
        if time.is_none() {
            fields.fault(
                "Timestamp",
                "must be a timestamp (RFC 3339, with an upper-case T and Z)",
            );
        }
        time
    });
    let until = fields
        .number("Seconds", 0..=LONGEST)
        .map(Until::Seconds)
        .or(time.map(Until::Time))
        .or_else(|| fields.path("TimestampPath").map(Until::TimePath));
    let then = then(fields)?;
    Some(Kind::Wait(until?, then))
}

fn fail(fields: &Fields<'_>) -> Kind {
    only(
        fields,
        "Fail",
        &["Error", "ErrorPath", "Cause", "CausePath"],
    );
    let text = |key: &str| {
        let by_path = fields.beside(key);
        let literal = fields.text(key).map(|text| Text::Literal(text.to_owned()));
        let found = || {
            let expression = Expression::parse(fields.text(&by_path)?);
            let told = expression.map_err(|why| fields.fault(&by_path, why));
            told.ok().map(Text::Expression)
        };
        literal.or_else(found)
    };
    Kind::Fail(Fail {
        error: text("Error"),
        cause: text("Cause"),
    })
}

/// Exactly one of `Next` and `End: true`; `None` says that it was told.
pub(super) fn then(fields: &Fields<'_>) -> Option<Then> {
    match (fields.get("Next"), fields.get("End")) {
        (Some(Value::String(next)), None | Some(Value::Bool(false))) => {
            Some(Some(next.as_str().into()))
        }
        (None, Some(Value::Bool(true))) => Some(None),
        _ => {
            fields.fault(
                "Next",
                "a state has exactly one of Next (a name) and End (true)",
            );
            None
        }
    }
}
