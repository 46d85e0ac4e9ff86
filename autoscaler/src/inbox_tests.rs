//! Messages, sorted: what stays, what is done, what is said.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use stepfleet_activity::catalogue::{self, ReadOptions};

use crate::captured::Log;
use crate::decision::tests::at;
use crate::http::Shared;
use crate::inbox::{Inbox, Said, Sorter};
use crate::levels::Levels;
use crate::metrics::Metrics;
use crate::queue::Message;
use crate::record::{AlarmRecord, Level};
use crate::signal::{Rejection, Trust};
use crate::sns::{Seal, Sealed};

const NOW: i64 = 1_767_268_800;

fn trust() -> Trust {
    let text = "version: 1\nfleet: demo\naws: {account: \"123456789012\", region: eu-west-1}\n\
        signals: {delivery: raw}\ndeployments:\n  one: {}\n  two: {}\nactivities:\n  a: {handler: x, deployment: one}\n  \
        b: {handler: x, deployment: two}\n";
    let read = catalogue::parse("fleet.yaml", text, &ReadOptions::default());
    Trust::of(&read.unwrap_or_else(|faults| panic!("{faults}")))
}

/// Sorts by what was read of the alarms.
fn sort(messages: Vec<Sealed>, levels: &Levels, (said, shared): (&mut Said, &Shared)) -> Inbox {
    let sorter = Sorter {
        trust: &trust(),
        levels,
        unsettled: &BTreeSet::new(),
        now: at(NOW),
        said,
        shared,
    };
    sorter.sort(messages)
}

fn receipts(inbox: &Inbox) -> Vec<Option<&str>> {
    let asking = inbox.asking.iter();
    asking.map(|asking| asking.receipt.as_deref()).collect()
}

fn message(receipt: &str, alarm: &str, activity: &str) -> Sealed {
    let arn = format!("arn:aws:states:eu-west-1:123456789012:activity:demo-{activity}");
    let body = json!({"AlarmName": alarm, "AWSAccountId": "123456789012", "NewStateValue": "ALARM",
        "StateChangeTime": at(NOW).to_string(), "Trigger": {"MetricName": "ActivityScheduleTime",
        "Namespace": "AWS/States", "Dimensions": [{"name": "ActivityArn", "value": arn}]}});
    text(receipt, &body.to_string())
}

fn text(receipt: &str, body: &str) -> Sealed {
    let message = Message {
        body: body.to_owned(),
        receipt: receipt.to_owned(),
    };
    let seal = Seal::Open;
    Sealed { message, seal }
}

#[test]
fn cloudwatch_is_asked_about_ours_and_only_rejected_ones_are_done() {
    let shared = Shared::new(Metrics::new().expect("metrics"));
    let mut said = Said::default();
    let messages = vec![
        message("r1", "demo-a-out", "a"),
        text("r2", "secret"),
        message("r3", "demo-b-in", "b"),
        message("r4", "demo-c-out", "c"),
        message("r5", "demo-a-out", "b"),
        message("r6", "demo-a-in", "a"),
        text("r7", "{}"),
    ];
    let log = Log::default();
    let mut inbox = Inbox::default();
    let unread = Levels::default();
    log.during(|| inbox = sort(messages, &unread, (&mut said, &shared)));
    let asked = inbox.asked();
    assert_eq!(
        asked,
        BTreeSet::from(["demo-a-in", "demo-a-out", "demo-b-in"])
    );
    assert_eq!(inbox.done, ["r4", "r5"], "rejected");
    assert_eq!(inbox.open(), ["r1", "r3", "r6"]);
    let counted = |reason| shared.metrics.rejected.with_label_values(&[reason]).get();
    assert_eq!(counted("unknown-alarm"), 1);
    assert_eq!(counted("wrong-dimension"), 1);
    let unparsed = shared.metrics.failures.with_label_values(&["parse"]).get();
    assert_eq!(unparsed, 2, "left to the dead-letter queue");
    assert!(!log.text().contains("secret"), "{}", log.text());
}

#[test]
fn a_rejection_is_counted_each_time_and_said_once_for_each_alarm_and_reason() {
    let shared = Shared::new(Metrics::new().expect("metrics"));
    let mut said = Said::default();
    let log = Log::default();
    log.during(|| {
        for _ in 0..5 {
            said.reject(Rejection::UnknownAlarm, "one", &shared);
            said.reject(Rejection::UnknownAlarm, "two", &shared);
            said.reject(Rejection::TooOld, "one", &shared);
        }
        let long = "x".repeat(100_000);
        said.reject(Rejection::UnknownAlarm, &long, &shared);
    });
    let counted = |reason| shared.metrics.rejected.with_label_values(&[reason]).get();
    assert_eq!((counted("unknown-alarm"), counted("too-old")), (11, 5));
    assert_eq!(log.count("said once"), 4);
    assert!(log.text().len() < 2000, "a name may be forged and long");
    // Whoever invents names fills neither the memory nor the log.
    let log = Log::default();
    log.during(|| {
        for index in 0..3000 {
            said.reject(Rejection::UnknownAlarm, &format!("forged {index}"), &shared);
        }
    });
    assert_eq!(log.count("said once"), 996);
    assert_eq!(counted("unknown-alarm"), 3011);
}

