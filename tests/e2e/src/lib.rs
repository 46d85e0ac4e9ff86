//! End-to-end scenarios over the real binaries.
//!
//! `cargo test` builds no other package's binaries, so the harness builds them
//! once, by a nested `cargo build` in the same profile and target folder.
//!
//! The scenarios are one test binary, `scenarios`. Each starts a
//! `stepfleet-local` of its own, on free ports. Those that only speak AWS
//! (`crash`, `duplicate`, `drain`) take another endpoint by the variable
//! `STEPFLEET_ENDPOINT`, which has to answer for account 123456789012 in
//! eu-west-1, as `stepfleet-local serve` does; what they make there has names
//! of its own, and stays.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context as _, ensure};

/// The packages whose binaries the scenarios run.
const PACKAGES: [&str; 3] = [
    "stepfleet-local",
    "stepfleet-etl-worker",
    "stepfleet-autoscaler",
];

/// The folder with the binaries, built once in a test run.
///
/// # Errors
/// If cargo does not build them; what it says is in the error.
pub fn binaries() -> anyhow::Result<&'static Path> {
    static FOLDER: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| build().map_err(|error| format!("{error:#}")));
    folder
        .as_deref()
        .map_err(|error| anyhow::anyhow!("{error}"))
}

fn build() -> anyhow::Result<PathBuf> {
    // A test runs from `<target>/<profile>/deps`.
    let own = std::env::current_exe().context("cannot find my own binary")?;
    let folder = own
        .parent()
        .and_then(Path::parent)
        .context("a test runs from cargo's target folder")?
        .to_path_buf();
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(profile) => profile,
    };
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace).args([
        "build",
        "--quiet",
        "--bins",
        "--profile",
        profile,
        "--target-dir",
    ]);
    command
        .arg(folder.parent().unwrap_or(&folder))
        .stdin(Stdio::null());
    for package in PACKAGES {
        command.args(["--package", package]);
    }
    let output = command.output().context("cargo does not start")?;
    ensure!(
        output.status.success(),
        "the binaries do not build:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(folder)
}
