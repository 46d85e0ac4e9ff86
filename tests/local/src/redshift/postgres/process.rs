//! The server as a child process.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep_until, timeout};

use super::WarehouseError;
use super::place::Place;

/// The server's superuser.
const USER: &str = "stepfleet";

/// How long a server may take to accept connections.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// A running server.
#[derive(Debug)]
pub(super) struct Server {
    child: Child,
    /// Where it accepts connections, with the password.
    pub(super) url: String,
    /// Dropped after `drop` has ended the child: it may remove the data.
    place: Place,
}

impl Server {
    /// Makes the data folder if there is none, starts a server on it, and
    /// waits until it accepts connections. `log` gets what it says.
    pub(super) async fn start(
        programs: &Path,
        place: Place,
        log: PathBuf,
    ) -> Result<Self, WarehouseError> {
        if !place.data().join("PG_VERSION").exists() {
            initialise(programs, &place).await?;
        }
        let deadline = Instant::now() + READY_WITHIN;
        let (child, url) = spawn(programs, &place, &log)?;
        // From here on, being dropped half-way ends the child.
        let mut server = Self { child, url, place };
        while let Err(reason) = server.ready(deadline).await {
            let text = tail(&log);
            if !passes(&text) || Instant::now() >= deadline {
                return Err(WarehouseError::WillNotStart { reason, log, text });
            }
            sleep_until(Instant::now() + Duration::from_millis(200)).await;
            (server.child, server.url) = spawn(programs, &server.place, &log)?;
        }
        Ok(server)
    }

    /// Waits until the server accepts connections.
    async fn ready(&mut self, deadline: Instant) -> Result<(), String> {
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return Err(format!("it ended ({status})")),
                Ok(None) => {}
                Err(error) => return Err(error.to_string()),
            }
            let attempt = async { super::open(&super::parse(&self.url)?, None).await };
            let error = match timeout(Duration::from_secs(5), attempt).await {
                Ok(Ok(_)) => return Ok(()),
                Ok(Err(error)) => error.to_string(),
                Err(elapsed) => elapsed.to_string(),
            };
            if Instant::now() >= deadline {
                return Err(format!("no connection within {READY_WITHIN:?}: {error}"));
            }
            sleep_until(Instant::now() + Duration::from_millis(50)).await;
        }
    }

    /// Ends the server: politely for ten seconds, then at once.
    pub(super) async fn stop(mut self) {
        for signal in [Signal::SIGINT, Signal::SIGQUIT] {
            self.signal(signal);
            if timeout(Duration::from_secs(10), self.child.wait())
                .await
                .is_ok()
            {
                return;
            }
        }
        if let Err(error) = self.child.kill().await {
            tracing::warn!(%error, "PostgreSQL did not end");
        }
    }

    /// Sends `signal` unless the child's end has been seen.
    pub(super) fn signal(&self, signal: Signal) {
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok());
        if let Some(pid) = pid {
            // The one failure is that it has just ended.
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.signal(Signal::SIGQUIT);
    }
}

/// Makes the data folder, under another name until it is whole: a run killed
/// half-way leaves nothing that looks like one.
async fn initialise(programs: &Path, place: &Place) -> Result<(), WarehouseError> {
    let at = |source| WarehouseError::Folder {
        path: place.base.clone(),
        source,
    };
    let unfinished = place.base.join("postgres-unfinished");
    place.private_folder(&unfinished).map_err(at)?;
    place.new_password().map_err(at)?;
    let mut command = command(&programs.join("initdb"), place);
    command
        .args([
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
            "--auth=scram-sha-256",
        ])
        .arg(format!("--username={USER}"))
        .arg("--pwfile")
        .arg(place.password_file())
        .arg("-D")
        .arg(&unfinished);
    let output = command.output().await.map_err(at)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(WarehouseError::Initdb { said });
    }
    fs::rename(&unfinished, place.data()).map_err(at)
}

/// Starts a server on a free port of loopback, without a socket in the file
/// system: the password is the one way in.
fn spawn(programs: &Path, place: &Place, log: &Path) -> Result<(Child, String), WarehouseError> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |source| WarehouseError::Folder { path, source }
    };
    let password_file = place.password_file();
    let password = fs::read_to_string(&password_file).map_err(at(&password_file))?;
    let port = free_port().map_err(at(&place.base))?;
    let file = File::create(log).map_err(at(log))?;
    let mut command = command(&programs.join("postgres"), place);
    command.arg("-D").arg(place.data());
    for setting in [
        "listen_addresses=127.0.0.1",
        "unix_socket_directories=",
        "logging_collector=off",
        "fsync=off",
        "synchronous_commit=off",
        "full_page_writes=off",
        // A statement may have three; 200 statements are active at once.
        "max_connections=620",
        "shared_buffers=64MB",
        "timezone=UTC",
    ] {
        command.args(["-c", setting]);
    }
    command
        .args(["-c", &format!("port={port}")])
        .stdout(file.try_clone().map_err(at(log))?)
        .stderr(file)
        // A Ctrl-C in the terminal is for this process, which then ends the server.
        .process_group(0);
    let child = command.spawn().map_err(at(&place.base))?;
    let url = format!(
        "postgres://{USER}:{}@127.0.0.1:{port}/postgres",
        password.trim()
    );
    Ok((child, url))
}

/// `program` as the server's user, where that user can be.
fn command(program: &Path, place: &Place) -> Command {
    let mut command = Command::new(program);
    command
        .current_dir(&place.base)
        .stdin(Stdio::null())
        .env("LC_ALL", "C");
    if let Some((uid, gid)) = place.owner {
        command.uid(uid).gid(gid);
    }
    command
}

/// A port nobody listens on. Another process may take it before the server
/// does; `start` then tries the next.
fn free_port() -> std::io::Result<u16> {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
    Ok(listener.local_addr()?.port())
}

/// Whether what stopped the server is over in a moment: the last processes of
/// a killed server, or a port taken between choosing and using it.
fn passes(log: &str) -> bool {
    ["pre-existing shared memory block", "could not bind"]
        .iter()
        .any(|sign| log.contains(sign))
}

/// The last lines of `log`.
fn tail(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}
