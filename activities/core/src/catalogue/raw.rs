//! What is written in `fleet.yaml`, before it is checked. The JSON Schema comes from here.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

/// The JSON Schema of `fleet.yaml`, for editors and the chart.
pub fn schema() -> Value {
    schemars::schema_for!(RawCatalogue).to_value()
}

/// The one file that people tune: what the fleet runs, on what, and how it is sized.
#[derive(JsonSchema)]
#[schemars(title = "fleet.yaml", deny_unknown_fields)]
#[expect(
    dead_code,
    reason = "the shape of the whole file is for the schema; each section is read apart"
)]
struct RawCatalogue {
    /// The version of this format.
    #[schemars(extend("const" = 1))]
    version: u32,
    /// Prefixes activities, alarms, topic, queue and Lease.
    fleet: String,
    /// Account and region.
    aws: RawAws,
    /// How alarm signals are taken.
    signals: Option<RawSignals>,
    /// Named connections.
    warehouses: Option<BTreeMap<String, RawWarehouse>>,
    /// Anything that a deployment or an activity may say, for all that do not.
    defaults: Option<RawDefaults>,
    /// The scale targets, by their literal names.
    deployments: BTreeMap<String, RawDeployment>,
    /// What the fleet runs, by name.
    activities: BTreeMap<String, RawActivity>,
}

/// The keys of the whole, in the order of the example.
pub(crate) const SECTIONS: &[&str] = &[
    "version",
    "fleet",
    "aws",
    "signals",
    "warehouses",
    "defaults",
    "deployments",
    "activities",
];

/// Like `90s`, `15m` or `1h 30m`.
#[derive(Deserialize, JsonSchema)]
#[schemars(transparent, extend("examples" = ["90s", "15m", "1h 30m"]))]
pub(crate) struct RawDuration(pub(crate) String);

/// Like `5%`.
#[derive(Deserialize, JsonSchema)]
#[schemars(transparent)]
pub(crate) struct RawPercent(
    #[schemars(regex(pattern = r"^[0-9]+(\.[0-9]+)?%$"))] pub(crate) String,
);

/// A number of replicas, or a share of the current count like `20%`, rounded up.
#[derive(Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "a whole number of replicas, or a percentage like `20%`"
)]
pub(crate) enum RawAmount {
    Replicas(u32),
    Percent(RawPercent),
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawAws {
    /// Twelve digits, in quotes.
    #[schemars(regex(pattern = "^[0-9]{12}$"))]
    pub(crate) account: String,
    /// Like `eu-west-1`.
    pub(crate) region: String,
}

#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawSignals {
    /// A signal older than this is rejected. Default: 15m.
    pub(crate) max_age: Option<RawDuration>,
    /// The alarms' period: 60s or a multiple. Default: 60s.
    pub(crate) period: Option<RawDuration>,
    pub(crate) delivery: Option<RawDelivery>,
}

/// The one form in which signals come; others are rejected. `sns`: in the envelope that SNS signs.
/// `raw`: from a topic with raw message delivery. `eventbridge`: from a rule whose target is the
/// queue. The last two have no signature and rest on the queue's policy. Default: sns.
#[derive(Deserialize, JsonSchema, Clone, Copy)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RawDelivery {
    Sns,
    Raw,
    EventBridge,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawWarehouse {
    /// A serverless workgroup of Redshift; or else say `cluster` or `postgres`.
    pub(crate) workgroup: Option<String>,
    /// A provisioned cluster of Redshift; or else say `workgroup` or `postgres`.
    pub(crate) cluster: Option<String>,
    /// A PostgreSQL server, as `host` or `host:port`; or else say `workgroup` or `cluster`.
    pub(crate) postgres: Option<String>,
    /// The database user of a PostgreSQL or of a cluster, where no secret says it.
    pub(crate) user: Option<String>,
    /// The environment variable with the user's password, of a PostgreSQL.
    pub(crate) password_env: Option<String>,
    /// How the way to a PostgreSQL is protected. Default: `verify-full`; `disable` on loopback.
    pub(crate) tls: Option<RawTls>,
    /// The only CAs that may have signed a PostgreSQL's certificate: a file in PEM, by its
    /// absolute path. Default: those that the system trusts.
    pub(crate) tls_ca: Option<String>,
    /// The database.
    pub(crate) database: String,
    /// The ARN of the secret with user and password. Without one, IAM decides at Redshift, and
    /// `user` and `password_env` at a PostgreSQL.
    pub(crate) secret: Option<String>,
    /// The role that COPY reads S3 with; without one, the default role.
    pub(crate) copy_role: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(
    dead_code,
    reason = "read for its types only: deployments and activities are read with these merged in"
)]
pub(crate) struct RawDefaults {
    mode: Option<RawMode>,
    replicas: Option<RawReplicas>,
    damping: Option<RawDamping>,
    /// How long a worker may take to drain.
    drain: Option<RawDuration>,
    worker: Option<RawWorker>,
    objective: Option<RawObjective>,
    alarms: Option<RawAlarms>,
}

