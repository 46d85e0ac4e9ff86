//! Whoever may write to the queue: 10,000 messages, none of which is true, and
//! the true ones among them.

use std::collections::HashMap;

use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config as Cases, TestError, TestRunner};

use super::*;
use crate::sns::tests::Signer;

const FORGED: usize = 10_000;
/// A receive of ten each tenth of a second: 100 s of flood.
const LATENCY: Duration = Duration::from_millis(100);
/// What CloudWatch and a deletion take.
const ANSWERS: Duration = Duration::from_millis(50);
/// When the wait is too long, and when it is short again; CloudWatch says so to
/// everybody who asks, and its signals come in between the forged ones.
const BREACH: u64 = 20;
const OVER: u64 = 95;
/// When nobody can ask CloudWatch, where that is tried.
const OUTAGE: std::ops::Range<u64> = 30..60;

/// One forged message.
#[derive(Debug, Clone)]
struct Forged {
    form: &'static str,
    role: &'static str,
    state: &'static str,
    /// Of its time, against the time at which it comes.
    ahead: i64,
    /// Makes names of certificates, and what is replayed.
    number: u16,
}

/// How the autoscaler stands when the flood comes.
#[derive(Debug, Clone, Copy)]
struct Stand {
    delivery: &'static str,
    /// Whether signatures are required.
    signed: bool,
    /// Whether nobody answers for certificates that are made up.
    silent: bool,
    /// Without what names a certificate that is made up, which may wake us.
    quiet: bool,
    /// Whether CloudWatch cannot be asked for a while.
    outage: bool,
}

const SIGNED: Stand = Stand {
    delivery: "sns",
    signed: true,
    silent: false,
    quiet: false,
    outage: false,
};
const STANDS: [Stand; 7] = [
    SIGNED,
    Stand {
        silent: true,
        ..SIGNED
    },
    Stand {
        quiet: true,
        ..SIGNED
    },
    Stand {
        outage: true,
        ..SIGNED
    },
    Stand {
        signed: false,
        ..SIGNED
    },
    Stand {
        delivery: "raw",
        ..SIGNED
    },
    Stand {
        delivery: "eventbridge",
        ..SIGNED
    },
];

fn forged() -> impl Strategy<Value = Forged> {
    let forms = vec![
        "raw",
        "event",
        "event in an envelope",
        "unsigned",
        "signed by another",
        "signed and changed",
        "made-up certificate",
        "another topic's",
        "replayed",
        "garbage",
    ];
    let states = vec!["ALARM", "OK", "INSUFFICIENT_DATA"];
    let roles = vec!["out", "in", "starved", "other"];
    // Too old, believable, from the future; and never just between them, so that
    // it is known what each of them is rejected for.
    let ahead = prop_oneof![
        -1200i64..-960,
        -840i64..240,
        -90i64..90,
        Just(0),
        360i64..1200
    ];
    (
        select(forms),
        select(roles),
        select(states),
        ahead,
        any::<u16>(),
    )
        .prop_map(|(form, role, state, ahead, number)| Forged {
            form,
            role,
            state,
            ahead,
            number,
        })
}

/// Who signs, and what was signed long ago and may be sent again.
struct Keys {
    sns: Signer,
    other: Signer,
    replays: Vec<String>,
    /// Envelopes whose message is replaced.
    by_sns: Value,
    by_other: Value,
}

impl Keys {
    fn new() -> Self {
        let (sns, other) = (Signer::new(), Signer::new());
        // True once: the level came and went before the flood.
        let old = [
            ("out", "ALARM", -700),
            ("in", "ALARM", -650),
            ("out", "OK", -600),
        ];
        let replays = old.map(|(role, state, second)| {
            let alarm = format!("demo-s3-load-{role}");
            let told = notification(&alarm, state, second).to_string();
            sns.envelope(&told, Signer::URL).to_string()
        });
        Self {
            replays: replays.into(),
            by_sns: sns.envelope("{}", Signer::URL),
            by_other: other.envelope("{}", Signer::URL),
            sns,
            other,
        }
    }
}

