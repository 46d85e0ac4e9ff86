//! Datapoints: put, and asked for.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::CloudWatch;
use super::data::Queries;
use super::requests::{GetData, GetStatistics, ListMetrics, PutData, ScanBy, time};
use super::store::{MetricId, Range, floor};
use crate::AwsError;

/// Queries of one `GetMetricData`.
const MOST_QUERIES: usize = 500;
/// Datapoints of one of its answers.
const MOST_DATAPOINTS: usize = 100_800;
/// Datapoints of one `GetMetricStatistics`.
const MOST_STATISTICS: i64 = 1_440;
/// Metrics on a page of `ListMetrics`.
const LIST_PAGE: usize = 500;

impl CloudWatch {
    pub(super) fn put_data(&self, input: PutData) -> Result<Value, AwsError> {
        if input.namespace.starts_with("AWS/") {
            return Err(AwsError::new(
                "InvalidParameterValue",
                format!(
                    "the namespace {} is AWS's own: take another",
                    input.namespace
                ),
            ));
        }
        let now = self.context.clock.now();
        // All or nothing, as on AWS.
        let mut points = Vec::new();
        for datum in input.metric_data {
            let at = datum.timestamp.map_or(Ok(now), time)?;
            let resolution = match datum.storage_resolution {
                Some(1) => 1,
                None | Some(60) => 60,
                Some(other) => {
                    return Err(AwsError::new(
                        "InvalidParameterValue",
                        format!("StorageResolution is 1 or 60, not {other}"),
                    ));
                }
            };
            let summaries = datum.summaries()?;
            let metric = MetricId {
                namespace: input.namespace.clone(),
                metric_name: datum.metric_name,
                dimensions: datum.dimensions,
            };
            let slot = floor(at.as_second(), resolution);
            points.push(((metric, datum.unit), slot, summaries));
        }
        let store = &mut self.lock().store;
        for ((metric, unit), slot, summaries) in points {
            for summary in summaries {
                store.put(&metric, slot, summary);
            }
            store.set_unit(&metric, unit.as_deref().unwrap_or("None"));
        }
        Ok(json!({}))
    }

    pub(super) fn get_data(&self, input: &GetData) -> Result<Value, AwsError> {
        let queries = &input.metric_data_queries;
        if queries.len() > MOST_QUERIES {
            return Err(AwsError::validation(format!(
                "at most {MOST_QUERIES} queries, not {}",
                queries.len()
            )));
        }
        let (start, end) = (time(input.start_time)?, time(input.end_time)?);
        if start >= end {
            return Err(AwsError::validation("StartTime is before EndTime"));
        }
        let now = self.context.clock.now();
        let inner = self.lock();
        let checked = Queries::new(queries, &inner.store)?;
        let mut page = Page::new(input)?;
        let mut results = Vec::new();
        for query in queries.iter().filter(|query| query.returns()) {
            let own = query.metric_stat.as_ref().map(|stat| stat.period);
            let period = own.or(query.period).unwrap_or(checked.period);
            let range = Range {
                start: floor(start.as_second(), period),
                // A period that has begun before the end is in it.
                end: floor(end.as_second() + period - 1, period),
                period,
            };
            let series = checked.series(query, (&inner.store, now), range)?;
            let mut points: Vec<(i64, f64)> = series.into_iter().collect();
            if input.scan_by == ScanBy::TimestampDescending {
                points.reverse();
            }
            let (points, complete) = page.take(points);
            let (times, values): (Vec<i64>, Vec<f64>) = points.into_iter().unzip();
            results.push(json!({
                "Id": query.id, "Label": query.label(),
                "StatusCode": if complete { "Complete" } else { "PartialData" },
                "Timestamps": times, "Values": values,
            }));
        }
        let mut output = json!({"MetricDataResults": results, "Messages": []});
        if let Some(next) = page.next() {
            output["NextToken"] = next.to_string().into();
        }
        Ok(output)
    }

    pub(super) fn statistics(&self, input: &GetStatistics) -> Result<Value, AwsError> {
        let (start, end) = (time(input.start_time)?, time(input.end_time)?);
        let metric = MetricId {
            namespace: input.namespace.clone(),
            metric_name: input.metric_name.clone(),
            dimensions: input.dimensions.clone(),
        };
        let inner = self.lock();
        inner.store.check_period(&metric, input.period)?;
        check_statistics(input, (start, end))?;
        let period = input.period;
        let range = Range {
            start: floor(start.as_second(), period),
            end: floor(end.as_second() + period - 1, period),
            period,
        };
        let unit = inner.store.unit(&metric);
        let of_unit = input.unit.as_ref().is_none_or(|wanted| wanted == unit);
        let now = self.context.clock.now();
        let periods = inner.store.summaries(&metric, range, now);
        let points = periods
            .into_iter()
            .filter(|_| of_unit)
            .map(|(at, summary)| {
                let mut point = json!({"Timestamp": at, "Unit": unit});
                for statistic in &input.statistics {
                    point[statistic.to_string()] = json!(summary.get(*statistic));
                }
                let extended = input.extended_statistics.iter();
                let extended: Map<String, Value> = extended
                    .filter_map(|one| Some((one.to_string(), json!(summary.get(*one)?))))
                    .collect();
                if !extended.is_empty() {
                    point["ExtendedStatistics"] = extended.into();
                }
                point
            });
        let points: Vec<Value> = points.collect();
        Ok(json!({"Label": input.metric_name, "Datapoints": points}))
    }

