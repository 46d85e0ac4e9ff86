//! Who may speak at the ports: strangers on the same machine, and web pages that
//! somebody there looks at, may not.
//!
//! Every port is served by `port::serve`, which asks [`Hosts`] before anything
//! else sees a request: no port can be forgotten.

mod control;
mod hosts;
pub(crate) mod port;
mod token;

pub(crate) use control::{file, guard, keep};
pub use hosts::Hosts;
pub use token::Token;