/// How the way to a PostgreSQL is protected: `verify-full` encrypts and checks the server's
/// certificate and name, `require` encrypts and checks neither, `disable` is for loopback.
#[derive(Deserialize, JsonSchema, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum RawTls {
    Disable,
    Require,
    VerifyFull,
}

/// Whether decisions are carried out: `act`, or `recommend`, which touches nothing.
#[derive(Deserialize, JsonSchema, Clone, Copy)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RawMode {
    Act,
    Recommend,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawDeployment {
    pub(crate) mode: Option<RawMode>,
    pub(crate) replicas: Option<RawReplicas>,
    pub(crate) damping: Option<RawDamping>,
    /// How long a worker may take to drain. Default: the longest timeout of its
    /// activities, plus 60s for the open poll, plus 30s for the report.
    pub(crate) drain: Option<RawDuration>,
}

/// The keys of `defaults` that belong to a deployment.
pub(crate) const DEPLOYMENT_DEFAULTS: &[&str] = &["mode", "replicas", "damping", "drain"];
/// The keys of `defaults` that belong to an activity.
pub(crate) const ACTIVITY_DEFAULTS: &[&str] = &["worker", "objective", "alarms"];

/// Bounds of the replica count.
#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawReplicas {
    /// Never fewer; at least 1. Default: 1.
    #[schemars(range(min = 1))]
    pub(crate) min: Option<u32>,
    /// Never more. Default: 20.
    #[schemars(range(min = 1))]
    pub(crate) max: Option<u32>,
    /// Times with bounds of their own; the first that matches wins.
    pub(crate) schedule: Option<Vec<RawScheduleEntry>>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawScheduleEntry {
    /// Like `mon-fri`, `sat,sun` or `[mon, wed-fri]`. Default: every day.
    pub(crate) days: Option<RawDays>,
    /// The start, like `06:00`.
    pub(crate) from: String,
    /// The end, exclusive; at or before `from` it is on the next day.
    pub(crate) to: String,
    /// An IANA zone like `Europe/Berlin`. Default: UTC.
    pub(crate) zone: Option<String>,
    /// The lower bound meanwhile.
    #[schemars(range(min = 1))]
    pub(crate) min: Option<u32>,
    /// The upper bound meanwhile.
    #[schemars(range(min = 1))]
    pub(crate) max: Option<u32>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(untagged, expecting = "days like `mon-fri`, or a list of them")]
pub(crate) enum RawDays {
    One(String),
    Many(Vec<String>),
}

/// What keeps the count from flapping.
#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawDamping {
    pub(crate) cooldown: Option<RawCooldown>,
    /// A step in goes no lower than the highest recommendation of this span. Default: 10m.
    pub(crate) stabilization: Option<RawDuration>,
    /// How often the direction may change; once used up, steps in wait. Default: 40 per 24h.
    pub(crate) flap_budget: Option<RawFlapBudget>,
}

