//! Loads that always are: woken by S3's events, and run side by side by a plan.

use std::time::Duration;

use aws_sdk_cloudwatch::types::MetricAlarm;
use aws_sdk_sfn::types::ExecutionStatus;
use nix::sys::signal::Signal;
use serde_json::json;

use crate::arrivals;
use crate::process::until;
use crate::target::Target;
use crate::world::{ACCOUNT, FILES, REGION, World};

/// An event's window, the settling, and a load, on a busy machine.
const LONG: Duration = Duration::from_secs(180);

/// Keys that events encode: blanks, pluses, quotes, letters of everywhere.
const ODD: [(&str, &str); 3] = [
    ("a b+c.csv", "1,10\n"),
    ("it's \"100%\".csv", "2,20\n"),
    ("é/日本.csv", "3,30\n"),
];

/// An alarm that setting up has made.
async fn alarm(world: &World, name: &str) -> MetricAlarm {
    let cloudwatch = aws_sdk_cloudwatch::Client::new(&crate::world::config(&world.endpoint).await);
    let described = cloudwatch.describe_alarms().alarm_names(name).send().await;
    let alarms = described
        .expect("a description")
        .metric_alarms
        .unwrap_or_default();
    let [alarm] = <[MetricAlarm; 1]>::try_from(alarms).expect("one alarm");
    alarm
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_s3_announces_are_loaded_until_none_is_left() {
    let mut world = World::start("events", &["load".to_owned()], ("0s", "100s")).await;
    let prefix = [String::new()];
    let queue = &arrivals::queues(&world, &prefix).await[0];
    let config = {
        let targets = world.targets(&["odd".to_owned()]).await;
        let load = targets[0].as_config();
        // One file a run: the machine goes on until none is left.
        format!(
            "warehouse: main, max_files: 1, loads: [{load}], trigger: {{queue: \"{queue}\", debounce: 1s}}, watch: {{topic: \"arn:aws:sns:{REGION}:{ACCOUNT}:alerts\", for: 1m, not_falling: 3m}}"
        )
    };
    world.set_up_as(&["load".to_owned()], &config).await;
    let target = world.target("odd");
    let alarms = [
        ("unprocessed", 1, 1),
        ("not-falling", 3, 2),
        ("failed", 1, 1),
    ];
    for (about, periods, datapoints) in alarms {
        let name = format!("{}-load-{}-{about}", world.fleet(), target.table());
        let alarm = alarm(&world, &name).await;
        let found = (alarm.evaluation_periods(), alarm.datapoints_to_alarm());
        assert_eq!(found, (Some(periods), Some(datapoints)), "{alarm:?}");
    }
    let _worker = world.worker("load", "only").await;
    let mut trigger = world.start_command(&["trigger"], ("trigger", &world.endpoint));
    target.land(&ODD).await;
    until("all files loaded", LONG, async || {
        let executions = world.executions("load-drain").await;
        let done = |(_, status): &(String, ExecutionStatus)| *status == ExecutionStatus::Succeeded;
        let all = !executions.is_empty() && executions.iter().all(done);
        (all && target.keys("incoming").await.is_empty()).then_some(())
    })
    .await;
    target.assert_loaded_once("by events").await;
    // What the loader writes itself is announced too, and wakes nobody.
    let woken = world.executions("load-drain").await.len();
    assert!(woken <= ODD.len(), "{woken} executions");
    trigger.signal(Signal::SIGTERM);
    assert_eq!(trigger.ended(LONG).await, Some(0), "{}", trigger.said());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_runs_what_has_something_to_do_and_says_what_failed() {
    let names = ["one", "two", "idle", "lost"].map(str::to_owned);
    let mut world = World::start("plan", &["load".to_owned()], ("0s", "100s")).await;
    let config = {
        let targets = world.targets(&names).await;
        let loads: Vec<String> = targets[..3].iter().map(Target::as_config).collect();
        format!("warehouse: main, loads: [{}]", loads.join(", "))
    };
    world.more = "  all: {handler: etl.s3-plan, deployment: workers, \
         worker: {slots: 1, pollers: {min: 1, max: 1}, heartbeat: 100s, timeout: 10m}, \
         objective: {wait: 5s}, config: {load: load, concurrency: 2}}\n"
        .to_owned();
    world.set_up_as(&["load".to_owned()], &config).await;
    let [one, two, idle, lost] = ["one", "two", "idle", "lost"].map(|name| world.target(name));
    let _planner = world.worker("all", "planner").await;
    let _worker = world.worker("load", "loader").await;
    one.land(&FILES).await;
    two.land(&FILES).await;
    let execution = world.start_execution("all", &json!({})).await;
    let output = world.succeeded(&execution, LONG).await;
    let said = (&output["results"], &output["idle"]);
    assert_eq!(said, (&json!(["loaded", "loaded"]), &json!(1)), "{output}");
    one.assert_loaded_once("the first").await;
    two.assert_loaded_once("the second").await;

    // A table that is not there fails alone, and the execution says so.
    idle.land(&FILES).await;
    lost.land(&FILES).await;
    let mut nowhere = lost.input();
    nowhere["table"] = json!("public.nowhere");
    let input = json!({"loads": [nowhere, idle.input()]});
    let execution = world.start_execution("all", &input).await;
    assert_eq!(world.failed(&execution, LONG).await, "Load.Permanent");
    idle.assert_loaded_once("beside one that failed").await;
    assert_eq!(lost.keys("incoming").await.len(), FILES.len());
}
