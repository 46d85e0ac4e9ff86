//! The fields of a JSON Schema, for people: name, type, default, meaning.

use serde_json::Value;

/// Each property of an object's schema as a row: name, type, default, meaning.
/// What is an object itself is shown by its own properties.
pub(super) fn fields(schema: &Value) -> Vec<[String; 4]> {
    fields_of(schema, schema)
}

fn fields_of(root: &Value, schema: &Value) -> Vec<[String; 4]> {
    let required: Vec<&str> = schema["required"]
        .as_array()
        .map(|names| names.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    let Some(properties) = schema["properties"].as_object() else {
        return Vec::new();
    };
    let rows = |(name, property): (&String, &Value)| {
        let inner = resolved(root, property);
        if inner["properties"].is_object() {
            let own = fields_of(root, inner).into_iter();
            let named = own.map(|[inner, kind, default, meaning]| {
                [format!("{name}.{inner}"), kind, default, meaning]
            });
            return named.collect();
        }
        let default = if required.contains(&name.as_str()) {
            "required".to_owned()
        } else {
            default(property)
        };
        vec![[
            name.clone(),
            kind(root, property),
            default,
            meaning(property),
        ]]
    };
    properties.iter().flat_map(rows).collect()
}

/// What a property is that refers to a definition, or may be null.
fn resolved<'a>(root: &'a Value, property: &'a Value) -> &'a Value {
    let some = property["anyOf"].as_array().and_then(|all| {
        let mut some = all.iter().filter(|one| one["type"] != "null");
        some.next().filter(|_| all.len() == 2)
    });
    let property = some.unwrap_or(property);
    let pointer = property["$ref"].as_str();
    let pointer = pointer.and_then(|target| target.strip_prefix('#'));
    let target = pointer.and_then(|pointer| root.pointer(pointer));
    target.unwrap_or(property)
}

/// The first paragraph of the description, in a line.
fn meaning(property: &Value) -> String {
    let about = property["description"].as_str().unwrap_or_default();
    let first = about.split("\n\n").next().unwrap_or_default();
    first.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn default(property: &Value) -> String {
    match &property["default"] {
        Value::Null => "none".to_owned(),
        Value::String(text) if !text.is_empty() => text.clone(),
        value => value.to_string(),
    }
}

/// A type in people's words. `x-kind` says it where JSON has no type for it,
/// like `duration`.
fn kind(root: &Value, property: &Value) -> String {
    if let Some(kind) = property["x-kind"].as_str() {
        return kind.to_owned();
    }
    if let Some(target) = property["$ref"].as_str() {
        let pointer = target.strip_prefix('#').unwrap_or(target);
        return root
            .pointer(pointer)
            .map_or_else(|| "any value".to_owned(), |target| kind(root, target));
    }
    if let Some(constant) = property.get("const") {
        return plain(constant);
    }
    if let Some(values) = property["enum"].as_array() {
        return joined(values.iter().map(plain), " | ");
    }
    for choice in ["oneOf", "anyOf"] {
        if let Some(all) = property[choice].as_array() {
            let some = all.iter().filter(|one| one["type"] != "null");
            return joined(some.map(|one| kind(root, one)), " | ");
        }
    }
    by_type(root, property)
}

fn by_type(root: &Value, property: &Value) -> String {
    let kinds = match &property["type"] {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        Value::String(kind) => vec![kind.as_str()],
        _ => Vec::new(),
    };
    match kinds.into_iter().find(|kind| *kind != "null") {
        Some("string") => "text".to_owned(),
        Some("boolean") => "true | false".to_owned(),
        Some("integer") => ranged("whole number", property),
        Some("number") => ranged("number", property),
        Some("array") => format!("list of {}", kind(root, &property["items"])),
        Some("object") => "map".to_owned(),
        _ => "any value".to_owned(),
    }
}

fn ranged(kind: &str, property: &Value) -> String {
    match (&property["minimum"], &property["maximum"]) {
        (Value::Null, _) | (_, Value::Null) => kind.to_owned(),
        (least, most) => format!("{kind}, {least} to {most}"),
    }
}

fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn joined(all: impl Iterator<Item = String>, between: &str) -> String {
    all.collect::<Vec<_>>().join(between)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn types_are_said_in_peoples_words() {
        let root = json!({"$defs": {"Format": {"oneOf": [
            {"const": "csv", "type": "string"}, {"const": "json", "type": "string"},
        ]}}});
        for (property, want) in [
            (json!({"type": "string"}), "text"),
            (json!({"type": "string", "x-kind": "duration"}), "duration"),
            (json!({"type": ["boolean", "null"]}), "true | false"),
            (json!({"type": "integer", "minimum": 0}), "whole number"),
            (
                json!({"type": "integer", "minimum": 1, "maximum": 9}),
                "whole number, 1 to 9",
            ),
            (json!({"$ref": "#/$defs/Format"}), "csv | json"),
            (
                json!({"anyOf": [{"$ref": "#/$defs/Format"}, {"type": "null"}]}),
                "csv | json",
            ),
            (json!({"enum": ["a", 1]}), "a | 1"),
            (
                json!({"type": "array", "items": {"type": "string"}}),
                "list of text",
            ),
            (json!({"$ref": "#/$defs/Nowhere"}), "any value"),
            (json!(true), "any value"),
        ] {
            assert_eq!(kind(&root, &property), want, "{property}");
        }
    }

    #[test]
    fn a_default_is_shown_as_it_would_be_written() {
        for (property, want) in [
            (json!({"default": "10s"}), "10s"),
            (json!({"default": ""}), "\"\""),
            (json!({"default": false}), "false"),
            (json!({"default": []}), "[]"),
            (json!({}), "none"),
        ] {
            assert_eq!(default(&property), want);
        }
        let about = json!({"description": "One\nline.\n\nMore."});
        assert_eq!(meaning(&about), "One line.");
    }
}