#[test]
fn what_cloudwatch_said_of_signals_is_counted() {
    let shared = Shared::new(Metrics::new().expect("metrics"));
    let mut said = Said::default();
    let messages = ["r1", "r2", "r3"].into_iter().zip(["out", "in", "starved"]);
    let asking = messages.map(|(receipt, role)| crate::inbox::Asking {
        signal: crate::signal::Signal {
            alarm: format!("demo-a-{role}"),
            deployment: "one".to_owned(),
            change: AlarmRecord {
                level: Level::Alarm,
                since: at(NOW),
            },
        },
        receipt: Some(receipt.to_owned()),
        signed: false,
    });
    let mut inbox = Inbox {
        asking: asking.collect(),
        ..Inbox::default()
    };
    let mut levels = Levels::default();
    let names = ["demo-a-out", "demo-a-in", "demo-a-starved"].map(str::to_owned);
    let record = |level, since| AlarmRecord {
        level,
        since: at(since),
    };
    let described = [
        record(Level::Alarm, NOW),
        record(Level::Ok, NOW + 1),
        record(Level::Ok, NOW - 1),
    ];
    let described: BTreeMap<_, _> = names.iter().cloned().zip(described).collect();
    levels.learn(at(NOW), &names, &described);
    assert!(
        inbox.answered(&levels, &mut said, &shared),
        "one is unknown to it"
    );
    assert_eq!(inbox.done, ["r2", "r3"]);
    assert_eq!(inbox.open(), ["r1"], "until it is durable");
    let metrics = shared.metrics.text();
    for line in [
        "signals_total{deployment=\"one\"} 1",
        "signals_rejected_total{reason=\"unconfirmed\"} 1",
        "signals_rejected_total{reason=\"late\"} 1",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
    inbox.settle(&BTreeSet::from(["one".to_owned()]));
    assert_eq!(inbox.open(), ["r1"]);
    inbox.settle(&BTreeSet::new());
    assert_eq!((inbox.open().len(), inbox.done.len()), (0, 3));
}

#[test]
fn a_seal_is_looked_at_when_the_words_are_right() {
    let shared = Shared::new(Metrics::new().expect("metrics"));
    shared.stand_by();
    let mut said = Said::default();
    let sealed = |receipt: &str, alarm: &str, seal: Seal| Sealed {
        seal,
        ..message(receipt, alarm, "a")
    };
    let messages = vec![
        sealed("r1", "demo-a-out", Seal::Genuine),
        sealed("r2", "demo-a-out", Seal::Forged),
        sealed("r3", "other-a-out", Seal::Forged),
        sealed("r4", "other-a-out", Seal::Unknown),
        sealed("r5", "demo-a-out", Seal::Unknown),
    ];
    let inbox = sort(messages, &Levels::default(), (&mut said, &shared));
    assert_eq!(
        receipts(&inbox),
        [Some("r1"), None],
        "r5 stays in the queue"
    );
    assert_eq!(inbox.open(), ["r1"]);
    assert_eq!(inbox.done, ["r2", "r3", "r4"]);
    let counted = |reason| shared.metrics.rejected.with_label_values(&[reason]).get();
    assert_eq!((counted("signature"), counted("unknown-alarm")), (1, 2));
    assert_eq!(counted("unverified"), 1);
    assert_eq!(shared.why_unready(), None, "whatever strangers send");
}

#[test]
fn where_cloudwatch_cannot_be_asked_the_newest_of_what_sns_signed_counts() {
    let shared = Shared::new(Metrics::new().expect("metrics"));
    let asking = |receipt: &str, second, level, signed| crate::inbox::Asking {
        signal: crate::signal::Signal {
            alarm: "demo-a-out".to_owned(),
            deployment: "one".to_owned(),
            change: AlarmRecord {
                level,
                since: at(NOW + second),
            },
        },
        receipt: Some(receipt.to_owned()),
        signed,
    };
    // However they come: the OK is the newest of those that are signed.
    let mut inbox = Inbox {
        asking: vec![
            asking("ok", 2, Level::Ok, true),
            asking("alarm", 1, Level::Alarm, true),
            asking("unsigned", 3, Level::Alarm, false),
        ],
        ..Inbox::default()
    };
    let mut levels = Levels::default();
    let deployments = inbox.believed(&mut levels, &shared);
    assert_eq!(deployments, BTreeSet::from(["one".to_owned()]));
    let mut record = crate::record::Record::new(1, at(NOW));
    levels.write(&mut record, "demo-a-out");
    let known = record.alarms["demo-a-out"];
    assert_eq!((known.level, known.since), (Level::Ok, at(NOW + 2)));
    assert_eq!(inbox.waiting["one"], ["alarm", "ok"], "until it is durable");
    assert_eq!(inbox.asked(), BTreeSet::from(["demo-a-out"]), "unsigned");
    let believed = shared.metrics.believed.with_label_values(&["one"]).get();
    assert_eq!(believed, 2);
    assert!(inbox.believed(&mut levels, &shared).is_empty(), "once");
}

#[test]
fn a_panic_over_a_message_is_a_message_that_is_no_alarm() {
    let caught = crate::inbox::caught(|| panic!("a fault of ours"));
    let said = caught.expect_err("no claim").to_string();
    assert!(said.contains("panicked"), "{said}");
}
