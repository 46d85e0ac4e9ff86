//! The demonstration: files land in S3, the real worker and autoscaler binaries
//! load them exactly once, and the fleet grows and shrinks by itself.

mod arrivals;
mod build;
mod replay;
mod show;
mod world;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use clap::Args;

use arrivals::Arrivals;
use world::World;

/// What `stepfleet-local demo` takes.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// CSV files of your own instead of the trace; all with one header
    #[arg(long, value_name = "FOLDER")]
    input: Option<PathBuf>,
    /// Tables that the rows are dealt over
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=200))]
    tables: u32,
    /// An execution starts for each table every so often
    #[arg(long, default_value = "5s", value_parser = humantime::parse_duration)]
    every: Duration,
    /// For how long files arrive
    #[arg(long, default_value = "120s", value_parser = humantime::parse_duration)]
    arrivals: Duration,
    /// How long each statement takes, as in a real warehouse
    #[arg(long, default_value = "800ms", value_parser = humantime::parse_duration)]
    statement_latency: Duration,
    /// The same seed deals the files in the same way
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Another catalogue than the one that comes with stepfleet; it needs an activity `s3-load`
    #[arg(long, value_name = "FILE")]
    catalogue: Option<PathBuf>,
    /// Where files and logs go [default: a new folder among the temporary ones]
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Where AWS and the status page listen
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: String,
    /// Whom the workers run as, where this is started as root [default: nobody]
    #[arg(long, value_name = "USER")]
    pod_user: Option<String>,
    /// Let others reach this, where --listen is more than loopback
    #[arg(long)]
    allow_remote: bool,
    /// Leave everything running after the summary, until Ctrl-C
    #[arg(long)]
    keep: bool,
}

impl Options {
    /// How many ticks files arrive for: at least one.
    fn ticks(&self) -> usize {
        let ticks = self.arrivals.as_millis() / self.every.as_millis().max(1);
        usize::try_from(ticks).unwrap_or(usize::MAX).max(1)
    }

    fn read_arrivals(&self) -> anyhow::Result<Arrivals> {
        ensure!(
            !self.every.is_zero(),
            "--every 0s: executions need some time between them, like 5s"
        );
        let tables = self.tables as usize;
        match &self.input {
            Some(folder) => Arrivals::from_folder(folder, self.ticks(), tables, self.seed),
            None => Arrivals::from_trace(self.ticks(), tables, self.seed),
        }
    }
}

/// Runs the demo; the exit code is 1 if a row was lost or doubled, or if loading stopped.
///
/// # Errors
/// If something does not build or start: the message says what and what to do.
pub async fn run(options: Options) -> anyhow::Result<ExitCode> {
    println!(
        "stepfleet demo: metrics of 10 s and alarms with periods of 10 s, where AWS has 60 s; everything else runs as it would there"
    );
    let arrivals = options.read_arrivals()?;
    let binaries = build::binaries().await?;
    let world = World::start(&options, &binaries, &arrivals)
        .await
        .context("the demo does not start")?;
    println!(
        "status page: {}/_stepfleet/   files and logs: {}\n",
        world.base_url(),
        world.dir().display()
    );
    let summary = replay::run(&world, &options, &arrivals).await;
    let code = match &summary {
        Ok(summary) => {
            println!("\n{summary}");
            if summary.is_clean() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(_) => ExitCode::FAILURE,
    };
    if options.keep && summary.is_ok() {
        println!(
            "{}\neverything still runs (--keep); Ctrl-C ends it",
            world.exports()
        );
        tokio::signal::ctrl_c().await?;
    }
    world.stop().await;
    summary.map(|_| code)
}
