//! What `handlers` and `check` print.

use std::fmt::Write as _;

use serde_json::{Value, json};
use stepfleet_activity::catalogue::{Activity, Catalogue};
use stepfleet_activity::{CancelSafety, HandlerSpec};

use super::fields::fields;

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
    let listed: Vec<String> = handlers.iter().map(handler).collect();
    listed.join("\n")
}

/// A handler's name and summary, and a table of its config and its input.
fn handler(spec: &HandlerSpec) -> String {
    let dropped = match spec.cancel {
        CancelSafety::CancelSafe => "is dropped at once, and leaves nothing half-done",
        CancelSafety::RunsToEnd => "runs to its end, and nothing is reported",
    };
    let mut text = format!(
        "{}\n  {}.\n  An attempt that is closed {dropped}.\n",
        spec.name, spec.summary
    );
    for (what, schema) in [
        ("config", (spec.config_schema)()),
        ("input", (spec.input_schema)()),
    ] {
        let mut rows = vec![[what, "type", "default", "meaning"].map(str::to_owned)];
        rows.extend(fields(&schema));
        text.push('\n');
        text.push_str(&table(&rows));
    }
    text
}

/// Columns under each other; the last one may be of any length.
fn table(rows: &[[String; 4]]) -> String {
    let width = |at: usize| {
        let cells = rows.iter().map(|row| row[at].chars().count());
        cells.max().unwrap_or(0)
    };
    let (a, b, c) = (width(0), width(1), width(2));
    let mut text = String::new();
    for [name, kind, default, about] in rows {
        let line = format!("  {name:a$}  {kind:b$}  {default:c$}  {about}");
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
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
    use super::*;

    fn spec() -> HandlerSpec {
        HandlerSpec {
            name: "etl.x",
            summary: "Does x",
            cancel: CancelSafety::CancelSafe,
            config_schema: || {
                json!({
                    "properties": {"max_files": {"type": ["integer", "null"], "description": "At most."}},
                })
            },
            input_schema: || json!({"properties": {"bucket": {"type": "string"}}, "required": ["bucket"]}),
            check_config: |_, _| Ok(()),
        }
    }

    #[test]
    fn handlers_are_listed_with_their_fields() {
        let text = handlers("etl-worker", &[spec()], false);
        assert_eq!(
            text,
            "\
etl.x
  Does x.
  An attempt that is closed is dropped at once, and leaves nothing half-done.

  config     type          default  meaning
  max_files  whole number  none     At most.

  input   type  default   meaning
  bucket  text  required
"
        );
        let json: Value =
            serde_json::from_str(&handlers("etl-worker", &[spec()], true)).expect("JSON");
        assert_eq!(json[0]["cancel"], "cancel-safe");
        assert_eq!(json[0]["input"]["required"][0], "bucket");
        assert_eq!(handlers("w", &[], false), "w has no handler yet\n");
    }
}
