//! Label and field selectors.

use serde_json::Value;

use super::status::ApiError;

/// Which objects of a kind are meant.
#[derive(Debug, Clone, Default)]
pub(crate) struct Selector {
    labels: Vec<Requirement>,
    fields: Vec<Requirement>,
}

#[derive(Debug, Clone)]
struct Requirement {
    key: String,
    wanted: Wanted,
}

#[derive(Debug, Clone)]
enum Wanted {
    Exists,
    Absent,
    In(Vec<String>),
    NotIn(Vec<String>),
}

// === impl Selector ===

impl Selector {
    /// Reads both selectors of a query.
    pub(crate) fn parse(labels: &str, fields: &str) -> Result<Self, ApiError> {
        Ok(Self {
            labels: requirements(labels)?,
            fields: requirements(fields)?,
        })
    }

    pub(crate) fn matches(&self, object: &Value) -> bool {
        let label = |key: &str| {
            object["metadata"]["labels"][key]
                .as_str()
                .map(str::to_owned)
        };
        self.labels
            .iter()
            .all(|requirement| requirement.holds(label(&requirement.key)))
            && self
                .fields
                .iter()
                .all(|requirement| requirement.holds(Some(field(object, &requirement.key))))
    }
}

impl Requirement {
    fn holds(&self, value: Option<String>) -> bool {
        match &self.wanted {
            Wanted::Exists => value.is_some(),
            Wanted::Absent => value.is_none(),
            Wanted::In(values) => value.is_some_and(|value| values.contains(&value)),
            Wanted::NotIn(values) => value.is_none_or(|value| !values.contains(&value)),
        }
    }
}

/// The text at a dotted path; empty where there is nothing.
fn field(object: &Value, path: &str) -> String {
    let found = path.split('.').fold(object, |value, name| &value[name]);
    match found {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn requirements(text: &str) -> Result<Vec<Requirement>, ApiError> {
    parts(text)
        .into_iter()
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(requirement)
        .collect()
}

/// Splits at commas that are not inside parentheses.
fn parts(text: &str) -> Vec<&str> {
    let mut depth = 0;
    text.split(|letter| {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        letter == ',' && depth == 0
    })
    .collect()
}

fn requirement(part: &str) -> Result<Requirement, ApiError> {
    let (key, wanted) = if let Some((key, values)) = part.split_once(" notin ") {
        (key, Wanted::NotIn(set(values)?))
    } else if let Some((key, values)) = part.split_once(" in ") {
        (key, Wanted::In(set(values)?))
    } else if let Some((key, value)) = part.split_once("!=") {
        (key, Wanted::NotIn(vec![value.trim().to_owned()]))
    } else if let Some((key, value)) = part.split_once('=') {
        let value = value.trim_start_matches('=').trim();
        (key, Wanted::In(vec![value.to_owned()]))
    } else if let Some(key) = part.strip_prefix('!') {
        (key, Wanted::Absent)
    } else {
        (part, Wanted::Exists)
    };
    let key = key.trim();
    if key.is_empty() || key.contains(char::is_whitespace) {
        return Err(unreadable(part));
    }
    Ok(Requirement {
        key: key.to_owned(),
        wanted,
    })
}

fn set(text: &str) -> Result<Vec<String>, ApiError> {
    let inner = text
        .trim()
        .strip_prefix('(')
        .and_then(|text| text.strip_suffix(')'))
        .ok_or_else(|| unreadable(text))?;
    Ok(inner
        .split(',')
        .map(|value| value.trim().to_owned())
        .collect())
}

fn unreadable(part: &str) -> ApiError {
    ApiError::bad_request(format!("unable to parse requirement {part:?}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn selectors_choose_as_kubernetes_does() {
        let pod = json!({
            "metadata": {"name": "a-1", "labels": {"app": "a", "tier": "etl"}},
            "status": {"phase": "Running"},
        });
        let cases = [
            ("", "", true),
            ("app=a", "", true),
            ("app==a,tier=etl", "", true),
            ("app=b", "", false),
            ("app!=b", "", true),
            ("none!=b", "", true),
            ("app", "", true),
            ("!app", "", false),
            ("!none", "", true),
            ("app in (a, b),tier", "", true),
            ("app notin (a,b)", "", false),
            ("none in (a)", "", false),
            ("", "status.phase=Running", true),
            ("", "status.phase!=Running", false),
            ("app=a", "metadata.name=a-2", false),
        ];
        for (labels, fields, want) in cases {
            let selector = Selector::parse(labels, fields).unwrap();
            assert_eq!(selector.matches(&pod), want, "{labels} / {fields}");
        }
        for text in ["=a", "app in a", "two words"] {
            assert!(Selector::parse(text, "").is_err(), "{text}");
        }
    }
}
