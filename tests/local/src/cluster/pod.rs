//! The life of one pod: start, readiness, restarts with back-off, SIGTERM,
//! grace, SIGKILL.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Child;
use tokio::sync::watch;
use tokio::time::Instant;

use super::machine::Settings;
use super::process::{self, ContainerSpec, Probe, RestartPolicy};
use super::resource::Key;

/// The annotation that tells a worker's port, here and in the chart.
pub(crate) const PORT_ANNOTATION: &str = "stepfleet.dev/port";
/// The longest wait before a process is started again.
const LONGEST_BACK_OFF: Duration = Duration::from_secs(30);
/// A process that ran so long starts with the shortest wait again, as in Kubernetes.
const STEADY: Duration = Duration::from_secs(10 * 60);

/// One pod that runs.
pub(crate) struct Pod {
    pub(crate) settings: Arc<Settings>,
    pub(crate) key: Key,
    /// The grace in seconds, once the pod is to go.
    pub(crate) deleted: watch::Receiver<Option<u64>>,
    container: (String, String),
    restarts: u32,
    crashes: u32,
    last_state: Value,
}

/// Why a process is no longer looked after.
enum End {
    Exited(std::process::ExitStatus),
    Deleted,
}

// === impl Pod ===

impl Pod {
    pub(crate) fn new(
        settings: Arc<Settings>,
        key: Key,
        deleted: watch::Receiver<Option<u64>>,
    ) -> Self {
        Self {
            settings,
            key,
            deleted,
            container: ("main".to_owned(), "process".to_owned()),
            restarts: 0,
            crashes: 0,
            last_state: json!({}),
        }
    }

    /// Runs the pod to its end; then its object goes.
    pub(crate) async fn run(mut self) {
        if let Some(port) = self.settings.take_port(free_port) {
            self.live(port).await;
            self.settings.give_port(port);
        } else {
            self.tell("Pending", waiting("NoPort", "no free port on loopback"));
            self.wait_deleted().await;
        }
        // Gone already is what is wanted.
        let _ = self.settings.store.remove(&self.key, |_| Ok(()));
    }

    async fn live(&mut self, port: u16) {
        match self.prepare(port) {
            Ok(spec) => self.restart_until_deleted(&spec, port).await,
            Err(why) => {
                self.tell("Pending", waiting("CreateContainerConfigError", &why));
                self.wait_deleted().await;
            }
        }
    }

    /// Tells the pod's port and reads what it runs.
    fn prepare(&mut self, port: u16) -> Result<ContainerSpec, String> {
        let store = &self.settings.store;
        let pod = store.update(&self.key, |pod| {
            pod["metadata"]["annotations"][PORT_ANNOTATION] = json!(port.to_string());
            Ok(())
        });
        let pod = pod.map_err(|error| error.to_string())?;
        let mut env = self.settings.env.clone();
        for (name, value) in [
            ("POD_NAME", self.key.name.clone()),
            ("POD_NAMESPACE", self.key.namespace.clone()),
            ("STEPFLEET_PORT", port.to_string()),
        ] {
            env.push((name.to_owned(), value));
        }
        let spec = ContainerSpec::read(&pod, &env)?;
        self.container = (spec.name.clone(), spec.image.clone());
        Ok(spec)
    }

    async fn restart_until_deleted(&mut self, spec: &ContainerSpec, port: u16) {
        let mut phase = "Pending";
        while self.deleted.borrow().is_none() {
            let started = Instant::now();
            let log = self.settings.log_path(&self.key.name);
            match spec.spawn(&log, self.settings.user.as_ref()) {
                Ok(child) => {
                    phase = "Running";
                    match self.look_after(child, spec, port).await {
                        End::Deleted => return,
                        End::Exited(status) if self.finished(spec, status) => break,
                        End::Exited(_) => {}
                    }
                }
                Err(error) => {
                    self.tell(phase, waiting("StartError", &error.to_string()));
                }
            }
            if started.elapsed() >= STEADY {
                self.crashes = 0;
            }
            self.back_off(phase).await;
        }
        self.wait_deleted().await;
    }

    /// Notes how a process ended; whether that was the pod's end too.
    fn finished(&mut self, spec: &ContainerSpec, status: std::process::ExitStatus) -> bool {
        let state = process::terminated(status, &self.settings.store.now());
        let last = match (spec.restart, status.success()) {
            (RestartPolicy::Always, _) | (RestartPolicy::OnFailure, false) => None,
            (_, true) => Some("Succeeded"),
            (RestartPolicy::Never, false) => Some("Failed"),
        };
        if let Some(phase) = last {
            self.tell(phase, json!({"terminated": state}));
        } else {
            self.last_state = json!({"terminated": state});
        }
        last.is_some()
    }

    async fn back_off(&mut self, phase: &str) {
        let doubled = Duration::from_secs(1 << self.crashes.min(5));
        let wait = doubled.min(LONGEST_BACK_OFF);
        self.crashes = self.crashes.saturating_add(1);
        if phase == "Running" {
            let said = format!("back-off {}s restarting failed container", wait.as_secs());
            self.tell(phase, waiting("CrashLoopBackOff", &said));
        }
        let until = Instant::now() + wait;
        tokio::select! {
            () = tokio::time::sleep_until(until) => {
                if phase == "Running" {
                    self.restarts = self.restarts.saturating_add(1);
                }
            }
            () = self.wait_deleted() => {}
        }
    }

