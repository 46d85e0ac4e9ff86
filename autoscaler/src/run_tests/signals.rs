//! Messages: when they are deleted, and what late or lost ones change.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_message_is_deleted_only_when_what_it_changed_is_durable() {
    let world = World::new();
    let running = start(&world, OURS);
    world.until(1).await;
    world.lock().broken = true;
    let unparsable = Message {
        body: "{".to_owned(),
        receipt: "unparsable".to_owned(),
    };
    let forged = message("forged", "demo-other-out", "ALARM", 1);
    world.send(vec![unparsable, forged, breach("r1", 1)]);
    world.until(2).await;
    let metrics = &running.shared.metrics;
    assert_eq!(
        world.times("delete forged"),
        [1],
        "rejected ones need nothing"
    );
    assert_eq!(
        world
            .lock()
            .log
            .iter()
            .filter(|(_, what)| what.contains("delete"))
            .count(),
        1
    );
    assert_eq!(
        metrics.rejected.with_label_values(&["unknown-alarm"]).get(),
        1
    );
    assert_eq!(metrics.failures.with_label_values(&["parse"]).get(), 1);
    let why = running.shared.why_unready().expect("nothing was decided");
    assert!(why.contains("s3-load") && why.contains("broken"), "{why}");

    world.lock().broken = false;
    // Nobody deleted them, so they come again, and once more after that.
    world.send(vec![breach("r2", 1)]);
    world.until(3).await;
    world.send(vec![breach("r3", 1)]);
    world.until(4).await;
    assert_eq!(world.times("delete r2"), [2]);
    assert_eq!(
        world.times("delete r3"),
        [3],
        "a duplicate is durable already"
    );
    assert_eq!(world.times("scale"), [2], "and takes no second step");
    assert_eq!(metrics.rejected.with_label_values(&["duplicate"]).get(), 1);
    assert_eq!(running.shared.why_unready(), None);
}

#[tokio::test(start_paused = true)]
async fn messages_stay_ours_while_a_cycle_is_slow() {
    let world = World::new();
    let running = start(&world, OURS);
    world.until(10).await;
    world.lock().slow = Duration::from_secs(50);
    world.send(vec![breach("r1", 9)]);
    world.until(200).await;
    assert_eq!(world.times("extend r1"), [40, 70, 100]);
    assert_eq!(
        world.times("delete r1"),
        [110],
        "two writes of the record later"
    );
    drop(running);
}

#[tokio::test(start_paused = true)]
async fn a_lost_ok_is_healed_by_reading_the_alarms_again() {
    let world = World::new();
    let _running = start(&world, OURS);
    world.until(1).await;
    world.send(vec![breach("r1", 1)]);
    world.until(50).await;
    let ok = level("out", Level::Ok, 45);
    if let Some(alarms) = &mut world.lock().alarms {
        alarms.extend([ok]);
    }
    world.until(400).await;
    assert_eq!(world.times("describe"), [0, 120, 240, 360]);
    assert_eq!(
        world.times("scale"),
        [1, 75],
        "again after the cooldown, until it is known to be OK"
    );
}

#[tokio::test(start_paused = true)]
async fn signals_that_come_late_repeat_or_lose_their_order_change_nothing() {
    let world = World::new();
    let running = start(&world, OURS);
    world.until(10).await;
    // The OK overtook its ALARM, in one receive and then in two.
    let ok = |receipt, second| message(receipt, "demo-s3-load-out", "OK", second);
    world.send(vec![ok("r1", 9), breach("r2", 8)]);
    world.until(11).await;
    world.send(vec![breach("r3", 8), ok("r4", 9)]);
    world.until(12).await;
    world.send(vec![breach("old", -1000)]);
    world.until(100).await;
    assert!(world.times("scale").is_empty());
    for (receipts, second) in [("r1 r2", 10), ("r3 r4", 11), ("old", 12)] {
        assert_eq!(world.times(&format!("delete {receipts}")), [second]);
    }
    let rejected = |reason| {
        let metrics = &running.shared.metrics;
        metrics.rejected.with_label_values(&[reason]).get()
    };
    assert_eq!(
        (rejected("late"), rejected("duplicate"), rejected("too-old")),
        (2, 1, 1)
    );
    assert_eq!(
        (running.shared.metrics.signals)
            .with_label_values(&["s3-load"])
            .get(),
        1
    );
}

#[tokio::test(start_paused = true)]
async fn a_signal_waits_in_the_queue_until_its_signature_can_be_verified() {
    let world = World::new();
    let running = start(&world, OURS);
    world.until(2).await;
    assert_eq!(unready(&running), "");
    world.send(vec![genuine("r1")]);
    world.until(3).await;
    let why = unready(&running);
    assert!(why.contains("certificate") && why.contains("404"), "{why}");
    assert!(world.times("scale").is_empty() && world.times("delete").is_empty());
    world.until(60).await;
    let failures = running
        .shared
        .metrics
        .failures
        .with_label_values(&["certificate"]);
    assert_eq!(failures.get(), 2, "asked again with each receive");
    assert_eq!(unready(&running), why);

    world.sns.heal();
    world.until(80).await;
    assert_eq!(unready(&running), "", "without another signal");
    // It was never deleted, so it comes again; then one that somebody changed.
    world.send(vec![genuine("r2")]);
    world.until(81).await;
    assert_eq!(world.times("scale to 5"), [80]);
    assert_eq!(world.times("delete r2"), [80]);
    let mut forged = genuine("r3");
    forged.body = forged.body.replace("ALARM:", "alarm:");
    world.send(vec![forged]);
    world.until(82).await;
    assert_eq!(world.times("delete r3"), [81], "rejected");
    let rejected = &running.shared.metrics.rejected;
    assert_eq!(rejected.with_label_values(&["signature"]).get(), 1);
}
