//! The checked types. Only reading a catalogue makes them.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;
use serde_json::Value;

use super::delivery::Delivery;
use super::handlers::Source;

/// A checked catalogue.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Catalogue {
    /// Prefixes activities, alarms, topic, queue and Lease, so that environments never take each other's tasks.
    pub fleet: String,
    /// Account and region.
    pub aws: Aws,
    /// How signals are taken.
    pub signals: Signals,
    /// Named connections.
    pub warehouses: BTreeMap<String, Warehouse>,
    /// The scale targets, by their literal names.
    pub deployments: BTreeMap<String, Deployment>,
    /// What the fleet runs, by name.
    pub activities: BTreeMap<String, Activity>,
    /// Where all this was said, for faults that only a binary can find.
    pub(super) source: Arc<Source>,
}

impl Catalogue {
    /// The activities that a deployment serves, by name.
    pub fn activities_of<'a>(&'a self, deployment: &'a str) -> impl Iterator<Item = &'a Activity> {
        let all = self.activities.values();
        all.filter(move |activity| activity.deployment == deployment)
    }

    /// The activity of an ARN.
    pub fn activity_by_arn(&self, arn: &str) -> Option<&Activity> {
        self.activities
            .values()
            .find(|activity| activity.arn == arn)
    }
}

/// Where the fleet lives.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Aws {
    /// Twelve digits.
    pub account: String,
    /// Like `eu-west-1`.
    pub region: String,
}

impl Aws {
    /// The ARN partition that the region belongs to.
    pub fn partition(&self) -> &'static str {
        if self.region.starts_with("cn-") {
            "aws-cn"
        } else if self.region.starts_with("us-gov-") {
            "aws-us-gov"
        } else {
            "aws"
        }
    }

    /// `arn:<partition>:<service>:<region>:<account>:<resource>`.
    pub fn arn(&self, service: &str, resource: &str) -> String {
        format!(
            "arn:{}:{service}:{}:{}:{resource}",
            self.partition(),
            self.region,
            self.account
        )
    }
}

/// How alarm signals are taken.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Signals {
    /// A signal older than this is rejected.
    pub max_age: Duration,
    /// The alarms' period: 60 s or more on AWS.
    pub period: Duration,
    /// The one form in which signals come.
    pub delivery: Delivery,
}

/// A named connection to a warehouse. Secrets are named here, never written.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Warehouse {
    /// A serverless workgroup or a provisioned cluster.
    pub target: WarehouseTarget,
    /// The database.
    pub database: String,
    /// The ARN of the secret with user and password. Without one, IAM decides at
    /// Redshift, and the target at a PostgreSQL.
    pub secret: Option<String>,
    /// The role that COPY reads S3 with; without one, the cluster's default role.
    pub copy_role: Option<String>,
}

/// Where a warehouse is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WarehouseTarget {
    /// A serverless workgroup.
    Workgroup(String),
    /// A provisioned cluster, and the database user if no secret says it.
    Cluster {
        /// The cluster's identifier.
        identifier: String,
        /// The database user.
        user: Option<String>,
    },
    /// A PostgreSQL server, which is spoken to itself and not through the Data API.
    Postgres {
        /// Its host.
        host: String,
        /// Its port.
        port: u16,
        /// The database user; none where the warehouse's secret says it.
        user: Option<String>,
        /// The environment variable with the user's password, if it has one.
        password_env: Option<String>,
        /// How the way to it is protected.
        tls: PostgresTls,
    },
}

/// How the way to a PostgreSQL is protected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PostgresTls {
    /// Not at all: for this machine's own loopback.
    Disable,
    /// Encrypted, whoever is at the other end.
    Require,
    /// Encrypted, with a certificate for the host's name.
    VerifyFull {
        /// The file with the CAs that may have signed it; without one, those that
        /// the system trusts.
        ca: Option<PathBuf>,
    },
}

/// A scale target: one Kubernetes Deployment.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Deployment {
    /// The Deployment's literal name.
    pub name: String,
    /// Whether decisions are carried out.
    pub mode: Mode,
    /// Bounds of the replica count.
    pub replicas: Replicas,
    /// What keeps the count from flapping.
    pub damping: Damping,
    /// How long a worker may take to drain: the longest timeout of its
    /// activities, plus a minute for the open poll, plus the report, unless said.
    pub drain: Duration,
}

/// Whether decisions are carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Decide, record and act.
    Act,
    /// Decide and say so; touch nothing.
    Recommend,
}

/// Bounds of the replica count: `1 <= min <= max`.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Replicas {
    /// Never fewer.
    pub min: u32,
    /// Never more.
    pub max: u32,
    /// Times with bounds of their own; the first that matches wins.
    pub schedule: Vec<ScheduleEntry>,
}