fn event(notification: &Value) -> Value {
    let metric = &notification["Trigger"];
    let metrics = match metric["Metrics"].as_array() {
        Some(all) => all.iter().map(|one| &one["MetricStat"]["Metric"]).collect(),
        None => vec![metric],
    };
    let metrics: Vec<Value> = (metrics.into_iter())
        .map(|metric| {
            let arn = &metric["Dimensions"][0]["value"];
            json!({"metricStat": {"metric": {"namespace": metric["Namespace"],
                "name": metric["MetricName"], "dimensions": {"ActivityArn": arn}}}})
        })
        .collect();
    json!({"source": "aws.cloudwatch", "detail-type": "CloudWatch Alarm State Change",
        "account": "123456789012", "region": "eu-west-1",
        "detail": {"alarmName": notification["AlarmName"],
            "state": {"value": notification["NewStateValue"], "timestamp": notification["StateChangeTime"]},
            "configuration": {"metrics": metrics}}})
}

impl Forged {
    /// What it says, at that second.
    fn told(&self, second: i64) -> Value {
        let alarm = format!("demo-s3-load-{}", self.role);
        let mut told = notification(&alarm, self.state, second + self.ahead);
        if self.role == "starved" {
            let metric = |name: &str| {
                let metric = json!({"MetricName": name, "Namespace": "AWS/States",
                    "Dimensions": told["Trigger"]["Dimensions"]});
                json!({"MetricStat": {"Metric": metric}})
            };
            let metrics = [metric("ActivitiesScheduled"), metric("ActivitiesStarted")];
            told["Trigger"] = json!({"Metrics": metrics});
        }
        told
    }

    /// As it comes at that second.
    fn body(&self, second: i64, keys: &Keys) -> String {
        let told = self.told(second);
        let in_place_of = |envelope: &Value, message: &Value| {
            let mut envelope = envelope.clone();
            envelope["Message"] = json!(message.to_string());
            envelope
        };
        match self.form {
            "raw" => told,
            "event" => event(&told),
            "event in an envelope" => in_place_of(&keys.by_other, &event(&told)),
            "unsigned" => {
                let mut envelope = in_place_of(&keys.by_other, &told);
                envelope["Signature"].take();
                envelope
            }
            // It takes long, so that most have the signature of something else.
            "signed by another" if self.number.is_multiple_of(8) => {
                keys.other.envelope(&told.to_string(), Signer::URL)
            }
            "signed by another" => in_place_of(&keys.by_other, &told),
            "signed and changed" => in_place_of(&keys.by_sns, &told),
            "made-up certificate" => {
                let host = "https://sns.eu-west-1.amazonaws.com";
                let url = format!("{host}/SimpleNotificationService-{}.pem", self.number);
                let mut envelope = in_place_of(&keys.by_other, &told);
                envelope["SigningCertURL"] = json!(url);
                envelope
            }
            "another topic's" => {
                let mut envelope = in_place_of(&keys.by_sns, &told);
                envelope["TopicArn"] = json!("arn:aws:sns:eu-west-1:123456789012:mine");
                envelope
            }
            "replayed" => {
                return keys.replays[usize::from(self.number) % keys.replays.len()].clone();
            }
            _ => return "{\"AlarmName\":".repeat(usize::from(self.number % 900)),
        }
        .to_string()
    }

    /// What it is rejected for, where that does not depend on what is known.
    fn reason(&self, stand: Stand) -> Option<&'static str> {
        let form = match self.form {
            "garbage" => return Some("parse"),
            "raw" => "raw",
            "event" => "eventbridge",
            "event in an envelope" => "nobody's",
            _ => "sns",
        };
        let forged = ["unsigned", "signed by another", "signed and changed"];
        match (self.form, self.role, self.ahead) {
            _ if form != stand.delivery => Some("wrong-form"),
            ("replayed", ..) => None,
            (_, "other", _) => Some("unknown-alarm"),
            ("another topic's", ..) => Some("wrong-topic"),
            (_, _, ..-900) => Some("too-old"),
            (_, _, 301..) => Some("from-the-future"),
            _ if stand.signed && forged.contains(&self.form) => Some("signature"),
            _ => None,
        }
    }
}

