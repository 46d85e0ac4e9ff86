//! ETL activities: the S3 loader, with the bucket as its queue and a ledger in
//! the warehouse that makes each file's rows appear exactly once.

mod batch;
mod call;
mod cancel;
mod column;
mod commit;
mod config;
mod failed;
mod finish;
mod formats;
mod forms;
mod input;
mod isolate;
mod keys;
mod lease;
mod load;
mod metrics;
mod one_by_one;
mod outside;
mod parts;
mod plan;
mod plan_loads;
mod postgres;
mod redshift;
mod reprocess;
mod rows;
mod s3;
mod secrets;
pub mod setup;
mod signals;
mod sns;
mod sql;
mod states;
mod table;
#[cfg(test)]
mod testing;
mod trigger;

use stepfleet_activity::{CancelSafety, HandlerSpec};

pub use column::{ColumnName, ColumnNameError};
pub use config::{Commit, LoadConfig, Notify, SetUpError, TriggerConfig, WatchConfig};
pub use formats::{Encoding, Header, Options};
pub use input::{Format, LoadInput, LoadOutput};
pub use load::{Clients, S3Load};
pub use plan_loads::{PlanInput, PlanOutput, S3Plan};
pub use reprocess::{Fate, Reprocess, ReprocessError, Reprocessed, reprocess};
pub use table::{TableName, TableNameError};
pub use trigger::{Trigger, TriggerClients};

/// The handlers of this crate, as a binary lists and checks them.
pub fn handlers() -> Vec<HandlerSpec> {
    let load = HandlerSpec {
        name: setup::S3_LOAD_HANDLER,
        summary: "Loads the files of an S3 prefix into a table of Redshift or PostgreSQL, each exactly once",
        cancel: CancelSafety::CancelSafe,
        config_schema: config::schema,
        input_schema: input::schema,
        check_config: config::check,
    };
    let plan = HandlerSpec {
        name: setup::S3_PLAN_HANDLER,
        summary: "Says for which of a loader's loads something waits, so that a Map runs these",
        cancel: CancelSafety::CancelSafe,
        config_schema: plan_loads::config_schema,
        input_schema: plan_loads::input_schema,
        check_config: plan_loads::check,
    };
    vec![load, plan]
}
