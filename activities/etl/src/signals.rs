//! Where the loader says what it sees, on AWS: metrics to CloudWatch, notices to SNS.

use crate::outside::{Answer, Notice, Signals, Unprocessed};
use crate::{metrics, sns};

/// Both clients.
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
