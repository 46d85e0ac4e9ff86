//! Whoever may write to the queue: 10,000 messages, none of which is true, and
//! the true ones among them.

use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config as Cases, TestError, TestRunner};

use super::*;
use crate::sns::tests::Signer;

const FORGED: usize = 10_000;
/// A receive of ten each tenth of a second: 100 s of flood.
const LATENCY: Duration = Duration::from_millis(100);
/// When the wait is too long, and when it is short again; CloudWatch says so to
/// everybody who asks, and its signals come in between the forged ones.
const BREACH: u64 = 20;
const OVER: u64 = 90;

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

fn forged() -> impl Strategy<Value = Forged> {
    let forms = vec![
        "raw",
        "event",
        "event in an envelope",
        "unsigned",
        "signed by another",
        "signed and changed",
        "made-up certificate",
        "replayed",
        "garbage",
    ];
    let states = vec!["ALARM", "OK", "INSUFFICIENT_DATA"];
    let roles = vec!["out", "in", "starved", "other"];
    let ahead = prop_oneof![-1200i64..1200, -90i64..90, Just(0)];
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
}

impl Keys {
    fn new() -> Self {
        let sns = Signer::new();
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
            sns,
            other: Signer::new(),
            replays: replays.into(),
        }
    }
}

fn event(notification: &Value) -> Value {
    let metric = &notification["Trigger"];
    let arn = &metric["Dimensions"][0]["value"];
    json!({"source": "aws.cloudwatch", "detail-type": "CloudWatch Alarm State Change",
        "account": "123456789012", "region": "eu-west-1",
        "detail": {"alarmName": notification["AlarmName"],
            "state": {"value": notification["NewStateValue"], "timestamp": notification["StateChangeTime"]},
            "configuration": {"metrics": [{"metricStat": {"metric": {"namespace": metric["Namespace"],
                "name": metric["MetricName"], "dimensions": {"ActivityArn": arn}}}}]}}})
}

impl Forged {
    /// As it comes at that second.
    fn body(&self, second: i64, keys: &Keys) -> String {
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
        let unsigned = |message: &Value| {
            let mut envelope = keys.other.envelope("", Signer::URL);
            envelope["Message"] = json!(message.to_string());
            envelope
        };
        match self.form {
            "raw" => told,
            "event" => event(&told),
            "event in an envelope" => unsigned(&event(&told)),
            "unsigned" => {
                let mut envelope = unsigned(&told);
                envelope["Signature"].take();
                envelope
            }
            "signed by another" => keys.other.envelope(&told.to_string(), Signer::URL),
            "signed and changed" => {
                let mut envelope = keys.sns.envelope("{}", Signer::URL);
                envelope["Message"] = json!(told.to_string());
                envelope
            }
            "made-up certificate" => {
                let host = "https://sns.eu-west-1.amazonaws.com";
                let url = format!("{host}/SimpleNotificationService-{}.pem", self.number);
                keys.other.envelope(&told.to_string(), &url)
            }
            "replayed" => {
                return keys.replays[usize::from(self.number) % keys.replays.len()].clone();
            }
            _ => return "{\"AlarmName\":".repeat(usize::from(self.number % 900)),
        }
        .to_string()
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

/// The receives of the flood; the true signals come in those of their seconds.
fn receives(forged: &[Forged], delivery: &str, keys: &Keys) -> VecDeque<Vec<Message>> {
    let per_second = usize::try_from(1000 / LATENCY.as_millis()).expect("few");
    let receives = forged.chunks(10).enumerate().map(|(index, ten)| {
        let second = i64::try_from(index / per_second).expect("few");
        let mut messages: Vec<Message> = (ten.iter().enumerate())
            .map(|(number, forged)| Message {
                body: forged.body(second, keys),
                receipt: format!("forged {index} {number}"),
            })
            .collect();
        for (at, state) in [(BREACH, "ALARM"), (OVER, "OK")] {
            let first = usize::try_from(at).expect("few") * per_second;
            if index == first + 1 {
                let second = i64::try_from(at).expect("soon");
                messages[4] = genuine_in(delivery, state, second, keys);
            }
        }
        messages
    });
    receives.collect()
}

/// What happened, against what CloudWatch said all the while.
async fn flood(forged: Vec<Forged>, delivery: &str, keys: &Keys) {
    let world = World::new();
    world.sns.put(Signer::URL, &keys.sns.certificate);
    let catalogue = CATALOGUE.replace("delivery: raw", &format!("delivery: {delivery}"));
    let all = receives(&forged, delivery, keys);
    {
        let mut inner = world.lock();
        inner.latency = LATENCY;
        inner.polls = all.into_iter().map(Ok).collect();
    }
    let running = start_with(&world, OURS, &catalogue);
    let mut truth = Level::Ok;
    for second in 0..=110 {
        if second == BREACH {
            world.say("out", Level::Alarm, 20);
        }
        if second == OVER {
            world.say("out", Level::Ok, 90);
        }
        world.until(second).await;
        truth = match second {
            0..BREACH => truth,
            BREACH => Level::Ok,
            BREACH..OVER => Level::Alarm,
            _ => Level::Ok,
        };
        let level = |role: &str| world.recorded(role).map(|alarm| alarm.level);
        // In the second in which it changes it may be the one or the other.
        if second != BREACH && second != OVER {
            assert_eq!(level("out"), Some(truth), "{delivery} at {second}");
        }
        for role in ["in", "starved"] {
            assert_eq!(
                level(role),
                Some(Level::Ok),
                "{delivery} {role} at {second}"
            );
        }
        assert_eq!(unready(&running), "", "{delivery} at {second}");
    }
    let scaled = world.times("scale");
    let [first, second] = scaled.as_slice() else {
        panic!("{delivery}: two steps by two cooldowns of a minute: {scaled:?}");
    };
    assert!(*first <= BREACH, "{delivery}: within a second: {scaled:?}");
    assert!(
        (80..90).contains(second),
        "{delivery}: on a tick: {scaled:?}"
    );
    assert!(world.lock().polls.is_empty(), "all of it came");
    let calls = world.lock().described.clone();
    for (index, call) in calls.iter().enumerate() {
        let within = calls[index..]
            .iter()
            .filter(|other| **other - *call < Duration::from_secs(1));
        assert!(within.count() < 9, "{delivery}: {:?}", call.elapsed());
    }
    let metrics = world.times("metrics").len();
    assert!(
        metrics <= 8,
        "{delivery}: {metrics} reads of metrics, which cost money"
    );
}

#[test]
fn ten_thousand_forged_messages_change_nothing_and_the_true_ones_act() {
    let keys = Keys::new();
    let mut runner = TestRunner::new(Cases {
        cases: 2,
        // Fewer messages are no flood.
        max_shrink_iters: 0,
        failure_persistence: None,
        ..Cases::default()
    });
    let messages = proptest::collection::vec(forged(), FORGED);
    let run = runner.run(&messages, |forged| {
        for delivery in ["sns", "raw", "eventbridge"] {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .start_paused(true)
                .build()
                .expect("a runtime");
            runtime.block_on(flood(forged.clone(), delivery, &keys));
        }
        Ok(())
    });
    match run {
        Ok(()) => {}
        Err(TestError::Fail(why, _)) => panic!("{why}"),
        Err(TestError::Abort(why)) => panic!("{why}"),
    }
}
