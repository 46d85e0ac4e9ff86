//! End-to-end scenarios: the real binaries, and one machine's AWS between them.
//! How they are run: the documentation of the crate, `src/lib.rs`.

mod alarm;
mod arrivals;
mod closed_loop;
mod crash;
mod drain;
mod duplicate;
mod fleet;
mod gate;
mod notices;
mod procedure;
mod process;
mod proxy;
mod refusals;
mod standing;
mod succession;
mod target;
mod together;
mod watch;
mod wire;
mod world;

/// Held by a scenario that keeps the whole machine busy: two of them at once
/// would measure each other's load.
static MACHINE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
