//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

/// Without a command it serves the catalogue's activities until SIGTERM.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = false)]
pub(super) struct Args {
    /// The catalogue
    #[arg(long, global = true, value_name = "FILE", env = "STEPFLEET_CATALOGUE")]
    pub(super) catalogue: Option<PathBuf>,

    /// Take alarm periods under 60 s, which AWS/States has no datapoints for
    #[arg(long, global = true)]
    pub(super) allow_short_periods: bool,

    /// Serve only this activity; may be given several times
    #[arg(long = "activity", global = true, value_name = "NAME")]
    pub(super) activities: Vec<String>,

    /// Where /metrics, /healthz, /readyz and /load are served
    #[arg(
        long,
        global = true,
        value_name = "ADDR",
        default_value = "0.0.0.0:9464"
    )]
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
    Check,
    /// Make what the activities need in AWS and the warehouse; repeatable
    Setup {
        /// Only say what would be made
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// For people
    Text,
    /// One object a line
    Json,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent_and_reads_as_documented() {
        Args::command().debug_assert();
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
        let args = Args::try_parse_from(["etl-worker", "check", "--catalogue", "fleet.yaml"])
            .expect("documented");
        assert!(args.catalogue.is_some());
        let error = Args::try_parse_from(["etl-worker", "--listen", "localhost"]);
        let text = error.expect_err("no port").to_string();
        assert!(
            text.contains("--listen") && text.contains("localhost"),
            "{text}"
        );
    }
}
