//! A container as a process of this machine.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use super::PodUser;

/// What a pod gets of our own environment: what an image would bring. AWS's
/// variables are not among them, so that a pod never leaves this machine by accident.
const INHERITED: [&str; 8] = [
    "PATH",
    "HOME",
    "LANG",
    "LD_LIBRARY_PATH",
    "RUST_BACKTRACE",
    "RUST_LOG",
    "TMPDIR",
    "TZ",
];

/// The longest wait that somebody can ask for: longer than anything here runs.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// What to run, as the pod's first container says.
#[derive(Debug, Clone)]
pub(crate) struct ContainerSpec {
    pub(crate) name: String,
    pub(crate) image: String,
    program: String,
    args: Vec<String>,
    env: Vec<(String, String)>,
    dir: Option<String>,
    pub(crate) restart: RestartPolicy,
    pub(crate) probe: Option<Probe>,
}

/// When a process that ended is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RestartPolicy {
    Always,
    OnFailure,
    Never,
}

/// How readiness is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Probe {
    pub(crate) path: String,
    pub(crate) delay: Duration,
    pub(crate) period: Duration,
    pub(crate) timeout: Duration,
    pub(crate) failures: u32,
}

// === impl ContainerSpec ===

impl ContainerSpec {
    /// Reads a pod. `given` is environment that the pod's own may override.
    ///
    /// # Errors
    /// What this machine cannot run, for the pod's status.
    pub(crate) fn read(pod: &Value, given: &[(String, String)]) -> Result<Self, String> {
        let spec = &pod["spec"];
        let container = &spec["containers"][0];
        let mut env = given.to_vec();
        for variable in container["env"].as_array().into_iter().flatten() {
            let name = variable["name"].as_str().unwrap_or_default().to_owned();
            let value = variable_value(pod, variable, &env)?;
            env.retain(|(known, _)| *known != name);
            env.push((name, value));
        }
        let words = |field: &str| -> Vec<String> {
            let list = container[field].as_array().into_iter().flatten();
            list.map(|word| expand(word.as_str().unwrap_or_default(), &env))
                .collect()
        };
        let mut command = words("command").into_iter();
        let program = command.next().ok_or(
            "the container has no command: on one machine there is no image to take it from",
        )?;
        let args = command.chain(words("args")).collect();
        Ok(Self {
            name: text(&container["name"], "main"),
            image: text(&container["image"], "process"),
            program,
            args,
            dir: container["workingDir"].as_str().map(str::to_owned),
            restart: match spec["restartPolicy"].as_str() {
                Some("Never") => RestartPolicy::Never,
                Some("OnFailure") => RestartPolicy::OnFailure,
                _ => RestartPolicy::Always,
            },
            probe: Probe::read(&container["readinessProbe"])?,
            env,
        })
    }

    /// Starts the process in a group of its own, so that a Ctrl-C reaches us and not it;
    /// as `user`, if it is not to run as we do.
    pub(crate) fn spawn(&self, log: &Path, user: Option<&PodUser>) -> io::Result<Child> {
        if let Some(dir) = log.parent() {
            std::fs::create_dir_all(dir)?;
        }
        let output = OpenOptions::new().create(true).append(true).open(log)?;
        let mut command = Command::new(&self.program);
        command
            .args(&self.args)
            .env_clear()
            .envs(INHERITED.iter().filter_map(|name| {
                let value = std::env::var_os(name)?;
                Some((*name, value))
            }))
            .envs(user.map(|user| ("HOME", &user.home)))
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .process_group(0)
            .kill_on_drop(true);
        if let Some(user) = user {
            // Ours may be closed to it.
            command.env_remove("TMPDIR").current_dir("/");
            // Our further groups are let go of with it.
            command.uid(user.uid).gid(user.gid);
        }
        if let Some(dir) = &self.dir {
            command.current_dir(dir);
        }
        command.spawn().map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("cannot run {}: {error}", self.program),
            )
        })
    }
}

// === impl Probe ===

