//! Filter policies: which messages a subscription wants.

mod numeric;

use serde_json::{Map, Value};

use self::numeric::{Order, number_of, numeric};
use super::invalid;
use crate::AwsError;
use crate::sqs::Attributes;

/// The most keys of a policy, and the most combinations of its values.
const MOST_KEYS: usize = 5;
const MOST_COMBINATIONS: usize = 150;

/// What a policy looks at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Scope {
    #[default]
    MessageAttributes,
    MessageBody,
}

impl Scope {
    pub(super) fn parse(text: &str) -> Result<Self, AwsError> {
        match text {
            "MessageAttributes" => Ok(Self::MessageAttributes),
            "MessageBody" => Ok(Self::MessageBody),
            other => Err(invalid(format!(
                "FilterPolicyScope: MessageAttributes or MessageBody, not {other}"
            ))),
        }
    }

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::MessageAttributes => "MessageAttributes",
            Self::MessageBody => "MessageBody",
        }
    }
}

/// A policy that was checked.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Filter {
    scope: Scope,
    all: Vec<Rule>,
}

#[derive(Debug, Clone, PartialEq)]
enum Rule {
    /// One of several sets of rules.
    Either(Vec<Vec<Rule>>),
    /// One of several tests, of a key.
    Key(String, Vec<Test>),
    /// Rules of what is below a key.
    Below(String, Vec<Rule>),
}

#[derive(Debug, Clone, PartialEq)]
enum Test {
    Is(Value),
    IgnoreCase(String),
    Prefix(String),
    Suffix(String),
    Number(Vec<(Order, f64)>),
    Exists(bool),
    /// None of these.
    But(Vec<Test>),
}

// === impl Filter ===

impl Filter {
    /// Reads a policy; none where it is empty, which wants every message.
    pub(super) fn parse(text: &str, scope: Scope) -> Result<Option<Self>, AwsError> {
        let policy: Value = serde_json::from_str(if text.is_empty() { "{}" } else { text })
            .map_err(|error| wrong(&format!("no JSON: {error}")))?;
        let members = policy.as_object().ok_or_else(|| wrong("no JSON object"))?;
        let mut size = Size {
            keys: 0,
            combinations: 1,
        };
        let all = rules(members, (scope, 1), &mut size)?;
        if size.keys > MOST_KEYS {
            return Err(wrong(&format!(
                "Filter policy can not have more than {MOST_KEYS} keys"
            )));
        }
        if size.combinations > MOST_COMBINATIONS {
            return Err(wrong(&format!(
                "Filter policy is too complex: {} combinations of values, and {MOST_COMBINATIONS} at most",
                size.combinations
            )));
        }
        Ok((!all.is_empty()).then_some(Self { scope, all }))
    }

    /// Whether the subscription wants this message. A body that is no JSON
    /// object has nothing to look at.
    pub(super) fn wants(&self, message: &str, attributes: &Attributes) -> bool {
        let body = match self.scope {
            Scope::MessageAttributes => Some(of_attributes(attributes)),
            Scope::MessageBody => serde_json::from_str(message).ok(),
        };
        body.filter(Value::is_object)
            .is_some_and(|body| hold(&self.all, &[&body]))
    }
}

/// Texts, numbers and lists of them; bytes are not compared.
fn of_attributes(attributes: &Attributes) -> Value {
    let known = attributes.0.iter().filter_map(|(name, one)| {
        let text = one.string_value.as_deref()?;
        let value = match one.data_type.as_str() {
            "String.Array" | "Number" => serde_json::from_str(text).ok()?,
            kind if kind.starts_with("Number.") => serde_json::from_str(text).ok()?,
            _ => Value::from(text),
        };
        Some((name.clone(), value))
    });
    Value::Object(known.collect())
}

/// Whether all rules hold of one of the places.
fn hold(rules: &[Rule], places: &[&Value]) -> bool {
    rules.iter().all(|rule| match rule {
        Rule::Either(sets) => sets.iter().any(|set| hold(set, places)),
        Rule::Key(key, tests) => {
            let found = below(key, places);
            tests.iter().any(|test| test.holds(&found))
        }
        Rule::Below(key, rules) => {
            let found = below(key, places);
            // Where nothing is below, what has not to exist does not.
            hold(rules, &found)
        }
    })
}

/// The values of a key, those in lists one by one.
fn below<'a>(key: &str, places: &[&'a Value]) -> Vec<&'a Value> {
    fn flat<'a>(value: &'a Value, into: &mut Vec<&'a Value>) {
        match value {
            Value::Array(all) => all.iter().for_each(|one| flat(one, into)),
            one => into.push(one),
        }
    }
    let mut found = Vec::new();
    for value in places.iter().filter_map(|place| place.get(key)) {
        flat(value, &mut found);
    }
    found
}

// === impl Test ===

impl Test {
    fn holds(&self, found: &[&Value]) -> bool {
        match self {
            Self::Exists(wanted) => *wanted != found.is_empty(),
            // It takes one value that is none of them.
            Self::But(tests) => found
                .iter()
                .any(|value| !tests.iter().any(|test| test.holds(&[value]))),
            test => found.iter().any(|value| test.is(value)),
        }
    }

