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
use tokio::task::JoinHandle;

use crate::cloudwatch::CloudWatch;
use crate::cluster::Kubernetes;
use crate::config::Config;
use crate::http::{Shared, router};
use crate::lease::{Keeper, Left, keep};
use crate::metrics::Metrics;
use crate::poller::{Poller, RECEIVES};
use crate::queue::Sqs;
use crate::run::{Loop, State};
use crate::sns::{Http, Verifier};

/// Bad configuration or usage (`EX_USAGE`).
const BAD_CONFIG: u8 = 64;

/// What a second signal leaves behind.
const TWICE: &str = "stopped at once by a second signal: the cycle that ran is unfinished, the next \
    autoscaler settles it; the Lease, if it is held, lapses by itself";

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
    /// The catalogue; given again, each file is laid over those before it:
    /// maps are merged, scalars and lists replaced.
    #[arg(long, required = true, value_name = "FILE")]
    catalogue: Vec<PathBuf>,
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
    /// Whether SNS has to have signed what arrives, where the catalogue says
    /// `signals.delivery: sns`. Other forms have no signature. Whatever arrives,
    /// CloudWatch is asked before anything changes.
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, value_name = "BOOL")]
    require_signature: bool,
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
        require_signature: args.require_signature,
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
    require_signature: bool,
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
    let mut terminate = signal(SignalKind::terminate()).context("no signal handler")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("no signal handler")?;
    let cluster = Arc::new(Kubernetes::connect(&options.namespace).await?);
    let aws = aws(&config.catalogue.aws.region).await;
    let endpoint = (
        aws.region().map_or("", |region| region.as_ref()),
        aws.endpoint_url(),
    );
    let shared = Arc::new(Shared::new(Metrics::new()?));
    let server = stepfleet_ports::serve(listener, router(Arc::clone(&shared)));
    tokio::spawn(server);

    let outside = Outside {
        cluster,
        queue: Arc::new(Sqs::new(&aws, &config.catalogue.fleet, options.queue_url)),
        cloudwatch: CloudWatch::new(&aws),
        verifier: Verifier::new(
            Arc::new(Http::new(&aws)),
            endpoint,
            options.require_signature,
        ),
        shared,
    };
    let mut tasks = Tasks::start(config, options.tick, outside);
    // A task that ends by itself has failed: better no autoscaler than one that
    // keeps the Lease and decides nothing.
    let failed = tokio::select! {
        _ = terminate.recv() => false,
        _ = interrupt.recv() => false,
        _ = &mut tasks.looping => true,
        _ = &mut tasks.polling => true,
        _ = &mut tasks.keeping => true,
    };
    if failed {
        anyhow::bail!("the autoscaler failed inside; the Lease, if it is held, lapses by itself");
    }
    tracing::info!("stopping: the cycle that runs is finished first");
    let left = tokio::select! {
        left = tasks.stop() => left?,
        _ = terminate.recv() => anyhow::bail!(TWICE),
        _ = interrupt.recv() => anyhow::bail!(TWICE),
    };
    tracing::info!("stopped: {left}");
    Ok(())
}

/// What runs until it is told to stop.
struct Tasks {
    looping: JoinHandle<()>,
    polling: JoinHandle<()>,
    keeping: JoinHandle<Left>,
    stop_looping: watch::Sender<bool>,
    stop_keeping: watch::Sender<bool>,
}

/// What the tasks work with.
struct Outside {
    cluster: Arc<Kubernetes>,
    queue: Arc<Sqs>,
    cloudwatch: CloudWatch,
    verifier: Verifier<Http>,
    shared: Arc<Shared>,
}

impl Tasks {
    fn start(config: Config, tick: Duration, outside: Outside) -> Self {
        let (stop_looping, loop_stops) = watch::channel(false);
        let (stop_keeping, keeper_stops) = watch::channel(false);
        let (fence, fenced) = watch::channel(None);
        let (send, inbox) = mpsc::channel(RECEIVES);
        let lease = format!("{}-autoscaler", config.catalogue.fleet);
        let looping = Loop {
            cluster: Arc::clone(&outside.cluster),
            cloudwatch: outside.cloudwatch,
            queue: Arc::clone(&outside.queue),
            clock: Arc::new(SystemClock),
            config,
            shared: Arc::clone(&outside.shared),
            fence: fenced.clone(),
            state: State::default(),
        };
        let (polled, told) = (outside.queue, Arc::clone(&outside.shared));
        let polling = async move {
            let poller = Poller {
                queue: &*polled,
                verifier: outside.verifier,
                inbox: send,
                shared: &told,
            };
            poller.run(fenced).await;
        };
        let (cluster, told) = (outside.cluster, outside.shared);
        let keeping = async move {
            let keeper = Keeper {
                cluster: &*cluster,
                clock: &SystemClock,
                name: lease,
                me: identity(),
                shared: &told,
            };
            keep(keeper, fence, keeper_stops).await
        };
        Self {
            looping: tokio::spawn(looping.run(tick, inbox, loop_stops)),
            polling: tokio::spawn(polling),
            keeping: tokio::spawn(keeping),
            stop_looping,
            stop_keeping,
        }
    }

    /// The Lease is kept until the loop has ended.
    async fn stop(self) -> anyhow::Result<Left> {
        // Messages of a poll that is cut become visible again by themselves.
        self.polling.abort();
        self.stop_looping.send_replace(true);
        let finished = self.looping.await;
        self.stop_keeping.send_replace(true);
        let left = (self.keeping.await).context("the Lease's keeper failed")?;
        finished.context("the loop failed")?;
        Ok(left)
    }
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
