//! Between the names and values of a state machine and those of a service's model.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{Integration, Service};
use crate::sfn::digits;
use crate::sfn::history::iso;

/// Members that are texts: JSON in their place is written as its text.
const TEXTS: [&str; 5] = ["Message", "MessageBody", "Input", "Output", "Definition"];

/// Parameters, which are in PascalCase, as the model of the service has them.
pub(super) fn input(integration: &Integration, parameters: Value) -> Result<Value, String> {
    let Value::Object(mut fields) = parameters else {
        return Err(format!(
            "the parameters of {}:{} must be an object",
            integration.resource_type(),
            integration.resource()
        ));
    };
    for name in TEXTS {
        match fields.get_mut(name) {
            None | Some(Value::String(_)) => {}
            // An execution without an input has one: two braces.
            Some(Value::Null) if name == "Input" => drop(fields.remove(name)),
            Some(value) => *value = json!(digits::write(value)),
        }
    }
    let parameters = digits::plain(Value::Object(fields));
    Ok(match integration.service {
        Service::StepFunctions => renamed(parameters, &lower_first),
        Service::CloudWatch => timed(parameters, ""),
        _ => parameters,
    })
}

/// What a service answered, in PascalCase and with times as texts; those
/// without `aws-sdk` also tell of the request, and have times in milliseconds.
pub(super) fn output(integration: &Integration, answer: Value) -> Value {
    let answer = match integration.service {
        Service::StepFunctions => renamed(answer, &upper_first),
        _ => answer,
    };
    let mut answer = told(answer, "", integration.sdk);
    if !integration.sdk
        && let Some(fields) = answer.as_object_mut()
    {
        let id = uuid::Uuid::new_v4().to_string();
        fields.insert(
            "SdkHttpMetadata".to_owned(),
            json!({
                "AllHttpHeaders": {"x-amzn-RequestId": [id]},
                "HttpHeaders": {"x-amzn-RequestId": id},
                "HttpStatusCode": 200,
            }),
        );
        fields.insert("SdkResponseMetadata".to_owned(), json!({"RequestId": id}));
    }
    answer
}

/// The end of an execution that was waited for.
pub(super) fn ended(described: Value, parse: bool) -> Value {
    const MEMBERS: [&str; 10] = [
        "Cause",
        "Error",
        "ExecutionArn",
        "Input",
        "Name",
        "Output",
        "StartDate",
        "StateMachineArn",
        "Status",
        "StopDate",
    ];
    let mut ended = told(renamed(described, &upper_first), "", false);
    let Some(fields) = ended.as_object_mut() else {
        return ended;
    };
    fields.retain(|name, _| MEMBERS.contains(&name.as_str()));
    for name in ["Input", "Output"] {
        let Some(data) = fields.get_mut(name) else {
            continue;
        };
        let read = data.as_str().and_then(|text| digits::read(text).ok());
        if let Some(read) = read.filter(|_| parse) {
            *data = read;
        }
        fields.insert(format!("{name}Details"), json!({"Included": true}));
    }
    ended
}

fn renamed(value: Value, rename: &dyn Fn(&str) -> String) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields.into_iter();
            let fields = fields.map(|(key, value)| (rename(&key), renamed(value, rename)));
            Value::Object(fields.collect::<Map<_, _>>())
        }
        Value::Array(items) => {
            let items = items.into_iter().map(|item| renamed(item, rename));
            Value::Array(items.collect())
        }
        other => other,
    }
}

/// Times that are numbers, as texts or in milliseconds. They are known by their names.
fn told(value: Value, name: &str, as_text: bool) -> Value {
    let ends = ["Date", "Timestamp", "Timestamps", "CreatedAt", "UpdatedAt"];
    match value {
        Value::Object(fields) => {
            let fields = fields.into_iter().map(|(key, value)| {
                let value = told(value, &key, as_text);
                (key, value)
            });
            Value::Object(fields.collect::<Map<_, _>>())
        }
        Value::Array(items) => {
            let items = items.into_iter().map(|item| told(item, name, as_text));
            Value::Array(items.collect())
        }
        Value::Number(seconds) if ends.iter().any(|end| name.ends_with(end)) => {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "milliseconds of our age fit"
            )]
            let millis = (seconds.as_f64().unwrap_or_default() * 1000.0).round() as i64;
            let at = Timestamp::from_millisecond(millis).ok().filter(|_| as_text);
            at.map_or_else(|| json!(millis), |at| json!(iso(at)))
        }
        other => other,
    }
}

/// Times that are texts, as the seconds that CloudWatch takes.
fn timed(value: Value, name: &str) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields.into_iter().map(|(key, value)| {
                let value = timed(value, &key);
                (key, value)
            });
            Value::Object(fields.collect::<Map<_, _>>())
        }
        Value::Array(items) => {
            let items = items.into_iter().map(|item| timed(item, name));
            Value::Array(items.collect())
        }
        Value::String(text) if ["StartTime", "EndTime", "Timestamp"].contains(&name) => {
            let at = text.parse::<Timestamp>();
            at.map_or_else(|_| json!(text), |at| json!(crate::sfn::history::epoch(at)))
        }
        other => other,
    }
}

pub(super) fn upper_first(name: &str) -> String {
    let mut chars = name.chars();
    let first = chars.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(chars).collect()
}

fn lower_first(name: &str) -> String {
    let mut chars = name.chars();
    let first = chars.next().map(|first| first.to_ascii_lowercase());
    first.into_iter().chain(chars).collect()
}
