//! State machines.

use std::sync::Arc;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::StepFunctions;
use super::definition::Definition;
use super::history::epoch;
use super::input::{Page, check_arn, check_name, check_size, paged};
use crate::AwsError;
use crate::context::read;

#[derive(Debug)]
pub(super) struct Machine {
    pub(super) name: String,
    text: String,
    pub(super) definition: Arc<Definition>,
    pub(super) role: String,
    created: Timestamp,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Create {
    name: String,
    definition: String,
    role_arn: String,
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(default, rename = "tags")]
    _tags: Vec<Value>,
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
}

// === impl StepFunctions ===

impl StepFunctions {
    pub(super) fn create_state_machine(&self, body: Value) -> Result<Value, AwsError> {
        let create: Create = read(body)?;
        check_name(&create.name)?;
        if create
            .kind
            .as_deref()
            .is_some_and(|kind| kind != "STANDARD")
        {
            return Err(AwsError::validation(
                "only the type STANDARD is supported here",
            ));
        }
        let definition = parse(&create.definition)?;
        let arn = self
            .context
            .arn("states", &format!("stateMachine:{}", create.name));
        let mut state = self.lock();
        if let Some(there) = state.machines.get(arn.as_str()) {
            if there.text != create.definition || there.role != create.role_arn {
                return Err(AwsError::new(
                    "StateMachineAlreadyExists",
                    format!("State Machine Already Exists: '{arn}'"),
                ));
            }
            return Ok(json!({"stateMachineArn": arn, "creationDate": epoch(there.created)}));
        }
        let created = self.now();
        let machine = Machine {
            name: create.name,
            text: create.definition,
            definition,
            role: create.role_arn,
            created,
        };
        state.machines.insert(arn.as_str().into(), machine);
        Ok(json!({"stateMachineArn": arn, "creationDate": epoch(created)}))
    }

    /// What runs goes on with the definition that it was started with.
    pub(super) fn update_state_machine(&self, body: Value) -> Result<Value, AwsError> {
        let update: Update = read(body)?;
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
        if let Some((definition, text)) = definition {
            (machine.definition, machine.text) = (definition, text);
        }
        if let Some(role) = update.role_arn {
            machine.role = role;
        }
        Ok(json!({"updateDate": epoch(self.now())}))
    }

    pub(super) fn describe_state_machine(&self, body: Value) -> Result<Value, AwsError> {
        let ByArn {
            state_machine_arn: arn,
        } = read(body)?;
        check_arn(&arn, "stateMachine")?;
        let state = self.lock();
        let machine = state
            .machines
            .get(arn.as_str())
            .ok_or_else(|| missing(&arn))?;
        let mut shown = machine.show(&arn);
        shown["status"] = json!("ACTIVE");
        shown["definition"] = json!(machine.text);
        shown["roleArn"] = json!(machine.role);
        Ok(shown)
    }

    pub(super) fn list_state_machines(&self, body: Value) -> Result<Value, AwsError> {
        let page: Page = read(body)?;
        let state = self.lock();
        paged(
            "stateMachines",
            state.machines.iter(),
            (page.max_results, page.next_token.as_deref()),
            |(arn, machine)| machine.show(arn),
        )
    }

    /// What runs goes on to its end.
    pub(super) fn delete_state_machine(&self, body: Value) -> Result<Value, AwsError> {
        let ByArn { state_machine_arn } = read(body)?;
        check_arn(&state_machine_arn, "stateMachine")?;
        self.lock().machines.remove(state_machine_arn.as_str());
        Ok(json!({}))
    }
}

// === impl Machine ===

impl Machine {
    fn show(&self, arn: &str) -> Value {
        json!({
            "stateMachineArn": arn,
            "name": self.name,
            "type": "STANDARD",
            "creationDate": epoch(self.created),
        })
    }
}

fn parse(text: &str) -> Result<Arc<Definition>, AwsError> {
    check_size("definition", text.len(), 1_048_576)?;
    Definition::parse(text).map(Arc::new).map_err(|faults| {
        AwsError::new(
            "InvalidDefinition",
            format!("Invalid State Machine Definition: '{faults}'"),
        )
    })
}

pub(super) fn missing(arn: &str) -> AwsError {
    AwsError::new(
        "StateMachineDoesNotExist",
        format!("State Machine Does Not Exist: '{arn}'"),
    )
}
