//! JSON as the form of the query protocol, as SNS has it.

use serde_json::Value;

use crate::server::query::Form;

/// The form of an operation's input.
pub(super) fn of(input: &Value) -> Form {
    let mut form = Form::new();
    put(&mut form, String::new(), input);
    form
}

fn put(form: &mut Form, name: String, value: &Value) {
    let below = |key: &str| match name.as_str() {
        "" => key.to_owned(),
        name => format!("{name}.{key}"),
    };
    match value {
        Value::Null => {}
        Value::String(text) => drop(form.insert(name, text.clone())),
        Value::Bool(_) | Value::Number(_) => drop(form.insert(name, value.to_string())),
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                put(form, below(&format!("member.{}", at + 1)), item);
            }
        }
        Value::Object(fields) => {
            let Some((key_name, value_name)) = map(&name) else {
                for (key, value) in fields {
                    put(form, below(key), value);
                }
                return;
            };
            for (at, (key, value)) in fields.iter().enumerate() {
                let entry = below(&format!("entry.{}", at + 1));
                form.insert(format!("{entry}.{key_name}"), key.clone());
                put(form, format!("{entry}.{value_name}"), value);
            }
        }
    }
}

/// Members that are maps, and how their entries name key and value.
fn map(name: &str) -> Option<(&'static str, &'static str)> {
    match name.rsplit('.').next()? {
        "MessageAttributes" => Some(("Name", "Value")),
        "Attributes" => Some(("key", "value")),
        _ => None,
    }
}