impl Probe {
    fn read(probe: &Value) -> Result<Option<Self>, String> {
        if probe.is_null() {
            return Ok(None);
        }
        let path = probe["httpGet"]["path"]
            .as_str()
            .ok_or("stepfleet-local has readiness probes by httpGet only")?;
        let seconds = |name: &str, unsaid: u64| span(probe[name].as_u64().unwrap_or(unsaid));
        let failures = probe["failureThreshold"].as_u64().unwrap_or(3).max(1);
        Ok(Some(Self {
            path: path.to_owned(),
            delay: seconds("initialDelaySeconds", 0),
            period: seconds("periodSeconds", 1).max(Duration::from_secs(1)),
            timeout: seconds("timeoutSeconds", 1).max(Duration::from_secs(1)),
            failures: u32::try_from(failures).unwrap_or(u32::MAX),
        }))
    }
}

/// As many seconds as asked for, and no more than a clock can be moved on by.
pub(crate) fn span(seconds: u64) -> Duration {
    Duration::from_secs(seconds).min(LONGEST)
}

/// Asks one process to end.
pub(crate) fn terminate(pid: i32) {
    // It may have ended just now: then there is nothing to ask.
    let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
}

/// Ends all processes of a group.
pub(crate) fn kill_group(pid: i32, signal: Signal) {
    // None left is what is wanted.
    let _ = killpg(Pid::from_raw(pid), signal);
}

/// The `terminated` state of a container.
pub(crate) fn terminated(status: ExitStatus, at: &str) -> Value {
    let mut state = json!({
        "reason": if status.success() { "Completed" } else { "Error" },
        "exitCode": status.code().or_else(|| status.signal().map(|signal| 128 + signal)),
        "finishedAt": at,
    });
    if let Some(signal) = status.signal() {
        state["signal"] = json!(signal);
    }
    state
}

fn variable_value(
    pod: &Value,
    variable: &Value,
    env: &[(String, String)],
) -> Result<String, String> {
    if variable["valueFrom"].is_null() {
        return Ok(expand(variable["value"].as_str().unwrap_or_default(), env));
    }
    match variable["valueFrom"]["fieldRef"]["fieldPath"].as_str() {
        Some("metadata.name") => Ok(text(&pod["metadata"]["name"], "")),
        Some("metadata.namespace") => Ok(text(&pod["metadata"]["namespace"], "")),
        Some("status.podIP" | "status.hostIP") => Ok("127.0.0.1".to_owned()),
        _ => Err(format!(
            "env {}: stepfleet-local takes a value, or a fieldRef to metadata.name, \
             metadata.namespace or status.podIP",
            variable["name"]
        )),
    }
}

/// Puts values in the place of `$(NAME)`; a name that is not known stays as it is.
fn expand(text: &str, env: &[(String, String)]) -> String {
    env.iter().fold(text.to_owned(), |text, (name, value)| {
        text.replace(&format!("$({name})"), value)
    })
}

fn text(value: &Value, unsaid: &str) -> String {
    value.as_str().unwrap_or(unsaid).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_gets_its_command_with_the_port_in_it() {
        let pod = json!({
            "metadata": {"name": "a-1", "namespace": "default"},
            "spec": {"containers": [{
                "command": ["worker", "--catalogue", "fleet.yaml"],
                "args": ["--listen", "127.0.0.1:$(STEPFLEET_PORT)", "$(UNKNOWN)"],
                "env": [
                    {"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                    {"name": "URL", "value": "http://x:$(STEPFLEET_PORT)/$(NAME)"},
                ],
            }]},
        });
        let given = [("STEPFLEET_PORT".to_owned(), "4711".to_owned())];
        let spec = ContainerSpec::read(&pod, &given).unwrap();
        assert_eq!(spec.program, "worker");
        assert_eq!(
            spec.args,
            [
                "--catalogue",
                "fleet.yaml",
                "--listen",
                "127.0.0.1:4711",
                "$(UNKNOWN)"
            ]
        );
        assert_eq!(spec.env[2], ("URL".into(), "http://x:4711/a-1".into()));
        assert_eq!(spec.restart, RestartPolicy::Always);
    }

    #[test]
    fn what_cannot_be_run_is_said() {
        let cases = [
            (json!({"image": "x"}), "no command"),
            (
                json!({"command": ["a"], "readinessProbe": {"exec": {}}}),
                "httpGet only",
            ),
            (
                json!({"command": ["a"], "env": [{"name": "S", "valueFrom": {"secretKeyRef": {}}}]}),
                "env \"S\"",
            ),
        ];
        for (container, want) in cases {
            let pod = json!({"spec": {"containers": [container]}});
            let said = ContainerSpec::read(&pod, &[]).unwrap_err();
            assert!(said.contains(want), "{said}");
        }
    }
}
