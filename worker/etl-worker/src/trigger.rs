//! `etl-worker trigger`: starts executions for the files that S3 announces.

use std::process::ExitCode;

use futures::future::join_all;
use stepfleet_activity::catalogue::Activity;
use stepfleet_etl::{Trigger, TriggerClients};
use stepfleet_worker::BoxError;
use stepfleet_worker::cli::CommandCall;
use tokio::signal::unix::{SignalKind, signal};

/// The command's name.
pub(crate) const NAME: &str = "trigger";

const HELP: &str = "For every activity with `trigger` in its config, or those of --activity: receives the bucket's events from its SQS queue,
waits until the files have settled, and starts one execution of <fleet>-<activity>-drain for all
events of one window (`debounce`). The execution lists what is there; an event never names what is
loaded. A message is deleted once its execution was started. Events may be lost, come twice or out
of order: keep a slow schedule beside it. Several of these may run at once. SIGTERM ends it.

A message that cannot be worked on is counted (stepfleet/RejectedMessages), named in the log and
left to the queue's dead-letter queue.

It needs sqs:ReceiveMessage and sqs:DeleteMessage on the queue, states:StartExecution, and
cloudwatch:PutMetricData.

Examples:
  etl-worker trigger --catalogue fleet.yaml
      all of them
  etl-worker trigger --catalogue fleet.yaml --activity orders
      only one, where each has a process of its own";

/// The command, with an example.
pub(crate) fn command() -> clap::Command {
    clap::Command::new(NAME)
        .about("Start executions for the files that S3 announces, until SIGTERM")
        .after_help(HELP)
}

/// Runs every trigger of the catalogue until SIGTERM or SIGINT.
pub(crate) async fn run(call: CommandCall<'_>) -> Result<ExitCode, BoxError> {
    let clients = TriggerClients {
        sqs: aws_sdk_sqs::Client::new(call.aws),
        sfn: aws_sdk_sfn::Client::new(call.aws),
        cloudwatch: aws_sdk_cloudwatch::Client::new(call.aws),
    };
    let mut triggers = Vec::new();
    let activities = call.activities.iter();
    let loaders = activities.filter(|activity| activity.handler == "etl.s3-load");
    for activity in loaders {
        triggers.extend(Trigger::new(clients.clone(), call.catalogue, activity)?);
    }
    if triggers.is_empty() {
        return Err(nothing_to_do(call.activities).into());
    }
    let mut term = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let all = join_all(triggers.iter().map(Trigger::run));
    // What is not deleted by then comes again.
    tokio::select! {
        _ = term.recv() => {}
        _ = interrupt.recv() => {}
        _ = all => {}
    }
    Ok(ExitCode::SUCCESS)
}

fn nothing_to_do(activities: &[&Activity]) -> String {
    let names: Vec<&str> = activities.iter().map(|one| one.name.as_str()).collect();
    format!(
        "there is nothing to do: none of these has `trigger` in its config: {}",
        names.join(", ")
    )
}
