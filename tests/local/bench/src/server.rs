//! The server as a process of its own, and what it costs, from /proc.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, bail};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// Gone, with its folder, when it is dropped.
pub(crate) struct Server {
    pub(crate) address: String,
    /// It has one core.
    pub(crate) pinned: bool,
    pid: u32,
    dir: PathBuf,
    _child: Child,
}

// === impl Server ===

impl Server {
    pub(crate) async fn start(program: &Path, number: usize) -> anyhow::Result<Self> {
        let dir = std::env::temp_dir().join(format!(
            "stepfleet-local-bench-{}-{number}",
            std::process::id()
        ));
        let pinned = Command::new("taskset")
            .arg("--version")
            .stdout(Stdio::null())
            .status()
            .await
            .is_ok_and(|status| status.success());
        let mut command = Command::new(if pinned {
            Path::new("taskset")
        } else {
            program
        });
        if pinned {
            command.args(["-c", "0"]).arg(program);
        }
        let mut child = command
            .args([
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--cluster-listen",
                "127.0.0.1:0",
            ])
            .args(["--no-warehouse", "--dir"])
            .arg(&dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{} does not start", program.display()))?;
        // `taskset` becomes the program: the id stays.
        let pid = child.id().context("the server has ended")?;
        let stdout = child.stdout.take().context("no stdout")?;
        let mut lines = BufReader::new(stdout).lines();
        let mut address = None;
        while let Some(line) = lines.next_line().await? {
            if let Some((_, url)) = line.split_once("AWS_ENDPOINT_URL='http://") {
                address = Some(url.trim_end_matches('\'').to_owned());
            }
            if line.starts_with("ready") {
                break;
            }
        }
        // Nobody reads on: a server that says more must not wait for us.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Self {
            address: address.context("the server did not say where it is")?,
            pinned,
            pid,
            dir,
            _child: child,
        })
    }

    /// User and system time so far. Clock ticks are 100 a second on every Linux.
    pub(crate) fn cpu_seconds(&self) -> anyhow::Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid))
            .context("the benchmark reads /proc: it runs on Linux")?;
        // The name in parentheses may hold spaces; utime and stime are fields 14 and 15.
        let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let fields = rest.split_whitespace().skip(11).take(2);
        let ticks: Vec<f64> = fields.filter_map(|field| field.parse().ok()).collect();
        let [user, system] = ticks[..] else {
            bail!("/proc/{}/stat has no times", self.pid)
        };
        Ok((user + system) / 100.0)
    }

    pub(crate) fn mebibytes(&self, field: &str) -> anyhow::Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        let line = line.with_context(|| format!("no {field}"))?;
        let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kib / 1024.0)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A folder of a temporary one: what is left is the system's to clear.
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}
