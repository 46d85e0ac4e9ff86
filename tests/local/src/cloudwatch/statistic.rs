//! What is said of the values of a period.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// How many distinct values of a slot are kept as they are; where there are
/// more, close ones become one. AWS also keeps no single values.
const MOST_VALUES: usize = 256;
/// A percentile is kept in these parts of a percent.
const PARTS: f64 = 1e8;

/// What is known of the values in a slot.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Summary {
    pub(super) sum: f64,
    pub(super) minimum: f64,
    pub(super) maximum: f64,
    pub(super) count: f64,
    /// Each value and how often it came, ascending; none where somebody sent
    /// only a statistic set of different values.
    values: Option<Vec<(f64, f64)>>,
}

impl Summary {
    /// One value, `count` times.
    pub(super) fn of(value: f64, count: f64) -> Self {
        Self {
            sum: value * count,
            minimum: value,
            maximum: value,
            count,
            values: Some(vec![(value, count)]),
        }
    }

    /// Of a statistic set: its values are known only where they are all the same.
    pub(super) fn of_set((count, sum): (f64, f64), (minimum, maximum): (f64, f64)) -> Self {
        let same = count == 1.0 || minimum == maximum;
        Self {
            sum,
            minimum,
            maximum,
            count,
            values: same.then(|| vec![(maximum, count)]),
        }
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.sum += other.sum;
        self.minimum = self.minimum.min(other.minimum);
        self.maximum = self.maximum.max(other.maximum);
        self.count += other.count;
        self.values = match (self.values.take(), &other.values) {
            (Some(mut values), Some(more)) => {
                for (value, count) in more {
                    match values.binary_search_by(|(known, _)| known.total_cmp(value)) {
                        Ok(at) => values[at].1 += count,
                        Err(at) => values.insert(at, (*value, *count)),
                    }
                }
                Some(coarser(values))
            }
            _ => None,
        };
    }

    /// None for a percentile of values that are not known.
    pub(super) fn get(&self, statistic: Statistic) -> Option<f64> {
        Some(match statistic {
            Statistic::Average => self.sum / self.count,
            Statistic::Sum => self.sum,
            Statistic::Minimum => self.minimum,
            Statistic::Maximum => self.maximum,
            Statistic::SampleCount => self.count,
            Statistic::Percentile(percentile) => return self.percentile(percentile),
        })
    }

    /// The smallest value that so many percent of all are not above.
    fn percentile(&self, percentile: Percentile) -> Option<f64> {
        let values = self.values.as_ref()?;
        let rank = percentile.share() * self.count;
        let mut passed = 0.0;
        for (value, count) in values {
            passed += count;
            // A sum of counts is not exact where they are not whole.
            if passed >= rank - 1e-9 {
                return Some(*value);
            }
        }
        values.last().map(|(value, _)| *value)
    }
}

/// Puts close values together, at first those within 1 %, until they are few.
fn coarser(mut values: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    let mut width = 0.01;
    while values.len() > MOST_VALUES {
        let mut fewer: Vec<(f64, f64)> = Vec::with_capacity(values.len());
        for (value, count) in values {
            match fewer.last_mut() {
                Some((known, times)) if value - *known <= known.abs() * width => {
                    *known = (*known * *times + value * count) / (*times + count);
                    *times += count;
                }
                _ => fewer.push((value, count)),
            }
        }
        values = fewer;
        width *= 2.0;
    }
    values
}

/// What is said of a period's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Statistic {
    Average,
    Sum,
    Minimum,
    Maximum,
    SampleCount,
    Percentile(Percentile),
}

/// Between 0 and 100, exactly as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Percentile(u64);

const NAMES: [(&str, Statistic); 5] = [
    ("Average", Statistic::Average),
    ("Sum", Statistic::Sum),
    ("Minimum", Statistic::Minimum),
    ("Maximum", Statistic::Maximum),
    ("SampleCount", Statistic::SampleCount),
];

impl Percentile {
    #[expect(clippy::cast_precision_loss, reason = "it has at most 34 bits")]
    fn percent(self) -> f64 {
        self.0 as f64 / PARTS
    }

    fn share(self) -> f64 {
        self.percent() / 100.0
    }
}

