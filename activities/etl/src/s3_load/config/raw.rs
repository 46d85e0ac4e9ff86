//! `config` of `etl.s3-load` as it is written, with its defaults and bounds.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use stepfleet_activity::ConfigFault;

use super::standing::{RawTrigger, RawWatch};
use super::values::{Size, arn, fault, parse_size};
use super::{Commit, Notify, OnFailed};
use crate::outside::deleting::ConditionalDelete;
use crate::s3_load::input::LoadInput;

/// `config` of `etl.s3-load`, as it is written.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawConfig {
    /// The name of a warehouse of the catalogue.
    pub(super) warehouse: String,
    /// Files in one load at most.
    #[serde(default = "default_max_files")]
    #[schemars(range(min = 1, max = 10_000))]
    pub(super) max_files: u64,
    /// Bytes in one load at most; a single file over it is loaded alone.
    #[serde(default = "default_max_bytes")]
    pub(super) max_bytes: Size,
    /// How long an object must have been there before it is loaded.
    #[serde(default = "default_settle")]
    #[schemars(extend("x-kind" = "duration, 0s to 1day"))]
    pub(super) settle: String,
    /// For how long a table is held before another load may take over.
    #[serde(default = "default_lease")]
    #[schemars(extend("x-kind" = "duration, 5s to 1day"))]
    pub(super) lease: String,
    /// How a batch comes into Redshift: by statements, or by a stored procedure.
    #[serde(default)]
    pub(super) commit: Commit,
    /// What the bucket's store does otherwise than S3.
    #[serde(default)]
    pub(super) s3: RawS3,
    /// How far a run goes to find bad files and to load the rest.
    #[serde(default)]
    pub(super) isolate: RawIsolate,
    /// How a run ends that has set bad files aside: `Load.Failed`, or well.
    #[serde(default)]
    pub(super) on_failed: OnFailed,
    /// Whom to tell of files that cannot be loaded; nobody unless said.
    pub(super) notify: Option<RawNotify>,
    /// What is always loaded, each as the input of a run: for `trigger`, `watch` and `etl.s3-plan`.
    #[serde(default)]
    #[schemars(with = "Vec<LoadInput>")]
    pub(super) loads: Vec<Value>,
    /// What wakes the loader for new files, beside a schedule: `etl-worker trigger`.
    pub(super) trigger: Option<RawTrigger>,
    /// Alarms about what waits, for each table of `loads`: `etl-worker setup` makes them.
    pub(super) watch: Option<RawWatch>,
}

/// What a store does otherwise than S3.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawS3 {
    /// How an object is deleted only if it is the one that is meant: by the store,
    /// or, where that knows no DELETE with If-Match, by HEAD before it.
    #[serde(default)]
    pub(super) conditional_delete: ConditionalDelete,
}

/// How far a run goes to find bad files.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawIsolate {
    /// COPYs in one run at most. With 1, a bad file stops its batch, and nothing is moved.
    #[serde(default = "default_attempts")]
    #[schemars(range(min = 1, max = 1_000))]
    pub(super) attempts: u32,
}

impl Default for RawIsolate {
    fn default() -> Self {
        Self {
            attempts: default_attempts(),
        }
    }
}

/// Whom to tell, and from when on.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawNotify {
    /// The ARN of an SNS topic. It is told at least once.
    pub(super) topic: String,
    /// From so many files in `failed/` on, whenever one is added.
    #[serde(default = "default_failed_files")]
    #[schemars(range(min = 1))]
    pub(super) failed_files: u64,
}

pub(super) fn default_attempts() -> u32 {
    20
}
pub(super) fn default_failed_files() -> u64 {
    1
}
pub(super) fn default_max_files() -> u64 {
    200
}
pub(super) fn default_max_bytes() -> Size {
    Size::Text("1GiB".to_owned())
}
pub(super) fn default_settle() -> String {
    "10s".to_owned()
}
pub(super) fn default_lease() -> String {
    "5m".to_owned()
}

impl RawConfig {
    /// What has bounds and no unit: files and bytes at most come of it.
    pub(super) fn limits(&self, faults: &mut Vec<ConfigFault>) -> (usize, u64) {
        let mut say = |path, message| faults.push(fault(path, message));
        let max_files = usize::try_from(self.max_files).unwrap_or(usize::MAX);
        if !(1..=10_000).contains(&max_files) {
            say(
                "max_files",
                format!("found {max_files}; allowed is 1 to 10000"),
            );
        }
        let max_bytes = match &self.max_bytes {
            Size::Bytes(bytes) => Some(*bytes),
            Size::Text(text) => parse_size(text),
        };
        if max_bytes.is_none_or(|bytes| bytes == 0) {
            let allowed =
                "allowed is a positive number of bytes, like 1073741824, 512MB or 1GiB".to_owned();
            say("max_bytes", allowed);
        }
        if self.warehouse.is_empty() {
            let message = "found ``; allowed is the name of a warehouse".to_owned();
            say("warehouse", message);
        }
        let attempts = self.isolate.attempts;
        if !(1..=1_000).contains(&attempts) {
            let message = format!("found {attempts}; allowed is 1 to 1000");
            say("isolate.attempts", message);
        }
        (max_files, max_bytes.unwrap_or_default())
    }
}

impl RawNotify {
    pub(super) fn check(self, faults: &mut Vec<ConfigFault>) -> Notify {
        arn("notify.topic", &self.topic, "sns", faults);
        if self.failed_files == 0 {
            let message = "found 0; allowed is 1 or more".to_owned();
            faults.push(fault("notify.failed_files", message));
        }
        Notify {
            topic: self.topic,
            failed_files: self.failed_files,
        }
    }
}
