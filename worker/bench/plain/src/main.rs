//! The peer of the worker's benchmark: the loop that one writes with aws-sdk-sfn
//! alone. As many loops as slots, each polls, reports success, and polls again.
//!
//! `stepfleet-bench-plain ARN SLOTS TASKS`; endpoint, region and credentials come
//! from the ordinary AWS variables. It ends when it has reported TASKS tasks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context as _;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut next = |name: &str| {
        arguments
            .next()
            .with_context(|| format!("usage: ARN SLOTS TASKS; {name} is missing"))
    };
    let arn = next("ARN")?;
    let slots: u32 = next("SLOTS")?.parse().context("SLOTS")?;
    let tasks: u64 = next("TASKS")?.parse().context("TASKS")?;
    let config = aws_config::load_defaults(aws_config::BehaviorVersion::latest()).await;
    let client = aws_sdk_sfn::Client::new(&config);
    let done = Arc::new(AtomicU64::new(0));
    let loops: Vec<_> = (0..slots)
        .map(|_| tokio::spawn(work(client.clone(), arn.clone(), done.clone(), tasks)))
        .collect();
    for each in loops {
        each.await??;
    }
    Ok(())
}

async fn work(
    client: aws_sdk_sfn::Client,
    arn: String,
    done: Arc<AtomicU64>,
    tasks: u64,
) -> anyhow::Result<()> {
    while done.load(Ordering::Relaxed) < tasks {
        let task = client.get_activity_task().activity_arn(&arn).send().await?;
        let Some(token) = task.task_token().filter(|token| !token.is_empty()) else {
            continue;
        };
        client
            .send_task_success()
            .task_token(token)
            .output(task.input().unwrap_or("null"))
            .send()
            .await?;
        done.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}
