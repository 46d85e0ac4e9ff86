//! The command line of `stepfleet-local`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use nix::sys::signal::Signal;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::demo;
use crate::door::Token;
use crate::serve::{Local, LocalOptions, StartError, WarehouseOption};

/// What is wrong with what was asked for.
const USAGE: u8 = 64;

/// AWS and a small cluster on one machine, for demonstration and tests.
#[derive(Debug, Parser)]
#[command(name = "stepfleet-local", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve AWS and a cluster until Ctrl-C
    Serve(Box<ServeOptions>),
    /// Show the closed loop: files arrive, the fleet grows, loads and shrinks
    Demo(Box<demo::Options>),
}

/// What can be done to it while it runs.
const AFTER: &str = "\
While it runs (ADDRESS is what --listen says):
  curl ADDRESS/_stepfleet/                                    the status page
  curl -X POST ADDRESS/_stepfleet/clock -d '{\"advance\":\"9h\"}'
                                                              time moves on; GET tells it
  curl -X PUT ADDRESS/_stepfleet/faults --data-binary @FILE   what goes wrong from now on
  curl ADDRESS/_stepfleet/faults                              what each fault struck
  curl -X DELETE ADDRESS/_stepfleet/faults                    nothing goes wrong any more
With --allow-remote or --control-token what changes something wants
  -H \"Authorization: Bearer $(cat DIR/control-token)\"

A file of faults (--faults) says which calls, which of them, and what happens:
  seed: 1
  faults:
    - {on: states:GetActivityTask, resource: prod-*, when: {every: 10}, lose: true}
    - {on: s3:PutObject, when: {probability: 0.05}, throttle: true}
    - {on: redshift-data:ExecuteStatement, when: {nth: 2}, kill: after}
tests/local/faults.yaml has one of each, with what it does.";

/// What `stepfleet-local serve` takes.
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
struct ServeOptions {
    /// Where AWS and the status page listen
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4566")]
    listen: String,
    /// Where the Kubernetes API listens
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4567")]
    cluster_listen: String,
    /// Let others reach this, where --listen or --cluster-listen is more than loopback: they have
    /// all that is here. Faults and clock are then changed by who shows the control token
    #[arg(long)]
    allow_remote: bool,
    /// Another name or address that this is called by, like host.docker.internal; requests to
    /// any but ours are turned away, as those of a web page that looks for it. May be given again
    #[arg(long, value_name = "NAME")]
    allow_host: Vec<String>,
    /// What is shown (Authorization: Bearer TOKEN) to change faults and clock [default: with
    /// --allow-remote a new one, in the file control-token of --dir; else none is asked for]
    #[arg(long, value_name = "TOKEN", env = "STEPFLEET_CONTROL_TOKEN", hide_env_values = true,
          value_parser = Token::chosen)]
    control_token: Option<Token>,
    /// Where S3, PostgreSQL, logs and the KUBECONFIG are kept
    #[arg(long, default_value = ".stepfleet")]
    dir: PathBuf,
    /// Where others reach AWS: what queue URLs and the signing certificate's URL begin with
    /// [default: what --listen says, or 127.0.0.1 where that is every address]
    #[arg(long, value_name = "URL")]
    advertise: Option<String>,
    /// Make the activities, alarms, topic, queues and Deployments of this catalogue; given
    /// again, each file is laid over those before it
    #[arg(long, value_name = "FILE")]
    catalogue: Vec<PathBuf>,
    /// Do not run the catalogue's Deployments on the cluster here: a real one does
    #[arg(long)]
    no_deployments: bool,
    /// Another AWS of one machine that the Deployments' workers speak to, instead of this one: of
    /// the catalogue nothing is made but the Deployments, and there is no warehouse here
    #[arg(long, value_name = "URL", requires = "catalogue",
          conflicts_with_all = ["no_deployments", "warehouse", "advertise", "faults"])]
    aws_endpoint: Option<String>,
    /// Whom the Deployments' pods run as, where this is started as root: a user's name or number
    /// [default: nobody]
    #[arg(long, value_name = "USER")]
    pod_user: Option<String>,
    /// Take a catalogue with alarm periods under 60 s, which AWS/States does not have
    #[arg(long)]
    allow_short_periods: bool,
    /// A PostgreSQL that runs already, instead of one of our own
    #[arg(long, value_name = "URL", conflicts_with = "no_warehouse")]
    warehouse: Option<String>,
    /// No Redshift Data API
    #[arg(long)]
    no_warehouse: bool,
    /// How long each statement takes at least, as in a real warehouse
    #[arg(long, value_name = "SPAN", default_value = "0s", value_parser = humantime::parse_duration)]
    statement_latency: Duration,
    /// The length of a datapoint of AWS/States: AWS has 60s
    #[arg(long, value_name = "SPAN", default_value = "60s", value_parser = humantime::parse_duration)]
    metric_resolution: Duration,
    /// How long after its end a datapoint can be read
    #[arg(long, value_name = "SPAN", default_value = "30s", value_parser = humantime::parse_duration)]
    metric_delay: Duration,
    /// Show the decisions of an autoscaler on the status page, like http://127.0.0.1:9090/decisions
    #[arg(long, value_name = "URL")]
    decisions: Option<http::Uri>,
    /// What goes wrong, from the start: latency, errors, throttles, hang-ups, repeats, kills
    #[arg(long, value_name = "FILE")]
    faults: Option<PathBuf>,
    /// The account of every ARN [default: the catalogue's, else 123456789012]
    #[arg(long)]
    account: Option<String>,
    /// The region of every ARN [default: the catalogue's, else eu-west-1]
    #[arg(long)]
    region: Option<String>,
}