impl Statistic {
    /// Whether it is said as an `ExtendedStatistic`.
    pub(super) const fn is_extended(self) -> bool {
        matches!(self, Self::Percentile(_))
    }
}

impl FromStr for Statistic {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some((_, known)) = NAMES.iter().find(|(name, _)| *name == text) {
            return Ok(*known);
        }
        let digits = text.strip_prefix('p').filter(|rest| {
            rest.starts_with(|c: char| c.is_ascii_digit())
                && rest.chars().all(|c| c.is_ascii_digit() || c == '.')
        });
        let number = digits.and_then(|digits| digits.parse::<f64>().ok());
        match number.filter(|number| *number <= 100.0) {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "it is between 0 and 100"
            )]
            Some(number) => Ok(Self::Percentile(
                Percentile((number * PARTS).round() as u64),
            )),
            None => Err(format!(
                "stepfleet-local has no statistic {text}, only Average, Sum, Minimum, Maximum, \
                 SampleCount and p0 to p100"
            )),
        }
    }
}

impl fmt::Display for Statistic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Self::Percentile(percentile) = self {
            return write!(f, "p{}", percentile.percent());
        }
        let known = NAMES.iter().find(|(_, known)| known == self);
        f.write_str(known.map_or("", |(name, _)| name))
    }
}

impl Serialize for Statistic {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Statistic {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(values: &[f64], statistic: &str) -> Option<f64> {
        let mut values = values.iter().map(|value| Summary::of(*value, 1.0));
        let mut all = values.next().unwrap();
        values.for_each(|one| all.add(&one));
        all.get(statistic.parse().unwrap())
    }

    #[test]
    fn statistics_of_values() {
        let values = [4.0, 1.0, 3.0, 2.0, 2.0, 10.0, 5.0, 6.0, 8.0, 9.0];
        let table = [
            ("Average", 5.0),
            ("Sum", 50.0),
            ("Minimum", 1.0),
            ("Maximum", 10.0),
            ("SampleCount", 10.0),
            ("p0", 1.0),
            ("p10", 1.0),
            ("p10.1", 2.0),
            ("p30", 2.0),
            ("p50", 4.0),
            ("p90", 9.0),
            ("p99.9", 10.0),
            ("p100", 10.0),
        ];
        for (statistic, wanted) in table {
            assert_eq!(said(&values, statistic), Some(wanted), "{statistic}");
        }
    }

    #[test]
    fn percentiles_of_a_set_are_known_only_of_one_value() {
        let p50 = "p50".parse().unwrap();
        let set = |count: f64, minimum, maximum| {
            Summary::of_set((count, 1.0), (minimum, maximum)).get(p50)
        };
        assert_eq!(set(1.0, 3.0, 3.0), Some(3.0));
        assert_eq!(set(5.0, 3.0, 3.0), Some(3.0));
        assert_eq!(set(5.0, 1.0, 3.0), None);
        let mut mixed = Summary::of(1.0, 1.0);
        mixed.add(&Summary::of_set((2.0, 5.0), (1.0, 4.0)));
        assert_eq!(mixed.get(p50), None);
        assert_eq!(mixed.get(Statistic::Maximum), Some(4.0));
    }

    #[test]
    fn many_values_are_kept_to_a_few_percent() {
        let values: Vec<f64> = (1..=20_000).map(f64::from).collect();
        let p90 = said(&values, "p90").unwrap();
        assert!((17_100.0..=18_900.0).contains(&p90), "{p90}");
        let mut all = Summary::of(0.0, 1.0);
        values
            .iter()
            .for_each(|value| all.add(&Summary::of(-*value, 1.0)));
        assert!(all.values.unwrap().len() <= MOST_VALUES);
    }

    #[test]
    fn names_go_and_come_back() {
        for name in ["Average", "SampleCount", "p0", "p99", "p95.45", "p99.999"] {
            assert_eq!(name.parse::<Statistic>().unwrap().to_string(), name);
        }
        for wrong in [
            "average", "p101", "p", "p-1", "px", "tm90", "IQM", "PR(1:2)", "p1e1",
        ] {
            let error = wrong.parse::<Statistic>().unwrap_err();
            assert!(error.contains(wrong), "{error}");
        }
    }
}
