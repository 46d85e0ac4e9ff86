//! The autoscaler takes a worker away that is busy and polls: what it runs is
//! finished, its open poll is not cut, and what the poll brings is run.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::time::Duration;

use kube::ResourceExt as _;
use tokio::time::{Instant, sleep_until};

use super::{ACTIVITY, Fleet, LONG, Needs, Plan};
use crate::process::until_or_none;
use crate::world::FILES;

/// A count that was set by hand is left alone for so long, which is when the
/// step comes: late enough for two workers to be there and to be busy.
const LEFT_ALONE: Duration = Duration::from_secs(40);
/// Tasks start so long before the step: they run for 20 s and more.
const BEFORE: Duration = Duration::from_secs(10);
/// The pod's grace period.
const GRACE: Duration = Duration::from_secs(120);

const PLAN: Plan = Plan {
    catalogue: Cow::Borrowed(
        "deployments:
  workers:
    replicas: {min: 1, max: 1}
    drain: 90s
    damping: {cooldown: {out: 10s, in: 40s}}
activities:
  load:
    handler: etl.s3-load
    deployment: workers
    worker: {slots: 2, pollers: {min: 1, max: 2}, heartbeat: 30s, timeout: 5m}
    objective: {wait: 5s}
    config: {warehouse: main, settle: 0s}
",
    ),
    needs: Needs {
        statements: Some(Duration::from_secs(6)),
        short_periods: false,
    },
    autoscalers: 1,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_is_taken_away_finishes_and_loses_no_task() {
    let fleet = Fleet::start("drain", &PLAN).await;
    let world = &fleet.world;
    let names: Vec<String> = (0..4).map(|number| format!("t{number}")).collect();
    let targets = world.targets(&names).await;
    for target in &targets {
        target.land(&FILES).await;
    }
    fleet.set_replicas(2).await;
    let by_hand = Instant::now();
    let series = fleet.series();
    fleet.ready(2).await;
    sleep_until(by_hand + LEFT_ALONE - BEFORE).await;

    // Each of the two gets one: the older poll is served first, and whoever
    // has got one polls again.
    let mut executions = Vec::new();
    for target in &targets[..2] {
        executions.push(world.start_execution(ACTIVITY, &target.input()).await);
    }
    let stepped = series.until(LONG, |replicas| replicas == 1).await;
    assert!(stepped.is_some(), "no step in:\n{}", fleet.said().await);
    let leaving = leaving(&fleet).await;
    for execution in &executions {
        assert!(
            world.runs(execution).await,
            "it has ended already: what was in flight?"
        );
    }
    // Both polls that are open are served: one of them is the leaving worker's.
    for target in &targets[2..] {
        executions.push(world.start_execution(ACTIVITY, &target.input()).await);
    }

    let mut workers = BTreeSet::new();
    for (execution, target) in executions.iter().zip(&targets) {
        world.succeeded(execution, LONG).await;
        let attempts = world.attempts(execution).await;
        assert_eq!(attempts.len(), 1, "none was lost: {attempts:?}");
        workers.extend(attempts);
        target.assert_loaded_once("after the step in").await;
    }
    let late = world.attempts(&executions[2]).await;
    let later = world.attempts(&executions[3]).await;
    assert!(
        late.contains(&leaving) || later.contains(&leaving),
        "the open poll of {leaving} was cut: {late:?} {later:?}"
    );
    assert_eq!(workers.len(), 2, "{workers:?}");
    let gone = until_or_none(GRACE, async || {
        let pods = fleet.pods().await;
        (!pods.iter().any(|pod| pod.name_any() == leaving)).then_some(())
    })
    .await;
    assert!(gone.is_some(), "{leaving} did not end by itself");
    drop(targets);
    fleet.end().await;
}

/// The pod that is told to end.
async fn leaving(fleet: &Fleet) -> String {
    let leaving = until_or_none(LONG, async || {
        let pods = fleet.pods().await;
        let mut ends = pods
            .iter()
            .filter(|pod| pod.metadata.deletion_timestamp.is_some());
        ends.next().map(|pod| pod.name_any())
    })
    .await;
    leaving.expect("a pod that ends")
}
