//! `etl-worker`: runs the ETL activities of a catalogue.

mod app;
mod reprocess;
mod trigger;

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    stepfleet_worker::cli::main(app::Etl).await
}
