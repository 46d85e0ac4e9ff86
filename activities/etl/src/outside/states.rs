//! Step Functions, for setting up: the only file that names its SDK.

use crate::outside::call::{CallError, failed};

/// The Step Functions client that setting up is given.
pub(crate) type Client = aws_sdk_sfn::Client;

/// Makes an activity; one that is there already is fine.
pub(crate) async fn create_activity(client: &Client, name: &str) -> Result<(), CallError> {
    let Err(error) = client.create_activity().name(name).send().await else {
        return Ok(());
    };
    let there = error
        .as_service_error()
        .is_some_and(|error| error.is_activity_already_exists());
    if there {
        return Ok(());
    }
    Err(failed(format!("create the activity {name}"), &error))
}

/// A state machine as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StateMachine {
    pub(crate) name: String,
    pub(crate) arn: String,
    pub(crate) definition: String,
    pub(crate) role_arn: String,
}

/// Makes a state machine, or gives one that is there this definition.
pub(crate) async fn put_state_machine(
    client: &Client,
    machine: &StateMachine,
) -> Result<(), CallError> {
    let created = client
        .create_state_machine()
        .name(&machine.name)
        .definition(&machine.definition)
        .role_arn(&machine.role_arn)
        .send()
        .await;
    let Err(error) = created else {
        return Ok(());
    };
    let there = error
        .as_service_error()
        .is_some_and(|error| error.is_state_machine_already_exists());
    if !there {
        return Err(failed(
            format!("create the state machine {}", machine.name),
            &error,
        ));
    }
    client
        .update_state_machine()
        .state_machine_arn(&machine.arn)
        .definition(&machine.definition)
        .role_arn(&machine.role_arn)
        .send()
        .await
        .map(drop)
        .map_err(|error| failed(format!("update the state machine {}", machine.name), &error))
}

/// Starts an execution. The same name and input again is the same execution, and
/// one that has ended is as good: it was started.
pub(crate) async fn start(
    client: &Client,
    arn: &str,
    (name, input): (&str, &str),
) -> Result<(), CallError> {
    let started = client
        .start_execution()
        .state_machine_arn(arn)
        .name(name)
        .input(input)
        .send()
        .await;
    let Err(error) = started else {
        return Ok(());
    };
    let there = error
        .as_service_error()
        .is_some_and(|error| error.is_execution_already_exists());
    if there {
        return Ok(());
    }
    Err(failed(format!("start the execution {name}"), &error))
}
