//! What AWS and the warehouses need before the first task, from the catalogue.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use stepfleet_activity::Class;
use stepfleet_activity::catalogue::{self, Activity, Catalogue, WarehouseTarget, read_config};

use crate::call::CallError;
use crate::metrics::{self, Alarm, AlarmKind};
use crate::plan_loads::{self, PlanConfig};
use crate::postgres::Postgres;
use crate::redshift::DataApi;
use crate::states::{self, StateMachine};
use crate::{Commit, LoadConfig, redshift, secrets, sql};

/// The loader's state machines; `${...}` are filled in per activity.
const S3_LOAD: &str = include_str!("../../state-machines/s3-load.asl.json");
/// Loads until nothing is left: what `etl-worker trigger` starts.
const S3_DRAIN: &str = include_str!("../../state-machines/s3-drain.asl.json");
/// Plans, then loads many tables side by side.
const S3_LOAD_ALL: &str = include_str!("../../state-machines/s3-load-all.asl.json");

/// The handlers that they drive.
pub(crate) const S3_LOAD_HANDLER: &str = "etl.s3-load";
pub(crate) const S3_PLAN_HANDLER: &str = "etl.s3-plan";

/// The clients that setting up works with.
#[derive(Debug, Clone)]
pub struct Clients {
    /// For activities and state machines.
    pub sfn: states::Client,
    /// For the alarms about what waits.
    pub cloudwatch: metrics::Client,
    /// For the ledger's tables.
    pub redshiftdata: redshift::Client,
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
            Step::Procedure(name, warehouse) => write!(
                formatter,
                "create or replace procedure {} in warehouse {name}, database {}",
                sql::PROCEDURE,
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
        let machines = machines(catalogue, activity).into_iter();
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
    steps
}

/// The state machines that drive an activity, by name.
pub(crate) fn machines(catalogue: &Catalogue, activity: &Activity) -> Vec<(String, String)> {
    let name = format!("{}-{}", catalogue.fleet, activity.name);
    if activity.handler == S3_PLAN_HANDLER {
        let Ok(config) = read_config::<PlanConfig>(&activity.config) else {
            return Vec::new();
        };
        let Some(load) = plan_loads::loader(catalogue, &config.load) else {
            return Vec::new();
        };
        let concurrency = config.concurrency.to_string();
        let definition = definition(S3_LOAD_ALL, load)
            .replace("${PlanArn}", &activity.arn)
            .replace(
                "\"${PlanTimeoutSeconds}\"",
                &seconds(activity.worker.timeout),
            )
            .replace(
                "\"${PlanHeartbeatSeconds}\"",
                &seconds(activity.worker.heartbeat),
            )
            .replace("\"${MaxConcurrency}\"", &concurrency);
        return vec![(name, definition)];
    }
    let Some(config) = loader(catalogue, activity) else {
        return Vec::new();
    };
    let drain = config.trigger.is_some().then(|| {
        let name = format!("{name}-drain");
        (name, definition(S3_DRAIN, activity))
    });
    let load = (name, definition(S3_LOAD, activity));
    [Some(load), drain].into_iter().flatten().collect()
}

/// The config of a loader; none where it is another handler's.
fn loader(catalogue: &Catalogue, activity: &Activity) -> Option<LoadConfig> {
    let is_loader = activity.handler == S3_LOAD_HANDLER;
    let config = is_loader.then(|| LoadConfig::of(catalogue, activity));
    config.and_then(Result::ok)
}

/// The ARN of the state machine that loads until nothing is left.
pub(crate) fn drain_machine(catalogue: &Catalogue, activity: &Activity) -> String {
    let name = format!("{}-{}-drain", catalogue.fleet, activity.name);
    catalogue.aws.arn("states", &format!("stateMachine:{name}"))
}

/// The alarms about what waits, two for each table.
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
        [level, stuck].map(|(about, span, kind)| Alarm {
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
/// the ledger, its locks, and the procedure.
pub fn ddl() -> Vec<String> {
    let mut statements = sql::ddl();
    statements.push(sql::procedure());
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
        Step::Alarm(alarm) => metrics::put_alarm(&clients.cloudwatch, alarm).await,
        Step::Procedure(_, warehouse) => {
            let warehouse = DataApi::new(clients.redshiftdata.clone(), warehouse.clone());
            warehouse.run(&sql::procedure(), &[]).await.map(drop)
        }
    }
}

/// The heartbeat and the timeout are the catalogue's, in whole seconds.
fn definition(machine: &str, activity: &Activity) -> String {
    let worker = &activity.worker;
    let spans = (seconds(worker.timeout), seconds(worker.heartbeat));
    fill(machine, &activity.arn, spans)
}

fn seconds(span: Duration) -> String {
    span.as_secs().max(1).to_string()
}

fn fill(machine: &str, arn: &str, (timeout, heartbeat): (String, String)) -> String {
    machine
        .replace("${ActivityArn}", arn)
        .replace("\"${TimeoutSeconds}\"", &timeout)
        .replace("\"${HeartbeatSeconds}\"", &heartbeat)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use stepfleet_activity::{ActivityError, Area, names};

    use super::*;

    #[test]
    fn the_state_machine_matches_the_names_that_we_report() {
        let filled = |machine| {
            let filled = fill(machine, "arn:x", ("1800".to_owned(), "60".to_owned()));
            // What only the plan fills in may be any number here.
            let filled = [
                "MaxConcurrency",
                "PlanTimeoutSeconds",
                "PlanHeartbeatSeconds",
            ]
            .iter()
            .fold(filled, |text, name| {
                text.replace(&format!("\"${{{name}}}\""), "7")
            });
            serde_json::from_str::<Value>(&filled).expect("JSON")
        };
        let all = filled(S3_LOAD_ALL);
        let states = [
            filled(S3_LOAD)["States"]["Load"].clone(),
            filled(S3_DRAIN)["States"]["Load"].clone(),
            all["States"]["LoadEach"]["ItemProcessor"]["States"]["Load"].clone(),
        ];
        for state in states {
            assert_load(&state);
        }
        let each = &all["States"]["LoadEach"];
        assert_eq!(each["MaxConcurrency"], 7);
        assert_eq!(all["States"]["Plan"]["TimeoutSeconds"], 7);
        assert_eq!(
            all["States"]["Plan"]["Retry"][0],
            filled(S3_LOAD)["States"]["Load"]["Retry"][0]
        );
    }

    fn assert_load(state: &Value) {
        assert_eq!(state["Resource"], "arn:x");
        assert_eq!(
            (&state["TimeoutSeconds"], &state["HeartbeatSeconds"]),
            (&json!(1800), &json!(60))
        );
        let transient = ActivityError::transient(Area::LOAD, "");
        let conflict = ActivityError::conflict(Area::LOAD, "");
        assert_eq!(
            state["Retry"][0]["ErrorEquals"],
            json!([
                transient.name(),
                names::SHUTDOWN,
                names::TIMEOUT,
                "States.Timeout",
                "States.HeartbeatTimeout"
            ])
        );
        assert_eq!(state["Retry"][1]["ErrorEquals"], json!([conflict.name()]));
        assert_eq!(state["Catch"][0]["ErrorEquals"], json!(["States.ALL"]));
        for field in ["execution.$", "state.$", "entered.$", "retry.$"] {
            assert!(
                state["Parameters"]["stepfleet"][field].is_string(),
                "{field}"
            );
        }
    }
}
