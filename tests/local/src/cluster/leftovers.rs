//! Which processes are ours, in a file: what a killed run left behind is ended
//! by the next one.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};

use super::process::kill_group;

/// How long a process left behind has to end by itself: what it talked to is gone.
const GRACE: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(50);

/// A process that was started. Pids are used again, so its start tells it from another.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Entry {
    pod: String,
    pid: i32,
    started: String,
}

/// The processes that run.
#[derive(Debug)]
pub(crate) struct Register {
    path: PathBuf,
    entries: Mutex<BTreeMap<i32, Entry>>,
}

// === impl Register ===

impl Register {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self {
            path,
            entries: Mutex::default(),
        }
    }

    /// Ends what the run before left behind.
    pub(crate) async fn end_leftovers(&self) {
        let Ok(text) = std::fs::read(&self.path) else {
            return;
        };
        let mut entries: Vec<Entry> = serde_json::from_slice(&text).unwrap_or_default();
        entries.retain(Entry::runs);
        for entry in &entries {
            tracing::warn!(
                pod = entry.pod,
                pid = entry.pid,
                "a run before left a process behind"
            );
            kill_group(entry.pid, Signal::SIGTERM);
        }
        let gone = async {
            let mut ticks = tokio::time::interval(LOOK);
            while entries.iter().any(Entry::runs) {
                ticks.tick().await;
            }
        };
        if tokio::time::timeout(GRACE, gone).await.is_err() {
            for entry in entries.iter().filter(|entry| entry.runs()) {
                kill_group(entry.pid, Signal::SIGKILL);
            }
        }
        self.change(|_| ());
    }

    pub(crate) fn add(&self, pod: &str, pid: i32) {
        // A process that is gone already needs no entry.
        if let Some(started) = started(pid) {
            let entry = Entry {
                pod: pod.to_owned(),
                pid,
                started,
            };
            self.change(|entries| {
                entries.insert(pid, entry);
            });
        }
    }

    pub(crate) fn remove(&self, pid: i32) {
        self.change(|entries| {
            entries.remove(&pid);
        });
    }

    fn change(&self, edit: impl FnOnce(&mut BTreeMap<i32, Entry>)) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        edit(&mut entries);
        if let Err(error) = self.write(&entries) {
            tracing::warn!(%error, path = %self.path.display(),
                "cannot write down which processes are ours: a killed run will leave them behind");
        }
    }

    fn write(&self, entries: &BTreeMap<i32, Entry>) -> io::Result<()> {
        if let Some(dir) = self.path.parent() {
            std::fs::create_dir_all(dir)?;
        }
        let list: Vec<&Entry> = entries.values().collect();
        let draft = self.path.with_extension("json.new");
        std::fs::write(&draft, serde_json::to_vec_pretty(&list)?)?;
        std::fs::rename(draft, &self.path)
    }
}

// === impl Entry ===

impl Entry {
    fn runs(&self) -> bool {
        started(self.pid).is_some_and(|started| started == self.started)
    }
}

/// When a process started, as a text that no other process with its pid has.
/// None if it does not run.
#[cfg(target_os = "linux")]
fn started(pid: i32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything: the fields are counted after it.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let (state, ticks) = (*fields.first()?, *fields.get(19)?);
    if state == "Z" {
        return None;
    }
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    Some(format!("{} {ticks}", boot.trim()))
}

/// When a process started, as `ps` tells it. None if it does not run.
#[cfg(not(target_os = "linux"))]
fn started(pid: i32) -> Option<String> {
    let output = std::process::Command::new("ps")
        .args(["-o", "lstart=", "-p", &pid.to_string()])
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (!text.is_empty()).then_some(text)
}
