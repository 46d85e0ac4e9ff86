//! The loader's settings in the catalogue: as written, and as checked.

mod overlap;
mod raw;
pub(crate) mod standing;
mod values;

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use stepfleet_activity::catalogue::{Activity, WarehouseTarget, not_one_of, read_config};
use stepfleet_activity::{Catalogue, ConfigFault};

use crate::outside::deleting::ConditionalDelete;
use crate::s3_load::HANDLER;
use crate::s3_load::input::LoadInput;
use crate::s3_load::table::Dialect;
use raw::RawConfig;
pub use standing::{TriggerConfig, WatchConfig};
use values::{DAY, duration, fault};

/// A settings object that cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum SetUpError {
    /// The config is not the handler's.
    #[error("activities.{activity}.config: {faults}")]
    Config {
        /// The activity's name in the catalogue.
        activity: String,
        /// All faults, in a line.
        faults: String,
    },
    /// This machine lacks what the way to a PostgreSQL needs.
    #[error("activity {activity}: {reason}")]
    Postgres {
        /// The activity's name in the catalogue.
        activity: String,
        /// What: the variable with the password, or CAs to trust.
        reason: String,
    },
    /// The config names a warehouse that the catalogue does not have.
    #[error(
        "activities.{activity}.config.warehouse: there is no warehouse {warehouse:?}; name one of: {known}"
    )]
    UnknownWarehouse {
        /// The activity's name in the catalogue.
        activity: String,
        /// What the config says.
        warehouse: String,
        /// What there is.
        known: String,
    },
}

impl SetUpError {
    pub(crate) fn new(activity: &Activity, faults: &[ConfigFault]) -> Self {
        let faults: Vec<String> = faults
            .iter()
            .map(|fault| format!("{}: {}", fault.path, fault.message))
            .collect();
        Self::Config {
            activity: activity.name.clone(),
            faults: faults.join("; "),
        }
    }
}

/// How a batch comes into Redshift, exactly once in either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Commit {
    /// Statements of the loader's own, in one transaction.
    #[default]
    Transaction,
    /// `CALL stepfleet.load_batch_2(...)`, which `etl-worker setup` makes.
    Procedure,
}

/// How a run ends that has set files aside, after all others are loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnFailed {
    /// As `Load.Failed`, which says how many and where.
    #[default]
    Fail,
    /// Well: its output has how many. Somebody has to look at it, at `notify` or at
    /// the alarm of `watch`.
    Succeed,
}

/// The loader's settings, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoadConfig {
    /// The name of a warehouse of the catalogue.
    pub warehouse: String,
    /// Files in one load at most.
    pub max_files: usize,
    /// Bytes in one load at most.
    pub max_bytes: u64,
    /// How long an object must have been there.
    pub settle: Duration,
    /// For how long a table is held before another may take over.
    pub lease: Duration,
    /// How a batch comes into Redshift.
    pub commit: Commit,
    /// How objects are deleted.
    pub conditional_delete: ConditionalDelete,
    /// COPYs in one run at most.
    pub isolate_attempts: u32,
    /// How a run ends that has set bad files aside.
    pub on_failed: OnFailed,
    /// Whom to tell of files that cannot be loaded.
    pub notify: Option<Notify>,
    /// What is always loaded.
    pub loads: Vec<LoadInput>,
    /// What wakes the loader.
    pub trigger: Option<TriggerConfig>,
    /// Alarms about what waits.
    pub watch: Option<WatchConfig>,
}

/// Whom to tell of files that cannot be loaded, at least once.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Notify {
    /// The ARN of an SNS topic.
    pub topic: String,
    /// From so many files in `failed/` on.
    pub failed_files: u64,
}

impl LoadConfig {
    /// Of an activity whose handler is the loader.
    pub(crate) fn of(catalogue: &Catalogue, activity: &Activity) -> Result<Self, SetUpError> {
        let read = Self::read(&activity.config);
        let read = read.and_then(|config| config.on(catalogue));
        read.map_err(|faults| SetUpError::new(activity, &faults))
    }

