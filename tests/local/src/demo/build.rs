//! Builds the binaries that the demo runs beside its own.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, bail};
use tokio::process::Command;

/// The packages whose binaries the demo runs, its own, and one more: the
/// end-to-end harness builds the same four together, and cargo decides a
/// dependency's features by what is built together, so that neither builds them
/// anew.
const PACKAGES: [&str; 4] = [
    "stepfleet-local",
    "stepfleet-etl-worker",
    "stepfleet-resize-worker",
    "stepfleet-autoscaler",
];

/// Where the demo's binaries are.
#[derive(Debug, Clone)]
pub(super) struct Binaries {
    /// `etl-worker`.
    pub(super) worker: PathBuf,
    /// `autoscaler`.
    pub(super) autoscaler: PathBuf,
}

/// Finds the binaries beside our own; builds them, in our own profile, where we
/// run from a checkout, so that they are never older than the sources. The
/// end-to-end harness says by `STEPFLEET_BINARIES` that they are.
pub(super) async fn binaries() -> anyhow::Result<Binaries> {
    let own = std::env::current_exe().context("cannot find my own binary")?;
    let folder = own.parent().context("my own binary is in no folder")?;
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let built = std::env::var_os("STEPFLEET_BINARIES").is_some();
    if !built && workspace.join("Cargo.toml").exists() && is_target_folder(folder) {
        build(&workspace, folder).await?;
    }
    let find = |name: &str| {
        let path = folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
        if path.exists() {
            Ok(path)
        } else {
            bail!(
                "{} is not there; build it: cargo build --release --workspace",
                path.display()
            )
        }
    };
    Ok(Binaries {
        worker: find("etl-worker")?,
        autoscaler: find("autoscaler")?,
    })
}

/// Whether a folder is one of cargo's: it marks its target folder.
fn is_target_folder(folder: &Path) -> bool {
    folder
        .parent()
        .is_some_and(|target| target.join("CACHEDIR.TAG").exists())
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

async fn build(workspace: &Path, folder: &Path) -> anyhow::Result<()> {
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(profile) => profile,
    };
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace).args([
        "build",
        "--locked",
        "--profile",
        profile,
        "--target-dir",
    ]);
    command.arg(target_dir(folder)).stdin(Stdio::null());
    command.arg("--bins");
    for package in PACKAGES {
        command.args(["--package", package]);
    }
    eprintln!("building the worker and the autoscaler ({profile}) ...");
    let status = command.status().await.context("cargo does not start")?;
    if !status.success() {
        bail!("the worker and the autoscaler do not build; what cargo says is above");
    }
    Ok(())
}
