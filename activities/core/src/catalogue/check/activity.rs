//! An activity, its name and its ARN.

use std::time::Duration;

use serde_json::Value;

use super::values::is_name;
use super::worker::{MAX_POLLS, transpose};
use super::{Checker, Sink};
use crate::catalogue::fault::nearest;
use crate::catalogue::from_tree::from_tree;
use crate::catalogue::raw::RawActivity;
use crate::catalogue::tree::Node;
use crate::catalogue::types::{Activity, Aws, Deployment, WorkerSettings};

/// The longest name of an activity, an alarm's beginning and a state machine.
const LONGEST_NAME: usize = 80;

/// What an activity is checked against. What is faulty itself is not there, and
/// nothing is checked against it.
pub(crate) struct Surroundings<'a> {
    pub(crate) fleet: Option<&'a str>,
    pub(crate) aws: Option<&'a Aws>,
    pub(crate) period: Option<Duration>,
    /// The deployments that are written, faulty or not.
    pub(crate) deployments: &'a [&'a str],
}

/// An activity whose node has the defaults in it already.
pub(crate) fn activity(
    name: &str,
    node: &Node,
    around: &Surroundings<'_>,
    sink: &mut Sink<'_>,
) -> Option<Activity> {
    let raw: RawActivity = from_tree(node)
        .map_err(|fault| sink.mistyped(fault, node))
        .ok()?;
    let mut check = Checker { node, sink };
    let named = check.name(name, around.fleet);
    let arn = check.arn(name, raw.arn, around);
    let deployed = check.deployed(&raw.deployment, around.deployments);
    let handled = !raw.handler.trim().is_empty();
    if !handled {
        check.fault(
            "handler",
            "found ``; allowed is the name of a handler, like `etl.s3-load`",
        );
    }
    let worker = check.worker(raw.worker.unwrap_or_default());
    let objective = raw.objective.map(|objective| check.objective(&objective));
    // Without a period no span can be judged, but all else can.
    let period = around.period.unwrap_or(Duration::from_millis(1));
    let alarms = check.alarms(raw.alarms.unwrap_or_default(), period);
    let activity = Activity {
        name: name.to_owned(),
        arn: arn?,
        handler: raw.handler,
        deployment: raw.deployment,
        worker: worker?,
        objective: transpose(objective)?,
        alarms: alarms?,
        config: Value::Object(raw.config.unwrap_or_default()),
    };
    (named && deployed && handled).then_some(activity)
}

impl Checker<'_, '_> {
    fn name(&mut self, name: &str, fleet: Option<&str>) -> bool {
        if !is_name(name) {
            self.fault(
                "",
                format!("found the name `{name}`; allowed are ASCII letters, digits, `-` and `_`"),
            );
            return false;
        }
        let Some(fleet) = fleet else { return true };
        let length = fleet.len() + 1 + name.len();
        if length > LONGEST_NAME {
            self.fault(
                "",
                format!("found `{fleet}-{name}`, {length} characters; allowed are {LONGEST_NAME}"),
            );
        }
        length <= LONGEST_NAME
    }

    fn arn(
        &mut self,
        name: &str,
        given: Option<String>,
        around: &Surroundings<'_>,
    ) -> Option<String> {
        let (fleet, aws) = (around.fleet?, around.aws?);
        let Some(arn) = given else {
            return Some(aws.arn("states", &format!("activity:{fleet}-{name}")));
        };
        let ours = aws.arn("states", "activity:");
        if arn.strip_prefix(&ours).is_some_and(is_activity_name) {
            return Some(arn);
        }
        self.fault(
            "arn",
            format!(
                "found `{arn}`; allowed is an activity of this account and region, `{ours}<name>`"
            ),
        );
        None
    }

    fn deployed(&mut self, deployment: &str, deployments: &[&str]) -> bool {
        if deployments.contains(&deployment) {
            return true;
        }
        let message = if deployments.is_empty() {
            format!("found `{deployment}`; there is no such deployment")
        } else {
            format!(
                "found `{deployment}`; there is no such deployment, there are: {}",
                deployments.join(", ")
            )
        };
        self.fault("deployment", message).suggestion =
            nearest(deployment, deployments.iter().copied());
        false
    }
}

/// AWS's own rule for a name that was given elsewhere.
fn is_activity_name(name: &str) -> bool {
    let refused = |c: char| {
        c.is_whitespace()
            || c.is_control()
            || r#"<>{}[]?*"#.contains(c)
            || r##""#%\^|~`$&,;:/"##.contains(c)
    };
    !name.is_empty() && name.chars().count() <= LONGEST_NAME && !name.contains(refused)
}

/// A rollout adds one pod for so many, rounded up: `maxSurge: 25%`, the default
/// of Kubernetes and of the chart.
const SURGE: u32 = 4;

/// Open polls of all workers together, at the most replicas there can be while a
/// rollout replaces them.
pub(crate) fn open_polls(
    node: &Node,
    worker: &WorkerSettings,
    deployment: &Deployment,
    sink: &mut Sink<'_>,
) {
    let replicas = deployment.replicas.highest();
    let pollers = worker.pollers_max;
    let surge = replicas.div_ceil(SURGE);
    let polls = (u64::from(replicas) + u64::from(surge)) * u64::from(pollers);
    if polls <= u64::from(MAX_POLLS) {
        return;
    }
    let mut check = Checker { node, sink };
    let at = if check.is_said("worker.pollers.max") {
        "worker.pollers.max"
    } else {
        ""
    };
    check.fault(
        at,
        format!(
            "found {replicas} replicas and {surge} more in a rollout x {pollers} pollers = {polls} open polls; allowed are {MAX_POLLS} for an activity: lower the deployment's `replicas.max` or `worker.pollers.max`"
        ),
    );
}
