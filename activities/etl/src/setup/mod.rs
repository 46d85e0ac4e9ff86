//! What AWS and the warehouses need before the first task, from the catalogue.

mod machines;
pub(crate) mod probe;

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use stepfleet_activity::catalogue::{self, Activity, Catalogue, WarehouseTarget};
use stepfleet_activity::{Class, Clock as _, SystemClock};

use crate::Commit;
use crate::outside::call::CallError;
use crate::outside::data_api::{self, DataApi};
use crate::outside::deleting::{ConditionalDelete, Store};
use crate::outside::postgres::Postgres;
use crate::outside::states::{self, StateMachine};
use crate::outside::{s3, secrets};
use crate::s3_load::metrics::{self, Alarm, AlarmKind};
use crate::s3_load::redshift::sql;
pub(crate) use machines::drain_machine;
use machines::loader;
#[cfg(test)]
pub(crate) use machines::machines;
use probe::Probe;

/// The clients that setting up works with.
#[derive(Debug, Clone)]
pub struct Clients {
    /// For the conditions that the loader's buckets keep.
    pub s3: s3::Client,
    /// For activities and state machines.
    pub sfn: states::Client,
    /// For the alarms about what waits.
    pub cloudwatch: metrics::Client,
    /// For the ledger's tables.
    pub redshiftdata: data_api::Client,
    /// For a PostgreSQL's secret.
    pub secrets: secrets::Client,
}

/// A step that could not be taken.
#[derive(Debug, thiserror::Error)]
#[error("{step}: {reason}")]
pub struct SetupError {
    step: String,
    reason: CallError,
}

/// One thing that has to be there; taking the step again changes nothing.
#[derive(Debug, Clone)]
pub struct SetupStep(Step);

#[derive(Debug, Clone)]
enum Step {
    Activity(String),
    StateMachine(StateMachine),
    Ledger(String, catalogue::Warehouse),
    Procedure(String, catalogue::Warehouse),
    Alarm(Alarm),
    Probe(Bucket),
}

/// What a loader loads from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Bucket {
    name: String,
    prefix: String,
    deletes: ConditionalDelete,
}

impl fmt::Display for SetupStep {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Step::Activity(name) => write!(formatter, "create activity {name}"),
            Step::StateMachine(machine) => write!(
                formatter,
                "create or update state machine {} with role {}",
                machine.name, machine.role_arn
            ),
            Step::Ledger(name, warehouse)
                if matches!(warehouse.target, WarehouseTarget::Postgres { .. }) =>
            {
                write!(
                    formatter,
                    "create schema stepfleet with the ledger of files in PostgreSQL {name}, database {}",
                    warehouse.database
                )
            }
            Step::Ledger(name, warehouse) => write!(
                formatter,
                "create schema stepfleet with the ledger and its locks in warehouse {name}, database {}",
                warehouse.database
            ),
            Step::Alarm(alarm) => write!(
                formatter,
                "put alarm {}, which tells {}",
                alarm.name, alarm.topic
            ),
            Step::Probe(bucket) => write!(
                formatter,
                "try the conditions of s3://{}/{} at two objects of leases/, and remove these",
                bucket.name, bucket.prefix
            ),
            Step::Procedure(name, warehouse) => write!(
                formatter,
                "create or replace procedures stepfleet.{} and stepfleet.{} in warehouse {name}, database {}",
                sql::PROCEDURES[0],
                sql::PROCEDURES[1],
                warehouse.database
            ),
        }
    }
}

/// Everything that has to be there. Without a role, the state machines run as
/// `stepfleet-<fleet>-states` of the catalogue's account.
pub fn plan(catalogue: &Catalogue, role_arn: Option<&str>) -> Vec<SetupStep> {
    let role = role_arn.map_or_else(
        || {
            format!(
                "arn:{}:iam::{}:role/stepfleet-{}-states",
                catalogue.aws.partition(),
                catalogue.aws.account,
                catalogue.fleet
            )
        },
        str::to_owned,
    );
    let mut steps = Vec::new();
    for activity in catalogue.activities.values() {
        let name = activity.arn.rsplit(':').next().unwrap_or(&activity.arn);
        steps.push(SetupStep(Step::Activity(name.to_owned())));
        let machines = machines::machines(catalogue, activity).into_iter();
        steps.extend(machines.map(|(name, definition)| {
            SetupStep(Step::StateMachine(StateMachine {
                arn: catalogue.aws.arn("states", &format!("stateMachine:{name}")),
                name,
                definition,
                role_arn: role.clone(),
            }))
        }));
        let alarms = alarms(catalogue, activity).into_iter();
        steps.extend(alarms.map(|alarm| SetupStep(Step::Alarm(alarm))));
    }
    for (name, warehouse) in &catalogue.warehouses {
        let (name, warehouse) = (name.clone(), warehouse.clone());
        steps.push(SetupStep(Step::Ledger(name.clone(), warehouse.clone())));
        if calls(catalogue, &name) {
            steps.push(SetupStep(Step::Procedure(name, warehouse)));
        }
    }
    let buckets = buckets(catalogue).into_iter();
    steps.extend(buckets.map(|bucket| SetupStep(Step::Probe(bucket))));
    steps
}

