//! ETL activities: the S3 loader, with the bucket as its queue and a ledger in
//! the warehouse that makes each file's rows appear exactly once.

mod batch;
mod call;
mod cancel;
mod commit;
mod config;
mod failed;
mod finish;
mod input;
mod isolate;
mod lease;
mod load;
mod metrics;
mod outside;
mod parts;
mod plan;
mod redshift;
mod reprocess;
mod s3;
pub mod setup;
mod signals;
mod sns;
mod sql;
mod states;
#[cfg(test)]
mod testing;

use stepfleet_activity::{CancelSafety, HandlerSpec};

pub use config::{Commit, LoadConfig, Notify, SetUpError};
pub use input::{Format, LoadInput, LoadOutput};
pub use load::{Clients, S3Load};
pub use reprocess::{Fate, Reprocess, ReprocessError, Reprocessed, reprocess};

/// The handlers of this crate, as a binary lists and checks them.
pub fn handlers() -> Vec<HandlerSpec> {
    vec![HandlerSpec {
        name: "etl.s3-load",
        summary: "Loads the files of an S3 prefix into a Redshift table, each exactly once",
        cancel: CancelSafety::CancelSafe,
        config_schema: config::schema,
        input_schema: input::schema,
        check_config: config::check,
    }]
}
