//! When a cycle runs, with what catalogue, and what it tells.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_cycle_runs_on_a_tick_and_at_once_on_a_signal() {
    let world = World::new();
    let running = start(&world, OURS);
    assert!(running.shared.why_unready().is_some(), "no cycle has ended");
    world.until(22).await;
    assert_eq!(running.shared.why_unready(), None);
    assert_eq!(world.times("observe"), [0, 15]);
    world.breach("r1", 21);
    world.until(35).await;
    assert_eq!(world.times("observe"), [0, 15, 22, 30]);
    assert_eq!(
        world.times("metrics"),
        [0, 22],
        "each period, and for a signal"
    );
    assert_eq!(
        world.asked_at(22),
        [
            "poll for 20 s",
            "describe",
            "metrics",
            "observe",
            "record",
            "scale to 5",
            "record",
            "event",
            "delete r1"
        ]
        .map(str::to_owned),
        "the intent before the act, and deleted after both"
    );
}

#[tokio::test(start_paused = true)]
async fn a_cycle_that_runs_is_finished_before_the_end() {
    let world = World::new();
    let running = start(&world, OURS);
    world.until(10).await;
    world.lock().slow = Duration::from_secs(5);
    world.breach("r1", 9);
    world.until(11).await;
    assert!(world.times("scale").is_empty());
    running.stop.send_replace(true);
    running.looping.await.expect("ended");
    assert_eq!(world.times("scale to 5"), [15]);
    assert_eq!(world.times("delete r1"), [20]);
    world.until(100).await;
    assert_eq!(world.times("observe").last(), Some(&10), "none after it");
}

#[tokio::test(start_paused = true)]
async fn who_stands_by_does_nothing_and_starts_at_once_when_it_leads() {
    let world = World::new();
    let running = start(&world, None);
    world.until(20).await;
    assert_eq!(world.lock().log, []);
    running.fence.send_replace(OURS);
    world.until(21).await;
    assert_eq!(world.times("describe"), [20], "not at the next tick");
    assert_eq!(world.times("poll"), [20, 20], "a short one and a long one");
    world.until(29).await;
    running.fence.send_replace(None);
    world.until(100).await;
    assert_eq!(world.times("observe"), [20]);
    assert_eq!(running.shared.metrics.leader.get(), 0);
    running.fence.send_replace(OURS);
    world.until(101).await;
    assert_eq!(
        world.times("describe"),
        [20, 100],
        "levels of long ago are not believed"
    );
}

/// Between two ticks another has led, and has handled the signal.
#[tokio::test(start_paused = true)]
async fn what_was_read_before_a_short_loss_of_the_lease_is_not_believed() {
    let world = World::new();
    let running = start(&world, OURS);
    world.until(16).await;
    assert_eq!(world.recorded("out").map(|out| out.level), Some(Level::Ok));
    running.fence.send_replace(None);
    world.until(18).await;
    assert_eq!(running.shared.metrics.leader.get(), 0);
    world.say("out", Level::Alarm, 17);
    running.fence.send_replace(OURS);
    world.until(19).await;
    assert_eq!(world.times("describe").last(), Some(&18));
    assert_eq!(
        world.recorded("out").map(|out| out.level),
        Some(Level::Alarm)
    );
}

#[tokio::test(start_paused = true)]
async fn alarms_that_cannot_be_read_are_asked_for_again_and_stay_unknown() {
    let world = World::new();
    let running = start(&world, OURS);
    world.lock().alarms = None;
    world.until(40).await;
    assert_eq!(world.times("describe"), [0, 15, 30]);
    let metrics = &running.shared.metrics;
    assert_eq!(
        metrics
            .failures
            .with_label_values(&["describe-alarms"])
            .get(),
        3
    );
    let held = metrics
        .decisions
        .with_label_values(&["s3-load", "hold", "unknown"]);
    assert_eq!(held.get(), 3);
    world.lock().alarms = Some(BTreeMap::new());
    world.until(50).await;
    assert_eq!(world.times("describe"), [0, 15, 30, 45]);
    assert_eq!(held.get(), 4, "alarms that do not exist are unknown too");
}

#[tokio::test(start_paused = true)]
async fn the_catalogue_is_read_anew_each_cycle_and_a_faulty_one_changes_nothing() {
    let world = World::new();
    let running = start(&world, OURS);
    let metrics = &running.shared.metrics;
    let write = |text: &str| std::fs::write(running.file.path(), text).expect("written");
    world.until(1).await;
    write(&CATALOGUE.replace("min: 1", "min: 6"));
    world.until(16).await;
    assert_eq!(world.times("scale to 6"), [15], "without a signal");
    write("version: 1");
    world.until(46).await;
    let faulty = metrics.failures.with_label_values(&["catalogue"]);
    assert_eq!((metrics.config_faulty.get(), faulty.get()), (1, 2));
    assert_eq!(
        world.times("observe"),
        [0, 15, 30, 45],
        "it goes on by the last good one"
    );
    write(
        &CATALOGUE
            .replace("s3-load:", "other:")
            .replace("deployment: s3-load", "deployment: other"),
    );
    world.until(61).await;
    assert_eq!((metrics.config_faulty.get(), faulty.get()), (0, 2));
    let text = metrics.text();
    assert!(text.contains("replicas{deployment=\"other\"}"), "{text}");
    assert!(
        !text.contains("replicas{deployment=\"s3-load\"}"),
        "it left the catalogue"
    );
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_decides_and_says_so_and_touches_nothing() {
    let world = World::new();
    let running = start(&world, OURS);
    let dry = CATALOGUE.replace("s3-load: {replicas", "s3-load: {mode: recommend, replicas");
    std::fs::write(running.file.path(), dry).expect("written");
    world.until(1).await;
    world.breach("r1", 1);
    world.until(200).await;
    assert!(world.times("scale").is_empty() && world.times("event").is_empty());
    assert_eq!(world.lock().replicas, 4);
    assert_eq!(world.times("delete r1"), [1], "the level is durable");
    let metrics = running.shared.metrics.text();
    for line in [
        "replicas{deployment=\"s3-load\"} 4",
        "replicas_recommended{deployment=\"s3-load\"} 5",
        "breach_open{deployment=\"s3-load\"} 1",
        "action=\"hold\",deployment=\"s3-load\",reason=\"recommended\"",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
}

#[tokio::test(start_paused = true)]
async fn gauges_tell_what_is_there_what_is_asked_for_and_the_upper_bound() {
    let world = World::new();
    let running = start(&world, OURS);
    let few = CATALOGUE.replace("max: 20", "max: 5");
    std::fs::write(running.file.path(), few).expect("written");
    let gauges = || {
        let metrics = &running.shared.metrics;
        let of = |gauge: &prometheus::IntGaugeVec| gauge.with_label_values(&["s3-load"]).get();
        (
            of(&metrics.replicas),
            of(&metrics.recommended),
            of(&metrics.breached),
            of(&metrics.at_max),
        )
    };
    world.until(1).await;
    assert_eq!(gauges(), (4, 4, 0, 0));
    world.breach("r1", 1);
    world.until(2).await;
    assert_eq!(gauges(), (5, 5, 1, 0), "one step");
    world.until(70).await;
    assert_eq!(gauges(), (5, 5, 1, 1), "more is asked for than is allowed");
    world.change("r2", "OK", 70);
    world.until(71).await;
    assert_eq!(gauges(), (5, 5, 0, 0));
    assert_eq!(running.shared.metrics.leader.get(), 1);
}