    pub(super) fn list_metrics(&self, input: &ListMetrics) -> Result<Value, AwsError> {
        let recent = match input.recently_active.as_deref() {
            None => None,
            Some("PT3H") => Some(self.context.clock.now().as_second() - 3 * 3_600),
            Some(other) => {
                return Err(AwsError::new(
                    "InvalidParameterValue",
                    format!("RecentlyActive is PT3H, not {other}"),
                ));
            }
        };
        let after = input.next_token.as_deref().map(resume).transpose()?;
        let inner = self.lock();
        let mut found = inner.store.metrics().filter(|(metric, last)| {
            let is = |wanted: &Option<String>, name: &str| {
                wanted.as_ref().is_none_or(|wanted| wanted == name)
            };
            let mut wanted = input.dimensions.iter();
            is(&input.namespace, &metric.namespace)
                && is(&input.metric_name, &metric.metric_name)
                && wanted.all(|wanted| metric.dimensions.iter().any(|one| wanted.is_of(one)))
                && recent.is_none_or(|recent| *last >= recent)
                && after.as_ref().is_none_or(|after| *metric > after)
        });
        let page: Vec<&MetricId> = found.by_ref().take(LIST_PAGE).map(|(id, _)| id).collect();
        let mut output = json!({"Metrics": page});
        if found.next().is_some()
            && let Some(last) = page.last()
        {
            let token = serde_json::to_vec(last).unwrap_or_default();
            output["NextToken"] = URL_SAFE_NO_PAD.encode(token).into();
        }
        Ok(output)
    }
}

/// How far an answer with many datapoints goes: a place among all of them.
struct Page {
    /// Those before are told already.
    from: usize,
    most: usize,
    /// How many were seen, and how many of them told.
    seen: usize,
    told: usize,
}

impl Page {
    fn new(input: &GetData) -> Result<Self, AwsError> {
        let most = input.max_datapoints.unwrap_or(MOST_DATAPOINTS);
        if !(1..=MOST_DATAPOINTS).contains(&most) {
            return Err(AwsError::validation(format!(
                "MaxDatapoints is 1 to {MOST_DATAPOINTS}, not {most}"
            )));
        }
        let from = input.next_token.as_deref().map(str::parse).transpose();
        let from = from.map_err(|_| {
            AwsError::new(
                "InvalidNextToken",
                "the NextToken is not one of GetMetricData",
            )
        })?;
        Ok(Self {
            from: from.unwrap_or(0),
            most,
            seen: 0,
            told: 0,
        })
    }

    /// Those of a result that are on this page, and whether they are its last.
    fn take(&mut self, points: Vec<(i64, f64)>) -> (Vec<(i64, f64)>, bool) {
        let skipped = self.from.saturating_sub(self.seen).min(points.len());
        let room = (self.most - self.told).min(points.len() - skipped);
        let complete = skipped + room == points.len();
        self.seen += points.len();
        self.told += room;
        let told = points.into_iter().skip(skipped).take(room).collect();
        (told, complete)
    }

    fn next(&self) -> Option<usize> {
        let next = self.from + self.told;
        (next < self.seen).then_some(next)
    }
}

fn check_statistics(
    input: &GetStatistics,
    (start, end): (Timestamp, Timestamp),
) -> Result<(), AwsError> {
    let wrong = |what: &str| Err(AwsError::new("InvalidParameterCombination", what));
    let plain = input.statistics.iter().all(|one| !one.is_extended());
    let extended = input
        .extended_statistics
        .iter()
        .all(|one| one.is_extended());
    if input.statistics.is_empty() && input.extended_statistics.is_empty() {
        return wrong("Must specify either Statistics or ExtendedStatistics");
    }
    if !plain || !extended {
        return wrong("percentiles are ExtendedStatistics, all else are Statistics");
    }
    if start >= end {
        return wrong("StartTime is before EndTime");
    }
    let asked = (end.as_second() - start.as_second()) / input.period;
    if asked > MOST_STATISTICS {
        return wrong(&format!(
            "You have requested up to {asked} datapoints, which exceeds the limit of \
             {MOST_STATISTICS}. Use a larger Period or a shorter time."
        ));
    }
    Ok(())
}

fn resume(token: &str) -> Result<MetricId, AwsError> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok();
    bytes
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .ok_or_else(|| {
            AwsError::new(
                "InvalidNextToken",
                "the NextToken is not one of ListMetrics",
            )
        })
}
