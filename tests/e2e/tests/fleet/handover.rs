//! Two autoscalers, one of which decides and is lost in the middle of a breach:
//! the other one goes on, and no step is taken twice.

use std::time::Duration;

use futures::future::join;

use super::platform::Loss;
use super::{Fleet, LONG, Plan};

/// Between two steps out.
const COOLDOWN: Duration = Duration::from_secs(25);
/// What a look at the count may be late, and a clock in whole seconds.
const SLACK: Duration = Duration::from_secs(2);

const PLAN: Plan = Plan {
    catalogue: "deployments:
  workers:
    replicas: {min: 1, max: 8}
    damping: {cooldown: {out: 25s, in: 10m}}
activities:
  load:
    handler: etl.s3-load
    deployment: workers
    objective: {wait: 5s}
    alarms: {out: {above: 30s, steps: [{add: 1}]}}
    config: {warehouse: main}
",
    aws: &["--no-warehouse"],
    autoscalers: 2,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_leader_goes_on_and_doubles_no_step() {
    join(
        handover("killed", Loss::Killed),
        handover("deleted", Loss::Deleted),
    )
    .await;
}

async fn handover(name: &str, loss: Loss) {
    let mut fleet = Fleet::start(name, &PLAN).await;
    let first = fleet.leader().await.expect("a leader");
    let series = fleet.series();
    fleet.breach().await;
    let stepped = series.until(LONG, |replicas| replicas == 2).await;
    assert!(
        stepped.is_some(),
        "{name}: no step:\n{}",
        fleet.said().await
    );
    // Between the step and what the cycle writes after it.
    fleet.platform.lose(&first, loss).await;

    let again = series.until(LONG, |replicas| replicas == 3).await;
    let said = fleet.said().await;
    assert!(again.is_some(), "{name}: no second step:\n{said}");
    let seen = series.all();
    assert_eq!(series.replicas(), [1, 2, 3], "{name}: {seen:?}\n{said}");
    let between = seen[2].at - seen[1].at;
    assert!(
        between + SLACK >= COOLDOWN,
        "{name}: the step was repeated after {between:?}\n{said}"
    );
    if loss == Loss::Deleted {
        let second = fleet.leader().await;
        assert_ne!(second, Some(first), "{name}: {said}");
    }
    fleet.platform.end().await;
}
