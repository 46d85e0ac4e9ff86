//! The catalogue: `fleet.yaml`, the one file that people tune.
//!
//! Reading it gives checked types or every fault; a [`Catalogue`] in hand is
//! proof that it was checked.

mod types;

pub use types::*;