/// A true signal, in the form that the catalogue names.
fn genuine_in(delivery: &str, state: &str, second: i64, keys: &Keys) -> Message {
    let told = notification("demo-s3-load-out", state, second);
    let body = match delivery {
        "sns" => keys.sns.envelope(&told.to_string(), Signer::URL),
        "eventbridge" => event(&told),
        _ => told,
    };
    Message {
        body: body.to_string(),
        receipt: format!("true {state}"),
    }
}

/// The receives of the flood.
fn receives(forged: &[Forged], keys: &Keys) -> VecDeque<Vec<Message>> {
    let per_second = usize::try_from(1000 / LATENCY.as_millis()).expect("few");
    let receives = forged.chunks(10).enumerate().map(|(index, ten)| {
        let second = i64::try_from(index / per_second).expect("few");
        (ten.iter().enumerate())
            .map(|(number, forged)| Message {
                body: forged.body(second, keys),
                receipt: format!("forged {index} {number}"),
            })
            .collect()
    });
    receives.collect()
}

/// CloudWatch says so at these times, and its signals are on their way then.
fn tell_the_truth(world: &Arc<World>, stand: Stand, keys: &Keys) {
    let mut script = Vec::new();
    for (at, state, level) in [(BREACH, "ALARM", Level::Alarm), (OVER, "OK", Level::Ok)] {
        let second = i64::try_from(at).expect("soon");
        let signal = genuine_in(stand.delivery, state, second, keys);
        let due = Duration::from_secs(at);
        world.lock().due.push_back((due, signal));
        script.push((due, level, second));
    }
    let world = Arc::clone(world);
    tokio::spawn(async move {
        for (due, level, second) in script {
            sleep_until(world.start + due).await;
            world.say("out", level, second);
        }
    });
}

/// Whether CloudWatch cannot be asked at that second.
fn out_of_reach(world: &World, second: u64, alarms: &mut Option<BTreeMap<String, AlarmRecord>>) {
    if second == OUTAGE.start {
        *alarms = world.lock().alarms.take();
    }
    if second == OUTAGE.end {
        world.lock().alarms = alarms.take();
    }
}

/// What happened, against what CloudWatch said all the while.
async fn flood(forged: &[Forged], stand: Stand, keys: &Keys) {
    let world = World::new();
    world.sns.put(Signer::URL, &keys.sns.certificate);
    if stand.silent {
        world.sns.silence();
    }
    let catalogue = CATALOGUE.replace("delivery: raw", &format!("delivery: {}", stand.delivery));
    {
        let mut inner = world.lock();
        (inner.latency, inner.answers, inner.lax) = (LATENCY, ANSWERS, !stand.signed);
        inner.polls = receives(forged, keys).into_iter().map(Ok).collect();
    }
    let running = start_with(&world, OURS, &catalogue);
    tell_the_truth(&world, stand, keys);
    let mut alarms = None;
    // A receive waits for certificates that nobody answers for, now and then.
    let end = if stand.silent { 180 } else { 112 };
    for second in 0..=end {
        world.until(second).await;
        if stand.outage {
            out_of_reach(&world, second, &mut alarms);
        } else {
            assert_eq!(unready(&running), "", "{stand:?} at {second}");
        }
        levels_are_true(&world, second, stand);
    }
    assert!(world.lock().polls.is_empty(), "{stand:?}: all of it came");
    steps_are_true(&world, stand);
    calls_are_few(&world, stand);
    if !stand.outage {
        all_are_counted(&running, forged, stand);
    }
}

/// Levels are what CloudWatch says, but for the second in which that changes.
fn levels_are_true(world: &World, second: u64, stand: Stand) {
    let truth = match second {
        BREACH | OVER => return,
        second if (BREACH..OVER).contains(&second) => Level::Alarm,
        _ => Level::Ok,
    };
    for (role, truth) in [("out", truth), ("in", Level::Ok), ("starved", Level::Ok)] {
        let known = world.recorded(role).map(|alarm| alarm.level);
        assert_eq!(known, Some(truth), "{stand:?}: {role} at {second}");
    }
}

