//! `etl-worker reprocess`: failed files go back to `incoming/`.

use std::process::ExitCode;

use clap::{Args, FromArgMatches};
use serde_json::json;
use stepfleet_etl::{Fate, Reprocess, Reprocessed, conditional_delete, reprocess};
use stepfleet_worker::BoxError;
use stepfleet_worker::cli::CommandCall;

use crate::app::s3;

/// The command's name.
pub(crate) const NAME: &str = "reprocess";

const HELP: &str =
    "A file that the warehouse refuses is moved to failed/<id>/<name>, beside failed/<id>.json,
which says batch, line, column and reason. Once the table is mended, this moves files back to
incoming/ under their own names; the next run loads them as a new batch. A file that has to be
mended itself is better uploaded again under a new name.

Nothing is overwritten: where incoming/ has another object of the same name, or one of that name
was loaded since, the file stays in failed/ and the exit code is 1. A run that was cut short can
be repeated: no file is loaded twice.

Examples:
  etl-worker reprocess --catalogue fleet.yaml --bucket my-bucket --prefix orders/ --dry-run
      what is there, why it failed, and what would be moved
  etl-worker reprocess --catalogue fleet.yaml --bucket my-bucket --prefix orders/ \\
      --starting-with 2026/03/
      only files of incoming/2026/03/
  etl-worker reprocess --catalogue fleet.yaml --bucket my-bucket --prefix orders/ --json
      one JSON object a file: key, failed_key, fate, report";

#[derive(Debug, Args)]
struct Flags {
    /// The bucket, as in the load's input
    #[arg(long)]
    bucket: String,

    /// What incoming/ and failed/ come after, as in the load's input
    #[arg(long, default_value = "", value_parser = prefix)]
    prefix: String,

    /// Only files whose names, after incoming/, begin like this
    #[arg(long, value_name = "NAME", default_value = "")]
    starting_with: String,

    /// Only say what would be moved
    #[arg(long)]
    dry_run: bool,

    /// One JSON object a line, with the reports
    #[arg(long)]
    json: bool,
}

fn prefix(text: &str) -> Result<String, String> {
    if text.is_empty() || text.ends_with('/') {
        return Ok(text.to_owned());
    }
    Err("allowed is nothing, or a prefix that ends in /".to_owned())
}

/// The command, with examples.
pub(crate) fn command() -> clap::Command {
    Flags::augment_args(clap::Command::new(NAME))
        .about("Move failed files back to incoming/; repeatable")
        .after_help(HELP)
}

/// Moves, and says what became of each file.
pub(crate) async fn run(call: CommandCall<'_>) -> Result<ExitCode, BoxError> {
    let flags = Flags::from_arg_matches(call.matches)?;
    let request = Reprocess {
        conditional_delete: conditional_delete(call.catalogue, &flags.bucket, &flags.prefix),
        bucket: flags.bucket,
        prefix: flags.prefix,
        starting_with: flags.starting_with,
        dry_run: flags.dry_run,
    };
    let files = reprocess(&s3(call.aws), &request).await?;
    for file in &files {
        if flags.json {
            println!("{}", json!(file));
        } else {
            println!("{}", line(file));
        }
    }
    let done = files.iter().all(|file| file.fate.is_done());
    if files.is_empty() && !flags.json {
        println!("there is no such file in failed/");
    }
    Ok(ExitCode::from(u8::from(!done)))
}

fn line(file: &Reprocessed) -> String {
    let fate = match file.fate {
        Fate::Moved => "moved",
        Fate::WouldMove => "would move",
        Fate::KeyTaken => {
            "left, since another object has its name in incoming/: try again once that one is loaded:"
        }
        Fate::Superseded => {
            "left, since a file of its name was loaded after it had failed: delete it, or upload it under a new name:"
        }
        Fate::Nameless => {
            "stays in failed/, since its report, which has its whole name, is missing:"
        }
        Fate::Gone => "gone meanwhile:",
    };
    let said = |field: &str| {
        let report = file.report.as_ref()?;
        report[field].as_str().map(str::to_owned)
    };
    let place = match (said("line"), said("column")) {
        (Some(line), Some(column)) => format!("line {line}, column {column}: "),
        (Some(line), None) => format!("line {line}: "),
        _ => String::new(),
    };
    let reason = said("reason").unwrap_or_else(|| "no report".to_owned());
    format!("{fate} {} ({place}{reason})", file.key)
}
