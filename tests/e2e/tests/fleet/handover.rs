//! Two autoscalers, one of which decides and is lost in the middle of a breach:
//! the other one goes on, and no step is taken twice.

use std::time::Duration;

use futures::future::join;

use super::platform::Loss;
use super::{Fleet, LONG, Plan, SIGNALLED};

/// Between two steps out.
const COOLDOWN: Duration = Duration::from_secs(25);
/// What a look at the count may be late, and a clock in whole seconds.
const SLACK: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_leader_goes_on_and_doubles_no_step() {
    join(
        handover("killed", Loss::Killed),
        handover("deleted", Loss::Deleted),
    )
    .await;
}

async fn handover(name: &str, loss: Loss) {
    let plan = Plan::of_steps(("25s", "10m"), 2);
    let mut fleet = Fleet::start(name, &plan).await;
    let first = fleet.leader().await.expect("a leader");
    let series = fleet.series();
    fleet.breach().await;
    let stepped = series.until(SIGNALLED, |replicas| replicas == 2).await;
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
    fleet.end().await;
}
