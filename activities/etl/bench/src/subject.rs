//! What is measured, in a process of its own: it says itself what it cost.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::config::Credentials;
use serde_json::{Value, json};
use stepfleet_activity::catalogue::{ReadOptions, parse};
use stepfleet_activity::{Clock as _, SystemClock, TaskContext};
use stepfleet_etl::{Clients, LoadOutput, S3Load};
use tokio::time::Instant;

use crate::What;

const CATALOGUE: &str = r#"version: 1
fleet: bench
aws: {account: "123456789012", region: eu-west-1}
warehouses:
  main: {workgroup: analytics, database: dev}
deployments:
  pods:
activities:
  load:
    handler: etl.s3-load
    deployment: pods
    config: {warehouse: main, settle: 0s, max_files: 10000, max_bytes: 1TB}
"#;

/// Runs it, and says what it cost.
pub(crate) async fn run(what: What, endpoint: &str, files: usize) -> anyhow::Result<Value> {
    let aws = aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .credentials_provider(Credentials::new("bench", "bench", None, None, "bench"))
        .endpoint_url(endpoint)
        .load()
        .await;
    let begin = Instant::now();
    match what {
        What::Plain => plain(&aws, files).await?,
        What::Plan => {
            // The server takes no batch: that is where planning ends.
            let error = load(&aws).await?.err().context("no batch is taken")?;
            let submitted = error.cause().contains("submit batch");
            ensure!(submitted, "it ended elsewhere: {error}");
        }
        What::Move => {
            let output = load(&aws).await??;
            ensure!(output.moved == files as u64, "only {} moved", output.moved);
        }
    }
    let wall = begin.elapsed().as_secs_f64();
    Ok(json!({"wall": wall, "cpu": cpu()?, "megabytes": megabytes()?}))
}

async fn load(
    aws: &SdkConfig,
) -> anyhow::Result<Result<LoadOutput, stepfleet_activity::ActivityError>> {
    let catalogue = parse("bench", CATALOGUE, &ReadOptions::default());
    let catalogue = catalogue.map_err(|faults| anyhow::anyhow!("{faults}"))?;
    let clients = Clients {
        s3: s3(aws),
        redshiftdata: aws_sdk_redshiftdata::Client::new(aws),
        cloudwatch: aws_sdk_cloudwatch::Client::new(aws),
        sns: aws_sdk_sns::Client::new(aws),
        secrets: aws_sdk_secretsmanager::Client::new(aws),
    };
    let load = S3Load::new(clients, &catalogue, &catalogue.activities["load"])?;
    let input = json!({"bucket": "land", "table": "public.t", "format": "csv"});
    let now = Arc::new(SystemClock).now();
    let context = TaskContext {
        attempt: None,
        received: now,
        deadline: now,
        heartbeat_interval: Duration::from_secs(20),
        progress: Default::default(),
    };
    Ok(load.run(serde_json::from_value(input)?, context).await)
}

/// What one would write without further thought.
async fn plain(aws: &SdkConfig, files: usize) -> anyhow::Result<()> {
    let s3 = s3(aws);
    for number in 0..files {
        let key = crate::server::key(number);
        s3.copy_object()
            .bucket("land")
            .key(format!("processed/{key}"))
            .copy_source(format!("land/{key}"))
            .send()
            .await?;
        s3.delete_object().bucket("land").key(key).send().await?;
    }
    Ok(())
}

fn s3(aws: &SdkConfig) -> aws_sdk_s3::Client {
    let config = aws_sdk_s3::config::Builder::from(aws).force_path_style(true);
    aws_sdk_s3::Client::from_conf(config.build())
}

/// User and system time: fields 14 and 15, in hundredths of a second, counted
/// behind the name in parentheses, which may have blanks.
fn cpu() -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = stat.rsplit_once(')').context("a name")?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks = |at: usize| -> anyhow::Result<f64> { Ok(fields[at].parse()?) };
    Ok((ticks(11)? + ticks(12)?) / 100.0)
}

/// The most memory that it had.
fn megabytes() -> anyhow::Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let mut lines = status.lines();
    let peak = lines.find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = peak.and_then(|text| text.trim().strip_suffix(" kB"));
    let kibibytes: f64 = kibibytes.context("a peak")?.trim().parse()?;
    Ok(kibibytes * 1_024.0 / 1e6)
}
