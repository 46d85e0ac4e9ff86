//! End-to-end scenarios over the real binaries.
//!
//! `cargo test` builds no other package's binaries, so the harness builds them
//! once, by a nested `cargo build` in the same profile and target folder. That is
//! with other features of some dependencies, and so anew: where everything was
//! built by one `cargo build --workspace --all-targets`, name the folder in
//! `STEPFLEET_BINARIES`.
//!
//! The scenarios are one test binary, `scenarios`. Each starts a
//! `stepfleet-local` of its own, on free ports. Those that only speak AWS
//! (`crash`, `duplicate`, `drain`, `procedure`, `standing`) take another endpoint
//! by the variable `STEPFLEET_ENDPOINT`, which has to answer for account
//! 123456789012 in eu-west-1, as `stepfleet-local serve` does; what they make there
//! has names of its own, and stays.
//!
//! Those of a fleet on a cluster (`fleet`) run on `stepfleet-local`'s own
//! cluster, or on a Kubernetes, where they install the chart by helm, each in a
//! namespace of its own:
//!
//! | variable | what |
//! |---|---|
//! | `STEPFLEET_KUBECONFIG` | the Kubernetes; not `KUBECONFIG`, which may point anywhere |
//! | `STEPFLEET_HOST` | this machine's address as pods reach it |
//! | `STEPFLEET_IMAGES`, `STEPFLEET_IMAGE_TAG` | where the images are: `docker.io/local` and `1` unless told |
//! | `HELM` | Helm 4 or 3: `helm` unless told |
//!
//! Both kinds of cluster go with an AWS of each scenario's own, or with that of
//! `STEPFLEET_ENDPOINT`: there the scenarios make activities, alarms, topic and
//! queues themselves, and remove them when they have passed; bucket and tables
//! stay. What they cannot bring along is short datapoints: one of them needs 10 s,
//! and says so where there are none.
//!
//! ```sh
//! stepfleet-local serve --listen 127.0.0.1:4566 --metric-resolution 10s --metric-delay 2s
//! ```
//!
//! The nodes of a Kubernetes have to be containers or processes of this machine, and the tests
//! root: one of them kills a container's process.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context as _, ensure};

/// The packages whose binaries the scenarios run.
const PACKAGES: [&str; 4] = [
    "stepfleet-local",
    "stepfleet-etl-worker",
    "stepfleet-resize-worker",
    "stepfleet-autoscaler",
];

/// The folder with the binaries, built once in a test run, or as they are in the
/// folder that `STEPFLEET_BINARIES` names.
///
/// # Errors
/// If cargo does not build them; what it says is in the error.
pub fn binaries() -> anyhow::Result<&'static Path> {
    static FOLDER: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| match std::env::var_os("STEPFLEET_BINARIES") {
        Some(folder) => Ok(folder.into()),
        None => build().map_err(|error| format!("{error:#}")),
    });
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
    command.arg(target_dir(&folder)).stdin(Stdio::null());
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

/// Cargo's target folder, from a profile's: programs for a target that is named
/// are in a folder of its own.
fn target_dir(folder: &Path) -> &Path {
    let parent = folder.parent().unwrap_or(folder);
    match std::env::var_os("CARGO_BUILD_TARGET") {
        Some(target) if parent.ends_with(&target) => parent.parent().unwrap_or(parent),
        _ => parent,
    }
}
