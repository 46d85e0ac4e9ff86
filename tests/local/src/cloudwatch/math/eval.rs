//! The value of an [`Expression`] over a range of periods.

use std::collections::BTreeMap;

use super::{Expression, Filler, Operator};
use crate::cloudwatch::store::{Range, Series};

/// What an expression comes to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Scalar(f64),
    /// A value for each period that has one.
    Series(Series),
}

impl Value {
    fn at(&self, period: i64) -> Option<f64> {
        match self {
            Self::Scalar(value) => Some(*value),
            Self::Series(series) => series.get(&period).copied(),
        }
    }
}

/// What ids stand for, and the periods that are asked for.
#[derive(Debug)]
pub(crate) struct Evaluation {
    pub(crate) range: Range,
    pub(crate) series: BTreeMap<String, Series>,
}

impl Evaluation {
    /// Works the expression out; the error names an id that nothing has.
    pub(crate) fn value(&self, expression: &Expression) -> Result<Value, String> {
        Ok(match expression {
            Expression::Number(number) => Value::Scalar(*number),
            Expression::Id(id) => {
                let series = self.series.get(id);
                let series = series.ok_or_else(|| format!("no metric has the id {id:?}"))?;
                Value::Series(series.clone())
            }
            Expression::Negate(inner) => match self.value(inner)? {
                Value::Scalar(value) => Value::Scalar(-value),
                Value::Series(series) => {
                    Value::Series(series.into_iter().map(|(at, value)| (at, -value)).collect())
                }
            },
            Expression::Binary(operator, left, right) => {
                let (left, right) = (self.value(left)?, self.value(right)?);
                self.combine(&[left, right], |values| match values {
                    [Some(left), Some(right)] => apply(*operator, *left, *right),
                    _ => None,
                })
            }
            Expression::If(condition, yes, no) => {
                let values = [self.value(condition)?, self.value(yes)?, self.value(no)?];
                self.combine(&values, |values| match values {
                    [Some(condition), yes, no] => *if *condition == 0.0 { no } else { yes },
                    _ => None,
                })
            }
            Expression::Fill(inner, filler) => self.fill(inner, filler)?,
        })
    }

    /// Period by period; of scalars alone comes a scalar, where there is one.
    fn combine(&self, values: &[Value], work: impl Fn(&[Option<f64>]) -> Option<f64>) -> Value {
        let at = |period: i64| {
            let values: Vec<Option<f64>> = values.iter().map(|value| value.at(period)).collect();
            work(&values)
        };
        if values.iter().all(|value| matches!(value, Value::Scalar(_)))
            && let Some(value) = at(0)
        {
            return Value::Scalar(value);
        }
        let periods = self.range.periods();
        Value::Series(periods.filter_map(|p| Some((p, at(p)?))).collect())
    }

    /// As AWS's graphs show it: over the whole range, whether or not the metric
    /// has a datapoint in it.
    fn fill(&self, inner: &Expression, filler: &Filler) -> Result<Value, String> {
        let inner = self.value(inner)?;
        let filler = match filler {
            Filler::Value(value) => Some(self.value(value)?),
            Filler::Repeat => None,
        };
        let mut last = None;
        let filled = self.range.periods().filter_map(|period| {
            let value = inner.at(period).or_else(|| match &filler {
                Some(filler) => filler.at(period),
                None => last,
            });
            last = value;
            Some((period, value?))
        });
        Ok(Value::Series(filled.collect()))
    }
}

fn apply(operator: Operator, left: f64, right: f64) -> Option<f64> {
    let truth = |truth: bool| Some(f64::from(u8::from(truth)));
    match operator {
        Operator::Or => truth(left != 0.0 || right != 0.0),
        Operator::And => truth(left != 0.0 && right != 0.0),
        Operator::Equal => truth(left == right),
        Operator::NotEqual => truth(left != right),
        Operator::Less => truth(left < right),
        Operator::LessOrEqual => truth(left <= right),
        Operator::Greater => truth(left > right),
        Operator::GreaterOrEqual => truth(left >= right),
        Operator::Add => Some(left + right),
        Operator::Subtract => Some(left - right),
        Operator::Multiply => Some(left * right),
        // As on AWS: no datapoint where it divides by zero.
        Operator::Divide => (right != 0.0).then(|| left / right),
    }
}
