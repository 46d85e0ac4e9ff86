//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{CommandFactory, Parser, Subcommand, ValueEnum};

/// Without a command it serves the catalogue's activities until SIGTERM.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = false)]
pub(super) struct Args {
    /// The catalogue; given again, each file is laid over those before it:
    /// maps are merged, scalars and lists replaced
    #[arg(long, global = true, value_name = "FILE", env = "STEPFLEET_CATALOGUE")]
    pub(super) catalogue: Vec<PathBuf>,

    /// Take alarm periods under 60 s, which AWS/States has no datapoints for
    #[arg(long, global = true)]
    pub(super) allow_short_periods: bool,

    /// Only this activity, of those to serve, check or trigger; may be given
    /// several times
    #[arg(long = "activity", global = true, value_name = "NAME")]
    pub(super) activities: Vec<String>,

    /// Where /metrics, /healthz, /readyz and /load are served
    #[arg(long, value_name = "ADDR", default_value = "0.0.0.0:9464")]
    pub(super) listen: SocketAddr,

    /// How logs are written
    #[arg(long, global = true, value_name = "FORMAT", default_value = "text")]
    pub(super) log_format: LogFormat,

    #[command(subcommand)]
    pub(super) command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the handlers of this binary, with their config and input
    Handlers {
        /// As JSON, with the JSON Schemas of config and input
        #[arg(long)]
        json: bool,
    },
    /// Read the catalogue and say all faults; calls nothing
    Check {
        /// Print the catalogue as it is read, all files merged, in YAML
        #[arg(long)]
        print: bool,
    },
    /// Make what the activities need in AWS and the warehouse; repeatable
    Setup {
        /// Only say what would be made; calls nothing
        #[arg(long)]
        dry_run: bool,

        /// The role that state machines run as; without it, the one named
        /// stepfleet-FLEET-states of the catalogue's account
        #[arg(long, value_name = "ARN", env = "STEPFLEET_STATES_ROLE", value_parser = role_arn)]
        role_arn: Option<String>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// For people
    Text,
    /// One object a line
    Json,
}

/// The whole command line of a binary, with examples that name it.
pub(super) fn command(name: &'static str, about: &'static str) -> clap::Command {
    let setup = format!(
        "It makes the activities, the state machines, and the ledger of each warehouse. What is
there already stays, or gets the catalogue's definition: run it at each deployment.

Examples:
  {name} setup --catalogue fleet.yaml --dry-run
  {name} setup --catalogue fleet.yaml --catalogue prod.yaml \\
      --role-arn arn:aws:iam::123456789012:role/load-states"
    );
    let examples = format!(
        "Region, credentials and endpoint come from the ordinary AWS variables.

Examples:
  {name} handlers
      what it can run, with the config and the input of each
  {name} check --catalogue fleet.yaml --catalogue prod.yaml --print
      all faults of a base and its overlay, and what both say together
  {name} setup --catalogue fleet.yaml --dry-run
      what would be made in AWS and the warehouse
  {name} --catalogue fleet.yaml --activity s3-load
      serve one activity until SIGTERM, which drains"
    );
    Args::command()
        .name(name)
        .about(about)
        .after_help(examples)
        .mut_subcommand("setup", |command| command.after_help(setup))
}

/// `arn:<partition>:iam::<account>:role/<name>`.
fn role_arn(text: &str) -> Result<String, String> {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    match parts.as_slice() {
        ["arn", partition, "iam", "", account, role]
            if partition.starts_with("aws")
                && account.len() == 12
                && account.bytes().all(|byte| byte.is_ascii_digit())
                && role
                    .strip_prefix("role/")
                    .is_some_and(|name| !name.is_empty()) =>
        {
            Ok(text.to_owned())
        }
        _ => Err("allowed is the ARN of a role, arn:aws:iam::<account>:role/<name>".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent_and_reads_as_documented() {
        command("etl-worker", "about").debug_assert();
        let args = Args::try_parse_from([
            "etl-worker",
            "--catalogue",
            "fleet.yaml",
            "--activity",
            "a",
            "--activity",
            "b",
            "--log-format",
            "json",
        ])
        .expect("documented");
        assert_eq!(args.activities, ["a", "b"]);
        assert_eq!(args.log_format, LogFormat::Json);
        assert_eq!(args.listen.port(), 9464);
        assert!(args.command.is_none());
        let several = [
            "w",
            "check",
            "--catalogue",
            "a",
            "--catalogue",
            "b",
            "--print",
        ];
        let args = Args::try_parse_from(several).expect("documented");
        assert_eq!(args.catalogue, [PathBuf::from("a"), PathBuf::from("b")]);
        assert!(matches!(args.command, Some(Command::Check { print: true })));
        let error = Args::try_parse_from(["etl-worker", "--listen", "localhost"]);
        let text = error.expect_err("no port").to_string();
        assert!(
            text.contains("--listen") && text.contains("localhost"),
            "{text}"
        );
    }

    #[test]
    fn a_role_is_an_arn_of_a_role() {
        for (text, fine) in [
            ("arn:aws:iam::123456789012:role/x", true),
            ("arn:aws-cn:iam::123456789012:role/path/x", true),
            ("arn:aws:iam::123456789012:role/", false),
            ("arn:aws:iam::12345678901x:role/x", false),
            ("arn:aws:iam::123456789012:user/x", false),
            ("arn:aws:iam:eu-west-1:123456789012:role/x", false),
            ("load-states", false),
            ("", false),
        ] {
            let args = ["w", "setup", "--role-arn", text];
            assert_eq!(Args::try_parse_from(args).is_ok(), fine, "{text}");
        }
    }
}
