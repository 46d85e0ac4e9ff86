//! The value of an [`Expression`] over a range of periods.

use std::collections::BTreeMap;

use super::{Expression, Filler, Operator, Reduction};
use crate::cloudwatch::store::{Range, Series};

/// What an expression comes to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Scalar(f64),
    /// A value for each period that has one.
    Series(Series),
    /// Several, each for itself.
    Array(Vec<Series>),
}

impl Value {
    fn at(&self, period: i64) -> Option<f64> {
        match self {
            Self::Scalar(value) => Some(*value),
            Self::Series(series) => series.get(&period).copied(),
            Self::Array(_) => None,
        }
    }
}

/// What ids stand for, and the periods that are asked for.
#[derive(Debug)]
pub(crate) struct Evaluation {
    pub(crate) range: Range,
    pub(crate) series: BTreeMap<String, Series>,
    /// Every metric: the length of its periods, and its values where they are
    /// needed.
    pub(crate) metrics: BTreeMap<String, (i64, Series)>,
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
            Expression::Negate(inner) => {
                self.each(&[self.value(inner)?], |values| Some(-values[0]?))?
            }
            Expression::Binary(operator, left, right) => {
                let (left, right) = (self.value(left)?, self.value(right)?);
                self.each(&[left, right], |values| match values {
                    [Some(left), Some(right)] => apply(*operator, *left, *right),
                    _ => None,
                })?
            }
            Expression::If(condition, yes, no) => {
                let values = [self.value(condition)?, self.value(yes)?, self.value(no)?];
                self.each(&values, |values| match values {
                    [Some(condition), yes, no] => *if *condition == 0.0 { no } else { yes },
                    _ => None,
                })?
            }
            Expression::Fill(inner, filler) => self.fill(inner, filler)?,
            Expression::Array(all) => self.array(all)?,
            Expression::Metrics(part) => {
                let metrics = self.metrics.iter().filter(|(id, _)| id.contains(part));
                Value::Array(metrics.map(|(_, (_, series))| series.clone()).collect())
            }
            Expression::Period(id) => {
                let period = self.metrics.get(id).map(|(period, _)| *period);
                #[expect(clippy::cast_precision_loss, reason = "a period is at most a day")]
                let period = period.unwrap_or(self.range.period) as f64;
                Value::Scalar(period)
            }
            Expression::Reduce(reduction, inner) => self.reduce(*reduction, inner)?,
            Expression::Diff(inner) => match self.value(inner)? {
                Value::Scalar(number) => {
                    return Err(format!("DIFF is of a time series, not of {number}"));
                }
                Value::Series(series) => Value::Series(difference(&series)),
                Value::Array(all) => Value::Array(all.iter().map(difference).collect()),
            },
        })
    }

    fn array(&self, all: &[Expression]) -> Result<Value, String> {
        let one = |expression: &Expression| match self.value(expression)? {
            Value::Series(series) => Ok(vec![series]),
            Value::Array(all) => Ok(all),
            Value::Scalar(number) => Err(format!("an array is of time series, not of {number}")),
        };
        let all: Vec<Vec<Series>> = all.iter().map(one).collect::<Result<_, _>>()?;
        Ok(Value::Array(all.concat()))
    }

    /// One number of one time series; of several one time series.
    fn reduce(&self, reduction: Reduction, inner: &Expression) -> Result<Value, String> {
        Ok(match self.value(inner)? {
            Value::Scalar(number) => Value::Scalar(number),
            Value::Series(series) => {
                let values: Vec<f64> = series.into_values().collect();
                // Of nothing comes nothing, in no period.
                let reduced = reduction.of(&values);
                reduced.map_or_else(|| Value::Series(Series::new()), Value::Scalar)
            }
            Value::Array(all) => {
                let at = |period: i64| {
                    let values = all.iter().filter_map(|series| series.get(&period).copied());
                    reduction.of(&values.collect::<Vec<f64>>())
                };
                let periods = self.range.periods();
                Value::Series(periods.filter_map(|p| Some((p, at(p)?))).collect())
            }
        })
    }

    /// As [`Self::combine`], for each time series of an array.
    fn each(
        &self,
        values: &[Value],
        work: impl Fn(&[Option<f64>]) -> Option<f64>,
    ) -> Result<Value, String> {
        let mut arrays = values
            .iter()
            .enumerate()
            .filter_map(|(at, value)| match value {
                Value::Array(all) => Some((at, all)),
                _ => None,
            });
        let Some((at, all)) = arrays.next() else {
            return Ok(self.combine(values, work));
        };
        if arrays.next().is_some() {
            return Err("stepfleet-local does not combine two arrays of time series".to_owned());
        }
        let one = |series: &Series| {
            let mut values = values.to_vec();
            values[at] = Value::Series(series.clone());
            match self.combine(&values, &work) {
                Value::Series(series) => series,
                _ => Series::new(),
            }
        };
        Ok(Value::Array(all.iter().map(one).collect()))
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
        let filler = match filler {
            Filler::Value(value) => Some(self.value(value)?),
            Filler::Repeat => None,
        };
        let filled = |inner: &Value| {
            let mut last = None;
            let filled = self.range.periods().filter_map(|period| {
                let value = inner.at(period).or_else(|| match &filler {
                    Some(filler) => filler.at(period),
                    None => last,
                });
                last = value;
                Some((period, value?))
            });
            filled.collect::<Series>()
        };
        Ok(match self.value(inner)? {
            Value::Array(all) => Value::Array(
                all.into_iter()
                    .map(|series| filled(&Value::Series(series)))
                    .collect(),
            ),
            one => Value::Series(filled(&one)),
        })
    }
}

/// Each value less the one before it, which may be some periods away; the first
/// has none.
fn difference(series: &Series) -> Series {
    let later = series.iter().skip(1);
    let pairs = series.values().zip(later);
    pairs
        .map(|(before, (period, value))| (*period, value - before))
        .collect()
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
