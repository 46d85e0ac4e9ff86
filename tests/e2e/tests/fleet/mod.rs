//! A fleet on a cluster: a Deployment of workers, the autoscaler that sizes it,
//! and AWS beside them. What it does has to be the same on `stepfleet-local`'s
//! own cluster and on a real Kubernetes, where the chart is installed, and on an
//! AWS of its own and one that is there already; `platform.rs` and `guest.rs`
//! have what differs.

mod drain;
mod feedback;
mod guest;
mod handover;
mod meddling;
mod platform;
mod series;

use std::borrow::Cow;
use std::time::Duration;

use aws_sdk_cloudwatch::types::StateValue;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams};
use nix::unistd::Pid;
use serde_json::json;

use self::guest::Guest;
use self::platform::Platform;
use self::series::Series;
use crate::alarm;
use crate::process::until;
use crate::world::{ACCOUNT, REGION, World, config, environment};

/// The one Deployment of every fleet here.
const DEPLOYMENT: &str = "workers";
/// The one activity.
const ACTIVITY: &str = "load";
/// An install, a takeover or a cooldown, on a busy machine.
const LONG: Duration = Duration::from_secs(120);
/// From an alarm to the step that follows from its signal: without the signal
/// there is one too, when the alarms are re-read after 120 s.
const SIGNALLED: Duration = Duration::from_secs(60);

/// What a fleet is made of.
struct Plan {
    /// What is particular to it: `deployments` and `activities`.
    catalogue: Cow<'static, str>,
    needs: Needs,
    /// How many autoscalers there are.
    autoscalers: usize,
}

/// What a fleet needs of its AWS.
struct Needs {
    /// How long a statement takes at least; nothing where nothing is loaded.
    statements: Option<Duration>,
    /// Datapoints of 10 s, soon after their end.
    short_periods: bool,
}

impl Plan {
    /// Workers that load nothing; while their tasks wait too long there is one more
    /// after each `cooldown` out. A count that was set by hand is left alone for the
    /// longer of the two cooldowns.
    fn of_steps((out, in_): (&str, &str), autoscalers: usize) -> Self {
        Self {
            catalogue: format!(
                "deployments:
  workers:
    replicas: {{min: 1, max: 8}}
    damping: {{cooldown: {{out: {out}, in: {in_}}}}}
activities:
  {ACTIVITY}:
    handler: etl.s3-load
    deployment: {DEPLOYMENT}
    objective: {{wait: 5s}}
    alarms: {{out: {{above: 30s, steps: [{{add: 1}}]}}}}
    config: {{warehouse: main}}
"
            )
            .into(),
            needs: Needs {
                statements: None,
                short_periods: false,
            },
            autoscalers,
        }
    }
}

/// A fleet that is up: its first worker is ready and somebody decides.
struct Fleet {
    platform: Platform,
    guest: Option<Guest>,
    world: World,
    cloudwatch: aws_sdk_cloudwatch::Client,
}

impl Fleet {
    /// On the AWS of `STEPFLEET_ENDPOINT`, or one of its own.
    async fn start(name: &str, plan: &Plan) -> Self {
        let endpoint = std::env::var("STEPFLEET_ENDPOINT").ok();
        Self::start_at(endpoint.as_deref(), name, plan).await
    }

    /// On the AWS that is there, or one of its own.
    async fn start_at(endpoint: Option<&str>, name: &str, plan: &Plan) -> Self {
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
        let (server, environment) = match endpoint {
            Some(endpoint) => (None, environment(endpoint)),
            None => {
                let server = platform::aws(dir.path(), &plan.needs).await;
                let environment = server.environment.clone();
                (Some(server), environment)
            }
        };
        let world = World::on(dir, (server, environment), name).await;
        let aws = config(&world.endpoint).await;
        let guest = match endpoint {
            Some(_) => Some(Guest::start(&world.catalogue(), &aws).await),
            None => None,
        };
        if plan.needs.statements.is_some() {
            world.set_up_catalogue().await;
        }
        let fleet = Self {
            cloudwatch: aws_sdk_cloudwatch::Client::new(&aws),
            platform: Platform::start(&world, plan).await,
            guest,
            world,
        };
        fleet.ready(1).await;
        until("somebody who decides", LONG, async || fleet.leader().await).await;
        fleet
    }

    /// Removes what the scenario has made where it is a guest. After a failure it
    /// stays, to be looked at.
    async fn end(self) {
        self.platform.end().await;
        if let Some(guest) = &self.guest {
            guest.end().await;
        }
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