/// Reads the arguments, does what they say, and gives the exit code.
pub async fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    match Cli::try_parse_from(arguments) {
        Ok(Cli {
            command: Command::Serve(options),
        }) => {
            let decisions = options.decisions.as_ref().map(ToString::to_string);
            serve((*options).into(), decisions).await
        }
        Ok(Cli {
            command: Command::Demo(options),
        }) => demo::run(*options).await.unwrap_or_else(|error| {
            eprintln!("stepfleet-local: {error:#}");
            ExitCode::FAILURE
        }),
        Err(error) => {
            let code = if error.use_stderr() { USAGE } else { 0 };
            // Nobody is left to tell if the terminal is gone.
            let _ = error.print();
            ExitCode::from(code)
        }
    }
}

async fn serve(options: LocalOptions, decisions: Option<String>) -> ExitCode {
    let signals = signal(SignalKind::interrupt())
        .and_then(|interrupt| Ok((interrupt, signal(SignalKind::terminate())?)));
    let (mut interrupt, mut terminate) = match signals {
        Ok(signals) => signals,
        Err(error) => {
            eprintln!("stepfleet-local: cannot wait for signals: {error}");
            return ExitCode::FAILURE;
        }
    };
    let started = tokio::select! {
        started = Local::start(options) => started,
        _ = interrupt.recv() => return ExitCode::FAILURE,
        _ = terminate.recv() => return ExitCode::FAILURE,
    };
    let local = match started {
        Ok(local) => local,
        Err(error) => return refuse(&error),
    };
    if let Some(url) = decisions {
        local.follow_decisions(url);
    }
    print!("{}", local.exports());
    println!("# status page: {}/_stepfleet/", local.context.base_url);
    if let Some(file) = local.control_token_file() {
        println!("# control token: {}", file.display());
    }
    println!("ready");
    let told = tokio::select! {
        _ = interrupt.recv() => Signal::SIGINT,
        _ = terminate.recv() => Signal::SIGTERM,
    };
    eprintln!("{told}: the pods drain, which takes up to a minute; once more kills them");
    tokio::select! {
        () = local.stop() => ExitCode::SUCCESS,
        _ = interrupt.recv() => ExitCode::FAILURE,
        _ = terminate.recv() => ExitCode::FAILURE,
    }
}

fn refuse(error: &StartError) -> ExitCode {
    eprintln!("stepfleet-local: {error}");
    if error.is_usage() {
        ExitCode::from(USAGE)
    } else {
        ExitCode::FAILURE
    }
}

impl From<ServeOptions> for LocalOptions {
    fn from(options: ServeOptions) -> Self {
        let none = options.no_warehouse || options.aws_endpoint.is_some();
        let warehouse = match (options.warehouse, none) {
            (Some(url), _) => WarehouseOption::At(url),
            (None, true) => WarehouseOption::None,
            (None, false) => WarehouseOption::Own,
        };
        Self {
            listen: options.listen,
            cluster_listen: options.cluster_listen,
            allow_remote: options.allow_remote,
            allowed_hosts: options.allow_host,
            control_token: options.control_token,
            advertise: options.advertise,
            aws_endpoint: options.aws_endpoint,
            catalogues: options.catalogue,
            deployments: !options.no_deployments,
            allow_short_periods: options.allow_short_periods,
            warehouse,
            pod_user: options.pod_user,
            statement_latency: options.statement_latency,
            metric_resolution: options.metric_resolution,
            metric_delay: options.metric_delay,
            account: options.account,
            region: options.region,
            faults: options.faults,
            ..Self::new(options.dir)
        }
    }
}
