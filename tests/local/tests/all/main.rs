//! Everything that is tested from outside, in one binary: it is linked once.

#![allow(
    clippy::unwrap_used,
    reason = "what a test's helper unwraps fails the test"
)]

mod cluster;
mod s3;
mod signals;