impl Replicas {
    /// The most replicas that there can be at any time of the week.
    pub fn highest(&self) -> u32 {
        let scheduled = self.schedule.iter();
        let bounds = scheduled.map(|entry| entry.max.unwrap_or(self.max));
        bounds.fold(self.max, u32::max)
    }
}

/// A time of the week with bounds of its own.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ScheduleEntry {
    /// The days on which `from` lies.
    pub days: Vec<Weekday>,
    /// The start, inclusive.
    pub from: Time,
    /// The end, exclusive; at or before `from` it is on the next day.
    pub to: Time,
    /// The zone of both.
    pub zone: TimeZone,
    /// The lower bound meanwhile.
    pub min: Option<u32>,
    /// The upper bound meanwhile.
    pub max: Option<u32>,
}

/// What keeps the count from flapping.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Damping {
    /// Between two steps out of one breach.
    pub cooldown_out: Duration,
    /// From the last step in either direction to a step in.
    pub cooldown_in: Duration,
    /// A step in goes no lower than the highest recommendation of this span.
    pub stabilization: Duration,
    /// How often the direction may change.
    pub flap_budget: FlapBudget,
}

/// How often the direction may change: once used up, steps in wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct FlapBudget {
    /// Reversals allowed...
    pub reversals: u32,
    /// ...in this span.
    pub per: Duration,
}

/// One activity of the fleet.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Activity {
    /// Its name in the catalogue.
    pub name: String,
    /// Its ARN: given, or `arn:...:activity:<fleet>-<name>`.
    pub arn: String,
    /// The code that serves it, like `etl.s3-load`.
    pub handler: String,
    /// The Deployment whose pods serve it.
    pub deployment: String,
    /// How a worker runs it.
    pub worker: WorkerSettings,
    /// What a task may wait.
    pub objective: Option<Objective>,
    /// The alarms' thresholds and steps.
    pub alarms: AlarmSettings,
    /// The handler's own settings, typed by the handler. An object.
    pub config: Value,
}

/// How a worker runs an activity.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct WorkerSettings {
    /// Tasks at once in one process.
    pub slots: u32,
    /// Open polls at least; never more than `pollers_max`.
    pub pollers_min: u32,
    /// Open polls at most; never more than `slots`.
    pub pollers_max: u32,
    /// The state's `HeartbeatSeconds`; the worker beats at a third of it.
    pub heartbeat: Duration,
    /// The longest run of one attempt.
    pub timeout: Duration,
    /// Tasks started at most, by one process; unlimited if not said.
    pub rate: Option<Rate>,
    /// Where outputs over 262,144 bytes go.
    pub output: Option<OutputLocation>,
}

impl WorkerSettings {
    /// How often a heartbeat is sent.
    pub fn heartbeat_interval(&self) -> Duration {
        self.heartbeat / 3
    }
}

/// So many tasks in so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many tasks.
    pub tasks: NonZeroU32,
    /// In how long.
    pub per: Duration,
}

/// Where large outputs go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputLocation {
    /// The bucket.
    pub bucket: String,
    /// What the keys begin with; empty or ending in `/`.
    pub prefix: String,
}

/// What people want: no task waits longer than `wait`, and `late` of them may.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Objective {
    /// The wait that is still on time.
    pub wait: Duration,
    /// The share that may be late, 0 to 1.
    pub late: f64,
}

/// Thresholds and steps of an activity's alarms.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct AlarmSettings {
    /// When to scale out.
    pub out: OutSettings,
    /// When to scale in.
    pub in_: InSettings,
    /// For how long nothing starts before the fleet counts as starved.
    pub starved_for: Duration,
}

/// When and how far to scale out.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct OutSettings {
    /// The average wait that is a breach.
    pub above: Duration,
    /// For how long it is above: a whole number of periods.
    pub for_: Duration,
    /// By how much, by the wait itself: ascending `to`, the last without one.
    pub steps: Vec<Step>,
}

/// One step out: up to a wait of `to` (exclusive), add `add`.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Step {
    /// The wait up to which this step holds; none for the last.
    pub to: Option<Duration>,
    /// By how much.
    pub add: Amount,
}

/// When and how far to scale in.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct InSettings {
    /// The average wait below which there are too many workers.
    pub below: Duration,
    /// For how long it is below: a whole number of periods.
    pub for_: Duration,
    /// By how much.
    pub remove: Amount,
}

/// A number of replicas, or a share of the current count.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Amount {
    /// So many.
    Replicas(u32),
    /// A share of the current count in percent, above 0, rounded up.
    Percent(f64),
}

impl Amount {
    /// The amount in replicas, for a current count: at least 1.
    pub fn of(self, current: u32) -> u32 {
        match self {
            Self::Replicas(count) => count.max(1),
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "not negative, and saturating is right"
            )]
            Self::Percent(percent) => ((f64::from(current) * percent / 100.0).ceil() as u32).max(1),
        }
    }
}
