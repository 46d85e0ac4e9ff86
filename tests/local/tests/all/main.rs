//! Everything that is tested from outside, in one binary: it is linked once.

#![allow(
    clippy::unwrap_used,
    reason = "what a test's helper unwraps fails the test"
)]

mod aws;
mod binary;
mod clock;
mod cluster;
mod data_api;
mod delivery;
mod doors;
mod faults;
mod program;
mod queues;
mod s3;
mod secrets;
mod serve;
mod sfn;
mod signals;
mod strange;
