//! Metric math: what our alarms need of it. Whatever else is refused by name.

mod eval;
mod parse;

pub(super) use self::eval::{Evaluation, Value};
pub(super) use self::parse::parse;

/// An expression.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Expression {
    Number(f64),
    /// The id of a metric or of another expression.
    Id(String),
    Negate(Box<Expression>),
    Binary(Operator, Box<Expression>, Box<Expression>),
    If(Box<Expression>, Box<Expression>, Box<Expression>),
    Fill(Box<Expression>, Filler),
}

/// What `FILL` puts where nothing is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Filler {
    Value(Box<Expression>),
    /// The value before.
    Repeat,
}

/// Between two expressions, loosest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Or,
    And,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Add,
    Subtract,
    Multiply,
    Divide,
}

impl Operator {
    fn strength(self) -> u8 {
        match self {
            Self::Or => 1,
            Self::And => 2,
            Self::Equal
            | Self::NotEqual
            | Self::Less
            | Self::LessOrEqual
            | Self::Greater
            | Self::GreaterOrEqual => 3,
            Self::Add | Self::Subtract => 4,
            Self::Multiply | Self::Divide => 5,
        }
    }
}

impl Expression {
    /// Every id that it names.
    pub(super) fn ids(&self) -> Vec<&str> {
        match self {
            Self::Number(_) => Vec::new(),
            Self::Id(id) => vec![id],
            Self::Negate(inner) | Self::Fill(inner, Filler::Repeat) => inner.ids(),
            Self::Binary(_, left, right) => [left.ids(), right.ids()].concat(),
            Self::Fill(inner, Filler::Value(value)) => [inner.ids(), value.ids()].concat(),
            Self::If(condition, yes, no) => [condition.ids(), yes.ids(), no.ids()].concat(),
        }
    }
}

#[cfg(test)]
mod tests;