    fn is(&self, value: &Value) -> bool {
        let text = value.as_str();
        match self {
            Self::Is(Value::Number(wanted)) => {
                let pair = wanted.as_f64().zip(value.as_f64());
                pair.is_some_and(|(wanted, value)| Order::Equal.holds(value, wanted))
            }
            Self::Is(wanted) => wanted == value,
            Self::IgnoreCase(wanted) => {
                text.is_some_and(|text| text.to_lowercase() == wanted.to_lowercase())
            }
            Self::Prefix(prefix) => text.is_some_and(|text| text.starts_with(prefix)),
            Self::Suffix(suffix) => text.is_some_and(|text| text.ends_with(suffix)),
            Self::Number(bounds) => value.as_f64().is_some_and(|value| {
                bounds
                    .iter()
                    .all(|(order, bound)| order.holds(value, *bound))
            }),
            Self::Exists(_) | Self::But(_) => false,
        }
    }

    fn parse(value: &Value) -> Result<Self, AwsError> {
        let Value::Object(members) = value else {
            return match value {
                Value::Array(_) => Err(wrong(
                    "a value is a text, a number, true, false, null or an object",
                )),
                Value::Number(number) => {
                    number_of(number.as_f64()).map(|_| Self::Is(value.clone()))
                }
                plain => Ok(Self::Is(plain.clone())),
            };
        };
        let mut members = members.iter();
        let (Some((name, value)), None) = (members.next(), members.next()) else {
            return Err(wrong("a match has one operator"));
        };
        let text = || {
            let text = value.as_str().filter(|text| !text.is_empty());
            text.map(str::to_owned)
                .ok_or_else(|| wrong(&format!("{name} match pattern must be a string")))
        };
        match name.as_str() {
            "prefix" => text().map(Self::Prefix),
            "suffix" => text().map(Self::Suffix),
            "equals-ignore-case" => text().map(Self::IgnoreCase),
            "exists" => {
                let wanted = value.as_bool();
                let wanted =
                    wanted.ok_or_else(|| wrong("exists match pattern must be true or false"))?;
                Ok(Self::Exists(wanted))
            }
            "numeric" => numeric(value).map(Self::Number),
            "anything-but" => but(value).map(Self::But),
            other => Err(wrong(&format!(
                "Unrecognized match type {other} (stepfleet-local)"
            ))),
        }
    }
}

fn but(value: &Value) -> Result<Vec<Test>, AwsError> {
    let list = |value: &Value| match value {
        Value::Array(all) => all.clone(),
        one => vec![one.clone()],
    };
    let tests: Vec<Test> = match value {
        Value::Object(members) => {
            let mut members = members.iter();
            let (Some((name, values)), None) = (members.next(), members.next()) else {
                return Err(wrong("anything-but has one operator"));
            };
            if !["prefix", "suffix", "equals-ignore-case"].contains(&name.as_str()) {
                return Err(wrong(&format!("Unsupported anything-but pattern: {name}")));
            }
            let test = |value: Value| {
                Test::parse(&Value::Object(
                    [(name.clone(), value)].into_iter().collect(),
                ))
            };
            list(values)
                .into_iter()
                .map(test)
                .collect::<Result<_, _>>()?
        }
        values => {
            let plain = |value: &Value| value.is_string() || value.is_number();
            let values = list(values);
            if !values.iter().all(plain) {
                return Err(wrong(
                    "Inside anything but list, only texts and numbers are",
                ));
            }
            values.iter().map(Test::parse).collect::<Result<_, _>>()?
        }
    };
    if tests.is_empty() {
        return Err(wrong("anything-but has values"));
    }
    Ok(tests)
}

/// How large a policy is.
struct Size {
    keys: usize,
    combinations: usize,
}

fn rules(
    members: &Map<String, Value>,
    (scope, depth): (Scope, usize),
    size: &mut Size,
) -> Result<Vec<Rule>, AwsError> {
    let mut all = Vec::new();
    for (key, value) in members {
        let sets = value
            .as_array()
            .filter(|sets| key == "$or" && is_either(sets));
        all.push(match (sets, value) {
            (Some(sets), _) => {
                let sets = sets.iter().filter_map(Value::as_object);
                let sets = sets.map(|set| rules(set, (scope, depth), size));
                Rule::Either(sets.collect::<Result<_, _>>()?)
            }
            (None, Value::Array(tests)) => {
                if tests.is_empty() {
                    return Err(wrong(&format!("Empty arrays are not allowed: {key}")));
                }
                size.keys += 1;
                // A value further down counts as often as it is deep.
                size.combinations = size.combinations.saturating_mul(tests.len() * depth);
                let tests = tests.iter().map(Test::parse);
                Rule::Key(key.clone(), tests.collect::<Result<_, _>>()?)
            }
            (None, Value::Object(members)) if scope == Scope::MessageBody => {
                if members.is_empty() {
                    return Err(wrong(&format!("Empty objects are not allowed: {key}")));
                }
                Rule::Below(key.clone(), rules(members, (scope, depth + 1), size)?)
            }
            (None, Value::Object(_)) => {
                return Err(wrong(&format!(
                    "Filter policy scope MessageAttributes does not support nested filter policy: {key}"
                )));
            }
            _ => return Err(wrong(&format!("\"{key}\" must be an object or an array"))),
        });
    }
    Ok(all)
}

/// `$or` is a key like another where its value is not several objects of keys.
fn is_either(sets: &[Value]) -> bool {
    const OPERATORS: [&str; 6] = [
        "prefix",
        "suffix",
        "equals-ignore-case",
        "exists",
        "numeric",
        "anything-but",
    ];
    let of_keys = |set: &Value| {
        set.as_object().is_some_and(|set| {
            !set.is_empty() && !set.keys().any(|key| OPERATORS.contains(&key.as_str()))
        })
    };
    sets.len() > 1 && sets.iter().all(of_keys)
}

fn wrong(what: &str) -> AwsError {
    invalid(format!("FilterPolicy: {what}"))
}

#[cfg(test)]
mod tests;
