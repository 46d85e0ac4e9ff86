//! People change what the autoscaler has set, and the autoscaler goes on from there.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{DeleteParams, ObjectMeta, PostParams};

use super::{DEPLOYMENT, Fleet, LONG, Plan, SIGNALLED};
use crate::process::until;

/// A count that was set by hand is left alone for so long.
const LEFT_ALONE: Duration = Duration::from_secs(20);
/// What a look at the count may be late, and a clock in whole seconds.
const SLACK: Duration = Duration::from_secs(2);

fn plan() -> Plan {
    Plan::of_steps(("10s", "20s"), 1)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_count_set_by_hand_is_where_the_next_decision_starts() {
    let fleet = Fleet::start("hand", &plan()).await;
    let series = fleet.series();
    fleet.breach().await;
    let stepped = series.until(SIGNALLED, |replicas| replicas == 2).await;
    assert!(stepped.is_some(), "no step:\n{}", fleet.said().await);
    fleet.set_replicas(5).await;
    let next = series.until(LONG, |replicas| replicas == 6).await;
    let said = fleet.said().await;
    assert!(next.is_some(), "no step from 5:\n{said}");
    let seen = series.all();
    assert_eq!(series.replicas(), [1, 2, 5, 6], "{seen:?}\n{said}");
    let between = seen[3].at - seen[2].at;
    assert!(between + SLACK >= LEFT_ALONE, "{between:?}\n{said}");
    fleet.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deployment_that_is_deleted_and_made_again_is_sized_again() {
    let fleet = Fleet::start("anew", &plan()).await;
    let deployments = fleet.deployments();
    let series = fleet.series();
    fleet.breach().await;
    let stepped = series.until(SIGNALLED, |replicas| replicas == 2).await;
    assert!(stepped.is_some(), "no step:\n{}", fleet.said().await);
    let leader = fleet.leader().await;

    let old = deployments.get(DEPLOYMENT).await.expect("the Deployment");
    let params = DeleteParams::default();
    let deleted = deployments.delete(DEPLOYMENT, &params).await;
    deleted.expect("it is deleted");
    until("its end", LONG, async || {
        let gone = deployments.get_opt(DEPLOYMENT).await.ok()?.is_none();
        gone.then_some(())
    })
    .await;
    let again = deployments
        .create(&PostParams::default(), &anew(old))
        .await
        .expect("it is made again");
    assert_eq!(again.spec.and_then(|spec| spec.replicas), Some(1));

    let next = series.until(LONG, |replicas| replicas == 1).await;
    assert!(next.is_some(), "{:?}", series.all());
    let next = series.until(LONG, |replicas| replicas == 2).await;
    let said = fleet.said().await;
    assert!(next.is_some(), "no step after it was made again:\n{said}");
    assert_eq!(series.replicas(), [1, 2, 1, 2], "{said}");
    assert_eq!(fleet.leader().await, leader, "nobody fell over it:\n{said}");
    fleet.end().await;
}

/// What a chart applies: no count, and nothing that the API server added.
fn anew(old: Deployment) -> Deployment {
    let mut spec = old.spec.expect("a spec");
    spec.replicas = None;
    Deployment {
        metadata: ObjectMeta {
            name: old.metadata.name,
            labels: old.metadata.labels,
            ..ObjectMeta::default()
        },
        spec: Some(spec),
        status: None,
    }
}
