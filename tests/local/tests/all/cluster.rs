//! The cluster, as the `kube` crate speaks to it, with real processes.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use k8s_openapi::api::events::v1::Event;
use kube::api::{
    Api, DeleteParams, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams,
};
use kube::{Client, Config};
use serde_json::json;
use stepfleet_activity::SystemClock;
use stepfleet_local::cluster::{Cluster, ClusterOptions, WorkerDeployment};

struct Running {
    cluster: Arc<Cluster>,
    client: Client,
    dir: tempfile::TempDir,
}

async fn start() -> Running {
    start_in(tempfile::tempdir().unwrap()).await
}

async fn start_in(dir: tempfile::TempDir) -> Running {
    let cluster = Cluster::new(ClusterOptions {
        clock: Arc::new(SystemClock),
        dir: dir.path().to_owned(),
        env: vec![("GIVEN".into(), "given".into())],
        user: None,
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = cluster.router();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let path = cluster.write_kubeconfig(&url).unwrap();
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "the token is for its owner alone");
    let file = kube::config::Kubeconfig::read_from(path).unwrap();
    let options = kube::config::KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(file, &options)
        .await
        .unwrap();
    let client = Client::try_from(config).unwrap();
    Running {
        cluster,
        client,
        dir,
    }
}

impl Running {
    fn deployments(&self) -> Api<Deployment> {
        Api::default_namespaced(self.client.clone())
    }

    fn pods(&self) -> Api<Pod> {
        Api::default_namespaced(self.client.clone())
    }

    /// Runs a script of the shell as a Deployment.
    fn run(&self, name: &str, (script, replicas, grace): (&str, u32, u64)) {
        self.cluster
            .apply_deployment(&WorkerDeployment {
                name: name.into(),
                command: vec!["sh".into(), "-c".into(), script.into()],
                replicas,
                grace,
                ..WorkerDeployment::default()
            })
            .unwrap();
    }

    fn ready(&self) -> usize {
        let pods = self.cluster.pods();
        pods.iter()
            .filter(|pod| pod.ready && !pod.terminating)
            .count()
    }

    fn log(&self, pod: &str) -> String {
        let path = self.dir.path().join("logs").join(format!("{pod}.log"));
        std::fs::read_to_string(path).unwrap_or_default()
    }

    /// Answers as ready on the port of each pod.
    fn serve_readiness(&self) {
        for port in self.cluster.pods().iter().filter_map(|pod| pod.port) {
            let Ok(listener) = std::net::TcpListener::bind(("127.0.0.1", port)) else {
                continue; // It is served already.
            };
            listener.set_nonblocking(true).unwrap();
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let router = axum::Router::new().route("/readyz", axum::routing::get(|| async {}));
            tokio::spawn(async move { axum::serve(listener, router).await });
        }
    }
}

/// Waits until something holds; says what if it never does.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    let all = async {
        while !holds().await {
            ticks.tick().await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(10), all).await;
    assert!(waited.is_ok(), "never: {what}");
}

fn code(error: kube::Error) -> (u16, String) {
    match error {
        kube::Error::Api(status) => (status.code, status.reason.clone()),
        other => panic!("not an answer of the API: {other:?}"),
    }
}

fn stat(pid: i32) -> Option<String> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(text.rsplit_once(')').unwrap().1.trim().to_owned())
}

/// Whether it runs: one that ended and was not waited for is a zombie.
fn alive(pid: i32) -> bool {
    stat(pid).is_some_and(|stat| !stat.starts_with('Z'))
}

#[tokio::test]
async fn a_stale_scale_is_a_conflict_and_a_fresh_one_moves_the_pods() {
    let running = start().await;
    running.run("sleepers", ("exec sleep 100", 1, 5));
    until("one is ready", async || running.ready() == 1).await;
    let deployments = running.deployments();
    let stale = deployments.get_scale("sleepers").await.unwrap();
    let selector = stale.status.as_ref().unwrap().selector.as_deref();
    assert_eq!(selector, Some("app=sleepers"));

    let post = PostParams::default();
    until("a fresh one is taken", async || {
        let mut fresh = deployments.get_scale("sleepers").await.unwrap();
        fresh.spec.as_mut().unwrap().replicas = Some(3);
        let replaced = deployments.replace_scale("sleepers", &post, &fresh).await;
        replaced.is_ok()
    })
    .await;
    let error = deployments.replace_scale("sleepers", &post, &stale).await;
    assert_eq!(code(error.unwrap_err()), (409, "Conflict".into()));
    until("three are ready", async || running.ready() == 3).await;

    let zero = Patch::Merge(json!({"spec": {"replicas": 0}}));
    let params = PatchParams::default();
    let patched = deployments.patch_scale("sleepers", &params, &zero).await;
    assert_eq!(patched.unwrap().spec.unwrap().replicas, Some(0));
    until("none is left", async || running.cluster.pods().is_empty()).await;
    until("the status follows", async || {
        let deployment = deployments.get("sleepers").await.unwrap();
        let status = deployment.status.unwrap();
        status.observed_generation == Some(3)
            && status.replicas.is_none()
            && status.terminating_replicas.is_none()
    })
    .await;
}

