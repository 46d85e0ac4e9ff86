//! The binary `stepfleet-local`.

use std::process::ExitCode;

use stepfleet_local::cli;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    cli::run(std::env::args_os()).await
}
