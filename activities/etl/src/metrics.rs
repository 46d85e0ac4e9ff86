//! The loader's metrics on CloudWatch: the only file that names its SDK.

use aws_sdk_cloudwatch::types::{Dimension, MetricDatum, StandardUnit};

use crate::call::failed;
use crate::outside::{Answer, Metrics, Unprocessed};

/// The CloudWatch client that the loader is given.
pub(crate) type Client = aws_sdk_cloudwatch::Client;

impl Metrics for Client {
    #[expect(
        clippy::cast_precision_loss,
        reason = "CloudWatch's values are doubles"
    )]
    async fn publish(&self, table: &str, waiting: Unprocessed) -> Answer<()> {
        let dimension = Dimension::builder().name("Table").value(table).build();
        let datum = |name, unit, value| {
            MetricDatum::builder()
                .metric_name(name)
                .dimensions(dimension.clone())
                .unit(unit)
                .value(value)
                .build()
        };
        self.put_metric_data()
            .namespace("stepfleet")
            .metric_data(datum(
                "UnprocessedFiles",
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
}
