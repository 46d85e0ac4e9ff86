//! State machines.

use std::sync::Arc;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::StepFunctions;
use super::definition::{Definition, Fault};
use super::history::epoch;
use super::input::{Page, check_arn, check_name, check_size, paged, without_off};
use super::tags::{Tag, check_tags};
use crate::AwsError;
use crate::context::read;

#[derive(Debug)]
pub(super) struct Machine {
    pub(super) revision: Arc<Revision>,
    created: Timestamp,
}

/// What an execution is started with, and goes on with.
#[derive(Debug)]
pub(super) struct Revision {
    pub(super) name: String,
    text: String,
    pub(super) definition: Arc<Definition>,
    pub(super) role: String,
    /// Of all but the first.
    id: Option<String>,
    made: Timestamp,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Create {
    name: String,
    definition: String,
    role_arn: String,
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    tags: Vec<Tag>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Update {
    state_machine_arn: String,
    definition: Option<String>,
    role_arn: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ByArn {
    state_machine_arn: String,
    #[serde(rename = "includedData")]
    _included_data: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Validate {
    definition: String,
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(rename = "severity")]
    _severity: Option<String>,
    #[serde(default)]
    max_results: usize,
}

// === impl StepFunctions ===

impl StepFunctions {
    pub(super) fn create_state_machine(&self, body: Value) -> Result<Value, AwsError> {
        let create: Create = read(without_off(body)?)?;
        check_name(&create.name)?;
        check_kind(create.kind.as_deref())?;
        let tags = check_tags(create.tags)?;
        let definition = parse(&create.definition)?;
        let arn = self
            .context
            .arn("states", &format!("stateMachine:{}", create.name));
        let mut state = self.lock();
        if let Some(there) = state.machines.get(arn.as_str()) {
            let revision = &there.revision;
            if revision.text != create.definition || revision.role != create.role_arn {
                return Err(AwsError::new(
                    "StateMachineAlreadyExists",
                    format!("State Machine Already Exists: '{arn}'"),
                ));
            }
            return Ok(json!({"stateMachineArn": arn, "creationDate": epoch(there.created)}));
        }
        let created = self.now();
        let revision = Arc::new(Revision {
            name: create.name,
            text: create.definition,
            definition,
            role: create.role_arn,
            id: None,
            made: created,
        });
        let machine = Machine { revision, created };
        state.machines.insert(arn.as_str().into(), machine);
        state.tags.insert(arn.clone(), tags);
        Ok(json!({"stateMachineArn": arn, "creationDate": epoch(created)}))
    }

    /// What runs goes on with the definition that it was started with.
    pub(super) fn update_state_machine(&self, body: Value) -> Result<Value, AwsError> {
        let update: Update = read(without_off(body)?)?;
        check_arn(&update.state_machine_arn, "stateMachine")?;
        if update.definition.is_none() && update.role_arn.is_none() {
            return Err(AwsError::new(
                "MissingRequiredParameter",
                "Either the definition or the role ARN must be specified",
            ));
        }
        let definition = match update.definition {
            Some(text) => Some((parse(&text)?, text)),
            None => None,
        };
        let mut state = self.lock();
        let machine = state.machines.get_mut(update.state_machine_arn.as_str());
        let machine = machine.ok_or_else(|| missing(&update.state_machine_arn))?;
        let old = &machine.revision;
        let (definition, text) =
            definition.unwrap_or_else(|| (Arc::clone(&old.definition), old.text.clone()));
        let (id, made) = (uuid::Uuid::new_v4().to_string(), self.now());
        machine.revision = Arc::new(Revision {
            name: old.name.clone(),
            text,
            definition,
            role: update.role_arn.unwrap_or_else(|| old.role.clone()),
            id: Some(id.clone()),
            made,
        });
        Ok(json!({"updateDate": epoch(made), "revisionId": id}))
    }

    pub(super) fn describe_state_machine(&self, body: Value) -> Result<Value, AwsError> {
        let ByArn {
            state_machine_arn: arn,
            ..
        } = read(body)?;
        check_arn(&arn, "stateMachine")?;
        let state = self.lock();
        let machine = state
            .machines
            .get(arn.as_str())
            .ok_or_else(|| missing(&arn))?;
        let mut shown = machine.show(&arn);
        machine.revision.show(&mut shown);
        shown["status"] = json!("ACTIVE");
        Ok(shown)
    }

    pub(super) fn list_state_machines(&self, body: Value) -> Result<Value, AwsError> {
        let page: Page = read(body)?;
        let state = self.lock();
        let machines = state.machines.iter();
        paged(
            self.list("stateMachines", ""),
            machines.map(|one| (one.1.revision.name.clone(), one)),
            (page.max_results, page.next_token.as_deref()),
            |(arn, machine)| machine.show(arn),
        )
    }

    /// What runs goes on to its end.
    pub(super) fn delete_state_machine(&self, body: Value) -> Result<Value, AwsError> {
        let ByArn {
            state_machine_arn, ..
        } = read(body)?;
        check_arn(&state_machine_arn, "stateMachine")?;
        let mut state = self.lock();
        state.machines.remove(state_machine_arn.as_str());
        state.tags.remove(&state_machine_arn);
        Ok(json!({}))
    }

    /// Says what CreateStateMachine would say.
    pub(super) fn validate_definition(body: Value) -> Result<Value, AwsError> {
        let ask: Validate = read(body)?;
        check_kind(ask.kind.as_deref())?;
        check_size("definition", ask.definition.len(), 1_048_576)?;
        let faults = Definition::parse(&ask.definition).err().unwrap_or_default();
        let most = if ask.max_results == 0 {
            100
        } else {
            ask.max_results
        };
        let show = |fault: &Fault| {
            json!({
                "severity": "ERROR", "code": fault.code, "message": fault.message,
                "location": fault.place,
            })
        };
        Ok(json!({
            "result": if faults.is_empty() { "OK" } else { "FAIL" },
            "diagnostics": faults.iter().take(most).map(show).collect::<Vec<_>>(),
            "truncated": faults.len() > most,
        }))
    }
}

// === impl Machine ===

impl Machine {
    fn show(&self, arn: &str) -> Value {
        json!({
            "stateMachineArn": arn,
            "name": self.revision.name,
            "type": "STANDARD",
            "creationDate": epoch(self.created),
        })
    }
}

// === impl Revision ===

impl Revision {
    fn show(&self, into: &mut Value) {
        into["definition"] = json!(self.text);
        into["roleArn"] = json!(self.role);
        into["loggingConfiguration"] = json!({"level": "OFF", "includeExecutionData": false});
        into["tracingConfiguration"] = json!({"enabled": false});
        into["encryptionConfiguration"] = json!({"type": "AWS_OWNED_KEY"});
        if let Some(id) = &self.id {
            into["revisionId"] = json!(id);
        }
    }

    /// As the machine was when an execution of it started.
    pub(super) fn show_started(&self, machine_arn: &str) -> Value {
        let mut shown = json!({
            "stateMachineArn": machine_arn,
            "name": self.name,
            "updateDate": epoch(self.made),
        });
        self.show(&mut shown);
        shown
    }
}

fn check_kind(kind: Option<&str>) -> Result<(), AwsError> {
    if kind.is_none_or(|kind| kind == "STANDARD") {
        return Ok(());
    }
    Err(AwsError::validation(
        "type: only STANDARD is supported here, there are no Express workflows",
    ))
}

fn parse(text: &str) -> Result<Arc<Definition>, AwsError> {
    check_size("definition", text.len(), 1_048_576)?;
    Definition::parse(text).map(Arc::new).map_err(|faults| {
        let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
        AwsError::new(
            "InvalidDefinition",
            format!("Invalid State Machine Definition: '{}'", faults.join("; ")),
        )
    })
}

pub(super) fn missing(arn: &str) -> AwsError {
    let qualified = arn.splitn(8, ':').count() > 7;
    let why = if qualified {
        " (stepfleet-local has no versions and no aliases: leave out what follows the name)"
    } else {
        ""
    };
    AwsError::new(
        "StateMachineDoesNotExist",
        format!("State Machine Does Not Exist: '{arn}'{why}"),
    )
}