#[tokio::test]
async fn a_deployment_is_made_by_the_client_and_its_pods_go_with_it() {
    let running = start().await;
    let script = "echo $POD_NAME $GIVEN $0 $STEPFLEET_PORT; exec sleep 99";
    let deployment: Deployment = serde_json::from_value(json!({
        "metadata": {"name": "web"},
        "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}, "annotations": {"kept": "yes"}},
                "spec": {"containers": [{
                    "name": "main",
                    "command": ["sh", "-c", script],
                    "args": ["$(STEPFLEET_PORT)"],
                }]},
            },
        },
    }))
    .unwrap();
    running.cluster.allow(&WorkerDeployment {
        command: ["sh", "-c", script, "$(STEPFLEET_PORT)"]
            .map(Into::into)
            .into(),
        ..WorkerDeployment::default()
    });
    let deployments = running.deployments();
    let post = PostParams::default();
    deployments.create(&post, &deployment).await.unwrap();
    let again = deployments.create(&post, &deployment).await.unwrap_err();
    assert_eq!(code(again), (409, "AlreadyExists".into()));
    until("it is ready", async || running.ready() == 1).await;

    let params = ListParams::default()
        .labels("app=web")
        .fields("status.phase=Running");
    let listed = running.pods().list(&params).await.unwrap();
    let pod = &listed.items[0];
    let name = pod.metadata.name.clone().unwrap();
    let annotations = pod.metadata.annotations.clone().unwrap();
    let port = &annotations["stepfleet.dev/port"];
    assert_eq!(annotations["kept"], "yes");
    let want = format!("{name} given {port} {port}\n");
    until("it says who it is", async || running.log(&name) == want).await;

    let params = DeleteParams::default();
    deployments.delete("web", &params).await.unwrap();
    until("its pods are gone", async || {
        running.cluster.pods().is_empty()
    })
    .await;
    let gone = deployments.get("web").await.unwrap_err();
    assert_eq!(code(gone), (404, "NotFound".into()));
}

#[tokio::test]
async fn a_lease_has_one_holder() {
    let running = start().await;
    let leases: Api<Lease> = Api::default_namespaced(running.client.clone());
    let name = "fleet-autoscaler";
    let lease: Lease = serde_json::from_value(json!({
        "metadata": {"name": name},
        "spec": {"holderIdentity": "a", "leaseTransitions": 1},
    }))
    .unwrap();
    let post = PostParams::default();
    let made = leases.create(&post, &lease).await.unwrap();
    let second = leases.create(&post, &lease).await.unwrap_err();
    assert_eq!(code(second), (409, "AlreadyExists".into()));
    let mut renewed = made.clone();
    renewed.spec.as_mut().unwrap().lease_transitions = Some(2);
    leases.replace(name, &post, &renewed).await.unwrap();
    let late = leases.replace(name, &post, &made).await.unwrap_err();
    assert_eq!(code(late), (409, "Conflict".into()));
    let kept = leases.get(name).await.unwrap();
    assert_eq!(kept.spec.unwrap().lease_transitions, Some(2));
}

#[tokio::test]
async fn config_maps_are_made_applied_listed_in_pages_and_deleted() {
    let running = start().await;
    let maps: Api<ConfigMap> = Api::default_namespaced(running.client.clone());
    let post = PostParams::default();
    let mut map = ConfigMap {
        data: Some(BTreeMap::from([("record".into(), "{}".into())])),
        ..ConfigMap::default()
    };
    map.metadata.name = Some("a-scaling".into());
    assert!(maps.get_opt("a-scaling").await.unwrap().is_none());
    let made = maps.create(&post, &map).await.unwrap();
    let apply = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"more": "1"}});
    let params = PatchParams::apply("test");
    let applied = maps.patch("a-scaling", &params, &Patch::Apply(apply)).await;
    assert_eq!(applied.unwrap().data.unwrap().len(), 2);
    let stale = maps.replace("a-scaling", &post, &made).await.unwrap_err();
    assert_eq!(code(stale), (409, "Conflict".into()));
    for name in ["b", "c"] {
        map.metadata.name = Some(name.into());
        maps.create(&post, &map).await.unwrap();
    }
    let params = ListParams::default().limit(2);
    let page = maps.list(&params).await.unwrap();
    let token = page.metadata.continue_.unwrap();
    let rest = maps.list(&params.continue_token(&token)).await.unwrap();
    assert_eq!((page.items.len(), rest.items.len()), (2, 1));
    assert_eq!(rest.metadata.continue_, None);
    let params = DeleteParams::default();
    maps.delete("a-scaling", &params).await.unwrap();
    assert!(maps.get_opt("a-scaling").await.unwrap().is_none());
}

