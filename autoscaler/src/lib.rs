//! The autoscaler: from `ActivityScheduleTime` alarms to replicas.
//!
//! `ask -> observe -> decide -> record -> act`, on a tick and at once on a
//! signal that CloudWatch confirms. [`decision`], [`levels`], [`record`] and
//! [`signal`] are pure: they wait for nothing and call nobody. What strangers'
//! bytes reach first is [`signal::parse_bytes`] and [`sns::inspect`].

mod alarms;
#[cfg(test)]
mod captured;
mod cli;
mod cloudwatch;
#[cfg(test)]
mod cloudwatch_tests;
mod cluster;
mod config;
pub mod decision;
mod describe;
#[cfg(test)]
mod fake_aws;
mod http;
mod inbox;
#[cfg(test)]
mod inbox_tests;
mod lease;
pub mod levels;
mod metrics;
mod poller;
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
pub mod sns;
mod time;
mod watch;

pub use cli::main;
