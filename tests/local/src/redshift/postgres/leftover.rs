//! The server a killed run left behind.

use std::fs;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::time::Instant;

use super::WarehouseError;

/// Ends the server still running on `data`, and removes its lock.
pub(super) async fn end(data: &Path) -> Result<(), WarehouseError> {
    let lock = data.join("postmaster.pid");
    let Ok(text) = fs::read_to_string(&lock) else {
        return Ok(());
    };
    let pid = text
        .lines()
        .next()
        .and_then(|line| line.trim().parse().ok());
    if let Some(pid) = pid.filter(|pid| *pid > 1) {
        for signal in [Signal::SIGINT, Signal::SIGQUIT] {
            if !serves(pid, data).await {
                break;
            }
            tracing::info!(pid, %signal, "ending the PostgreSQL an earlier run left behind");
            // It may have ended meanwhile: `gone` decides.
            let _ = kill(Pid::from_raw(pid), signal);
            gone(pid, data).await;
        }
        if serves(pid, data).await {
            return Err(WarehouseError::StillRunning { pid });
        }
    }
    // With its process gone and the number perhaps another's, the lock would only mislead.
    match fs::remove_file(&lock) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(WarehouseError::Folder { path: lock, source })
        }
        _ => Ok(()),
    }
}

/// Waits until `pid` no longer serves `data`, ten seconds at most.
async fn gone(pid: i32, data: &Path) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while Instant::now() < deadline && serves(pid, data).await {
        tokio::time::sleep_until(Instant::now() + Duration::from_millis(50)).await;
    }
}

/// Whether `pid` is a server on `data`. Its command line decides: the number
/// alone may be another process's by now, and a zombie has none.
async fn serves(pid: i32, data: &Path) -> bool {
    let Some(data) = data.to_str() else {
        return false;
    };
    let line = match fs::read(format!("/proc/{pid}/cmdline")) {
        Ok(bytes) => bytes,
        Err(_) if Path::new("/proc/self").exists() => return false,
        Err(_) => ps(pid).await,
    };
    let line = String::from_utf8_lossy(&line).replace('\0', " ");
    format!(" {line} ")
        .replace('\n', " ")
        .contains(&format!(" {data} "))
}

/// The command line of `pid` where there is no `/proc`.
async fn ps(pid: i32) -> Vec<u8> {
    tokio::process::Command::new("ps")
        .args(["-ww", "-o", "command=", "-p", &pid.to_string()])
        .output()
        .await
        .map(|output| output.stdout)
        .unwrap_or_default()
}
