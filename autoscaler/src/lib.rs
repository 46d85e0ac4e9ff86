//! The autoscaler: from `ActivityScheduleTime` alarms to replicas.
//!
//! `observe -> fold -> decide -> record -> act`, on a tick and at once on a
//! signal. [`decision`], [`fold`], [`record`] and [`signal`] are pure: they wait
//! for nothing and call nobody.

#[cfg(test)]
mod captured;
mod cli;
mod cloudwatch;
#[cfg(test)]
mod cloudwatch_tests;
mod cluster;
mod config;
pub mod decision;
#[cfg(test)]
mod fake_aws;
pub mod fold;
mod http;
mod inbox;
#[cfg(test)]
mod inbox_tests;
mod lease;
mod metrics;
mod queue;
#[cfg(test)]
mod queue_tests;
pub mod record;
mod run;
#[cfg(test)]
mod run_tests;
mod scale;
#[cfg(test)]
mod scale_tests;
pub mod signal;
mod sns;
mod time;

pub use cli::main;
