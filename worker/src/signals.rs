//! What the operating system tells a worker: its name and when to stop.

use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::task::AbortOnDropHandle;

use crate::shutdown::ShutdownHandle;

/// The pod's name, else host and process.
pub(crate) fn worker_name() -> Arc<str> {
    let named = |variable| std::env::var(variable).ok().filter(|name| !name.is_empty());
    if let Some(pod) = named("POD_NAME") {
        return pod.into();
    }
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .or_else(|| named("HOSTNAME"))
        .unwrap_or_else(|| "worker".to_owned());
    format!("{host}-{}", std::process::id()).into()
}

/// A handle that SIGTERM and SIGINT move on, each time one step.
pub(crate) fn install() -> std::io::Result<(ShutdownHandle, Option<AbortOnDropHandle<()>>)> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let handle = ShutdownHandle::new();
    let stopping = handle.clone();
    let listening = tokio::spawn(async move {
        loop {
            let name = tokio::select! {
                Some(()) = terminate.recv() => "SIGTERM",
                Some(()) = interrupt.recv() => "SIGINT",
                else => return,
            };
            tracing::info!("{name}");
            stopping.signal();
        }
    });
    Ok((handle, Some(AbortOnDropHandle::new(listening))))
}
