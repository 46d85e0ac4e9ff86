//! The conditions of a Choice state.

use std::cmp::Ordering;

use jiff::Timestamp;
use serde_json::Value;

use super::path::{Path, Scope};

/// What a rule asks.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Condition {
    And(Vec<Condition>),
    Or(Vec<Condition>),
    Not(Box<Condition>),
    Test(Test),
}

/// One comparison of one variable.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Test {
    pub(crate) variable: Path,
    pub(crate) check: Check,
}

/// The comparison and what it compares with.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Check {
    Compare(Kind, Relation, Operand),
    Matches(String),
    Is(Is, bool),
}

/// As what both sides are read: another type is never equal, less or greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    String,
    Numeric,
    Boolean,
    Timestamp,
}

/// How the variable stands to the operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Relation {
    Equals,
    LessThan,
    LessThanEquals,
    GreaterThan,
    GreaterThanEquals,
}

/// What is compared with.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Operand {
    Literal(Value),
    Path(Path),
}

/// What a value may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Is {
    Present,
    Null,
    String,
    Numeric,
    Boolean,
    Timestamp,
}

// === impl Condition ===

impl Condition {
    /// Whether it holds.
    ///
    /// # Errors
    /// A path that leads nowhere, in words.
    pub(crate) fn holds(&self, scope: Scope<'_>) -> Result<bool, String> {
        match self {
            Self::And(all) => {
                for one in all {
                    if !one.holds(scope)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Self::Or(any) => {
                for one in any {
                    if one.holds(scope)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Self::Not(one) => Ok(!one.holds(scope)?),
            Self::Test(test) => test.holds(scope),
        }
    }
}

// === impl Test ===

impl Test {
    fn holds(&self, scope: Scope<'_>) -> Result<bool, String> {
        let found = self.variable.find(scope);
        if let Check::Is(Is::Present, want) = self.check {
            return Ok(found.is_some() == want);
        }
        let value = found.ok_or_else(|| lost(&self.variable))?;
        match &self.check {
            Check::Is(is, want) => Ok(is.fits(value) == *want),
            Check::Matches(pattern) => {
                Ok(value.as_str().is_some_and(|text| matches(pattern, text)))
            }
            Check::Compare(kind, relation, operand) => {
                let other = match operand {
                    Operand::Literal(value) => value,
                    Operand::Path(path) => path.find(scope).ok_or_else(|| lost(path))?,
                };
                Ok(kind
                    .order(value, other)
                    .is_some_and(|order| relation.fits(order)))
            }
        }
    }
}

fn lost(path: &Path) -> String {
    format!("Invalid path '{path}': The choice state's condition path references an invalid value.")
}

// === impl Check ===

impl Check {
    /// Reads an operator like `NumericLessThanPath` and its operand.
    ///
    /// # Errors
    /// `None` where there is no such operator, else what is wrong with the operand.
    pub(crate) fn parse(operator: &str, operand: &Value) -> Result<Self, Option<String>> {
        if let Some(is) = operator.strip_prefix("Is") {
            let is = Is::parse(is).ok_or(None)?;
            let want = operand
                .as_bool()
                .ok_or_else(|| must(operator, "a boolean"))?;
            return Ok(Self::Is(is, want));
        }
        if operator == "StringMatches" {
            let pattern = operand.as_str().ok_or_else(|| must(operator, "a string"))?;
            return Ok(Self::Matches(pattern.to_owned()));
        }
        let (bare, is_path) = match operator.strip_suffix("Path") {
            Some(bare) => (bare, true),
            None => (operator, false),
        };
        let (kind, relation) = Kind::split(bare).ok_or(None)?;
        if is_path {
            let path = operand.as_str().ok_or_else(|| must(operator, "a path"))?;
            let path = Path::parse(path).map_err(Some)?;
            return Ok(Self::Compare(kind, relation, Operand::Path(path)));
        }
        if kind.order(operand, operand).is_none() {
            return Err(must(operator, kind.word()));
        }
        Ok(Self::Compare(
            kind,
            relation,
            Operand::Literal(operand.clone()),
        ))
    }
}

fn must(operator: &str, what: &str) -> Option<String> {
    Some(format!("{operator} must be {what}"))
}

// === impl Kind ===

impl Kind {
    fn split(operator: &str) -> Option<(Self, Relation)> {
        let kinds = [
            ("String", Self::String),
            ("Numeric", Self::Numeric),
            ("Boolean", Self::Boolean),
            ("Timestamp", Self::Timestamp),
        ];
        let (kind, relation) = kinds
            .into_iter()
            .find_map(|(name, kind)| Some((kind, operator.strip_prefix(name)?)))?;
        let relation = match relation {
            "Equals" => Relation::Equals,
            _ if kind == Self::Boolean => return None,
            "LessThan" => Relation::LessThan,
            "LessThanEquals" => Relation::LessThanEquals,
            "GreaterThan" => Relation::GreaterThan,
            "GreaterThanEquals" => Relation::GreaterThanEquals,
            _ => return None,
        };
        Some((kind, relation))
    }

    fn word(self) -> &'static str {
        match self {
            Self::String => "a string",
            Self::Numeric => "a number",
            Self::Boolean => "a boolean",
            Self::Timestamp => "a timestamp (RFC 3339, with an upper-case T and Z)",
        }
    }

    fn order(self, one: &Value, other: &Value) -> Option<Ordering> {
        match self {
            Self::String => Some(one.as_str()?.cmp(other.as_str()?)),
            Self::Numeric => one.as_f64()?.partial_cmp(&other.as_f64()?),
            Self::Boolean => Some(one.as_bool()?.cmp(&other.as_bool()?)),
            Self::Timestamp => Some(timestamp(one)?.cmp(&timestamp(other)?)),
        }
    }
}

/// A timestamp as the language has it: RFC 3339 with upper-case `T` and `Z`.
pub(crate) fn timestamp(value: &Value) -> Option<Timestamp> {
    let text = value.as_str()?;
    let upper = text.contains('T') && !text.contains('z');
    upper.then(|| text.parse().ok()).flatten()
}

// === impl Relation ===

impl Relation {
    fn fits(self, order: Ordering) -> bool {
        match self {
            Self::Equals => order.is_eq(),
            Self::LessThan => order.is_lt(),
            Self::LessThanEquals => order.is_le(),
            Self::GreaterThan => order.is_gt(),
            Self::GreaterThanEquals => order.is_ge(),
        }
    }
}

// === impl Is ===

impl Is {
    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "Present" => Self::Present,
            "Null" => Self::Null,
            "String" => Self::String,
            "Numeric" => Self::Numeric,
            "Boolean" => Self::Boolean,
            "Timestamp" => Self::Timestamp,
            _ => return None,
        })
    }

