//! Runs a worker as a process of its own and reads what it cost from /proc.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::process::{Child, Command};
use tokio::time::{Instant, timeout};

use crate::server::{self, Seen};

/// The activity that is polled.
const ARN: &str = "arn:aws:states:eu-west-1:123456789012:activity:bench-echo";
/// A run that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(120);

/// A program under measurement: its file and what comes before ARN SLOTS TASKS.
pub(crate) struct Subject<'a> {
    pub(crate) program: &'a Path,
    pub(crate) first: &'a [&'a str],
}

/// What one run cost.
pub(crate) struct Cost {
    pub(crate) cpu_per_thousand: f64,
    pub(crate) tasks_per_second: f64,
    pub(crate) peak_mib: f64,
}

/// Runs `tasks` tasks over `slots` slots, after a warm-up that is not counted.
pub(crate) async fn throughput(
    subject: &Subject<'_>,
    slots: u32,
    tasks: u64,
) -> anyhow::Result<Cost> {
    let warm = tasks / 10;
    let (mut child, seen) =
        start(subject, slots, tasks + warm + u64::from(slots) * 2, false).await?;
    let pid = child.id().context("the worker has ended")?;
    let run = async {
        seen.done(warm).await;
        let (begin, cpu) = (Instant::now(), cpu_seconds(pid)?);
        seen.done(warm + tasks).await;
        let (wall, cpu) = (begin.elapsed().as_secs_f64(), cpu_seconds(pid)? - cpu);
        anyhow::Ok((wall, cpu, status_mib(pid, "VmHWM:")?))
    };
    let measured = timeout(PATIENCE, run)
        .await
        .context("the worker did not get through its tasks")?;
    child.kill().await?;
    let (wall, cpu, peak_mib) = measured?;
    #[expect(clippy::cast_precision_loss, reason = "task counts are far below 2^52")]
    let count = tasks as f64;
    Ok(Cost {
        cpu_per_thousand: cpu * 1000.0 / count,
        tasks_per_second: count / wall,
        peak_mib,
    })
}

/// From the start of the process to its first poll.
pub(crate) async fn start_to_first_poll(subject: &Subject<'_>) -> anyhow::Result<Duration> {
    let begin = Instant::now();
    let (mut child, seen) = start(subject, 1, 1, true).await?;
    timeout(PATIENCE, seen.polls(1))
        .await
        .context("no poll came")?;
    let took = begin.elapsed();
    child.kill().await?;
    Ok(took)
}

/// The memory of a process that holds `count` polls open.
pub(crate) async fn open_polls(subject: &Subject<'_>, count: u32) -> anyhow::Result<f64> {
    let (mut child, seen) = start(subject, count, u64::from(count), true).await?;
    timeout(PATIENCE, seen.open(u64::from(count)))
        .await
        .with_context(|| format!("{count} polls were never open at once"))?;
    let mib = status_mib(child.id().context("the worker has ended")?, "VmRSS:")?;
    child.kill().await?;
    Ok(mib)
}

async fn start(
    subject: &Subject<'_>,
    slots: u32,
    tasks: u64,
    hold: bool,
) -> anyhow::Result<(Child, Arc<Seen>)> {
    let (url, seen) = server::start().await?;
    if hold {
        seen.hold_polls();
    }
    let child = Command::new(subject.program)
        .args(subject.first)
        .args([ARN, &slots.to_string(), &tasks.to_string()])
        .env("AWS_ENDPOINT_URL", url)
        .env("AWS_REGION", "eu-west-1")
        .env("AWS_ACCESS_KEY_ID", "bench")
        .env("AWS_SECRET_ACCESS_KEY", "bench")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("{} does not start", subject.program.display()))?;
    Ok((child, seen))
}

/// User and system time so far, in seconds. Clock ticks are 100 a second on every Linux.
fn cpu_seconds(pid: u32) -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .context("the benchmark reads /proc: it runs on Linux")?;
    // The name in parentheses may hold spaces; utime and stime are fields 14 and 15.
    let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks: Vec<f64> = rest
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse().ok())
        .collect();
    let [user, system] = ticks[..] else {
        bail!("/proc/{pid}/stat has no times")
    };
    Ok((user + system) / 100.0)
}

fn status_mib(pid: u32, field: &str) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(field))
        .with_context(|| format!("no {field}"))?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib / 1024.0)
}
