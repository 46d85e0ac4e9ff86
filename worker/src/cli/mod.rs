//! What worker binaries have in common: flags, the catalogue, logs, exit codes.
//!
//! A binary implements [`App`] and hands it to [`main`].

mod args;
mod fields;
mod list;

use std::fmt::Display;
use std::process::ExitCode;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use clap::{ArgMatches, FromArgMatches};
use futures::future::BoxFuture;
use stepfleet_activity::catalogue::{self, Activity, Catalogue, ReadOptions};
use stepfleet_activity::{ActivityError, ActivityTask, HandlerSpec, Output};
use tower::util::BoxCloneSyncService;
use tracing_subscriber::EnvFilter;

use crate::options::ActivityOptions;
use crate::sfn::{BoxError, chain};
use crate::worker::Worker;
use args::{Args, Command, LogFormat};

/// Bad usage or configuration: nothing was started (`EX_USAGE` of sysexits.h).
const USAGE: u8 = 64;
/// A start that failed, or an end that cut something.
const FAILED: u8 = 1;

/// An activity's code, boxed.
pub type BoxActivity = BoxCloneSyncService<ActivityTask, Output, ActivityError>;

/// A worker binary: its name and the handlers that it has.
pub trait App: Send + Sync {
    /// The binary's name.
    fn name(&self) -> &'static str;

    /// What it is, in a line.
    fn about(&self) -> &'static str;

    /// The areas of handler names that nobody else has, like `etl` for
    /// `etl.s3-load`: an unknown name in one of them is a fault of the catalogue.
    fn areas(&self) -> &'static [&'static str];

    /// What it can serve.
    fn handlers(&self) -> Vec<HandlerSpec>;

    /// Makes the code for an activity whose handler is one of [`Self::handlers`].
    fn activity<'a>(
        &'a self,
        aws: &'a SdkConfig,
        catalogue: &'a Catalogue,
        activity: &'a Activity,
    ) -> BoxFuture<'a, Result<BoxActivity, BoxError>>;

    /// Makes what its activities need outside, and says what it made; on a dry
    /// run only says what it would make. Doing it again changes nothing.
    fn setup<'a>(
        &'a self,
        aws: &'a SdkConfig,
        catalogue: &'a Catalogue,
        options: &'a SetupOptions,
    ) -> BoxFuture<'a, Result<(), BoxError>>;

    /// Commands of its own, beside those that every worker binary has.
    fn commands(&self) -> Vec<clap::Command> {
        Vec::new()
    }

    /// Whether one of its own commands is about [`CommandCall::activities`]; to
    /// any other one nobody may name an activity.
    fn is_about_activities(&self, _command: &str) -> bool {
        false
    }

    /// Runs one of its own commands; what it answers with is the exit code.
    fn run_command<'a>(
        &'a self,
        call: CommandCall<'a>,
    ) -> BoxFuture<'a, Result<ExitCode, BoxError>> {
        let unknown = format!("there is no command {:?}", call.name);
        Box::pin(async move { Err(unknown.into()) })
    }
}

/// One of a binary's own commands, as it was called.
#[derive(Debug, Clone, Copy)]
pub struct CommandCall<'a> {
    /// Which one.
    pub name: &'a str,
    /// Its own flags.
    pub matches: &'a ArgMatches,
    /// The environment's configuration, in the catalogue's region.
    pub aws: &'a SdkConfig,
    /// The catalogue, checked.
    pub catalogue: &'a Catalogue,
    /// Those that were named by `--activity`, else all whose handler this binary has.
    pub activities: &'a [&'a Activity],
}

/// What `setup` was told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SetupOptions {
    /// Only say what would be made.
    pub dry_run: bool,
    /// The role that state machines run as, if one was named.
    pub role_arn: Option<String>,
}

/// A failure with its exit code; what it says has no prefix yet.
struct Failure {
    code: u8,
    text: String,
}

