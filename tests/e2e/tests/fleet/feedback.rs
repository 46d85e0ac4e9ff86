//! The loop, by real metrics: out on ALARM, again until OK, in after the
//! cooldown; everything is loaded once.

use std::borrow::Cow;
use std::time::Duration;

use futures::future::join_all;
use tokio::time::interval;

use super::{ACTIVITY, Fleet, LONG, Needs, Plan};
use crate::world::FILES;

/// More than a worker can do, for longer than an alarm takes.
const TASKS: usize = 45;
const EVERY: Duration = Duration::from_secs(1);
/// So many tasks come in more than four of the alarms' periods.
const LOOK: usize = 42;
/// The wait for all that is left when the last task has come.
const REST: Duration = Duration::from_secs(180);

const PLAN: Plan = Plan {
    catalogue: Cow::Borrowed(
        "signals: {max_age: 15m, period: 10s}
deployments:
  workers:
    replicas: {min: 1, max: 6}
    drain: 70s
    damping:
      cooldown: {out: 15s, in: 20s}
      stabilization: 20s
activities:
  load:
    handler: etl.s3-load
    deployment: workers
    worker: {slots: 1, pollers: {min: 1, max: 1}, heartbeat: 30s, timeout: 5m}
    objective: {wait: 5s}
    alarms:
      out: {above: 5s, for: 10s, steps: [{to: 10s, add: 1}, {add: 2}]}
      in: {below: 1s, for: 20s, remove: 25%}
    config: {warehouse: main, settle: 0s}
",
    ),
    needs: Needs {
        statements: Some(Duration::from_millis(700)),
        short_periods: true,
    },
    autoscalers: 1,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_fleet_on_a_cluster_grows_until_ok_and_shrinks() {
    let _alone = crate::MACHINE.write().await;
    let fleet = Fleet::start("loop", &PLAN).await;
    let series = fleet.series();
    let world = &fleet.world;
    let names: Vec<String> = (0..TASKS).map(|number| format!("t{number}")).collect();
    let targets = world.targets(&names).await;
    let mut ticks = interval(EVERY);
    let mut executions = Vec::new();
    for target in &targets {
        ticks.tick().await;
        target.land(&FILES).await;
        executions.push(world.start_execution(ACTIVITY, &target.input()).await);
        if executions.len() == LOOK
            && let Some(guest) = &fleet.guest
        {
            guest.assert_short_periods().await;
        }
    }
    join_all(executions.iter().map(|run| world.succeeded(run, REST))).await;
    let grown = series.replicas();
    let said = fleet.said().await;
    assert!(
        grown.len() > 2 && grown.is_sorted(),
        "out, and again until OK: {grown:?}\n{said}"
    );
    for target in &targets {
        target.assert_loaded_once("the loop").await;
    }
    let most = grown[grown.len() - 1];
    let shrunk = series.until(LONG + REST, |replicas| replicas < most).await;
    assert!(
        shrunk.is_some(),
        "in after cooldown\n{}",
        fleet.said().await
    );
    drop(targets);
    fleet.end().await;
}
