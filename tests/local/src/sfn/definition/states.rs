//! The states, each with its own fields.

use std::sync::Arc;

use serde_json::Value;

use super::fields::Fields;
use super::{Fail, Kind, Pass, Span, State, Task, Text, Then, Until, rules};
use crate::sfn::choice;

const COMMON: &[&str] = &["Type", "Comment", "QueryLanguage"];

/// Reads a state; `None` says that its faults have been told.
pub(super) fn read(name: &Arc<str>, fields: &Fields<'_>) -> Option<State> {
    fields.one_of("QueryLanguage", &["JSONPath"]);
    fields.text("Comment");
    let kind = match fields.required_text("Type")? {
        "Pass" => pass(fields)?,
        "Task" => task(fields)?,
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

fn only(fields: &Fields<'_>, kind: &str, own: &[&str]) {
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

fn task(fields: &Fields<'_>) -> Option<Kind> {
    only(
        fields,
        "Task",
        &[
            "Next",
            "End",
            "InputPath",
            "OutputPath",
            "Resource",
            "Parameters",
            "ResultSelector",
            "ResultPath",
            "Retry",
            "Catch",
            "TimeoutSeconds",
            "TimeoutSecondsPath",
            "HeartbeatSeconds",
            "HeartbeatSecondsPath",
        ],
    );
    let timeout = span(fields, "TimeoutSeconds", 1);
    let heartbeat = span(fields, "HeartbeatSeconds", 1);
    if let (Some(Span::Seconds(timeout)), Some(Span::Seconds(heartbeat))) = (&timeout, &heartbeat)
        && heartbeat >= timeout
    {
        fields.fault("HeartbeatSeconds", "must be smaller than TimeoutSeconds");
    }
    let task = Task {
        activity: Arc::from(activity(fields).unwrap_or_default()),
        parameters: fields.template("Parameters"),
        result_selector: fields.template("ResultSelector"),
        result_path: fields.result_path(),
        timeout,
        heartbeat,
        retry: rules::retry(fields),
        catch: rules::catch(fields),
        then: then(fields)?,
    };
    Some(Kind::Task(Box::new(task)))
}

fn activity<'a>(fields: &Fields<'a>) -> Option<&'a str> {
    let resource = fields.required_text("Resource")?;
    let parts: Vec<&str> = resource.splitn(7, ':').collect();
    if !matches!(parts.as_slice(), ["arn", _, "states", _, _, "activity", name] if !name.is_empty())
    {
        fields.fault(
            "Resource",
            format!("the resource '{resource}' is not supported here, only activities (arn:aws:states:REGION:ACCOUNT:activity:NAME)"),
        );
    }
    Some(resource)
}

/// `Key` or `KeyPath`, not both.
fn span(fields: &Fields<'_>, key: &str, least: u64) -> Option<Span> {
    let by_path = format!("{key}Path");
    if fields.get(key).is_some() && fields.get(&by_path).is_some() {
        fields.fault(key, format!("must not stand beside {by_path}"));
    }
    let seconds = fields.seconds(key, least).map(Span::Seconds);
    seconds.or_else(|| fields.path(&by_path).map(Span::Path))
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
    let until = span(fields, "Seconds", 0)
        .map(Until::Span)
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
        let by_path = format!("{key}Path");
        if fields.get(key).is_some() && fields.get(&by_path).is_some() {
            fields.fault(key, format!("must not stand beside {by_path}"));
        }
        let literal = fields.text(key).map(|text| Text::Literal(text.to_owned()));
        literal.or_else(|| fields.path(&by_path).map(Text::Path))
    };
    Kind::Fail(Fail {
        error: text("Error"),
        cause: text("Cause"),
    })
}

/// Exactly one of `Next` and `End: true`; `None` says that it was told.
fn then(fields: &Fields<'_>) -> Option<Then> {
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
