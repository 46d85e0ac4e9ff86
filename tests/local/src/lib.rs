//! AWS and a small cluster on one machine, in one process, on loopback.
//!
//! One port speaks for all AWS services, one for the Kubernetes API. Each
//! service is a module of its own over a shared [`Context`]; [`server`] routes
//! to them. It is for demonstration and tests, and it ends where AWS begins:
//! what is not here is refused by name, never ignored.

pub mod accounts;
pub mod cli;
pub mod cloudwatch;
pub mod cluster;
pub mod context;
pub mod demo;
pub mod door;
pub mod error;
pub mod faults;
pub mod page;
pub mod redshift;
pub mod s3;
pub mod secrets;
pub mod serve;
pub mod server;
pub mod sfn;
pub mod sns;
pub mod sqs;
pub mod sts;
pub mod timers;

pub use context::Context;
pub use error::AwsError;
