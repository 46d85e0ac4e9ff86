//! Runs AWS Step Functions activities: polling, heartbeats, timeouts, reports,
//! draining and metrics round a [`tower::Service`] of tasks.
//!
//! A slot is held before a poll and until its report is accepted, so a task
//! never waits inside the worker. An open poll is never cancelled: a token that
//! a dropped poll would have returned is lost until its timeout.
//!
//! ```no_run
//! use stepfleet_worker::{ActivityError, TaskContext, Worker, handler_fn};
//!
//! #[derive(serde::Deserialize)]
//! struct Greeting { name: String }
//!
//! #[tokio::main(flavor = "current_thread")]
//! async fn main() -> Result<(), stepfleet_worker::RunError> {
//!     let greet = handler_fn(|input: Greeting, _context: TaskContext| async move {
//!         Ok::<_, ActivityError>(format!("hello {}", input.name))
//!     });
//!     Worker::builder()
//!         .activity("arn:aws:states:eu-west-1:123456789012:activity:greet", greet)
//!         .run()
//!         .await?;
//!     Ok(())
//! }
//! ```

mod aws;
mod backoff;
pub mod cli;
mod handler;
mod http;
mod lane;
mod meters;
mod options;
mod output;
mod output_s3;
mod poller;
mod runtime;
mod sfn;
mod shutdown;
mod signals;
mod stack;
#[cfg(test)]
mod tests;
mod trouble;
mod worker;

pub use handler::{HandlerFn, handler_fn};
pub use http::{ActivityLoad, Load};
pub use options::ActivityOptions;
pub use output::OutputStore;
pub use output_s3::S3Outputs;
pub use sfn::{AwsStepFunctions, BoxError, CallError, RawTask, Recovery, StepFunctions};
pub use shutdown::ShutdownHandle;
pub use stepfleet_activity::{
    ActivityError, ActivityTask, Area, CancelSafety, Output, RawValue, TaskContext, TaskToken,
};
pub use worker::{Exit, RunError, Worker, WorkerBuilder};
