//! Messages: when they are deleted, and what late or lost ones change.

use super::*;
use crate::sns::tests::Signer;

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
    world.send(vec![unparsable, forged]);
    world.breach("r1", 1);
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
    // Nobody deleted it, so it comes again: what it says is known and not durable.
    world.breach("r2", 1);
    world.until(14).await;
    assert!(world.times("delete r2").is_empty() && world.times("scale").is_empty());
    world.until(16).await;
    assert_eq!(world.times("scale"), [15], "the next tick makes it durable");
    world.breach("r3", 1);
    world.until(17).await;
    assert_eq!(world.times("delete r3"), [16]);
    assert_eq!(world.times("scale"), [15], "and takes no second step");
    assert_eq!(world.times("describe"), [0, 1], "a repeat costs no call");
    assert_eq!(metrics.rejected.with_label_values(&["duplicate"]).get(), 1);
    assert_eq!(running.shared.why_unready(), None);
}

#[tokio::test(start_paused = true)]
async fn messages_stay_ours_while_a_cycle_is_slow() {
    let world = World::new();
    let running = start(&world, OURS);
    world.until(10).await;
    world.lock().slow = Duration::from_secs(50);
    world.breach("r1", 9);
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
    world.breach("r1", 1);
    world.until(50).await;
    world.say("out", Level::Ok, 45);
    world.until(400).await;
    assert_eq!(world.times("describe"), [0, 1, 135, 255, 375]);
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
    let alarm = |receipt, second| message(receipt, "demo-s3-load-out", "ALARM", second);
    world.say("out", Level::Ok, 9);
    world.send(vec![ok("r1", 9), alarm("r2", 8)]);
    world.until(11).await;
    world.send(vec![alarm("r3", 8), ok("r4", 9)]);
    world.until(12).await;
    world.send(vec![alarm("old", -1000)]);
    world.until(100).await;
    assert!(world.times("scale").is_empty());
    for (receipts, second) in [("r1 r2", 10), ("r3 r4", 11), ("old", 12)] {
        assert_eq!(world.times(&format!("delete {receipts}")), [second]);
    }
    let rejected = |reason| rejected(&running, reason);
    assert_eq!(
        (rejected("late"), rejected("duplicate"), rejected("too-old")),
        (2, 2, 1)
    );
    assert_eq!(world.times("describe"), [0, 10], "one call for the batch");
}

fn rejected(running: &Running, reason: &str) -> u64 {
    let metrics = &running.shared.metrics;
    metrics.rejected.with_label_values(&[reason]).get()
}

fn failures(running: &Running, what: &str) -> u64 {
    let metrics = &running.shared.metrics;
    metrics.failures.with_label_values(&[what]).get()
}

#[tokio::test(start_paused = true)]
async fn what_a_message_says_is_never_what_is_known() {
    let world = World::new();
    let running = start(&world, OURS);
    world.until(10).await;
    // The message is ten seconds ahead and lies about the time: CloudWatch's counts.
    world.say("out", Level::Alarm, 7);
    world.send(vec![message("r1", "demo-s3-load-out", "ALARM", 20)]);
    world.until(11).await;
    assert_eq!(world.recorded("out"), Some(level("out", Level::Alarm, 7).1));
    assert_eq!(world.times("scale to 5"), [10]);
    // The alarm that was named and the one that CloudWatch knows of differ.
    world.say("out", Level::Ok, 12);
    world.send(vec![message("r2", "demo-s3-load-in", "ALARM", 12)]);
    world.until(13).await;
    assert_eq!(world.recorded("out"), Some(level("out", Level::Ok, 12).1));
    assert_eq!(world.recorded("in"), Some(level("in", Level::Ok, -600).1));
    assert_eq!(rejected(&running, "unconfirmed"), 1);
}

