//! stepfleet-local's benchmark: does one core hold 1,000 open polls and 2,000
//! tasks a second, in under 200 MB?
//!
//! ```text
//! cargo build --profile dist -p stepfleet-local -p stepfleet-local-bench
//! target/dist/stepfleet-local-bench
//! ```
//!
//! The server is a process of its own on core 0 (by `taskset`), spoken to over
//! HTTP. A task is an execution of one Task state: StartExecution,
//! GetActivityTask, SendTaskSuccess. Every execution and its history are kept,
//! as by AWS: memory grows with the tasks, and the table says by how much.

mod client;
mod load;
mod server;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Parser;

use load::Load;
use server::Server;

/// What is asked of one core.
const TASKS_PER_SECOND: f64 = 2_000.0;
const MEBIBYTES: f64 = 200.0;

#[derive(Parser)]
#[command(about = "Measures stepfleet-local on one core")]
struct Options {
    /// The binary [default: stepfleet-local beside this one]
    #[arg(long)]
    server: Option<PathBuf>,
    /// Polls that are held open on an activity without tasks
    #[arg(long, default_value_t = 1_000)]
    polls: usize,
    /// Tasks in each run
    #[arg(long, default_value_t = 20_000)]
    tasks: u64,
    /// Runs, each with a server of its own; the median is shown
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Workers, and as many connections, that take and report the tasks
    #[arg(long, default_value_t = 40)]
    workers: usize,
}

/// What one run measured.
struct Measured {
    per_second: f64,
    cpu_per_thousand: f64,
    idle_mib: f64,
    peak_mib: f64,
    pinned: bool,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?
        .block_on(bench(&options))
}

async fn bench(options: &Options) -> anyhow::Result<()> {
    let beside = std::env::current_exe()?.with_file_name("stepfleet-local");
    let program = options.server.clone().unwrap_or(beside);
    anyhow::ensure!(
        program.exists(),
        "{} is not there: build it with -p stepfleet-local, or name it with --server",
        program.display()
    );
    let mut runs = Vec::new();
    for number in 0..options.runs.max(1) {
        runs.push(run(options, (&program, number)).await?);
    }
    runs.sort_by(|a, b| a.per_second.total_cmp(&b.per_second));
    show(options, &runs[runs.len() / 2]);
    Ok(())
}

fn show(options: &Options, median: &Measured) {
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    let (tasks, polls) = (options.tasks as f64, options.polls as f64);
    let possible = 1000.0 / median.cpu_per_thousand;
    let where_ = if median.pinned {
        "one core"
    } else {
        "all cores: there is no taskset"
    };
    println!(
        "{polls} polls held open, {tasks} tasks, {where_}, median of {} runs\n",
        options.runs
    );
    println!("| | measured | asked for | ratio |");
    println!("|---|---:|---:|---:|");
    println!(
        "| tasks/s by the clock | {:.0} | {TASKS_PER_SECOND:.0} | {:.2} |",
        median.per_second,
        median.per_second / TASKS_PER_SECOND
    );
    println!(
        "| tasks per second of the server's CPU | {possible:.0} | {TASKS_PER_SECOND:.0} | {:.2} |",
        possible / TASKS_PER_SECOND
    );
    println!(
        "| peak MiB | {:.0} | {MEBIBYTES:.0} | {:.2} |",
        median.peak_mib,
        median.peak_mib / MEBIBYTES
    );
    println!(
        "\nbefore the tasks: {:.0} MiB; each task kept: {:.1} KiB",
        median.idle_mib,
        (median.peak_mib - median.idle_mib) * 1024.0 / tasks
    );
}

async fn run(options: &Options, (program, number): (&Path, usize)) -> anyhow::Result<Measured> {
    let server = Server::start(program, number).await?;
    let load = Load::prepare(&server.address, options.polls).await?;
    let (idle_mib, cpu) = (server.mebibytes("VmRSS:")?, server.cpu_seconds()?);
    let seconds = load.run(options.workers, options.tasks).await?;
    let cpu = server.cpu_seconds()? - cpu;
    load.still_open().await.context("after the run")?;
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    let tasks = options.tasks as f64;
    Ok(Measured {
        per_second: tasks / seconds,
        cpu_per_thousand: cpu * 1000.0 / tasks,
        idle_mib,
        peak_mib: server.mebibytes("VmHWM:")?,
        pinned: server.pinned,
    })
}
