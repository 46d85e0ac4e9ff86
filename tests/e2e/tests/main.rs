//! End-to-end scenarios: the real binaries, and one machine's AWS between them.
//! How they are run: the documentation of the crate, `src/lib.rs`.

mod alarm;
mod arrivals;
mod closed_loop;
mod crash;
mod docs;
mod drain;
mod duplicate;
mod fleet;
mod gate;
mod notices;
mod procedure;
mod process;
mod proxy;
mod queue;
mod refusals;
mod shape;
mod spelling;
mod standing;
mod succession;
mod target;
mod together;
mod watch;
mod wire;
mod world;

/// Written by a scenario that is about how long things take, and read by those that
/// keep the whole machine busy: it would measure their load.
static MACHINE: tokio::sync::RwLock<()> = tokio::sync::RwLock::const_new(());
