//! Reference paths: the part of JSONPath that a state machine here may use.

use std::fmt;

use serde_json::{Map, Value};

/// `$.a.b[0]['c']`, or the same below `$$`, the context object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Path {
    text: String,
    context: bool,
    steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Field(String),
    Index(usize),
}

/// What a state's paths are read from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scope<'a> {
    /// What `$` is.
    pub(crate) data: &'a Value,
    /// What `$$` is.
    pub(crate) context: &'a Value,
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

// === impl Path ===

impl Path {
    /// `$`.
    pub(crate) fn root() -> Self {
        Self {
            text: "$".to_owned(),
            context: false,
            steps: Vec::new(),
        }
    }

    /// Reads a reference path.
    ///
    /// # Errors
    /// What is not a reference path, in words.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.starts_with("States.") {
            return Err(format!(
                "the intrinsic function '{text}' cannot stand here, only a path"
            ));
        }
        let Some(rest) = text.strip_prefix('$') else {
            return Err(format!("'{text}' is not a path: it must start with $"));
        };
        let (context, rest) = match rest.strip_prefix('$') {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        let steps = steps(rest).map_err(|why| format!("the path '{text}' {why}"))?;
        Ok(Self {
            text: text.to_owned(),
            context,
            steps,
        })
    }

    /// Whether it reads the context object.
    pub(crate) fn is_context(&self) -> bool {
        self.context
    }

    /// What it leads to, if anything.
    pub(crate) fn find<'a>(&self, scope: Scope<'a>) -> Option<&'a Value> {
        let root = if self.context {
            scope.context
        } else {
            scope.data
        };
        self.steps.iter().try_fold(root, |at, step| match step {
            Step::Field(name) => at.as_object()?.get(name),
            Step::Index(index) => at.as_array()?.get(*index),
        })
    }

    /// Puts `value` where it leads, making the fields on the way.
    ///
    /// # Errors
    /// If something on the way is no object, or an array is too short.
    pub(crate) fn put(&self, into: &mut Value, value: Value) -> Result<(), String> {
        let mut at = into;
        for step in &self.steps {
            at = match (step, at) {
                (Step::Field(name), Value::Object(fields)) => fields
                    .entry(name.clone())
                    .or_insert_with(|| Value::Object(Map::new())),
                (Step::Index(index), Value::Array(items)) if *index < items.len() => {
                    &mut items[*index]
                }
                _ => {
                    return Err(format!(
                        "Unable to apply ReferencePath {} to the input: it does not lead through objects",
                        self.text
                    ));
                }
            };
        }
        *at = value;
        Ok(())
    }
}

fn steps(text: &str) -> Result<Vec<Step>, String> {
    let mut steps = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (step, after) = if let Some(after) = rest.strip_prefix('.') {
            dotted(after)?
        } else if let Some(after) = rest.strip_prefix('[') {
            bracketed(after)?
        } else {
            return Err(format!("goes wrong at '{rest}'"));
        };
        steps.push(step);
        rest = after;
    }
    Ok(steps)
}

fn dotted(text: &str) -> Result<(Step, &str), String> {
    let end = text.find(['.', '[']).unwrap_or(text.len());
    let (name, after) = text.split_at(end);
    let plain = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    if name.is_empty() || !name.chars().all(plain) {
        return Err(format!(
            "is not a reference path ('.{name}'): only fields and indexes are supported"
        ));
    }
    Ok((Step::Field(name.to_owned()), after))
}

fn bracketed(text: &str) -> Result<(Step, &str), String> {
    for quote in ['\'', '"'] {
        if let Some(quoted) = text.strip_prefix(quote) {
            let Some((name, after)) = quoted.split_once(quote) else {
                return Err("has a quote that is not closed".to_owned());
            };
            let Some(after) = after.strip_prefix(']') else {
                return Err("is not a reference path: one name per bracket".to_owned());
            };
            if name.contains('\\') {
                return Err("has an escape in a name, which is not supported".to_owned());
            }
            return Ok((Step::Field(name.to_owned()), after));
        }
    }
    let Some((index, after)) = text.split_once(']') else {
        return Err("has a bracket that is not closed".to_owned());
    };
    if index.is_empty() || !index.bytes().all(|b| b.is_ascii_digit()) {
        return Err(format!(
            "is not a reference path ('[{index}]'): only fields and indexes are supported"
        ));
    }
    let index = index.parse().map_err(|_| "has too large an index")?;
    Ok((Step::Index(index), after))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_finds_what_it_names() {
        let data = json!({"a": {"b": [1, {"c d": true}], "x-y": null}, "$": 3});
        let context = json!({"State": {"Name": "Load"}});
        let scope = Scope {
            data: &data,
            context: &context,
        };
        let cases = [
            ("$", Some(data.clone())),
            ("$.a.b[0]", Some(json!(1))),
            ("$['a'].b[1]['c d']", Some(json!(true))),
            ("$.a[\"x-y\"]", Some(Value::Null)),
            ("$.a.x-y", Some(Value::Null)),
            ("$['$']", Some(json!(3))),
            ("$.a.b[2]", None),
            ("$.a.b.c", None),
            ("$.a[0]", None),
            ("$.nothing", None),
            ("$$.State.Name", Some(json!("Load"))),
            ("$$", Some(context.clone())),
        ];
        for (path, want) in cases {
            let found = Path::parse(path).expect(path).find(scope).cloned();
            assert_eq!(found, want, "{path}");
        }
    }

    #[test]
    fn what_is_no_reference_path_is_refused() {
        for path in [
            "",
            "a",
            "$a",
            "$.",
            "$..a",
            "$.*",
            "$[*]",
            "$.a[-1]",
            "$.a[0:2]",
            "$.a[?(@.b)]",
            "$['a','b']",
            "$['a",
            "$[0",
            "$.a b",
            "$.a.length()",
            "$[]",
            "$$$",
            "States.Format('x')",
        ] {
            assert!(Path::parse(path).is_err(), "{path}");
        }
    }

    #[test]
    fn putting_makes_fields_and_refuses_what_is_in_the_way() {
        let cases = [
            (json!({"a": 1}), "$", Ok(json!(9))),
            (json!({"a": 1}), "$.b.c", Ok(json!({"a": 1, "b": {"c": 9}}))),
            (json!({"a": [1, 2]}), "$.a[1]", Ok(json!({"a": [1, 9]}))),
            (json!({"a": [1, 2]}), "$.a[2]", Err(())),
            (json!({"a": 1}), "$.a.b", Err(())),
            (json!("text"), "$.a", Err(())),
        ];
        for (mut into, path, want) in cases {
            let put = Path::parse(path).expect(path).put(&mut into, json!(9));
            assert_eq!(put.map(|()| into).map_err(drop), want, "{path}");
        }
    }
}
