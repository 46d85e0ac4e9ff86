//! The conditions of a Choice state.

#[cfg(test)]
mod tests;
mod wildcard;

use std::cmp::Ordering;

use jiff::Timestamp;
use serde_json::Value;

use self::wildcard::matches;
use super::digits;
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
            Self::Numeric => digits::as_f64(one)?.partial_cmp(&digits::as_f64(other)?),
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
            Self::Numeric => digits::is_numeric(value),
            Self::Boolean => value.is_boolean(),
            Self::Timestamp => timestamp(value).is_some(),
        }
    }
}