/// One step within a second, one when the cooldown is over, and no other.
fn steps_are_true(world: &World, stand: Stand) {
    let stepped = world.lock().stepped.clone();
    let [first, second] = stepped.as_slice() else {
        panic!("{stand:?}: two steps by two cooldowns of a minute: {stepped:?}");
    };
    let (began, tick) = (Duration::from_secs(BREACH), TICK + Duration::from_secs(1));
    let within = began..=began + Duration::from_secs(1);
    assert!(
        within.contains(first),
        "{stand:?}: within a second: {stepped:?}"
    );
    let again = *first + Duration::from_secs(60);
    assert!(
        (again..=again + tick).contains(second),
        "{stand:?}: on a tick: {stepped:?}"
    );
}

/// AWS takes nine `DescribeAlarms` a second, and reads of metrics cost money.
fn calls_are_few(world: &World, stand: Stand) {
    let calls = world.lock().described.clone();
    for (index, call) in calls.iter().enumerate() {
        let within = calls[index..]
            .iter()
            .filter(|other| **other - *call < Duration::from_secs(1));
        let (count, at) = (within.count(), *call - world.start);
        assert!(count < 9, "{stand:?}: {count} in a second from {at:?}");
    }
    if stand.quiet {
        // What is rejected costs not one call: at the start, and for each truth.
        assert_eq!(world.times("describe"), [0, BREACH, OVER], "{stand:?}");
    }
    let metrics = world.times("metrics").len();
    assert!(metrics <= 8, "{stand:?}: {metrics} reads of metrics");
    let fetched = world.sns.asked();
    // 64 that failed are remembered for 50 s, and four are under way.
    assert!(fetched <= 4 * 68, "{stand:?}: {fetched} certificates");
    if stand.quiet {
        assert_eq!(fetched, 1);
    }
}

/// Every message is counted once, for what is wrong with it.
fn all_are_counted(running: &Running, forged: &[Forged], stand: Stand) {
    let mut expected: HashMap<&str, u64> = HashMap::new();
    for reason in forged.iter().filter_map(|forged| forged.reason(stand)) {
        *expected.entry(reason).or_default() += 1;
    }
    let metrics = &running.shared.metrics;
    let rejected = |reason| metrics.rejected.with_label_values(&[reason]).get();
    let unparsed = metrics.failures.with_label_values(&["parse"]).get();
    let mut counted = unparsed;
    for reason in [
        "wrong-form",
        "unknown-alarm",
        "wrong-topic",
        "too-old",
        "from-the-future",
        "signature",
    ] {
        let expected = expected.get(reason).copied().unwrap_or_default();
        assert_eq!(rejected(reason), expected, "{stand:?}: {reason}");
        counted += expected;
    }
    let expected = expected.get("parse").copied().unwrap_or_default();
    assert_eq!(unparsed, expected, "{stand:?}");
    for reason in ["unverified", "late", "duplicate", "unconfirmed"] {
        counted += rejected(reason);
    }
    counted += metrics.signals.with_label_values(&["s3-load"]).get();
    let all = u64::try_from(forged.len()).expect("few") + 2;
    assert_eq!(counted, all, "{stand:?}: and the two true ones");
    let believed = metrics.believed.with_label_values(&["s3-load"]).get();
    assert_eq!(believed, 0, "{stand:?}: CloudWatch could be asked");
}

#[test]
fn ten_thousand_forged_messages_change_nothing_and_the_true_ones_act() {
    let keys = Keys::new();
    let mut runner = TestRunner::new(Cases {
        cases: 1,
        // Fewer messages are no flood.
        max_shrink_iters: 0,
        failure_persistence: None,
        ..Cases::default()
    });
    let messages = proptest::collection::vec(forged(), FORGED);
    let run = runner.run(&messages, |all| {
        for stand in STANDS {
            let mut forged = all.clone();
            // Its certificate is asked for before any that is made up: four of those
            // first, and what it did not sign is unverified for a second.
            forged[0].form = "replayed";
            let waking = |forged: &&mut Forged| stand.quiet && forged.form == "made-up certificate";
            for forged in forged.iter_mut().filter(waking) {
                forged.form = "signed by another";
            }
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .start_paused(true)
                .build()
                .expect("a runtime");
            runtime.block_on(flood(&forged, stand, &keys));
        }
        Ok(())
    });
    match run {
        Ok(()) => {}
        Err(TestError::Fail(why, _)) => panic!("{why}"),
        Err(TestError::Abort(why)) => panic!("{why}"),
    }
}
