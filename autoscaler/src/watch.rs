//! What the autoscaler asks of CloudWatch, in its own words.

use std::collections::BTreeMap;

use jiff::Timestamp;
use stepfleet_activity::Catalogue;

use crate::decision::Seen;
use crate::record::AlarmRecord;

/// A call failed: nothing is known of what it would have said.
#[derive(Debug, Clone, thiserror::Error)]
#[error("CloudWatch did not answer: {why}")]
pub(crate) struct WatchError {
    pub(crate) why: String,
    /// Whether another try may fare better.
    pub(crate) again: bool,
}

/// One answer of `DescribeAlarms`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Page {
    /// Those that exist, by name.
    pub(crate) alarms: BTreeMap<String, AlarmRecord>,
    /// Where the next page begins; none after the last.
    pub(crate) next: Option<String>,
}

/// What the autoscaler asks of CloudWatch.
pub(crate) trait Watch: Send + Sync {
    /// The alarms of these names, no more than a call takes, as they are now: one
    /// call and one page, so that whoever asks can count.
    fn alarms(
        &self,
        names: &[String],
        token: Option<String>,
    ) -> impl Future<Output = Result<Page, WatchError>> + Send;
    /// The newest wait and the flow of every activity.
    fn metrics(
        &self,
        catalogue: &Catalogue,
        now: Timestamp,
    ) -> impl Future<Output = Result<BTreeMap<String, Seen>, WatchError>> + Send;
}
