//! Numbers in filter policies.

use serde_json::Value;

use super::wrong;
use crate::AwsError;

/// Numbers are compared as multiples of this, up to the largest.
const STEP: f64 = 1e-5;
const LARGEST: f64 = 1e9;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// `["=", 1]`, or one or two bounds: `[">", 0, "<=", 10]`.
pub(super) fn numeric(value: &Value) -> Result<Vec<(Order, f64)>, AwsError> {
    let members = value.as_array().map(Vec::as_slice).unwrap_or_default();
    let mut bounds = Vec::new();
    for pair in members.chunks(2) {
        let order = match pair[0].as_str() {
            Some("=") => Order::Equal,
            Some("<") => Order::Less,
            Some("<=") => Order::LessOrEqual,
            Some(">") => Order::Greater,
            Some(">=") => Order::GreaterOrEqual,
            _ => {
                return Err(wrong(&format!(
                    "Unrecognized numeric range operator: {}",
                    pair[0]
                )));
            }
        };
        let bound = number_of(pair.get(1).and_then(Value::as_f64))?;
        bounds.push((order, bound));
    }
    let upper = |order: Order| matches!(order, Order::Less | Order::LessOrEqual);
    let lower = |order: Order| matches!(order, Order::Greater | Order::GreaterOrEqual);
    match bounds.as_slice() {
        [_] => Ok(bounds),
        [(from, bottom), (to, top)] if lower(*from) && upper(*to) && bottom < top => Ok(bounds),
        _ => Err(wrong(
            "numeric is one comparison, or a lower and an upper bound above it",
        )),
    }
}

pub(super) fn number_of(number: Option<f64>) -> Result<f64, AwsError> {
    let number = number.ok_or_else(|| wrong("Value of numeric must be a number"))?;
    if number.abs() > LARGEST {
        return Err(wrong("a number is between -1 and 1 billion"));
    }
    Ok(number)
}

impl Order {
    /// To five digits behind the point.
    pub(super) fn holds(self, value: f64, bound: f64) -> bool {
        let (value, bound) = ((value / STEP).round(), (bound / STEP).round());
        match self {
            Self::Equal => value == bound,
            Self::Less => value < bound,
            Self::LessOrEqual => value <= bound,
            Self::Greater => value > bound,
            Self::GreaterOrEqual => value >= bound,
        }
    }
}