impl Failure {
    fn usage(text: impl Display) -> Self {
        Self {
            code: USAGE,
            text: text.to_string(),
        }
    }

    fn failed(text: impl Display) -> Self {
        Self {
            code: FAILED,
            text: text.to_string(),
        }
    }
}

/// The whole of a worker binary: reads the command line and does what it says.
pub async fn main(app: impl App) -> ExitCode {
    let parsed = args::command(app.name(), app.about())
        .subcommands(app.commands())
        .try_get_matches()
        .and_then(|matches| Ok((Args::from_arg_matches(&matches)?, matches)));
    let (args, matches) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => {
            // Nothing is left to tell if the terminal is gone.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { USAGE } else { 0 });
        }
    };
    let own = matches.subcommand().filter(|_| args.command.is_none());
    let done = match own {
        Some((name, matches)) => run_own(&app, &args, (name, matches)).await,
        None => dispatch(&app, &args).await,
    };
    match done {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("{}: {}", app.name(), failure.text);
            ExitCode::from(failure.code)
        }
    }
}

async fn run_own(
    app: &impl App,
    args: &Args,
    (name, matches): (&str, &ArgMatches),
) -> Result<ExitCode, Failure> {
    log(args.log_format);
    if !app.is_about_activities(name) {
        refuse_activities(args, name)?;
    }
    let catalogue = read(app, args)?;
    let activities = chosen(app, args, &catalogue)?;
    let aws = load_aws(&catalogue).await;
    let call = CommandCall {
        name,
        matches,
        aws: &aws,
        catalogue: &catalogue,
        activities: &activities,
    };
    let done = app.run_command(call).await;
    done.map_err(|error| Failure::failed(chain(&*error)))
}

async fn dispatch(app: &impl App, args: &Args) -> Result<ExitCode, Failure> {
    match &args.command {
        Some(Command::Handlers { json }) => {
            refuse_activities(args, "handlers")?;
            print!("{}", list::handlers(app.name(), &app.handlers(), *json));
            Ok(ExitCode::SUCCESS)
        }
        Some(Command::Check { print }) => check(app, args, *print),
        Some(Command::Setup { dry_run, role_arn }) => {
            log(args.log_format);
            refuse_activities(args, "setup")?;
            let catalogue = read(app, args)?;
            let aws = load_aws(&catalogue).await;
            let options = SetupOptions {
                dry_run: *dry_run,
                role_arn: role_arn.clone(),
            };
            let made = app.setup(&aws, &catalogue, &options).await;
            made.map_err(|error| Failure::failed(chain(&*error)))?;
            Ok(ExitCode::SUCCESS)
        }
        None => run(app, args).await,
    }
}

/// For a command that is not about some activities: whoever names one expects that
/// the others are left alone.
fn refuse_activities(args: &Args, command: &str) -> Result<(), Failure> {
    if args.activities.is_empty() {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "{command} takes no --activity: leave it out"
    )))
}

/// Where the catalogue itself is printed, standard output has nothing else.
fn check(app: &impl App, args: &Args, print: bool) -> Result<ExitCode, Failure> {
    let catalogue = read(app, args)?;
    let served = chosen(app, args, &catalogue)?;
    let checked = list::checked(app.name(), &catalogue, &served);
    if print {
        print!("{}", catalogue.to_yaml());
        eprint!("{checked}");
    } else {
        print!("{checked}");
    }
    Ok(ExitCode::SUCCESS)
}

