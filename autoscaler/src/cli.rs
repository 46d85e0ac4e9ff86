//! The command line: parse, build, run, wait for a signal, end.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use aws_config::{BehaviorVersion, Region, SdkConfig, timeout::TimeoutConfig};
use clap::{Args, Parser, Subcommand, ValueEnum};
use jiff::SignedDuration;
use stepfleet_activity::SystemClock;
use stepfleet_activity::catalogue::ReadOptions;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};

use crate::cloudwatch::CloudWatch;
use crate::cluster::Kubernetes;
use crate::config::Config;
use crate::http::{Shared, router};
use crate::inbox::receive;
use crate::lease::{Keeper, keep};
use crate::metrics::Metrics;
use crate::queue::Queue;
use crate::run::{Loop, State};

/// Bad configuration or usage (`EX_USAGE`).
const BAD_CONFIG: u8 = 64;

/// Sizes the worker Deployments of a fleet from its alarms.
#[derive(Debug, Parser)]
#[command(name = "autoscaler", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Decides on a tick and at once on a signal, until SIGTERM.
    Run(RunArgs),
    /// Reads the catalogue and says all its faults; calls nothing.
    Check(CatalogueArgs),
}

#[derive(Debug, Args)]
struct CatalogueArgs {
    /// The catalogue.
    #[arg(long, value_name = "FILE")]
    catalogue: PathBuf,
    /// Accept alarm periods under 60 s, which AWS's own metrics do not have.
    #[arg(long)]
    allow_short_periods: bool,
}

#[derive(Debug, Args)]
struct RunArgs {
    #[command(flatten)]
    catalogue: CatalogueArgs,
    /// The namespace of the Deployments.
    #[arg(long, default_value = "default")]
    namespace: String,
    /// The signal queue; by default looked up as `<fleet>-signals`.
    #[arg(long, value_name = "URL")]
    queue_url: Option<String>,
    /// How often to decide without a signal.
    #[arg(long, default_value = "15s", value_parser = span)]
    tick: Duration,
    /// Where metrics, health and decisions are served.
    #[arg(long, default_value = "0.0.0.0:9465", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// How logs are written.
    #[arg(long, value_enum, default_value = "text")]
    log_format: LogFormat,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

/// The whole program; `main` only calls it.
pub fn main() -> ExitCode {
    match Cli::try_parse() {
        Ok(Cli {
            command: Command::Run(args),
        }) => run(args),
        Ok(Cli {
            command: Command::Check(args),
        }) => check(args),
        Err(error) => {
            let fine = !error.use_stderr();
            // Where nobody reads, nobody has to be told.
            let _ = error.print();
            if fine {
                ExitCode::SUCCESS
            } else {
                ExitCode::from(BAD_CONFIG)
            }
        }
    }
}

fn span(text: &str) -> Result<Duration, String> {
    let span: SignedDuration = text.parse().map_err(|error| format!("{error}"))?;
    let span = Duration::try_from(span).map_err(|error| error.to_string())?;
    if span < Duration::from_secs(1) {
        return Err("at least 1s".to_owned());
    }
    Ok(span)
}

fn load(args: CatalogueArgs) -> Result<Config, ExitCode> {
    let options = ReadOptions {
        allow_short_periods: args.allow_short_periods,
    };
    Config::load(args.catalogue, options).map_err(|faults| {
        eprintln!("{faults}");
        ExitCode::from(BAD_CONFIG)
    })
}

fn check(args: CatalogueArgs) -> ExitCode {
    match load(args) {
        Ok(config) => {
            let (catalogue, alarms) = (&config.catalogue, config.trust.alarms().count());
            println!(
                "fleet {}: {} deployments, {} activities, {alarms} alarms",
                catalogue.fleet,
                catalogue.deployments.len(),
                catalogue.activities.len(),
            );
            ExitCode::SUCCESS
        }
        Err(code) => code,
    }
}

fn run(args: RunArgs) -> ExitCode {
    logs(args.log_format);
    let config = match load(args.catalogue) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let options = Options {
        namespace: args.namespace,
        queue_url: args.queue_url,
        tick: args.tick,
        listen: args.listen,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let ended = runtime
        .context("the runtime does not start")
        .and_then(|runtime| runtime.block_on(serve(config, options)));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

struct Options {
    namespace: String,
    queue_url: Option<String>,
    tick: Duration,
    listen: SocketAddr,
}

async fn serve(config: Config, options: Options) -> anyhow::Result<()> {
    let listener = (TcpListener::bind(options.listen).await).with_context(|| {
        format!(
            "cannot listen on {}: choose another --listen",
            options.listen
        )
    })?;
    let (stop, stopped) = watch::channel(false);
    let mut terminate = signal(SignalKind::terminate()).context("no signal handler")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("no signal handler")?;
    let cluster = Arc::new(Kubernetes::connect(&options.namespace).await?);
    let aws = aws(&config.catalogue.aws.region).await;
    let queue = Arc::new(Queue::new(&aws, &config.catalogue.fleet, options.queue_url));
    let shared = Arc::new(Shared::new(Metrics::new()?));
    let server = axum::serve(listener, router(Arc::clone(&shared)));
    tokio::spawn(std::future::IntoFuture::into_future(server));

    let clock = Arc::new(SystemClock);
    let keeper_cluster = Arc::clone(&cluster);
    let (fence, fenced) = watch::channel(None);
    let name = format!("{}-autoscaler", config.catalogue.fleet);
    let lease_stop = watch::channel(false);
    let keeping = tokio::spawn(async move {
        let keeper = Keeper {
            cluster: &*keeper_cluster,
            clock: &SystemClock,
            name,
            me: identity(),
        };
        keep(keeper, fence, lease_stop.1).await;
    });
    let (send, inbox) = mpsc::channel(1);
    let (polled, leading) = (Arc::clone(&queue), fenced.clone());
    let polling = tokio::spawn(async move { receive(&polled, leading, send).await });
    let cloudwatch = CloudWatch::new(&aws);
    let looping = Loop {
        cluster,
        cloudwatch,
        queue,
        clock,
        config,
        shared,
        fence: fenced,
        state: State::default(),
    };
    let looping = tokio::spawn(looping.run(options.tick, inbox, stopped));

    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping: the cycle is finished, the Lease released");
    // Messages of a poll that is cut become visible again by themselves.
    polling.abort();
    stop.send_replace(true);
    let finished = looping.await;
    lease_stop.0.send_replace(true);
    keeping.await.context("the Lease's keeper failed")?;
    finished.context("the loop failed")
}

async fn aws(region: &str) -> SdkConfig {
    // The longest call is SQS's long poll of 20 s; it hangs for ever at times.
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(5))
        .operation_attempt_timeout(Duration::from_secs(30))
        .build();
    (aws_config::defaults(BehaviorVersion::latest()))
        .region(Region::new(region.to_owned()))
        .timeout_config(timeouts)
        .load()
        .await
}

/// The pod's name; else the host's and the process's.
fn identity() -> String {
    std::env::var("POD_NAME").unwrap_or_else(|_| {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        format!("{}-{}", host.trim(), std::process::id())
    })
}

fn logs(format: LogFormat) {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Text => builder.init(),
        LogFormat::Json => builder.json().init(),
    }
}
