//! What an activity is: the task, its token, its errors, the catalogue
//! (`fleet.yaml`) that tunes it, and a clock that tells the time.
//!
//! This crate knows no AWS crate and no async runtime, so that everything which
//! can be decided without them is decided, and tested, without them.

pub mod alarm;
pub mod catalogue;
pub mod clock;
mod envelope;
mod error;
mod handler;
pub mod signals;
mod task;

pub use catalogue::Catalogue;
pub use clock::{Clock, SystemClock, VirtualClock};
pub use envelope::{Attempt, Envelope, EnvelopeError};
pub use error::{ActivityError, Area, Class, names};
pub use handler::{CancelSafety, ConfigFault, HandlerSpec};
pub use serde_json::value::RawValue;
pub use task::{ActivityTask, Output, Progress, TaskContext, TaskToken};
