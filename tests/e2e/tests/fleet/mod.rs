//! A fleet on a cluster: a Deployment of workers, the autoscaler that sizes it,
//! and one machine's AWS beside them. What it does has to be the same on
//! `stepfleet-local`'s own cluster and on a real Kubernetes, where the chart is
//! installed; `platform.rs` has what differs.

mod drain;
mod feedback;
mod handover;
mod meddling;
mod platform;
mod series;

use std::time::Duration;

use aws_sdk_cloudwatch::types::StateValue;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams};
use nix::unistd::Pid;
use serde_json::json;

use self::platform::Platform;
use self::series::Series;
use crate::alarm;
use crate::process::until;
use crate::world::{ACCOUNT, REGION, World, config};

/// The one Deployment of every fleet here.
const DEPLOYMENT: &str = "workers";
/// The one activity.
const ACTIVITY: &str = "load";
/// An install, a takeover or a cooldown, on a busy machine.
const LONG: Duration = Duration::from_secs(120);

/// What a fleet is made of.
struct Plan {
    /// What is particular to it: `deployments` and `activities`.
    catalogue: &'static str,
    /// What `stepfleet-local serve` is told beside the catalogue.
    aws: &'static [&'static str],
    /// How many autoscalers there are.
    autoscalers: usize,
}

/// A fleet that is up: its first worker is ready and somebody decides.
struct Fleet {
    platform: Platform,
    world: World,
    cloudwatch: aws_sdk_cloudwatch::Client,
}

impl Fleet {
    async fn start(name: &str, plan: &Plan) -> Self {
        let name = format!("{name}-{}", Pid::this());
        let dir = tempfile::tempdir().expect("a folder");
        let text = format!(
            "version: 1
fleet: {name}
aws: {{account: \"{ACCOUNT}\", region: {REGION}}}
warehouses:
  main: {{workgroup: analytics, database: dev}}
{}",
            plan.catalogue
        );
        std::fs::write(dir.path().join("fleet.yaml"), text).expect("a catalogue");
        let server = platform::aws(dir.path(), plan.aws).await;
        let environment = server.environment.clone();
        let world = World::on(dir, (Some(server), environment), name).await;
        if !plan.aws.contains(&"--no-warehouse") {
            world.set_up_catalogue().await;
        }
        let platform = Platform::start(&world, plan.autoscalers).await;
        let aws = config(&world.endpoint).await;
        let fleet = Self {
            cloudwatch: aws_sdk_cloudwatch::Client::new(&aws),
            platform,
            world,
        };
        fleet.ready(1).await;
        until("somebody who decides", LONG, async || fleet.leader().await).await;
        fleet
    }

    fn deployments(&self) -> Api<Deployment> {
        self.platform.api()
    }

    /// Waits until so many workers are ready.
    async fn ready(&self, count: i32) {
        let deployments = self.deployments();
        until("ready workers", LONG, async || {
            let deployment = deployments.get_opt(DEPLOYMENT).await.ok()??;
            (deployment.status?.ready_replicas? == count).then_some(())
        })
        .await;
    }

    /// The workers' pods, those that end included.
    async fn pods(&self) -> Vec<Pod> {
        let deployment = self.deployments().get(DEPLOYMENT).await;
        let deployment = deployment.expect("the Deployment");
        let selector = deployment.spec.and_then(|spec| spec.selector.match_labels);
        let labels: Vec<String> = (selector.unwrap_or_default().iter())
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let params = ListParams::default().labels(&labels.join(","));
        let pods: Api<Pod> = self.platform.api();
        pods.list(&params).await.expect("pods").items
    }

    /// Who holds the Lease.
    async fn leader(&self) -> Option<String> {
        let leases: Api<Lease> = self.platform.api();
        let name = format!("{}-autoscaler", self.world.fleet());
        leases.get_opt(&name).await.ok()??.spec?.holder_identity
    }

    /// Sets the count as a person does.
    async fn set_replicas(&self, count: i32) {
        let patch = Patch::Merge(json!({"spec": {"replicas": count}}));
        let params = PatchParams::default();
        let patched = self
            .deployments()
            .patch_scale(DEPLOYMENT, &params, &patch)
            .await;
        patched.expect("a scale");
    }

    /// From now on the activity's tasks wait too long.
    async fn breach(&self) {
        let name = format!("{}-{ACTIVITY}-out", self.world.fleet());
        alarm::keep_state(&self.cloudwatch, &name).await;
        alarm::set(&self.cloudwatch, &name, StateValue::Alarm).await;
    }

    /// Follows the count from here on.
    fn series(&self) -> Series {
        Series::follow(self.deployments())
    }

    /// All that there is to see of a failure.
    async fn said(&self) -> String {
        self.platform.said().await
    }
}
