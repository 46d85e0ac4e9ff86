//! What `handlers` and `check` print.

use std::fmt::Write as _;

use serde_json::{Value, json};
use stepfleet_activity::HandlerSpec;
use stepfleet_activity::catalogue::{Activity, Catalogue};

/// The handlers of a binary, for people or as JSON.
pub(super) fn handlers(binary: &str, handlers: &[HandlerSpec], as_json: bool) -> String {
    if as_json {
        let all: Vec<Value> = handlers
            .iter()
            .map(|spec| {
                json!({
                    "name": spec.name,
                    "summary": spec.summary,
                    "cancel": spec.cancel,
                    "config": (spec.config_schema)(),
                    "input": (spec.input_schema)(),
                })
            })
            .collect();
        return format!("{:#}\n", Value::Array(all));
    }
    if handlers.is_empty() {
        return format!("{binary} has no handler yet\n");
    }
    let mut text = String::new();
    for spec in handlers {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}  {}", spec.name, spec.summary);
        for (what, schema) in [
            ("config", (spec.config_schema)()),
            ("input", (spec.input_schema)()),
        ] {
            for (at, field) in fields(&schema).iter().enumerate() {
                let what = if at == 0 { what } else { "" };
                let _ = writeln!(text, "  {what:<6}  {field}");
            }
        }
    }
    text
}

/// Each property of an object's schema on a line: name, type, what it is.
fn fields(schema: &Value) -> Vec<String> {
    let required: Vec<&str> = schema["required"]
        .as_array()
        .map(|names| names.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    let Some(properties) = schema["properties"].as_object() else {
        return Vec::new();
    };
    let line = |(name, property): (&String, &Value)| {
        let needed = if required.contains(&name.as_str()) {
            "required"
        } else {
            "optional"
        };
        let about = property["description"].as_str().unwrap_or_default();
        let about = about.lines().next().unwrap_or_default();
        format!("{name:<20} {:<8} {needed}  {about}", kind(property))
            .trim_end()
            .to_owned()
    };
    properties.iter().map(line).collect()
}

fn kind(property: &Value) -> String {
    match &property["type"] {
        Value::String(kind) => kind.clone(),
        Value::Array(kinds) => kinds
            .iter()
            .filter_map(Value::as_str)
            .find(|kind| *kind != "null")
            .unwrap_or("any")
            .to_owned(),
        _ => "value".to_owned(),
    }
}

/// What `check` says of a catalogue without faults: also what other binaries
/// have to serve, so that a misspelt area does not go unseen.
pub(super) fn checked(binary: &str, catalogue: &Catalogue, served: &[&Activity]) -> String {
    let mut text = format!(
        "fleet {}: {} activities, {} deployments, no faults\n",
        catalogue.fleet,
        catalogue.activities.len(),
        catalogue.deployments.len()
    );
    for activity in served {
        let worker = &activity.worker;
        let _ = writeln!(
            text,
            "{binary} serves {} by {}: {} slots, {}-{} pollers, {}",
            activity.name,
            activity.handler,
            worker.slots,
            worker.pollers_min,
            worker.pollers_max,
            activity.arn
        );
    }
    let others = catalogue.activities.values();
    let others = others.filter(|activity| !served.iter().any(|own| own.name == activity.name));
    for activity in others {
        let _ = writeln!(
            text,
            "{binary} leaves {} to others: {}",
            activity.name, activity.handler
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use stepfleet_activity::CancelSafety;

    use super::*;

    fn spec() -> HandlerSpec {
        HandlerSpec {
            name: "etl.x",
            summary: "Does x.",
            cancel: CancelSafety::CancelSafe,
            config_schema: || {
                json!({
                    "properties": {"max_files": {"type": ["integer", "null"], "description": "At most.\nMore."}},
                })
            },
            input_schema: || json!({"properties": {"bucket": {"type": "string"}}, "required": ["bucket"]}),
            check_config: |_, _| Ok(()),
        }
    }

    #[test]
    fn handlers_are_listed_with_their_fields() {
        let text = handlers("etl-worker", &[spec()], false);
        let words: Vec<&str> = text.split_whitespace().collect();
        assert_eq!(
            words.join(" "),
            "etl.x Does x. config max_files integer optional At most. input bucket string required"
        );
        let json: Value =
            serde_json::from_str(&handlers("etl-worker", &[spec()], true)).expect("JSON");
        assert_eq!(json[0]["cancel"], "cancel-safe");
        assert_eq!(json[0]["input"]["required"][0], "bucket");
        assert_eq!(handlers("w", &[], false), "w has no handler yet\n");
    }
}
