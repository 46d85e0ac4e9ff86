//! Metric queries: of one metric, or of an expression over other queries.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::math::{self, Evaluation};
use super::statistic::Statistic;
use super::store::{MetricId, Range, Series, Store};
use crate::AwsError;

/// A member of `MetricDataQueries` or of an alarm's `Metrics`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Query {
    pub(super) id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) metric_stat: Option<MetricStat>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) expression: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) label: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) return_data: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) period: Option<i64>,
}

/// One statistic of one metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct MetricStat {
    pub(super) metric: MetricId,
    pub(super) period: i64,
    pub(super) stat: Statistic,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) unit: Option<String>,
}

impl Query {
    pub(super) fn returns(&self) -> bool {
        self.return_data.unwrap_or(true)
    }

    /// What a graph would call it.
    pub(super) fn label(&self) -> String {
        let metric = |stat: &MetricStat| stat.metric.metric_name.clone();
        let named = self.label.clone();
        named
            .or_else(|| self.metric_stat.as_ref().map(metric))
            .unwrap_or_else(|| self.id.clone())
    }
}

/// Queries that belong together, checked.
#[derive(Debug)]
pub(super) struct Queries<'a> {
    queries: BTreeMap<&'a str, &'a Query>,
    /// Of all of them.
    pub(super) period: i64,
}

impl<'a> Queries<'a> {
    /// Checks ids, periods and expressions.
    pub(super) fn new(queries: &'a [Query], store: &Store) -> Result<Self, AwsError> {
        let mut by_id = BTreeMap::new();
        for query in queries {
            if !query.id.starts_with(|c: char| c.is_ascii_lowercase()) {
                return Err(AwsError::validation(format!(
                    "the Id {:?} does not start with a small letter",
                    query.id
                )));
            }
            if by_id.insert(query.id.as_str(), query).is_some() {
                return Err(AwsError::validation(format!(
                    "two queries have the Id {}",
                    query.id
                )));
            }
            if query.metric_stat.is_some() == query.expression.is_some() {
                return Err(AwsError::validation(format!(
                    "{} has to have either a MetricStat or an Expression",
                    query.id
                )));
            }
        }
        let stats = || {
            queries
                .iter()
                .filter_map(|query| query.metric_stat.as_ref())
        };
        for stat in stats() {
            store.check_period(&stat.metric, stat.period)?;
        }
        let period = stats().map(|stat| stat.period).max().ok_or_else(|| {
            AwsError::validation("no query has a MetricStat: there is nothing to look at")
        })?;
        let this = Self {
            queries: by_id,
            period,
        };
        for query in queries {
            this.check(query, 0)?;
        }
        Ok(this)
    }

    /// Reads the expression, and those that it names.
    fn check(&self, query: &Query, depth: usize) -> Result<(), AwsError> {
        let Some(expression) = query.expression.as_deref() else {
            return Ok(());
        };
        if depth > self.queries.len() {
            return Err(AwsError::validation(format!(
                "the expression {} is part of itself",
                query.id
            )));
        }
        let parsed = parse(query, expression)?;
        for id in parsed.ids() {
            let named = self.queries.get(id).ok_or_else(|| {
                AwsError::validation(format!(
                    "the expression {} names {id}, which no query has as its Id",
                    query.id
                ))
            })?;
            self.check(named, depth + 1)?;
        }
        Ok(())
    }

    /// The values of a query over a range, as far as they can be read by `now`.
    pub(super) fn series(
        &self,
        query: &Query,
        (store, now): (&Store, Timestamp),
        range: Range,
    ) -> Result<Series, AwsError> {
        if let Some(stat) = &query.metric_stat {
            return Ok(store.read((&stat.metric, stat.stat), range, now));
        }
        let expression = query.expression.as_deref().unwrap_or_default();
        let parsed = parse(query, expression)?;
        let mut series = BTreeMap::new();
        for id in parsed.ids() {
            if let Some(named) = self.queries.get(id) {
                let values = self.series(named, (store, now), range)?;
                series.insert(id.to_owned(), values);
            }
        }
        let stats = self.queries.values().filter_map(|query| {
            let stat = query.metric_stat.as_ref()?;
            Some((query.id.clone(), stat))
        });
        let metrics = stats.map(|(id, stat)| {
            let values = if parsed.names_all_metrics() {
                store.read((&stat.metric, stat.stat), range, now)
            } else {
                Series::new()
            };
            (id, (stat.period, values))
        });
        let evaluation = Evaluation {
            range,
            series,
            metrics: metrics.collect(),
        };
        match evaluation.value(&parsed) {
            Ok(math::Value::Series(series)) => Ok(series),
            Ok(math::Value::Scalar(_)) => Err(AwsError::validation(format!(
                "the expression {} is one number, not a time series",
                query.id
            ))),
            Ok(math::Value::Array(_)) => Err(AwsError::validation(format!(
                "the expression {} is several time series: make one of them, as by SUM",
                query.id
            ))),
            Err(what) => Err(fault(query, &what)),
        }
    }
}

fn parse(query: &Query, expression: &str) -> Result<math::Expression, AwsError> {
    math::parse(expression).map_err(|what| fault(query, &what))
}

fn fault(query: &Query, what: &str) -> AwsError {
    AwsError::validation(format!("the expression {}: {what}", query.id))
}