    async fn look_after(&mut self, mut child: Child, spec: &ContainerSpec, port: u16) -> End {
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
        if let Some(pid) = pid {
            self.settings.register.add(&self.key.name, pid);
        }
        let running = json!({"running": {"startedAt": self.settings.store.now()}});
        self.tell("Running", running.clone());
        if spec.probe.is_none() {
            self.tell_ready(true, &running);
        }
        let end = tokio::select! {
            status = child.wait() => End::Exited(status.unwrap_or_default()),
            () = wait_for_grace(self.deleted.clone()) => End::Deleted,
            () = self.keep_probing(spec.probe.as_ref(), port, &running) => End::Deleted,
        };
        if matches!(end, End::Deleted) {
            self.tell_ready(false, &running);
            self.stop(&mut child, pid).await;
        }
        if let Some(pid) = pid {
            // What the process started and left behind goes with it.
            process::kill_group(pid, Signal::SIGKILL);
            self.settings.register.remove(pid);
        }
        end
    }

    /// SIGTERM, grace, SIGKILL.
    async fn stop(&mut self, child: &mut Child, pid: Option<i32>) {
        let Some(pid) = pid else { return };
        process::terminate(pid);
        let asked = Instant::now();
        loop {
            let grace = self.deleted.borrow_and_update().unwrap_or_default();
            tokio::select! {
                _ = child.wait() => return,
                () = tokio::time::sleep_until(asked + process::span(grace)) => {
                    tracing::warn!(pod = self.key.name, grace, "did not end within its grace");
                    process::kill_group(pid, Signal::SIGKILL);
                    // Reaps it: after SIGKILL it ends.
                    let _ = child.wait().await;
                    return;
                }
                Ok(()) = self.deleted.changed() => {}
            }
        }
    }

    /// Never ends: asks again and again whether the process is ready.
    async fn keep_probing(&self, probe: Option<&Probe>, port: u16, running: &Value) {
        let Some(probe) = probe else {
            return std::future::pending().await;
        };
        let mut ticks = tokio::time::interval_at(Instant::now() + probe.delay, probe.period);
        let mut failures = 0_u32;
        loop {
            ticks.tick().await;
            let asked = tokio::time::timeout(probe.timeout, ask(port, &probe.path)).await;
            if matches!(asked, Ok(Ok(true))) {
                failures = 0;
                self.tell_ready(true, running);
            } else {
                failures = failures.saturating_add(1);
                if failures >= probe.failures {
                    self.tell_ready(false, running);
                }
            }
        }
    }

    async fn wait_deleted(&mut self) {
        wait_for_grace(self.deleted.clone()).await;
    }

    fn tell(&self, phase: &str, state: Value) {
        self.write_status(phase, false, &state);
    }

    fn tell_ready(&self, ready: bool, running: &Value) {
        self.write_status("Running", ready, running);
    }

    fn write_status(&self, phase: &str, ready: bool, state: &Value) {
        let now = self.settings.store.now();
        let (name, image) = &self.container;
        // A pod whose object is gone has nobody to be told.
        let _ = self.settings.store.update(&self.key, |pod| {
            let status = &mut pod["status"];
            let start = match &status["startTime"] {
                Value::Null => json!(now),
                known => known.clone(),
            };
            let conditions = ["Ready", "ContainersReady"]
                .map(|kind| condition(&status["conditions"], (kind, ready), &now));
            *status = json!({
                "phase": phase,
                "podIP": "127.0.0.1",
                "podIPs": [{"ip": "127.0.0.1"}],
                "hostIP": "127.0.0.1",
                "startTime": start,
                "conditions": conditions,
                "containerStatuses": [{
                    "name": name,
                    "image": image,
                    "imageID": "",
                    "ready": ready,
                    "started": state["running"].is_object(),
                    "restartCount": self.restarts,
                    "state": state,
                    "lastState": self.last_state,
                }],
            });
            Ok(())
        });
    }
}

/// A condition, whose time is that of its last change.
pub(crate) fn condition(known: &Value, (kind, holds): (&str, bool), now: &str) -> Value {
    let said = if holds { "True" } else { "False" };
    let since = known
        .as_array()
        .into_iter()
        .flatten()
        .find(|condition| condition["type"] == kind && condition["status"] == said)
        .map_or(json!(now), |condition| {
            condition["lastTransitionTime"].clone()
        });
    json!({"type": kind, "status": said, "lastTransitionTime": since})
}

fn waiting(reason: &str, message: &str) -> Value {
    json!({"waiting": {"reason": reason, "message": message}})
}

async fn wait_for_grace(mut deleted: watch::Receiver<Option<u64>>) {
    if deleted.wait_for(Option::is_some).await.is_err() {
        // Nobody is left who could say so.
        std::future::pending::<()>().await;
    }
}

fn free_port() -> Option<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).ok()?;
    Some(listener.local_addr().ok()?.port())
}

/// Whether a GET is answered with a status of 200 to 399.
async fn ask(port: u16, path: &str) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut head = [0; 12];
    stream.read_exact(&mut head).await?;
    let status: Option<u16> = std::str::from_utf8(&head[9..])
        .ok()
        .and_then(|text| text.parse().ok());
    Ok(status.is_some_and(|status| (200..400).contains(&status)))
}
