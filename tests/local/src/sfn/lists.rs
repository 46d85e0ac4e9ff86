//! The lists of executions and of their events, page by page.

use serde::Deserialize;
use serde_json::Value;

use super::StepFunctions;
use super::input::{List, check_arn, number_key, paged};
use super::machines::missing as no_machine;
use crate::AwsError;
use crate::context::read;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Executions {
    state_machine_arn: Option<String>,
    map_run_arn: Option<String>,
    status_filter: Option<String>,
    redrive_filter: Option<String>,
    #[serde(default)]
    max_results: usize,
    next_token: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct History {
    execution_arn: String,
    #[serde(default)]
    max_results: usize,
    next_token: Option<String>,
    #[serde(default)]
    reverse_order: bool,
    include_execution_data: Option<bool>,
}

// === impl StepFunctions ===

impl StepFunctions {
    /// A list that is asked for now.
    pub(super) fn list<'a>(&self, member: &'static str, scope: &'a str) -> List<'a> {
        let now = self.context.clock.now();
        List { member, scope, now }
    }

    /// Newest first.
    pub(super) fn list_executions(&self, body: Value) -> Result<Value, AwsError> {
        let list: Executions = read(body)?;
        let machine = list.machine()?;
        list.check()?;
        let state = self.lock();
        if !state.machines.contains_key(machine) {
            return Err(no_machine(machine));
        }
        let arns = state.of_machine.get(machine);
        let numbered = arns.map_or(&[][..], Vec::as_slice).iter().enumerate().rev();
        let newest_first = numbered.filter_map(|(number, arn)| {
            let execution = state.executions.get(arn)?;
            let filter = list.status_filter.as_deref();
            let wanted = filter.is_none_or(|status| status == execution.status());
            // Those that start meanwhile come before all that are shown already.
            let key = number_key(usize::MAX - number);
            wanted.then_some((key, (arn, execution)))
        });
        let filter = list.status_filter.as_deref().unwrap_or_default();
        let scope = format!("{machine}?{filter}");
        paged(
            self.list("executions", &scope),
            newest_first,
            (list.max_results, list.next_token.as_deref()),
            |(arn, execution)| Value::Object(execution.show(arn)),
        )
    }

    pub(super) fn get_execution_history(&self, body: Value) -> Result<Value, AwsError> {
        let ask: History = read(body)?;
        check_arn(&ask.execution_arn, "execution")?;
        let state = self.lock();
        let events = &state.execution(&ask.execution_arn)?.history;
        let with_data = ask.include_execution_data.unwrap_or(true);
        let numbered = events.iter().enumerate();
        let show = |(at, event): (usize, &super::history::Event)| event.show(at + 1, with_data);
        let page = (ask.max_results, ask.next_token.as_deref());
        let order = if ask.reverse_order {
            "newest"
        } else {
            "oldest"
        };
        let scope = format!("{}?{order}", ask.execution_arn);
        let list = self.list("events", &scope);
        if ask.reverse_order {
            let newest = numbered
                .rev()
                .map(|one| (number_key(usize::MAX - one.0), one));
            return paged(list, newest, page, show);
        }
        paged(
            list,
            numbered.map(|one| (number_key(one.0), one)),
            page,
            show,
        )
    }
}

// === impl Executions ===

impl Executions {
    fn machine(&self) -> Result<&str, AwsError> {
        if self.map_run_arn.is_some() {
            return Err(AwsError::validation(
                "mapRunArn: stepfleet-local has no Map Runs, its Map states are inline",
            ));
        }
        let Some(arn) = &self.state_machine_arn else {
            return Err(AwsError::validation(
                "stateMachineArn: whose executions are asked for must be said",
            ));
        };
        check_arn(arn, "stateMachine")?;
        Ok(arn)
    }

    fn check(&self) -> Result<(), AwsError> {
        const STATUSES: [&str; 6] = [
            "RUNNING",
            "SUCCEEDED",
            "FAILED",
            "TIMED_OUT",
            "ABORTED",
            "PENDING_REDRIVE",
        ];
        if self.redrive_filter.is_some() {
            return Err(AwsError::validation(
                "redriveFilter: it is for the executions of a Map Run, not for those of a state machine",
            ));
        }
        match self.status_filter.as_deref() {
            Some(filter) if !STATUSES.contains(&filter) => Err(AwsError::validation(format!(
                "1 validation error detected: Value '{filter}' at 'statusFilter' failed to satisfy constraint: Member must satisfy enum value set: [{}]",
                STATUSES.join(", ")
            ))),
            _ => Ok(()),
        }
    }
}
