//! What a loader always loads, and what follows from it: who wakes it, and who
//! watches it.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use stepfleet_activity::ConfigFault;
use stepfleet_activity::catalogue::read_config;

use super::overlap;
use super::values::{arn, duration, fault};
use crate::s3_load::input::LoadInput;
use crate::s3_load::table::Dialect;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const MINUTE: Duration = Duration::from_secs(60);

/// Where S3's events come from.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTrigger {
    /// The URL of an SQS queue that gets the bucket's events.
    queue: String,
    /// Events of so long start one execution.
    #[serde(default = "default_debounce")]
    #[schemars(extend("x-kind" = "duration, 1s to 15m"))]
    debounce: String,
}

/// Alarms about what waits.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawWatch {
    /// The ARN of the SNS topic that the alarms tell.
    topic: String,
    /// More files than this are too many...
    #[serde(default = "default_above")]
    above: u64,
    /// ...if they are for so long.
    #[serde(default = "default_for", rename = "for")]
    #[schemars(extend("x-kind" = "duration, whole minutes up to 1day"))]
    for_: String,
    /// Files that wait for so long without becoming fewer.
    #[serde(default = "default_not_falling")]
    #[schemars(extend("x-kind" = "duration, whole minutes up to 1day"))]
    not_falling: String,
}

fn default_debounce() -> String {
    "10s".to_owned()
}
fn default_above() -> u64 {
    1_000
}
fn default_for() -> String {
    "10m".to_owned()
}
fn default_not_falling() -> String {
    "15m".to_owned()
}

/// Where S3's events come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TriggerConfig {
    /// The URL of the queue.
    pub queue: String,
    /// Events of so long start one execution.
    pub debounce: Duration,
}

/// Alarms about what waits.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct WatchConfig {
    /// The ARN of the SNS topic that the alarms tell.
    pub topic: String,
    /// More files than this are too many.
    pub above: u64,
    /// For how long they are too many.
    pub for_: Duration,
    /// For how long they may wait without becoming fewer.
    pub not_falling: Duration,
}

impl RawTrigger {
    pub(super) fn check(self, faults: &mut Vec<ConfigFault>) -> TriggerConfig {
        if !(self.queue.starts_with("https://") || self.queue.starts_with("http://")) {
            faults.push(fault(
                "trigger.queue",
                format!("found `{}`; allowed is the URL of an SQS queue", self.queue),
            ));
        }
        let range = Duration::from_secs(1)..=15 * MINUTE;
        TriggerConfig {
            debounce: duration("trigger.debounce", &self.debounce, range, faults),
            queue: self.queue,
        }
    }
}

impl RawWatch {
    pub(super) fn check(self, faults: &mut Vec<ConfigFault>) -> WatchConfig {
        arn("watch.topic", &self.topic, "sns", faults);
        let mut minutes = |path, text: &str| {
            let found = duration(path, text, MINUTE..=DAY, faults);
            if !found.as_secs().is_multiple_of(60) || found.subsec_nanos() > 0 {
                let message = format!("found `{text}`; allowed are whole minutes");
                faults.push(fault(path, message));
            }
            found
        };
        WatchConfig {
            for_: minutes("watch.for", &self.for_),
            not_falling: minutes("watch.not_falling", &self.not_falling),
            above: self.above,
            topic: self.topic,
        }
    }
}

/// Each as the input of a run; gives those that are.
pub(super) fn loads(loads: &[Value], faults: &mut Vec<ConfigFault>) -> Vec<LoadInput> {
    let mut read = Vec::with_capacity(loads.len());
    for (at, load) in loads.iter().enumerate() {
        let mut say = |fault: ConfigFault| faults.push(of_load(at, fault));
        match read_config::<LoadInput>(load) {
            Ok(load) => {
                load.faults().into_iter().for_each(&mut say);
                if load.reload {
                    let message = "found `true`; allowed in the input of one execution alone: here, what comes again would be loaded again at every tick";
                    say(ConfigFault::new("reload", message));
                }
                read.push(load);
            }
            Err(fault) => say(fault),
        }
    }
    read
}

/// The loads of a config or an input as their warehouse reads them: each is one,
/// and no two are one.
pub(crate) fn checked(
    loads: Vec<LoadInput>,
    dialect: Dialect,
) -> Result<Vec<LoadInput>, Vec<ConfigFault>> {
    let (mut read, mut faults) = (Vec::with_capacity(loads.len()), Vec::new());
    for (at, load) in loads.into_iter().enumerate() {
        let own = load.faults();
        let checked = if own.is_empty() {
            load.on(dialect)
        } else {
            Err(own)
        };
        match checked {
            Ok(load) => read.push(load),
            Err(beyond) => faults.extend(beyond.into_iter().map(|fault| of_load(at, fault))),
        }
    }
    if faults.is_empty() {
        faults = overlap::among(&read);
    }
    if faults.is_empty() {
        Ok(read)
    } else {
        Err(faults)
    }
}

fn of_load(at: usize, fault: ConfigFault) -> ConfigFault {
    let dot = if fault.path.is_empty() { "" } else { "." };
    ConfigFault {
        path: format!("loads[{at}]{dot}{}", fault.path),
        ..fault
    }
}