    fn fits(self, value: &Value) -> bool {
        match self {
            Self::Present => true,
            Self::Null => value.is_null(),
            Self::String => value.is_string(),
            Self::Numeric => value.is_number(),
            Self::Boolean => value.is_boolean(),
            Self::Timestamp => timestamp(value).is_some(),
        }
    }
}

/// `*` stands for any text; `\*` and `\\` for themselves.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = vec![String::new()];
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        match c {
            '*' => parts.push(String::new()),
            c => {
                let c = if c == '\\' {
                    chars.next().unwrap_or(c)
                } else {
                    c
                };
                if let Some(part) = parts.last_mut() {
                    part.push(c);
                }
            }
        }
    }
    let [first, middle @ .., last] = parts.as_slice() else {
        return parts.first().is_some_and(|only| only == text);
    };
    let Some(mut rest) = text.strip_prefix(first.as_str()) else {
        return false;
    };
    for part in middle {
        let Some((_, after)) = rest.split_once(part.as_str()) else {
            return false;
        };
        rest = after;
    }
    rest.ends_with(last.as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn test(operator: &str, operand: Value, variable: &str, data: &Value) -> Result<bool, String> {
        let check = Check::parse(operator, &operand).expect(operator);
        let variable = Path::parse(variable).expect(variable);
        let context = json!({});
        let scope = Scope {
            data,
            context: &context,
        };
        Condition::Test(Test { variable, check }).holds(scope)
    }

    #[test]
    fn each_comparator_compares_its_own_type() {
        let data =
            json!({"s": "b", "n": 2, "t": "2026-01-01T00:00:00Z", "b": true, "z": null, "m": 2.0});
        let cases = [
            ("StringEquals", json!("b"), "$.s", true),
            ("StringEquals", json!("c"), "$.s", false),
            ("StringEquals", json!("2"), "$.n", false),
            ("StringLessThan", json!("c"), "$.s", true),
            ("StringLessThan", json!("b"), "$.s", false),
            ("StringLessThanEquals", json!("b"), "$.s", true),
            ("StringGreaterThan", json!("a"), "$.s", true),
            ("StringGreaterThanEquals", json!("c"), "$.s", false),
            ("StringEqualsPath", json!("$.s"), "$.s", true),
            ("NumericEquals", json!(2), "$.m", true),
            ("NumericEqualsPath", json!("$.m"), "$.n", true),
            ("NumericLessThan", json!(2), "$.n", false),
            ("NumericLessThan", json!(3), "$.s", false),
            ("NumericGreaterThanEquals", json!(1.5), "$.n", true),
            ("BooleanEquals", json!(true), "$.b", true),
            ("BooleanEquals", json!(false), "$.b", false),
            ("BooleanEqualsPath", json!("$.b"), "$.s", false),
            (
                "TimestampEquals",
                json!("2026-01-01T01:00:00+01:00"),
                "$.t",
                true,
            ),
            (
                "TimestampLessThan",
                json!("2026-01-02T00:00:00Z"),
                "$.t",
                true,
            ),
            ("TimestampGreaterThanPath", json!("$.t"), "$.t", false),
            (
                "TimestampLessThan",
                json!("2026-01-02T00:00:00Z"),
                "$.s",
                false,
            ),
            ("IsPresent", json!(true), "$.s", true),
            ("IsPresent", json!(true), "$.none", false),
            ("IsPresent", json!(false), "$.none", true),
            ("IsNull", json!(true), "$.z", true),
            ("IsNull", json!(true), "$.s", false),
            ("IsString", json!(true), "$.s", true),
            ("IsNumeric", json!(false), "$.s", true),
            ("IsBoolean", json!(true), "$.b", true),
            ("IsTimestamp", json!(true), "$.t", true),
            ("IsTimestamp", json!(true), "$.s", false),
            ("StringMatches", json!("b*"), "$.s", true),
        ];
        for (operator, operand, variable, want) in cases {
            let got = test(operator, operand.clone(), variable, &data);
            assert_eq!(got, Ok(want), "{operator} {operand} {variable}");
        }
    }

    #[test]
    fn a_variable_that_is_missing_is_an_error() {
        let data = json!({"a": 1});
        assert!(test("NumericEquals", json!(1), "$.b", &data).is_err());
        assert!(test("NumericEqualsPath", json!("$.b"), "$.a", &data).is_err());
        assert!(test("IsNull", json!(true), "$.b", &data).is_err());
    }

    #[test]
    fn operators_and_operands_are_checked() {
        for operator in [
            "StringLike",
            "BooleanLessThan",
            "IsArray",
            "Equals",
            "StringMatchesPath",
        ] {
            assert_eq!(
                Check::parse(operator, &json!(true)),
                Err(None),
                "{operator}"
            );
        }
        for (operator, operand) in [
            ("StringEquals", json!(1)),
            ("NumericEquals", json!("1")),
            ("NumericEqualsPath", json!("a")),
            ("TimestampEquals", json!("2026-01-01t00:00:00z")),
            ("IsNull", json!("true")),
        ] {
            assert!(
                matches!(Check::parse(operator, &operand), Err(Some(_))),
                "{operator}"
            );
        }
    }

    #[test]
    fn wildcards_match_any_text() {
        let cases = [
            ("log-*.txt", "log-1.txt", true),
            ("log-*.txt", "log-.txt", true),
            ("log-*.txt", "log.txt", false),
            ("*a*b*", "xaybz", true),
            ("*a*b*", "xbya", false),
            ("a\\*", "a*", true),
            ("a\\*", "ab", false),
            ("ab*ba", "aba", false),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
        ];
        for (pattern, text, want) in cases {
            assert_eq!(matches(pattern, text), want, "{pattern} {text}");
        }
    }
}
