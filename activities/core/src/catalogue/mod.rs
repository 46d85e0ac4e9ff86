//! The catalogue: `fleet.yaml`, the one file that people tune.
//!
//! Reading it gives checked types or every fault; a [`Catalogue`] in hand is
//! proof that it was checked.

mod check;
mod config;
mod delivery;
mod fault;
mod from_tree;
mod handlers;
mod print;
mod raw;
mod read;
mod tree;
mod types;

pub use config::{not_one_of, read_config};
pub use delivery::Delivery;
pub use fault::{Fault, Faults};
pub use raw::schema;
pub use read::{ReadOptions, parse, parse_all, read, read_all};
pub use types::*;