#[tokio::test]
async fn events_and_autoscalers_are_listed() {
    let running = start().await;
    let post = PostParams::default();
    let all = ListParams::default();
    let events: Api<Event> = Api::default_namespaced(running.client.clone());
    let event: Event = serde_json::from_value(json!({
        "metadata": {"generateName": "scaled-"},
        "eventTime": "2026-01-01T00:00:00.000000Z",
        "reason": "ScaledOut",
    }))
    .unwrap();
    for _ in 0..2 {
        events.create(&post, &event).await.unwrap();
    }
    assert_eq!(events.list(&all).await.unwrap().items.len(), 2);
    let scalers: Api<HorizontalPodAutoscaler> = Api::default_namespaced(running.client.clone());
    assert!(scalers.list(&all).await.unwrap().items.is_empty());
    let version = running.client.apiserver_version().await.unwrap();
    assert_eq!(version.minor, "35");
}

#[tokio::test]
async fn a_watch_tells_what_came_changed_and_went() {
    let running = start().await;
    let maps: Api<ConfigMap> = Api::default_namespaced(running.client.clone());
    let from = maps.list(&ListParams::default()).await.unwrap();
    let from = from.metadata.resource_version.unwrap();
    let labelled = |label: &str| -> ConfigMap {
        let map = json!({"metadata": {"name": "a", "labels": {"watched": label}}});
        serde_json::from_value(map).unwrap()
    };
    let post = PostParams::default();
    maps.create(&post, &labelled("yes")).await.unwrap();
    let params = WatchParams::default().labels("watched=yes");
    let events = maps.watch(&params, &from).await.unwrap();
    let told = events.take(3).map_ok(|event| match event {
        WatchEvent::Added(_) => "added",
        WatchEvent::Modified(_) => "modified",
        WatchEvent::Deleted(_) => "deleted",
        other => panic!("{other:?}"),
    });
    let act = async {
        let params = PatchParams::default();
        let patch = Patch::Merge(json!({"data": {"x": "y"}}));
        maps.patch("a", &params, &patch).await.unwrap();
        // It leaves the selector: to this watcher it is deleted.
        maps.replace("a", &post, &labelled("no")).await.unwrap();
    };
    let (told, ()) = tokio::join!(told.try_collect::<Vec<_>>(), act);
    assert_eq!(told.unwrap(), ["added", "modified", "deleted"]);
}

#[tokio::test]
async fn a_pod_that_ignores_sigterm_is_killed_with_all_that_it_started() {
    let running = start().await;
    let script = "trap '' TERM; sleep 100 & echo $! $$; while :; do wait; done";
    running.run("stubborn", (script, 1, 1));
    until("it runs", async || running.ready() == 1).await;
    let name = running.cluster.pods()[0].name.clone();
    until("it tells its pids", async || {
        running.log(&name).ends_with('\n')
    })
    .await;
    let log = running.log(&name);
    let pids: Vec<i32> = log
        .split_whitespace()
        .map(|pid| pid.parse().unwrap())
        .collect();
    assert!(pids.iter().all(|pid| alive(*pid)));

    let asked = tokio::time::Instant::now();
    let pods = running.pods();
    pods.delete(&name, &DeleteParams::default()).await.unwrap();
    let marked = pods.get(&name).await.unwrap();
    assert!(marked.metadata.deletion_timestamp.is_some());
    assert_eq!(marked.metadata.deletion_grace_period_seconds, Some(1));
    until("it is gone", async || {
        pods.get_opt(&name).await.unwrap().is_none()
    })
    .await;
    assert!(
        asked.elapsed() >= Duration::from_secs(1),
        "it had its grace"
    );
    until("its children are gone", async || {
        !pids.iter().any(|pid| alive(*pid))
    })
    .await;
    until("another took its place", async || running.ready() == 1).await;
    let stop = running.cluster.stop();
    tokio::time::timeout(Duration::from_secs(5), stop)
        .await
        .unwrap();
    assert!(running.cluster.pods().is_empty());
}

