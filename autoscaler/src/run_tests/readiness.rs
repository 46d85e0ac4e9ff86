//! What `/readyz` says.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_queue_that_cannot_be_received_keeps_us_from_being_ready() {
    let world = World::new();
    let refused = || Err(QueueError("denied".to_owned()));
    world.lock().polls.extend([refused(), refused()]);
    let running = start(&world, OURS);
    world.until(2).await;
    assert!(
        unready(&running).contains("denied"),
        "{}",
        unready(&running)
    );
    assert_eq!(world.times("observe"), [0], "alarms are read all the same");
    world.until(12).await;
    assert_eq!(unready(&running), "");
    world.lock().polls.push_back(refused());
    world.arrived.notify_one();
    world.until(13).await;
    assert!(unready(&running).contains("denied"), "later as well");
    world.until(18).await;
    assert_eq!(unready(&running), "", "healed, and not 20 s later");
    assert_eq!(world.times("poll for 0 s"), [0, 5, 10, 17]);
    assert_eq!(world.times("poll for 20 s"), [10, 17]);
    let failures = &running.shared.metrics.failures;
    assert_eq!(failures.with_label_values(&["receive"]).get(), 3);
}

#[tokio::test(start_paused = true)]
async fn not_ready_before_the_first_observation_and_while_alarms_cannot_be_read() {
    let world = World::new();
    world.lock().alarms = None;
    let running = start(&world, OURS);
    for part in ["the signal queue", "the alarms", "the first cycle"] {
        assert!(unready(&running).contains(part), "{}", unready(&running));
    }
    world.until(1).await;
    assert_eq!(
        unready(&running),
        "the alarms cannot be read: CloudWatch did not answer: broken"
    );
    world.lock().alarms = Some(BTreeMap::new());
    world.until(16).await;
    assert_eq!(unready(&running), "");
    world.lock().broken = true;
    world.until(31).await;
    let why = unready(&running);
    assert!(why.contains("s3-load") && why.contains("broken"), "{why}");
    world.lock().broken = false;
    world.until(46).await;
    assert_eq!(unready(&running), "");
}
