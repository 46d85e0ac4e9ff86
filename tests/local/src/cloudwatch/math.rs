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
    /// `[a, b]`.
    Array(Vec<Expression>),
    /// `METRICS()`: every metric whose id has this in it.
    Metrics(String),
    /// The length of a metric's periods, in seconds.
    Period(String),
    Reduce(Reduction, Box<Expression>),
    /// `DIFF(a)`: each value less the one before.
    Diff(Box<Expression>),
}

/// What makes one of several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reduction {
    Sum,
    Average,
    Minimum,
    Maximum,
}

impl Reduction {
    /// None of none.
    fn of(self, values: &[f64]) -> Option<f64> {
        let sum = || values.iter().sum::<f64>();
        #[expect(clippy::cast_precision_loss, reason = "nobody has 2^52 datapoints")]
        let average = || sum() / values.len() as f64;
        (!values.is_empty()).then(|| match self {
            Self::Sum => sum(),
            Self::Average => average(),
            Self::Minimum => values.iter().copied().fold(f64::INFINITY, f64::min),
            Self::Maximum => values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        })
    }
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
            Self::Number(_) | Self::Metrics(_) => Vec::new(),
            Self::Id(id) | Self::Period(id) => vec![id],
            Self::Array(all) => all.iter().flat_map(Self::ids).collect(),
            Self::Reduce(_, inner) | Self::Diff(inner) => inner.ids(),
            Self::Negate(inner) | Self::Fill(inner, Filler::Repeat) => inner.ids(),
            Self::Binary(_, left, right) => [left.ids(), right.ids()].concat(),
            Self::Fill(inner, Filler::Value(value)) => [inner.ids(), value.ids()].concat(),
            Self::If(condition, yes, no) => [condition.ids(), yes.ids(), no.ids()].concat(),
        }
    }

    /// Whether it looks at metrics that it does not name.
    pub(super) fn names_all_metrics(&self) -> bool {
        match self {
            Self::Metrics(_) => true,
            Self::Number(_) | Self::Id(_) | Self::Period(_) => false,
            Self::Negate(inner)
            | Self::Diff(inner)
            | Self::Reduce(_, inner)
            | Self::Fill(inner, Filler::Repeat) => inner.names_all_metrics(),
            Self::Array(all) => all.iter().any(Self::names_all_metrics),
            Self::Binary(_, one, other) | Self::Fill(one, Filler::Value(other)) => {
                one.names_all_metrics() || other.names_all_metrics()
            }
            Self::If(condition, yes, no) => {
                let mut all = [condition, yes, no].into_iter();
                all.any(|one| one.names_all_metrics())
            }
        }
    }
}

#[cfg(test)]
mod tests;
