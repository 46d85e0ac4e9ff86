//! Payload templates: `Parameters` and `ResultSelector`.

use serde_json::Value;

use super::failure::Failure;
use super::intrinsic::Expression;
use super::path::Scope;

/// JSON in which a field `name.$` holds a path or a call.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Template {
    Literal(Value),
    Expression(Expression),
    Array(Vec<Template>),
    Object(Vec<(String, Template)>),
}

// === impl Template ===

impl Template {
    /// Reads a template; `fault` hears where what is wrong.
    pub(crate) fn parse(value: &Value, at: &str, fault: &mut dyn FnMut(&str, String)) -> Self {
        match value {
            Value::Object(fields) => Self::Object(
                fields
                    .iter()
                    .map(|(key, value)| Self::field(key, value, at, fault))
                    .collect(),
            ),
            Value::Array(items) => Self::Array(
                items
                    .iter()
                    .enumerate()
                    .map(|(i, item)| Self::parse(item, &format!("{at}[{i}]"), fault))
                    .collect(),
            ),
            other => Self::Literal(other.clone()),
        }
    }

    fn field(
        key: &str,
        value: &Value,
        at: &str,
        fault: &mut dyn FnMut(&str, String),
    ) -> (String, Self) {
        let below = format!("{at}/{key}");
        let Some(name) = key.strip_suffix(".$") else {
            return (key.to_owned(), Self::parse(value, &below, fault));
        };
        let expression = match value {
            Value::String(text) => Expression::parse(text),
            _ => Err("a field whose name ends in .$ must hold a path or a call".to_owned()),
        };
        let template = expression.map(Self::Expression).unwrap_or_else(|why| {
            fault(&below, why);
            Self::Literal(Value::Null)
        });
        (name.to_owned(), template)
    }

    /// Fills it in.
    ///
    /// # Errors
    /// The path that leads nowhere, or the function that fails.
    pub(crate) fn fill(&self, scope: Scope<'_>) -> Result<Value, Failure> {
        match self {
            Self::Literal(value) => Ok(value.clone()),
            Self::Expression(expression) => expression.evaluate(scope),
            Self::Array(items) => items.iter().map(|item| item.fill(scope)).collect(),
            Self::Object(fields) => fields
                .iter()
                .map(|(key, value)| Ok((key.clone(), value.fill(scope)?)))
                .collect::<Result<_, _>>()
                .map(Value::Object),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_are_filled_in_at_any_depth() {
        let mut faults = Vec::new();
        let template = json!({
            "a.$": "$.x", "b": {"c.$": "States.Format('{}-{}', $$.State.Name, $.x[0])", "d": [1, "$.x", {"e.$": "$.x[0]"}]}, "f": null,
        });
        let template = Template::parse(&template, "Parameters", &mut |at, why| {
            faults.push(format!("{at}: {why}"));
        });
        assert_eq!(faults, Vec::<String>::new());
        let (data, context) = (json!({"x": [7]}), json!({"State": {"Name": "S"}}));
        let scope = Scope {
            data: &data,
            context: &context,
        };
        assert_eq!(
            template.fill(scope),
            Ok(json!({"a": [7], "b": {"c": "S-7", "d": [1, "$.x", {"e": 7}]}, "f": null}))
        );
        let empty = json!({});
        let scope = Scope {
            data: &empty,
            context: &context,
        };
        let lost = template.fill(scope).expect_err("no x");
        assert!(lost.cause.expect("a cause").contains("$.x"));
    }

    #[test]
    fn every_bad_path_is_said_with_its_place() {
        let mut faults = Vec::new();
        let template = json!({"a.$": "x", "b": [{"c.$": 1}], "d.$": "States.UUID(1)"});
        Template::parse(&template, "Parameters", &mut |at, _| {
            faults.push(at.to_owned())
        });
        assert_eq!(
            faults,
            ["Parameters/a.$", "Parameters/b[0]/c.$", "Parameters/d.$"]
        );
    }
}
