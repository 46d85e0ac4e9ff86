//! `etl.s3-load`: the files of an S3 prefix come into a table, each exactly once.
//!
//! The way of a file, and the module of each step:
//!
//! 1. `loader` takes the prefix's `lease`, lists `incoming/` and asks the ledger:
//!    `matching` says what is a file, `split` what of it is loaded already.
//! 2. `select` says which files are next, `grouping` which of them are packed
//!    alike (`codec`) and `forms` which have one header; a `batch` of them has a name that follows from them.
//! 3. `commit` brings a batch into `redshift`, or `one_by_one` a file into
//!    `postgres`: rows and ledger in one transaction. `cancel` ends what nobody
//!    waits for any more.
//! 4. `isolate` finds the files that stop a batch; `judge` says whose fault it is,
//!    by what was loaded and what has failed `alike`. Who is not at fault stays,
//!    and `suspects` tells the next run to begin with others.
//! 5. `finish` verifies, and moves to `processed/`; `failed` moves to `failed/`,
//!    from where `reprocess` brings files back. `keys` names their places.
//!
//! What is asked of the outside is `warehouse` and `signals`; what users say is
//! `config`, `input`, `formats`, `table` and `column`.

use stepfleet_activity::{CancelSafety, HandlerSpec};

mod alike;
pub(crate) mod batch;
mod cancel;
pub(crate) mod codec;
pub(crate) mod column;
mod commit;
pub(crate) mod config;
mod failed;
mod finish;
pub(crate) mod formats;
mod forms;
mod grouping;
mod handler;
pub(crate) mod input;
mod isolate;
mod judge;
pub(crate) mod keys;
pub(crate) mod lease;
mod load;
pub(crate) mod loader;
pub(crate) mod matching;
pub(crate) mod metrics;
mod names;
mod one_by_one;
pub(crate) mod postgres;
pub(crate) mod redshift;
pub(crate) mod reprocess;
pub(crate) mod select;
pub(crate) mod signals;
mod split;
mod suspects;
pub(crate) mod table;
pub(crate) mod warehouse;

pub use handler::{Clients, S3Load};

/// The handler's name.
pub(crate) const HANDLER: &str = "etl.s3-load";

/// The handler, as a binary lists and checks it.
pub(crate) fn spec() -> HandlerSpec {
    HandlerSpec {
        name: HANDLER,
        summary: "Loads the files of an S3 prefix into a table of Redshift or PostgreSQL, each exactly once",
        cancel: CancelSafety::CancelSafe,
        config_schema: config::schema,
        input_schema: input::schema,
        check_config: config::check,
    }
}
