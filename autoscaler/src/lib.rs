//! The autoscaler: from `ActivityScheduleTime` alarms to replicas.
//!
//! `observe -> fold -> decide -> record -> act`, on a tick and at once on a
//! signal. [`decision`], [`fold`], [`record`] and [`signal`] are pure: they wait
//! for nothing and call nobody.

mod cli;
mod cloudwatch;
mod cluster;
mod config;
pub mod decision;
pub mod fold;
mod http;
mod inbox;
mod lease;
mod metrics;
mod queue;
pub mod record;
mod run;
mod scale;
#[cfg(test)]
mod scale_tests;
pub mod signal;
mod time;

pub use cli::main;