#[tokio::test]
async fn a_process_that_ends_is_started_again_later_and_later() {
    let running = start().await;
    running.run("crashing", ("date +%s%N; exit 3", 1, 1));
    until("it has one pod", async || {
        !running.cluster.pods().is_empty()
    })
    .await;
    let name = running.cluster.pods()[0].name.clone();
    until("it ran three times", async || {
        running.log(&name).lines().count() == 3
    })
    .await;
    let log = running.log(&name);
    let at: Vec<i128> = log.lines().map(|line| line.parse().unwrap()).collect();
    let (first, second) = (at[1] - at[0], at[2] - at[1]);
    assert!(first >= 1_000_000_000, "{first}");
    assert!(second >= 2_000_000_000, "{second}");
    until("it waits again", async || {
        let pod = running.pods().get(&name).await.unwrap();
        let status = &pod.status.unwrap().container_statuses.unwrap()[0];
        let (now, last) = (&status.state, &status.last_state);
        let waiting = now.as_ref().and_then(|state| state.waiting.as_ref());
        let ended = last.as_ref().and_then(|state| state.terminated.as_ref());
        waiting.is_some_and(|waiting| waiting.reason.as_deref() == Some("CrashLoopBackOff"))
            && ended.is_some_and(|ended| ended.exit_code == 3)
            && status.restart_count == 2
    })
    .await;
}

#[tokio::test]
async fn readiness_is_asked_for_and_a_new_template_replaces_the_pods() {
    let running = start().await;
    let workers = |version: &str| WorkerDeployment {
        name: "probed".into(),
        command: ["sleep", "100"].map(Into::into).into(),
        env: BTreeMap::from([("VERSION".into(), version.into())]),
        replicas: 1,
        grace: 5,
        readiness: Some("/readyz".into()),
        ..WorkerDeployment::default()
    };
    running.cluster.apply_deployment(&workers("1")).unwrap();
    until("it runs", async || {
        let pods = running.cluster.pods();
        pods.iter().any(|pod| pod.phase == "Running")
    })
    .await;
    assert_eq!(running.ready(), 0, "nobody has said that it is ready");
    running.serve_readiness();
    until("it is ready", async || running.ready() == 1).await;
    let old = running.cluster.pods()[0].name.clone();

    running.cluster.apply_deployment(&workers("2")).unwrap();
    until("a second one surges", async || {
        running.cluster.pods().len() == 2
    })
    .await;
    assert_eq!(
        running.ready(),
        1,
        "the old one stays until the new is ready"
    );
    until("the new one has taken its place", async || {
        running.serve_readiness();
        let pods = running.cluster.pods();
        assert!(running.ready() >= 1, "never without one: {pods:?}");
        pods.len() == 1 && pods[0].name != old
    })
    .await;
}

#[tokio::test]
async fn what_a_killed_run_left_behind_is_ended_by_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let mut left = Command::new("sh")
        .args(["-c", "trap '' TERM; while :; do sleep 1; done"])
        .process_group(0)
        .spawn()
        .unwrap();
    let mut other = Command::new("sleep")
        .arg("50")
        .process_group(0)
        .spawn()
        .unwrap();
    write_register(dir.path(), &[(left.id(), true), (other.id(), false)]);
    let running = start_in(dir).await;
    running.run("next", ("exec sleep 100", 1, 1));
    until("the next run goes on", async || running.ready() == 1).await;
    until("it was ended", async || left.try_wait().unwrap().is_some()).await;
    assert!(
        other.try_wait().unwrap().is_none(),
        "its pid was used again: it is not ours"
    );
    other.kill().unwrap();
    other.wait().unwrap();
}

/// Writes down processes as a run before would have; the start of some is another's.
fn write_register(dir: &Path, processes: &[(u32, bool)]) {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let entries: Vec<_> = processes
        .iter()
        .map(|(pid, same)| {
            let stat = stat(i32::try_from(*pid).unwrap()).unwrap();
            let ticks = stat.split_whitespace().nth(19).unwrap();
            let ticks = if *same { ticks } else { "1" };
            json!({"pod": "left", "pid": pid, "started": format!("{} {ticks}", boot.trim())})
        })
        .collect();
    std::fs::write(dir.join("pods.json"), json!(entries).to_string()).unwrap();
}
