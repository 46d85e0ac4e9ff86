//! The worker's benchmark: our whole stack against a plain aws-sdk-sfn loop, both
//! in one run, over a scripted Step Functions that answers at once.
//!
//! ```text
//! cargo build --profile plain -p stepfleet-bench-plain
//! cargo run --profile dist -p stepfleet-bench
//! ```
//!
//! Two binaries, since allocator and link-time optimisation belong to a binary.

mod measure;
mod server;
mod subject;

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};

use measure::{Cost, Subject};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(about = "Measures the worker against a plain aws-sdk-sfn loop")]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    options: Options,
}

#[derive(Subcommand)]
enum Command {
    /// Our worker, as the benchmark starts it
    #[command(hide = true)]
    Worker(subject::Arguments),
}

#[derive(Args)]
struct Options {
    /// The plain loop's binary [default: ../plain/stepfleet-bench-plain beside this one's folder]
    #[arg(long)]
    plain: Option<PathBuf>,
    /// Tasks in each run; the quicker side of a pair runs first in every second pair
    #[arg(long, default_value_t = 20_000)]
    tasks: u64,
    /// Pairs of runs, of which the median ratio is shown
    #[arg(long, default_value_t = 3)]
    pairs: usize,
}

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    match cli.command {
        Some(Command::Worker(arguments)) => subject::run(&arguments),
        None => tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?
            .block_on(bench(&cli.options)),
    }
}

async fn bench(options: &Options) -> anyhow::Result<()> {
    let own = std::env::current_exe()?;
    let plain = match &options.plain {
        Some(path) => path.clone(),
        None => own
            .parent()
            .and_then(|folder| folder.parent())
            .context("no folder")?
            .join("plain/stepfleet-bench-plain"),
    };
    anyhow::ensure!(
        plain.exists(),
        "{} is not there: cargo build --profile plain -p stepfleet-bench-plain",
        plain.display()
    );
    let ours = Subject {
        program: &own,
        first: &["worker"],
    };
    let plain = Subject {
        program: &plain,
        first: &[],
    };

    println!(
        "| slots | CPU s per 1,000 tasks | plain loop | ratio | tasks/s | plain loop | peak MiB | plain loop |"
    );
    println!("|---:|---:|---:|---:|---:|---:|---:|---:|");
    for slots in [1, 10, 100] {
        let mut pairs = Vec::new();
        for number in 0..options.pairs {
            pairs.push(pair(&ours, &plain, (slots, options.tasks), number % 2 == 1).await?);
        }
        pairs.sort_by(|a, b| ratio(a).total_cmp(&ratio(b)));
        let median = &pairs[pairs.len() / 2];
        let (a, b) = median;
        println!(
            "| {slots} | {:.3} | {:.3} | {:.2} | {:.0} | {:.0} | {:.1} | {:.1} |",
            a.cpu_per_thousand,
            b.cpu_per_thousand,
            ratio(median),
            a.tasks_per_second,
            b.tasks_per_second,
            a.peak_mib,
            b.peak_mib
        );
    }
    println!(
        "\n1,000 open polls: {:.1} MiB (plain loop: {:.1} MiB)",
        measure::open_polls(&ours, 1000).await?,
        measure::open_polls(&plain, 1000).await?
    );
    let mut starts = Vec::new();
    for _ in 0..7 {
        starts.push(measure::start_to_first_poll(&ours).await?);
    }
    starts.sort();
    println!(
        "start to first poll: {:.1} ms (median of 7)",
        starts[3].as_secs_f64() * 1000.0
    );
    Ok(())
}

async fn pair(
    ours: &Subject<'_>,
    plain: &Subject<'_>,
    (slots, tasks): (u32, u64),
    swap: bool,
) -> anyhow::Result<(Cost, Cost)> {
    if swap {
        let theirs = measure::throughput(plain, slots, tasks).await?;
        return Ok((measure::throughput(ours, slots, tasks).await?, theirs));
    }
    let first = measure::throughput(ours, slots, tasks).await?;
    Ok((first, measure::throughput(plain, slots, tasks).await?))
}

fn ratio((ours, plain): &(Cost, Cost)) -> f64 {
    ours.cpu_per_thousand / plain.cpu_per_thousand
}