async fn run(app: &impl App, args: &Args) -> Result<ExitCode, Failure> {
    log(args.log_format);
    let catalogue = read(app, args)?;
    let chosen = chosen(app, args, &catalogue)?;
    if chosen.is_empty() {
        return Err(Failure::usage(nothing_to_serve(app, &catalogue)));
    }
    let aws = load_aws(&catalogue).await;
    let handlers = app.handlers();
    let mut worker = Worker::builder().aws(aws.clone()).listen(args.listen);
    let drain = chosen
        .iter()
        .filter_map(|activity| catalogue.deployments.get(&activity.deployment))
        .map(|deployment| deployment.drain)
        .max();
    if let Some(drain) = drain {
        worker = worker.drain_deadline(drain);
    }
    for activity in chosen {
        let mut options = ActivityOptions::from(activity);
        if let Some(spec) = handlers.iter().find(|spec| spec.name == activity.handler) {
            options = options.cancel(spec.cancel);
        }
        let service = app.activity(&aws, &catalogue, activity).await;
        let service = service.map_err(|error| {
            Failure::usage(format!("activity {}: {}", activity.name, chain(&*error)))
        })?;
        worker = worker.activity(options, service);
    }
    let exit = worker.run().await.map_err(Failure::failed)?;
    Ok(exit.into())
}

fn nothing_to_serve(app: &impl App, catalogue: &Catalogue) -> String {
    let name = app.name();
    if app.handlers().is_empty() {
        return format!("{name} has no handler yet, so there is nothing to serve");
    }
    let handlers = catalogue.activities.values();
    let mut handlers: Vec<&str> = handlers.map(|activity| activity.handler.as_str()).collect();
    handlers.sort_unstable();
    handlers.dedup();
    format!(
        "no activity of the catalogue has a handler of this binary, so there is nothing to serve: the catalogue's are {}; `{name} handlers` lists this binary's",
        handlers.join(", ")
    )
}

fn read(app: &impl App, args: &Args) -> Result<Catalogue, Failure> {
    if args.catalogue.is_empty() {
        return Err(Failure::usage(
            "name the catalogue: --catalogue fleet.yaml (or set STEPFLEET_CATALOGUE)",
        ));
    }
    let options = ReadOptions {
        allow_short_periods: args.allow_short_periods,
    };
    let catalogue = catalogue::read_all(&args.catalogue, &options)
        .map_err(|faults| Failure::usage(format!("the catalogue has faults\n{faults}")))?;
    catalogue
        .check_handlers(app.areas(), &app.handlers())
        .map_err(|faults| Failure::usage(format!("the catalogue has faults\n{faults}")))?;
    Ok(catalogue)
}

/// The activities to serve: those that were named, else all whose handler this
/// binary has.
fn chosen<'a>(
    app: &impl App,
    args: &Args,
    catalogue: &'a Catalogue,
) -> Result<Vec<&'a Activity>, Failure> {
    let handlers = app.handlers();
    let serves = |activity: &Activity| handlers.iter().any(|spec| spec.name == activity.handler);
    if args.activities.is_empty() {
        let all = catalogue.activities.values();
        return Ok(all.filter(|activity| serves(activity)).collect());
    }
    let named = args.activities.iter().map(|name| {
        let Some(activity) = catalogue.activities.get(name) else {
            let known: Vec<&str> = catalogue.activities.keys().map(String::as_str).collect();
            return Err(Failure::usage(format!(
                "the catalogue has no activity {name:?}; it has {}",
                known.join(", ")
            )));
        };
        if serves(activity) {
            return Ok(activity);
        }
        Err(Failure::usage(format!(
            "activity {name:?} wants the handler {:?}, which {1} does not have: `{1} handlers` lists its own",
            activity.handler,
            app.name()
        )))
    });
    named.collect()
}

/// The environment's configuration, in the catalogue's region.
async fn load_aws(catalogue: &Catalogue) -> SdkConfig {
    let region = Region::new(catalogue.aws.region.clone());
    let loader = aws_config::defaults(BehaviorVersion::latest()).region(region);
    loader.load().await
}

/// Logs go to standard error; `RUST_LOG` says which, else `info` and up.
fn log(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    // Fails only if a subscriber is there already, which then does the work.
    let _ = match format {
        LogFormat::Text => logs.try_init(),
        LogFormat::Json => logs.json().flatten_event(true).try_init(),
    };
}
