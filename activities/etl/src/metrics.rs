//! The loader's metrics on CloudWatch: the only file that names its SDK.

use aws_sdk_cloudwatch::types::{Dimension, MetricDatum, StandardUnit};

use crate::call::failed;
use crate::outside::{Answer, Unprocessed};

/// The namespace of the loader's metrics.
const NAMESPACE: &str = "stepfleet";
/// How many files wait in `incoming/`.
const UNPROCESSED_FILES: &str = "UnprocessedFiles";

/// The CloudWatch client that the loader is given.
pub(crate) type Client = aws_sdk_cloudwatch::Client;

/// Publishes what waits for a table.
#[expect(
    clippy::cast_precision_loss,
    reason = "CloudWatch's values are doubles"
)]
pub(crate) async fn publish(client: &Client, table: &str, waiting: Unprocessed) -> Answer<()> {
    let dimension = Dimension::builder().name("Table").value(table).build();
    let datum = |name, unit, value| {
        MetricDatum::builder()
            .metric_name(name)
            .dimensions(dimension.clone())
            .unit(unit)
            .value(value)
            .build()
    };
    client
        .put_metric_data()
        .namespace(NAMESPACE)
        .metric_data(datum(
            UNPROCESSED_FILES,
            StandardUnit::Count,
            waiting.files as f64,
        ))
        .metric_data(datum(
            "UnprocessedBytes",
            StandardUnit::Bytes,
            waiting.bytes as f64,
        ))
        .metric_data(datum(
            "OldestAgeSeconds",
            StandardUnit::Seconds,
            waiting.oldest_seconds,
        ))
        .send()
        .await
        .map(drop)
        .map_err(|error| failed("publish the metrics of unprocessed files", &error))
}