#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawCooldown {
    /// Between two steps out of one breach. Default: 60s.
    pub(crate) out: Option<RawDuration>,
    /// From the last step in either direction to a step in. Default: 10m.
    #[serde(rename = "in")]
    pub(crate) in_: Option<RawDuration>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawFlapBudget {
    /// Reversals allowed...
    pub(crate) reversals: u32,
    /// ...in this span.
    pub(crate) per: RawDuration,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawActivity {
    /// Its ARN. Default: it follows from the fleet and the name.
    pub(crate) arn: Option<String>,
    /// The code that serves it, like `etl.s3-load`.
    pub(crate) handler: String,
    /// The Deployment whose pods serve it.
    pub(crate) deployment: String,
    pub(crate) worker: Option<RawWorker>,
    pub(crate) objective: Option<RawObjective>,
    pub(crate) alarms: Option<RawAlarms>,
    /// The handler's own settings; their schema is the handler's.
    pub(crate) config: Option<Map<String, Value>>,
}

/// How a worker runs an activity.
#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawWorker {
    /// Tasks at once in one process. Default: 4.
    #[schemars(range(min = 1))]
    pub(crate) slots: Option<u32>,
    pub(crate) pollers: Option<RawPollers>,
    /// The state's `HeartbeatSeconds`; the worker beats at a third of it. Default: 60s.
    pub(crate) heartbeat: Option<RawDuration>,
    /// The longest run of one attempt. Default: 15m.
    pub(crate) timeout: Option<RawDuration>,
    /// Tasks started at most, by one process. Default: no limit.
    pub(crate) rate: Option<RawRate>,
    /// Where outputs over 262,144 bytes go. Default: they are a failure.
    pub(crate) output: Option<RawOutput>,
}

#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawPollers {
    /// Open polls at least. Default: 1.
    #[schemars(range(min = 1))]
    pub(crate) min: Option<u32>,
    /// Open polls at most; never more than slots. Default: 4, or the slots if fewer.
    #[schemars(range(min = 1))]
    pub(crate) max: Option<u32>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawRate {
    /// How many tasks.
    #[schemars(range(min = 1))]
    pub(crate) tasks: u32,
    /// In how long.
    pub(crate) per: RawDuration,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawOutput {
    /// The bucket.
    pub(crate) bucket: String,
    /// What the keys begin with. Default: nothing.
    pub(crate) prefix: Option<String>,
}

/// What people want: no task waits longer, save for a share.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawObjective {
    /// The wait that is still on time.
    pub(crate) wait: RawDuration,
    /// The share that may be late. Default: 1%.
    pub(crate) late: Option<RawPercent>,
}

/// Thresholds and steps of an activity's alarms.
#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawAlarms {
    pub(crate) out: Option<RawOut>,
    #[serde(rename = "in")]
    pub(crate) in_: Option<RawIn>,
    pub(crate) starved: Option<RawStarved>,
}

/// When and how far to scale out.
#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawOut {
    /// The average wait that is a breach. Default: 30s.
    pub(crate) above: Option<RawDuration>,
    /// For how long, in whole periods. Default: 1m.
    #[serde(rename = "for")]
    pub(crate) for_: Option<RawDuration>,
    /// By how much, by the wait itself. Default: 20% to 60s, 50% to 5m, then 100%.
    pub(crate) steps: Option<Vec<RawStep>>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawStep {
    /// The wait up to which this step holds; the last has none.
    pub(crate) to: Option<RawDuration>,
    pub(crate) add: RawAmount,
}

/// When and how far to scale in.
#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawIn {
    /// The average wait below which there are too many workers. Default: 200ms.
    pub(crate) below: Option<RawDuration>,
    /// For how long, in whole periods. Default: 10m.
    #[serde(rename = "for")]
    pub(crate) for_: Option<RawDuration>,
    /// By how much. Default: 5%.
    pub(crate) remove: Option<RawAmount>,
}

/// When nothing starts though something waits.
#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawStarved {
    /// For how long, in whole periods. Default: 3m.
    #[serde(rename = "for")]
    pub(crate) for_: Option<RawDuration>,
}
