//! The loader's benchmark, over a scripted S3 and Data API:
//!
//! ```text
//! cargo run --profile dist -p stepfleet-etl-bench
//! ```
//!
//! - It lists, plans and writes the manifest of a bucket with 100,000 files, as a
//!   process of its own whose processor time and memory are held against a limit.
//! - It moves 1,000 loaded files, against a plain loop of SDK copies and deletes;
//!   every request takes as long as `--latency` says.

mod server;
mod subject;

use std::process::{ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use clap::{Args, Parser, Subcommand, ValueEnum};
use serde_json::Value;
use tokio::process::Command;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(about = "Measures the loader's planning and moving")]
struct Cli {
    #[command(subcommand)]
    role: Option<Role>,
    #[command(flatten)]
    options: Options,
}

#[derive(Subcommand)]
enum Role {
    /// What is measured, as the benchmark starts it
    #[command(hide = true)]
    Subject {
        what: What,
        endpoint: String,
        files: usize,
    },
}

/// What a process of its own does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum What {
    /// Our loader: up to the submission of a batch.
    Plan,
    /// Our loader: moves what is in the ledger.
    Move,
    /// One copy and one delete after another.
    Plain,
}

#[derive(Args)]
struct Options {
    /// Files in the bucket that is planned
    #[arg(long, default_value_t = 100_000)]
    files: usize,
    /// Files that are moved
    #[arg(long, default_value_t = 1_000)]
    moves: usize,
    /// How long S3 takes for a copy or a delete, in milliseconds
    #[arg(long, default_value_t = 20)]
    latency: u64,
    /// The most processor time that planning may take, in seconds
    #[arg(long, default_value_t = 2.0)]
    cpu: f64,
    /// The most memory that planning may take, in MB
    #[arg(long, default_value_t = 100.0)]
    memory: f64,
}

/// What a subject says of itself.
struct Cost {
    cpu: f64,
    wall: f64,
    megabytes: f64,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> anyhow::Result<ExitCode> {
    let cli = Cli::parse();
    match cli.role {
        Some(Role::Subject {
            what,
            endpoint,
            files,
        }) => {
            println!("{}", subject::run(what, &endpoint, files).await?);
            Ok(ExitCode::SUCCESS)
        }
        None => measure(&cli.options).await,
    }
}

async fn measure(options: &Options) -> anyhow::Result<ExitCode> {
    let latency = Duration::from_millis(options.latency);
    let plan = cost(What::Plan, options.files, Duration::ZERO).await?;
    println!(
        "list, plan and manifest of {} files: {:.2} s of CPU, {:.0} MB at the most, {:.2} s",
        options.files, plan.cpu, plan.megabytes, plan.wall
    );
    let plain = cost(What::Plain, options.moves, latency).await?;
    let ours = cost(What::Move, options.moves, latency).await?;
    println!(
        "moves of {} files at {} ms a request: {:.2} s, a plain loop {:.2} s, ratio {:.2}",
        options.moves,
        options.latency,
        ours.wall,
        plain.wall,
        ours.wall / plain.wall
    );
    let within = plan.cpu <= options.cpu && plan.megabytes <= options.memory;
    if !within {
        eprintln!(
            "planning is over {} s or {} MB",
            options.cpu, options.memory
        );
    }
    Ok(ExitCode::from(u8::from(!within)))
}

async fn cost(what: What, files: usize, latency: Duration) -> anyhow::Result<Cost> {
    let endpoint = server::start(what, files, latency).await?;
    let own = std::env::current_exe()?;
    let name = format!("{what:?}").to_lowercase();
    let output = Command::new(own)
        .args(["subject", &name, &endpoint, &files.to_string()])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .await?;
    ensure!(output.status.success(), "{name} has failed");
    let said: Value = serde_json::from_slice(&output.stdout).context("what it cost")?;
    let number = |field: &str| said[field].as_f64().context("a number");
    Ok(Cost {
        cpu: number("cpu")?,
        wall: number("wall")?,
        megabytes: number("megabytes")?,
    })
}
