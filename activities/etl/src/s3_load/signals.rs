//! Where the loader says what it sees: metrics to CloudWatch, notices to SNS.

use std::future::Future;

use crate::outside::Answer;
use crate::outside::sns::{self, Notice};
use crate::s3_load::metrics;

/// What waits in `incoming/`.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Unprocessed {
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    pub(crate) oldest_seconds: f64,
    /// Keys that no load takes.
    pub(crate) ignored: u64,
    /// Files that this run could not load, whether they were set aside or stay.
    pub(crate) failed: u64,
}

/// Where the loader says what it sees.
pub(crate) trait Signals: Send + Sync {
    /// Publishes what waits for a table.
    fn publish(&self, table: &str, waiting: Unprocessed)
    -> impl Future<Output = Answer<()>> + Send;
    /// Tells the subscribers of a topic.
    fn notify(&self, topic: &str, notice: &Notice) -> impl Future<Output = Answer<()>> + Send;
}

/// Both clients, on AWS.
#[derive(Debug, Clone)]
pub(crate) struct Outlets {
    pub(crate) cloudwatch: metrics::Client,
    pub(crate) sns: sns::Client,
}

impl Signals for Outlets {
    async fn publish(&self, table: &str, waiting: Unprocessed) -> Answer<()> {
        metrics::publish(&self.cloudwatch, table, waiting).await
    }

    async fn notify(&self, topic: &str, notice: &Notice) -> Answer<()> {
        sns::notify(&self.sns, topic, notice).await
    }
}
