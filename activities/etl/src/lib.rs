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
    Commit, LoadConfig, Notify, OnFailed, SetUpError, TriggerConfig, WatchConfig,
    conditional_delete,
};
pub use s3_load::formats::{Encoding, Header, Options};
pub use s3_load::input::{Format, LoadInput, LoadOutput};
pub use s3_load::matching::Match;
pub use s3_load::reprocess::{Fate, Reprocess, ReprocessError, Reprocessed, reprocess};
pub use s3_load::table::{TableName, TableNameError};
pub use s3_load::{Clients, S3Load};
pub use s3_plan::{PlanInput, PlanOutput, S3Plan};
pub use trigger::{EventReader, Trigger, TriggerClients};

/// The handlers of this crate, as a binary lists and checks them.
pub fn handlers() -> Vec<HandlerSpec> {
    vec![s3_load::spec(), s3_plan::spec()]
}

#[cfg(test)]
mod tests {
    use stepfleet_docs::{Table, check_table};

    #[test]
    fn the_reference_has_every_handler() {
        let handlers = crate::handlers();
        let table = Table {
            page: "docs/reference.md",
            name: "handlers",
        };
        let names = handlers.iter().map(|handler| handler.name);
        check_table(table, names).expect("the table");
    }
}