    /// With the names as its warehouse reads them. Whether there is this warehouse
    /// is another question.
    fn on(mut self, catalogue: &Catalogue) -> Result<Self, Vec<ConfigFault>> {
        if let Some(warehouse) = catalogue.warehouses.get(&self.warehouse) {
            self.loads = standing::checked(self.loads, Dialect::of(warehouse))?;
        }
        Ok(self)
    }

    /// Reads and checks `config`.
    ///
    /// # Errors
    /// With every fault, each with its path inside `config`.
    pub fn read(value: &Value) -> Result<Self, Vec<ConfigFault>> {
        let raw: RawConfig = read_config(value).map_err(|fault| vec![fault])?;
        let mut faults = Vec::new();
        let (max_files, max_bytes) = raw.limits(&mut faults);
        let settle = duration("settle", &raw.settle, Duration::ZERO..=DAY, &mut faults);
        let least = Duration::from_secs(5);
        let lease = duration("lease", &raw.lease, least..=DAY, &mut faults);
        let notify = raw.notify.map(|raw| raw.check(&mut faults));
        let is_any = !raw.loads.is_empty();
        let loads = standing::loads(&raw.loads, &mut faults);
        let trigger = raw.trigger.map(|raw| raw.check(&mut faults));
        let watch = raw.watch.map(|raw| raw.check(&mut faults));
        if !is_any && (trigger.is_some() || watch.is_some()) {
            let message = "found none; `trigger` and `watch` are about these".to_owned();
            faults.push(fault("loads", message));
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(Self {
            commit: raw.commit,
            conditional_delete: raw.s3.conditional_delete,
            isolate_attempts: raw.isolate.attempts,
            on_failed: raw.on_failed,
            notify,
            loads,
            trigger,
            watch,
            warehouse: raw.warehouse,
            max_files,
            max_bytes,
            settle,
            lease,
        })
    }
}

/// The JSON Schema of `config`.
pub(crate) fn schema() -> Value {
    schemars::schema_for!(RawConfig).to_value()
}

/// Whether `config` can be read, its warehouse is one of the catalogue's, and its
/// loads are nobody else's.
pub(crate) fn check(activity: &Activity, catalogue: &Catalogue) -> Result<(), Vec<ConfigFault>> {
    let config = LoadConfig::read(&activity.config)?.on(catalogue)?;
    if let Some(warehouse) = catalogue.warehouses.get(&config.warehouse) {
        let postgres = matches!(warehouse.target, WarehouseTarget::Postgres { .. });
        if postgres && config.commit == Commit::Procedure {
            let message =
                "found `procedure`, which is Redshift's; a PostgreSQL gets a transaction a file"
                    .to_owned();
            return Err(vec![fault("commit", message)]);
        }
        let faults = overlap::with_others(activity, &config, catalogue);
        return if faults.is_empty() {
            Ok(())
        } else {
            Err(faults)
        };
    }
    let known = catalogue.warehouses.keys().map(String::as_str);
    let named = ("warehouse", config.warehouse.as_str());
    Err(vec![not_one_of("warehouse", named, known)])
}

/// How objects below a prefix are deleted: as its loader says, or, where no load of
/// the catalogue is about it, as the most careful of the loaders.
pub fn conditional_delete(catalogue: &Catalogue, bucket: &str, prefix: &str) -> ConditionalDelete {
    let activities = catalogue.activities.values();
    let loaders = activities.filter(|activity| activity.handler == HANDLER);
    let configs = loaders.filter_map(|activity| LoadConfig::of(catalogue, activity).ok());
    let configs: Vec<LoadConfig> = configs.collect();
    let about = |config: &&LoadConfig| {
        let mut loads = config.loads.iter();
        loads.any(|load| load.bucket == bucket && load.prefix == prefix)
    };
    let any = || {
        let mut ways = configs.iter().map(|config| config.conditional_delete);
        ways.find(|way| *way == ConditionalDelete::Head)
    };
    let own = configs.iter().find(about);
    own.map(|config| config.conditional_delete)
        .or_else(any)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_fault_is_said_with_its_path() {
        let faults = LoadConfig::read(
            &json!({"warehouse": "", "max_files": 0, "max_bytes": "x", "settle": "soon", "lease": "1s",
                "isolate": {"attempts": 0}, "notify": {"topic": "alerts", "failed_files": 0},
                "loads": [{"bucket": "land", "table": "t", "format": "csv"},
                    {"bucket": "land", "table": "public.t", "format": "csv", "columns": ["a", "A"]},
                    {"bucket": "land", "table": "public.t", "format": "csw"}],
                "trigger": {"queue": "events", "debounce": "1h"},
                "watch": {"topic": "alerts", "for": "90s", "not_falling": "2days"}}),
        )
        .expect_err("all wrong");
        let paths: Vec<_> = faults.iter().map(|fault| fault.path.as_str()).collect();
        assert_eq!(
            paths,
            [
                "max_files",
                "max_bytes",
                "warehouse",
                "isolate.attempts",
                "settle",
                "lease",
                "notify.topic",
                "notify.failed_files",
                "loads[0].table",
                "loads[1].columns[1]",
                "loads[2].format",
                "trigger.queue",
                "trigger.debounce",
                "watch.topic",
                "watch.for",
                "watch.not_falling"
            ]
        );
        let nothing = json!({"warehouse": "main", "trigger": {"queue": "https://sqs/1/q"}});
        let faults = LoadConfig::read(&nothing).expect_err("nothing to wake for");
        assert_eq!(faults[0].path, "loads");
        let faults =
            LoadConfig::read(&json!({"warehouse": "main", "max_flies": 3})).expect_err("typo");
        assert_eq!(faults[0].path, "max_flies");
        assert_eq!(faults[0].suggestion.as_deref(), Some("max_files"));
    }

    #[test]
    fn what_a_load_may_not_say_is_refused_with_its_path() {
        let load = |more: &Value| {
            let mut load = json!({"bucket": "land", "table": "public.t", "format": "csv"});
            let fields = load.as_object_mut().expect("an object");
            fields.extend(more.as_object().expect("an object").clone());
            load
        };
        for (more, path, says) in [
            (
                json!({"match": ["*", "[a"]}),
                "loads[0].match[1]",
                "found `[a`",
            ),
            (
                json!({"reload": true}),
                "loads[0].reload",
                "one execution alone",
            ),
            (
                json!({"gzip": true, "compression": "zstd"}),
                "loads[0].gzip",
                "both",
            ),
            (
                json!({"format": "json", "header": true}),
                "loads[0].header",
                "does not go with `format: json`",
            ),
        ] {
            let config = json!({"warehouse": "main", "loads": [load(&more)]});
            let faults = LoadConfig::read(&config).expect_err("refused");
            assert_eq!((faults.len(), faults[0].path.as_str()), (1, path), "{more}");
            assert!(faults[0].message.contains(says), "{:?}", faults[0]);
        }
        let config = json!({"warehouse": "main", "s3": {"conditional_delete": "no"}});
        let faults = LoadConfig::read(&config).expect_err("refused");
        assert_eq!(faults[0].path, "s3.conditional_delete");
        assert!(faults[0].message.contains("if-match, head"), "{faults:?}");
        // What only Redshift reads.
        for (more, path) in [
            (json!({"compression": "lzop"}), "loads[0].compression"),
            (
                json!({"format": "fixed_width", "options": {"widths": [1]}}),
                "loads[0].format",
            ),
            (
                json!({"options": {"time_format": "auto"}}),
                "loads[0].options.time_format",
            ),
        ] {
            let said: LoadInput = serde_json::from_value(load(&more)).expect("an input");
            standing::checked(vec![said.clone()], Dialect::Redshift).expect("fine");
            let faults = standing::checked(vec![said], Dialect::Postgres).expect_err("refused");
            assert_eq!(faults[0].path, path);
        }
    }

    #[test]
    fn defaults_are_the_documented_ones() {
        let config = LoadConfig::read(&json!({"warehouse": "main"})).expect("a config");
        assert_eq!(config.on_failed, OnFailed::Fail);
        assert_eq!(
            (
                config.max_files,
                config.max_bytes,
                config.settle,
                config.lease
            ),
            (
                200,
                1 << 30,
                Duration::from_secs(10),
                Duration::from_secs(300)
            )
        );
    }
}
