//! The program itself, with the warehouse of its own, on free ports.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// The program, ended when it is dropped.
pub(crate) struct Program {
    child: Child,
    printed: String,
    dir: tempfile::TempDir,
}

impl Program {
    pub(crate) fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let free = "127.0.0.1:0";
        let mut child = Command::new(env!("CARGO_BIN_EXE_stepfleet-local"))
            .args(["serve", "--listen", free, "--cluster-listen", free])
            .current_dir(dir.path())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(dir.path().join("said")).unwrap())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut printed = String::new();
        while !printed.ends_with("ready\n") {
            assert_ne!(stdout.read_line(&mut printed).unwrap(), 0, "{printed}");
        }
        Self {
            child,
            printed,
            dir,
        }
    }

    pub(crate) fn export(&self, name: &str) -> String {
        let begins = format!("export {name}='");
        let mut lines = self.printed.lines();
        let value = lines.find_map(|line| line.strip_prefix(&begins)).unwrap();
        value.trim_end_matches('\'').to_owned()
    }

    /// What it has said beside that.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(self.dir.path().join("said")).unwrap()
    }

    /// Where the Kubernetes API is, and the token for it.
    pub(crate) fn cluster(&self) -> (String, String) {
        let config = fs::read_to_string(self.export("KUBECONFIG")).unwrap();
        let config: Value = serde_json::from_str(&config).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let (cluster, user) = (&config["clusters"][0], &config["users"][0]);
        (
            text(&cluster["cluster"]["server"]),
            text(&user["user"]["token"]),
        )
    }

    /// The ports that it listens at, and those of the processes that it started.
    pub(crate) fn ports(&self) -> (BTreeSet<u16>, BTreeSet<u16>) {
        let own = self.child.id();
        let processes = fs::read_dir("/proc").unwrap().flatten();
        let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let children: BTreeSet<u16> = numbers
            .filter(|pid: &u32| {
                let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
                let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
                rest.split_whitespace().nth(1) == Some(&own.to_string())
            })
            .flat_map(listening)
            .collect();
        (listening(own), children)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        kill(pid, Signal::SIGTERM).unwrap();
        self.child.wait().unwrap();
    }
}

/// The ports that a process listens at.
fn listening(pid: u32) -> BTreeSet<u16> {
    let open = fs::read_dir(format!("/proc/{pid}/fd"))
        .into_iter()
        .flatten();
    let links = open
        .flatten()
        .filter_map(|fd| fs::read_link(fd.path()).ok());
    let sockets: BTreeSet<String> = links.map(|link| link.display().to_string()).collect();
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(fs::read_to_string);
    let text = tables.into_iter().flatten().collect::<String>();
    let ports = text.lines().filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (local, state, inode) = (words.get(1)?, words.get(3)?, words.get(9)?);
        let ours = *state == "0A" && sockets.contains(&format!("socket:[{inode}]"));
        let (_, port) = local.split_once(':')?;
        ours.then(|| u16::from_str_radix(port, 16).ok())?
    });
    ports.collect()
}
