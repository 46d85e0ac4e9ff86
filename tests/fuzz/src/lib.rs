//! Input that strangers choose: each [`Target`] reads some, and must neither panic
//! nor take more memory than its size allows, whatever it is.
//!
//! `cargo test -p stepfleet-fuzz` runs a few thousand inputs a target, the same
//! ones each time: the samples in `corpus/`, and mutations of them. Whatever was
//! found once is a sample there.

pub mod corpus;
pub mod mutate;
mod targets;

pub use targets::{TARGETS, Target};