/// Seen: one message ten seconds ahead held a fleet at its maximum for 21 minutes.
#[tokio::test(start_paused = true)]
async fn a_forged_alarm_costs_a_call_or_two_and_changes_nothing() {
    let world = World::new();
    let running = start(&world, OURS);
    world.until(10).await;
    for (index, ahead) in [10, 0, 290, -30].into_iter().enumerate() {
        let receipt = format!("r{index}");
        world.send(vec![message(
            &receipt,
            "demo-s3-load-out",
            "ALARM",
            10 + ahead,
        )]);
        world.until(11 + u64::try_from(index).expect("few")).await;
        assert_eq!(world.times(&format!("delete {receipt}")).len(), 1);
    }
    world.until(1300).await;
    assert!(world.times("scale").is_empty());
    assert_eq!(rejected(&running, "unconfirmed"), 4);
    assert_eq!(world.recorded("out"), Some(level("out", Level::Ok, -600).1));
    let asked = world.times("describe");
    assert_eq!(asked[..7], [0, 10, 11, 12, 13, 15, 135], "{asked:?}");
    assert_eq!(unready(&running), "");
    // Replayed when CloudWatch was asked a minute after it: not even a call.
    let before = asked.len();
    let replayed = message("again", "demo-s3-load-out", "ALARM", 1100);
    world.send(vec![replayed]);
    world.until(1301).await;
    assert_eq!(world.times("delete again"), [1300]);
    assert_eq!(
        (world.times("describe").len(), rejected(&running, "late")),
        (before, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn where_cloudwatch_does_not_answer_nothing_changes_and_the_message_stays() {
    let world = World::new();
    let running = start(&world, OURS);
    world.until(1).await;
    let alarms = world.lock().alarms.take();
    for second in 1..14 {
        world.send(vec![breach(&format!("r{second}"), second)]);
        world.until(u64::try_from(second).expect("few") + 1).await;
    }
    assert!(world.times("scale").is_empty() && world.times("delete").is_empty());
    assert_eq!(world.times("describe"), [0, 1, 6, 11], "bounded");
    assert_eq!(world.recorded("out"), Some(level("out", Level::Ok, -600).1));
    assert_eq!(failures(&running, "describe-alarms"), 3);
    assert_eq!(
        unready(&running),
        "",
        "no stranger says whether we are ready"
    );
    world.until(16).await;
    assert!(
        unready(&running).contains("the alarms cannot be read"),
        "but a tick"
    );
    world.lock().alarms = alarms;
    world.say("out", Level::Alarm, 13);
    world.until(31).await;
    assert_eq!(world.times("scale to 5"), [30], "the next tick heals it");
    assert_eq!(unready(&running), "");
    world.send(vec![breach("again", 13)]);
    world.until(32).await;
    assert_eq!(world.times("delete again"), [31]);
}

#[tokio::test(start_paused = true)]
async fn a_signal_whose_certificate_is_not_there_wakes_and_waits_in_the_queue() {
    let world = World::new();
    let running = start_with(&world, OURS, &signed());
    world.until(2).await;
    world.say("out", Level::Alarm, 1);
    world.send(vec![genuine("r1")]);
    world.until(3).await;
    assert_eq!(world.times("scale to 5"), [2], "CloudWatch says so");
    assert!(world.times("delete").is_empty());
    assert_eq!(failures(&running, "certificate"), 1);
    assert_eq!(unready(&running), "");
    world.sns.heal();
    world.until(62).await;
    world.send(vec![genuine("r2")]);
    world.until(63).await;
    assert_eq!(world.times("delete r2"), [62]);
    let mut forged = genuine("r3");
    forged.body = forged.body.replace("ALARM:", "alarm:");
    world.send(vec![forged, message("r4", "demo-s3-load-out", "OK", 60)]);
    world.until(64).await;
    assert_eq!(world.times("delete r3 r4"), [63]);
    assert_eq!(rejected(&running, "signature"), 1);
    assert_eq!(rejected(&running, "wrong-form"), 1, "without an envelope");
}

/// Seen: a forged envelope made the autoscaler unready for ten minutes.
#[tokio::test(start_paused = true)]
async fn a_stranger_s_certificate_is_counted_and_never_a_state_of_ours() {
    let world = World::new();
    let running = start_with(&world, OURS, &signed());
    world.sns.silence();
    world.until(2).await;
    for second in 2..60 {
        world.send(vec![genuine(&format!("r{second}"))]);
        world.until(second).await;
        assert_eq!(unready(&running), "");
    }
    assert!(world.times("scale").is_empty() && world.times("delete r2").is_empty());
    assert_eq!(
        (world.sns.asked(), failures(&running, "certificate")),
        (2, 1)
    );
}

/// An envelope that SNS signed.
fn sealed(signer: &Signer, receipt: &str, state: &str, second: i64) -> Message {
    let told = notification("demo-s3-load-out", state, second).to_string();
    Message {
        body: signer.envelope(&told, Signer::URL).to_string(),
        receipt: receipt.to_owned(),
    }
}

#[tokio::test(start_paused = true)]
async fn where_cloudwatch_cannot_be_asked_what_sns_signed_counts_until_it_can() {
    let (world, sns, other) = (World::new(), Signer::new(), Signer::new());
    world.sns.put(Signer::URL, &sns.certificate);
    let running = start_with(&world, OURS, &signed());
    world.until(10).await;
    let alarms = world.lock().alarms.take();
    // Nobody signed these, or somebody whom we do not trust.
    let mut unknown = sealed(&sns, "unknown", "ALARM", 10);
    unknown.body = unknown.body.replace("fffff.pem", "ffffe.pem");
    world.send(vec![
        sealed(&other, "other", "ALARM", 10),
        breach("raw", 10),
        unknown,
    ]);
    world.until(12).await;
    assert_eq!(world.recorded("out"), Some(level("out", Level::Ok, -600).1));
    assert!(world.times("scale").is_empty());
    // CloudWatch failed a moment ago and is not asked again so soon.
    world.send(vec![sealed(&sns, "signed", "ALARM", 12)]);
    world.until(13).await;
    assert_eq!(world.times("scale to 5"), [12]);
    assert_eq!(
        world.recorded("out"),
        Some(level("out", Level::Alarm, 12).1)
    );
    assert_eq!(world.times("delete signed"), [12]);
    let believed = &running.shared.metrics.believed;
    assert_eq!(believed.with_label_values(&["s3-load"]).get(), 1);
    // It says OK all the while, and its word is older: it overrules all the same.
    world.lock().alarms = alarms;
    world.until(16).await;
    assert_eq!(world.recorded("out"), Some(level("out", Level::Ok, -600).1));
    world.send(vec![sealed(&sns, "again", "ALARM", 14)]);
    world.until(17).await;
    assert_eq!(rejected(&running, "unconfirmed"), 1);
    world.until(200).await;
    assert_eq!(world.times("scale").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_signal_after_cloudwatch_answered_again_is_asked_about_at_once() {
    let world = World::new();
    let _running = start(&world, OURS);
    world.until(13).await;
    let alarms = world.lock().alarms.take();
    world.send(vec![breach("early", 13)]);
    world.until(14).await;
    world.lock().alarms = alarms;
    world.until(15).await;
    assert_eq!(world.times("describe"), [0, 13, 15], "the tick heals it");
    world.breach("r1", 16);
    world.until(16).await;
    assert_eq!(
        world.times("scale to 5"),
        [15],
        "and nothing holds this one"
    );
}

/// True signals may be behind more than we receive.
#[tokio::test(start_paused = true)]
async fn behind_a_backlog_the_alarms_are_read_at_the_next_tick() {
    let world = World::new();
    let _running = start(&world, OURS);
    world.until(1).await;
    world.lock().answers = Duration::from_millis(400);
    world.say("out", Level::Alarm, 1);
    let garbage = || Message {
        body: "{".to_owned(),
        receipt: "garbage".to_owned(),
    };
    let forged = || message("forged", "demo-other-out", "ALARM", 1);
    for _ in 0..20 {
        world.send(
            std::iter::repeat_with(garbage)
                .take(9)
                .chain([forged()])
                .collect(),
        );
    }
    world.until(16).await;
    assert_eq!(
        world.times("describe"),
        [0, 15],
        "and not after two minutes"
    );
    assert_eq!(world.times("scale to 5"), [15]);
}

/// More alarms than a call takes names.
#[tokio::test(start_paused = true)]
async fn what_waits_for_all_alarms_is_not_answered_by_some() {
    let mut catalogue = CATALOGUE.to_owned();
    for number in 0..40 {
        catalogue += &format!("  other-{number}: {{handler: etl.s3-load, deployment: s3-load}}\n");
    }
    let world = World::new();
    let _running = start_with(&world, OURS, &catalogue);
    world.until(2).await;
    assert_eq!(world.times("describe"), [0, 0], "123 alarms");
    // Not confirmed: CloudWatch may know of it in a moment.
    world.send(vec![message("early", "demo-s3-load-in", "ALARM", 2)]);
    world.until(4).await;
    world.breach("r1", 4);
    world.until(16).await;
    assert_eq!(world.times("describe"), [0, 0, 2, 4, 15, 15]);
}
