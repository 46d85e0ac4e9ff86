//! ETL activities: the S3 loader, with the bucket as its queue and a ledger in
//! the warehouse that makes each file's rows appear exactly once.

mod outside;
mod s3_load;
mod s3_plan;
pub mod setup;
#[cfg(test)]
mod testing;
mod trigger;

use stepfleet_activity::HandlerSpec;

pub use outside::deleting::ConditionalDelete;
pub use s3_load::codec::{Compression, Gzip};
pub use s3_load::column::{ColumnName, ColumnNameError};
pub use s3_load::config::{
    Commit, LoadConfig, Notify, SetUpError, TriggerConfig, WatchConfig, conditional_delete,
};
pub use s3_load::formats::{Encoding, Header, Options};
pub use s3_load::input::{Format, LoadInput, LoadOutput};
pub use s3_load::matching::Match;
pub use s3_load::reprocess::{Fate, Reprocess, ReprocessError, Reprocessed, reprocess};
pub use s3_load::table::{TableName, TableNameError};
pub use s3_load::{Clients, S3Load};
pub use s3_plan::{PlanInput, PlanOutput, S3Plan};
pub use trigger::{Trigger, TriggerClients};

/// The handlers of this crate, as a binary lists and checks them.
pub fn handlers() -> Vec<HandlerSpec> {
    vec![s3_load::spec(), s3_plan::spec()]
}