/// Where the standing loads come from, each once.
fn buckets(catalogue: &Catalogue) -> BTreeSet<Bucket> {
    let activities = catalogue.activities.values();
    let configs = activities.filter_map(|activity| loader(catalogue, activity));
    let buckets = configs.flat_map(|config| {
        let deletes = config.conditional_delete;
        config.loads.into_iter().map(move |load| Bucket {
            name: load.bucket,
            prefix: load.prefix,
            deletes,
        })
    });
    buckets.collect()
}

/// One bad file is said at once.
const FAILED: Duration = Duration::from_secs(60);

/// The alarms about what waits and what failed, three for each table.
fn alarms(catalogue: &Catalogue, activity: &Activity) -> Vec<Alarm> {
    let Some(config) = loader(catalogue, activity) else {
        return Vec::new();
    };
    let Some(watch) = config.watch else {
        return Vec::new();
    };
    let tables: BTreeSet<&str> = config.loads.iter().map(|load| load.table.id()).collect();
    let alarms = tables.into_iter().flat_map(|table| {
        let level = ("unprocessed", watch.for_, AlarmKind::Above(watch.above));
        let stuck = ("not-falling", watch.not_falling, AlarmKind::NotFalling);
        let failed = ("failed", FAILED, AlarmKind::Failed);
        [level, stuck, failed].map(|(about, span, kind)| Alarm {
            name: format!("{}-{}-{table}-{about}", catalogue.fleet, activity.name),
            table: table.to_owned(),
            topic: watch.topic.clone(),
            minutes: i32::try_from(span.as_secs() / 60).unwrap_or(i32::MAX),
            kind,
        })
    });
    alarms.collect()
}

/// Whether a loader of this warehouse loads by the procedure.
fn calls(catalogue: &Catalogue, warehouse: &str) -> bool {
    let activities = catalogue.activities.values();
    let mut loaders = activities.filter_map(|activity| loader(catalogue, activity));
    loaders.any(|config| config.warehouse == warehouse && config.commit == Commit::Procedure)
}

/// What setting up runs in a warehouse, for those who run it by hand: the schema,
/// the ledger, its locks, and the procedures.
pub fn ddl() -> Vec<String> {
    let mut statements = sql::ddl();
    statements.extend(sql::procedures());
    statements
}

impl SetupStep {
    /// Takes the step. Taking it again changes nothing.
    ///
    /// # Errors
    /// If a call fails; what was done stays.
    pub async fn take(&self, clients: &Clients) -> Result<(), SetupError> {
        let mut taken = take(clients, &self.0).await;
        for _ in 1..ATTEMPTS {
            if taken.is_ok() || !self.0.is_ddl() {
                break;
            }
            taken = take(clients, &self.0).await;
        }
        taken.map_err(|reason| SetupError {
            step: self.to_string(),
            reason,
        })
    }
}

/// A warehouse looks whether something exists and makes it in two moves: of many who
/// set up at once, some fail over what another has just made, and find it when they
/// try again.
const ATTEMPTS: u32 = 5;

impl Step {
    fn is_ddl(&self) -> bool {
        matches!(self, Self::Ledger(..) | Self::Procedure(..))
    }
}

async fn take(clients: &Clients, step: &Step) -> Result<(), CallError> {
    match step {
        Step::Activity(name) => states::create_activity(&clients.sfn, name).await,
        Step::StateMachine(machine) => states::put_state_machine(&clients.sfn, machine).await,
        Step::Ledger(name, warehouse) => {
            let postgres = Postgres::new(warehouse, &clients.secrets);
            let postgres = postgres.map_err(|reason| CallError {
                what: format!("connect to {name}"),
                reason,
                class: Class::Permanent,
            })?;
            if let Some(postgres) = postgres {
                return postgres.set_up().await;
            }
            let warehouse = DataApi::new(clients.redshiftdata.clone(), warehouse.clone());
            warehouse.run_all(sql::ddl()).await
        }
        Step::Probe(bucket) => {
            let nonce = format!(
                "{}-{}",
                std::process::id(),
                SystemClock.now().as_nanosecond()
            );
            let probe = Probe {
                store: &Store::new(clients.s3.clone(), bucket.deletes),
                bucket: &bucket.name,
                prefix: &bucket.prefix,
                nonce: &nonce,
            };
            probe.run().await
        }
        Step::Alarm(alarm) => metrics::put_alarm(&clients.cloudwatch, alarm).await,
        Step::Procedure(_, warehouse) => {
            let warehouse = DataApi::new(clients.redshiftdata.clone(), warehouse.clone());
            for procedure in sql::procedures() {
                warehouse.run(&procedure, &[]).await?;
            }
            Ok(())
        }
    }
}
