//! The state machines that drive the activities, filled in from the catalogue.

use std::time::Duration;

use stepfleet_activity::catalogue::{Activity, Catalogue, read_config};

use crate::s3_load::config::LoadConfig;
use crate::s3_plan::PlanConfig;
use crate::{s3_load, s3_plan};

/// The loader's state machines; `${...}` are filled in per activity.
const S3_LOAD: &str = include_str!("../../../state-machines/s3-load.asl.json");
/// Loads until nothing is left: what `etl-worker trigger` starts.
const S3_DRAIN: &str = include_str!("../../../state-machines/s3-drain.asl.json");
/// Plans, then loads many tables side by side.
const S3_LOAD_ALL: &str = include_str!("../../../state-machines/s3-load-all.asl.json");

/// The state machines that drive an activity, by name.
pub(crate) fn machines(catalogue: &Catalogue, activity: &Activity) -> Vec<(String, String)> {
    let name = format!("{}-{}", catalogue.fleet, activity.name);
    if activity.handler == s3_plan::HANDLER {
        let Ok(config) = read_config::<PlanConfig>(&activity.config) else {
            return Vec::new();
        };
        let Some(load) = s3_plan::loader(catalogue, &config.load) else {
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
pub(super) fn loader(catalogue: &Catalogue, activity: &Activity) -> Option<LoadConfig> {
    let is_loader = activity.handler == s3_load::HANDLER;
    let config = is_loader.then(|| LoadConfig::of(catalogue, activity));
    config.and_then(Result::ok)
}

/// The ARN of the state machine that loads until nothing is left.
pub(crate) fn drain_machine(catalogue: &Catalogue, activity: &Activity) -> String {
    let name = format!("{}-{}-drain", catalogue.fleet, activity.name);
    catalogue.aws.arn("states", &format!("stateMachine:{name}"))
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
