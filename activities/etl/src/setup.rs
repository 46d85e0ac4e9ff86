//! What AWS and the warehouses need before the first task, from the catalogue.

use std::fmt;

use stepfleet_activity::catalogue::{self, Activity, Catalogue};

use crate::call::CallError;
use crate::redshift::DataApi;
use crate::states::{self, StateMachine};
use crate::{Commit, LoadConfig, redshift, sql};

/// The loader's state machine; `${...}` are filled in per activity.
const S3_LOAD: &str = include_str!("../../state-machines/s3-load.asl.json");

/// The handler that it drives.
const S3_LOAD_HANDLER: &str = "etl.s3-load";

/// The clients that setting up works with.
#[derive(Debug, Clone)]
pub struct Clients {
    /// For activities and state machines.
    pub sfn: states::Client,
    /// For the ledger's tables.
    pub redshiftdata: redshift::Client,
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
            Step::Ledger(name, warehouse) => write!(
                formatter,
                "create schema stepfleet with the ledger and its locks in warehouse {name}, database {}",
                warehouse.database
            ),
            Step::Procedure(name, warehouse) => write!(
                formatter,
                "create or replace procedure stepfleet.load_batch in warehouse {name}, database {}",
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
        if activity.handler == S3_LOAD_HANDLER {
            let name = format!("{}-{}", catalogue.fleet, activity.name);
            steps.push(SetupStep(Step::StateMachine(StateMachine {
                arn: catalogue.aws.arn("states", &format!("stateMachine:{name}")),
                name,
                definition: definition(activity),
                role_arn: role.clone(),
            })));
        }
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

/// Whether a loader of this warehouse loads by the procedure.
fn calls(catalogue: &Catalogue, warehouse: &str) -> bool {
    let loaders = catalogue.activities.values();
    let mut loaders = loaders.filter(|activity| activity.handler == S3_LOAD_HANDLER);
    loaders.any(|activity| {
        LoadConfig::read(&activity.config)
            .is_ok_and(|config| config.warehouse == warehouse && config.commit == Commit::Procedure)
    })
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
        take(clients, &self.0).await.map_err(|reason| SetupError {
            step: self.to_string(),
            reason,
        })
    }
}

async fn take(clients: &Clients, step: &Step) -> Result<(), CallError> {
    match step {
        Step::Activity(name) => states::create_activity(&clients.sfn, name).await,
        Step::StateMachine(machine) => states::put_state_machine(&clients.sfn, machine).await,
        Step::Ledger(_, warehouse) => {
            let warehouse = DataApi::new(clients.redshiftdata.clone(), warehouse.clone());
            warehouse.run_all(sql::ddl()).await
        }
        Step::Procedure(_, warehouse) => {
            let warehouse = DataApi::new(clients.redshiftdata.clone(), warehouse.clone());
            warehouse.run(&sql::procedure(), &[]).await.map(drop)
        }
    }
}

/// The heartbeat and the timeout are the catalogue's, in whole seconds.
fn definition(activity: &Activity) -> String {
    let worker = &activity.worker;
    fill(
        &activity.arn,
        worker.timeout.as_secs().max(1),
        worker.heartbeat.as_secs().max(1),
    )
}

fn fill(arn: &str, timeout: u64, heartbeat: u64) -> String {
    S3_LOAD
        .replace("${ActivityArn}", arn)
        .replace("\"${TimeoutSeconds}\"", &timeout.to_string())
        .replace("\"${HeartbeatSeconds}\"", &heartbeat.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use stepfleet_activity::{ActivityError, Area, names};

    use super::*;

    #[test]
    fn the_state_machine_matches_the_names_that_we_report() {
        let machine: Value = serde_json::from_str(&fill("arn:x", 1800, 60)).expect("JSON");
        let state = &machine["States"]["Load"];
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
