//! The alarms about what waits: they go off over the loader's own metrics, tell
//! people, and are over when the files are loaded.

use std::time::Duration;

use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::types::StateValue;
use serde_json::Value;

use crate::notices::Notices;
use crate::process::{until, until_or_none};
use crate::world::World;

/// A load, on a busy machine.
const LONG: Duration = Duration::from_secs(60);
/// What the time is moved on by between two runs.
const TICK: &str = "1m";
/// What an alarm may take to be looked at.
const SOON: Duration = Duration::from_secs(1);
/// How many ticks an alarm may take: its minutes, and some for the edges.
const TICKS: usize = 8;

/// One a run is loaded.
const BACKLOG: [(&str, &str); 10] = [
    ("0.csv", "0,1\n"),
    ("1.csv", "1,1\n"),
    ("2.csv", "2,1\n"),
    ("3.csv", "3,1\n"),
    ("4.csv", "4,1\n"),
    ("5.csv", "5,1\n"),
    ("6.csv", "6,1\n"),
    ("7.csv", "7,1\n"),
    ("8.csv", "8,1\n"),
    ("9.csv", "9,1\n"),
];

/// Loads one file a run, and has two alarms.
struct Watched<'a> {
    world: &'a World,
    cloudwatch: Client,
    input: Value,
    alarms: [String; 2],
}

impl Watched<'_> {
    /// A run, and a minute; the runs are those of a schedule.
    async fn tick(&self) {
        let execution = self.world.start_execution("load", &self.input).await;
        self.world.succeeded(&execution, LONG).await;
        self.world.advance(TICK).await;
    }

    /// The states of the level and of the standstill.
    async fn states(&self) -> [StateValue; 2] {
        let described = self.cloudwatch.describe_alarms();
        let described = described.set_alarm_names(Some(self.alarms.to_vec()));
        let described = described.send().await.expect("a description");
        self.alarms.clone().map(|name| {
            let mut alarms = described.metric_alarms().iter();
            let alarm = alarms.find(|alarm| alarm.alarm_name() == Some(&name));
            let state = alarm.and_then(|alarm| alarm.state_value());
            state.expect("an alarm that has a state").clone()
        })
    }

    /// Ticks until the states are these.
    async fn until(&self, wanted: [StateValue; 2]) {
        for _ in 0..TICKS {
            self.tick().await;
            // The alarms are looked at beside the requests.
            let look = async || (self.states().await == wanted).then_some(());
            if until_or_none(SOON, look).await.is_some() {
                return;
            }
        }
        panic!("not {wanted:?} but {:?}", self.states().await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alarms_go_off_over_a_backlog_and_are_over_when_it_falls() {
    let names = ["load".to_owned()];
    let mut world = World::start("watch", &names, ("0s", "100s")).await;
    if world.is_shared() {
        return; // Its time is everybody's.
    }
    let notices = Notices::of(&world).await;
    let config = {
        let target = &world.targets(&["late".to_owned()]).await[0];
        let topic = &notices.topic;
        let watch = format!("{{topic: \"{topic}\", above: 2, for: 2m, not_falling: 3m}}");
        let load = target.as_config();
        format!("warehouse: main, max_files: 1, loads: [{load}], watch: {watch}")
    };
    world.set_up_as(&names, &config).await;
    let target = world.target("late");
    let alarm = |about| format!("{}-load-{}-{about}", world.fleet(), target.table());
    let watched = Watched {
        world: &world,
        cloudwatch: Client::new(&crate::world::config(&world.endpoint).await),
        input: target.input(),
        alarms: ["unprocessed", "not-falling"].map(alarm),
    };
    let _worker = world.worker("load", "only").await;

    // Somebody else holds the prefix: runs find files and load none.
    target.land(&BACKLOG).await;
    let (bucket, key) = (world.fleet(), "late/leases/incoming.json");
    let put = world.s3.put_object().bucket(bucket).key(key);
    put.send().await.expect("a lease");
    watched.until([StateValue::Alarm, StateValue::Alarm]).await;
    assert_eq!(target.keys("incoming").await.len(), BACKLOG.len());

    // One a minute is fewer every minute, and still too many.
    let delete = world.s3.delete_object().bucket(bucket).key(key);
    delete.send().await.expect("no lease");
    watched.until([StateValue::Alarm, StateValue::Ok]).await;
    assert!(target.keys("incoming").await.len() > 2);
    watched.until([StateValue::Ok, StateValue::Ok]).await;

    let told = notices.all().await;
    for (name, state) in (watched.alarms.iter()).flat_map(|name| [(name, "ALARM"), (name, "OK")]) {
        let told = told.iter().any(|message| {
            let message: Value = serde_json::from_str(message).expect("JSON");
            message["AlarmName"] == **name && message["NewStateValue"] == state
        });
        assert!(told, "nobody was told that {name} is {state}");
    }
    until("all files loaded", LONG, async || {
        watched.tick().await;
        target.keys("incoming").await.is_empty().then_some(())
    })
    .await;
    target.assert_loaded_once("after a standstill").await;
}
