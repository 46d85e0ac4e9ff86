//! What strangers may put into a message: it is read without a panic, within a
//! bound of time and of memory, whatever its bytes are.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use peak_alloc::PeakAlloc;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::json;
use stepfleet_autoscaler::signal::{self, Form, ParseError};
use stepfleet_autoscaler::sns::{self, Shown};
use tokio::time::Instant;

/// As much as a queue takes in one message.
const MESSAGE: usize = 256 * 1024;
/// What reading one message may take in all, as it is at its most.
const MEMORY: usize = 8 * 1024 * 1024;
/// On a machine that does other things as well.
const TIME: Duration = Duration::from_secs(2);

#[global_allocator]
static COUNTING: PeakAlloc = PeakAlloc;

/// What is counted is everybody's: so that it is one test's, one runs at a time.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads bytes in every way in which the autoscaler does.
fn read(bytes: &[u8]) -> (Result<signal::Claim, ParseError>, Shown) {
    COUNTING.reset_peak_usage();
    let before = COUNTING.current_usage();
    let begun = Instant::now();
    let verdict = (signal::parse_bytes(bytes), sns::inspect(bytes, "eu-west-1"));
    let took = begun.elapsed();
    let most = COUNTING.peak_usage().saturating_sub(before);
    assert!(took < TIME, "{took:?} for {} bytes", bytes.len());
    assert!(most < MEMORY, "{most} bytes for {}", bytes.len());
    verdict
}

fn told(time: &str) -> serde_json::Value {
    json!({"AlarmName": "demo-a-out", "AWSAccountId": "123456789012", "NewStateValue": "ALARM",
        "StateChangeTime": time, "Region": "EU (Ireland)", "Trigger": {"MetricName": "ActivityScheduleTime",
        "Namespace": "AWS/States", "Dimensions": [{"name": "ActivityArn", "value": "arn"}]}})
}

fn event(time: &str) -> serde_json::Value {
    json!({"source": "aws.cloudwatch", "detail-type": "CloudWatch Alarm State Change", "account": "1",
        "region": "eu-west-1", "resources": ["arn"], "detail": {"alarmName": "a",
        "state": {"value": "OK", "timestamp": time}}})
}

fn envelope(message: &str) -> serde_json::Value {
    json!({"Type": "Notification", "MessageId": "m", "TopicArn": "arn:aws:sns:eu-west-1:1:t",
        "Message": message, "Timestamp": "t", "SignatureVersion": "1", "Signature": "AAAA",
        "SigningCertURL": "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-1.pem"})
}

const GOOD: &str = "2026-01-01T00:00:00.000+0000";

#[test]
fn good_ones_are_read() {
    let _alone = alone();
    let form = |body: serde_json::Value| {
        let (claim, shown) = read(body.to_string().as_bytes());
        (claim.map(|claim| claim.form).ok(), shown)
    };
    assert_eq!(form(told(GOOD)), (Some(Form::Raw), Shown::NoEnvelope));
    assert_eq!(form(event(GOOD)), (Some(Form::Event), Shown::NoEnvelope));
    let at = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-1.pem";
    let (claim, shown) = form(envelope(&told(GOOD).to_string()));
    assert_eq!(claim, Some(Form::Enveloped));
    assert_eq!(shown, Shown::Signed(at.to_owned()));
    let (claim, _) = form(envelope(&event(GOOD).to_string()));
    assert_eq!(claim, Some(Form::EventEnveloped));
    let mut elsewhere = envelope("{}");
    elsewhere["SigningCertURL"] = json!("https://sns.eu-west-1.amazonaws.com.evil.example/x.pem");
    assert_eq!(form(elsewhere).1, Shown::Forged);
}

#[test]
fn deep_long_and_huge_ones_are_refused_or_read() {
    let _alone = alone();
    let long = "x".repeat(MESSAGE);
    let deep = |open: &str, count: usize| open.repeat(count);
    let mut bodies: Vec<Vec<u8>> = vec![
        Vec::new(),
        vec![0; MESSAGE],
        vec![0xff; MESSAGE],
        b"\"\xed\xa0\x80\"".to_vec(),
        b"{\"AlarmName\": \"\\ud800\"}".to_vec(),
        long.clone().into_bytes(),
    ];
    for count in [100, 127, 128, 129, 5000, MESSAGE] {
        bodies.push(deep("[", count).into_bytes());
        bodies.push(deep("{\"AlarmName\":", count).into_bytes());
        bodies.push(envelope(&deep("[", count)).to_string().into_bytes());
        let closed = format!("{}{}", deep("[", count), deep("]", count));
        bodies.push(closed.into_bytes());
    }
    for number in [
        "1e999999",
        "-1e-999999",
        "123456789012345678901234567890",
        &"9".repeat(60_000),
        &format!("0.{}", "1".repeat(60_000)),
    ] {
        let body = told(GOOD).to_string();
        bodies.push(body.replace("\"ALARM\"", number).into_bytes());
        bodies.push(format!("{{\"x\": {number}, {}", &body[1..]).into_bytes());
    }
    // As many values as fit.
    for value in ["0,", "[],", "{},", "\"\",", "{\"a\":0},"] {
        bodies.push(format!("[{}0]", value.repeat(60_000 / value.len())).into_bytes());
    }
    for body in [told(GOOD), event(GOOD), envelope("{}")] {
        let fields: Vec<String> = body.as_object().expect("one").keys().cloned().collect();
        for field in fields {
            for value in [
                json!(long),
                json!("x".repeat(60_000)),
                json!(null),
                json!([]),
            ] {
                let mut body = body.clone();
                body[&field] = value;
                bodies.push(body.to_string().into_bytes());
            }
        }
    }
    for body in bodies {
        let (claim, _) = read(&body);
        if body.len() > 64 * 1024 {
            assert!(matches!(claim, Err(ParseError::TooLong)), "{}", body.len());
        }
    }
}

#[test]
fn times_are_times_or_faults() {
    let _alone = alone();
    let years = [
        "0000",
        "-0001",
        "9999",
        "10000",
        "+999999999",
        "-999999999",
        "-9999",
    ];
    let mut times: Vec<String> = (years.iter())
        .flat_map(|year| {
            [
                "", "Z", "+0000", "+00:00", "+25:59", "-99:99", "+235959", "-2359",
            ]
            .map(|zone| format!("{year}-12-31T23:59:59.999999999{zone}"))
        })
        .collect();
    times.extend(
        [
            "2026-01-01T23:59:60Z",
            "2026-02-30T00:00:00Z",
            "2026-01-01T24:00:00+0000",
            "2026-01-01",
            "now",
            "",
            "2026-01-01T00:00:00.123456789012345678901234567890+0000",
        ]
        .map(str::to_owned),
    );
    times.push(format!("2026-01-01T00:00:00.{}+0000", "1".repeat(60_000)));
    times.push("9".repeat(60_000));
    for time in times {
        for body in [told(&time), event(&time)] {
            if let (Err(error), _) = read(body.to_string().as_bytes()) {
                assert!(error.to_string().contains("its time is none"), "{error}");
            }
        }
    }
}

fn bodies() -> impl Strategy<Value = Vec<u8>> {
    let whole = select(vec![
        told(GOOD).to_string(),
        event(GOOD).to_string(),
        envelope(&told(GOOD).to_string()).to_string(),
        envelope(&event(GOOD).to_string()).to_string(),
    ]);
    let parts = select(vec![
        "{",
        "}",
        "[",
        "]",
        "\"",
        "\\",
        "\\u",
        "\\ud800",
        ":",
        ",",
        "null",
        "1e999",
        "-",
        "\0",
        "9999",
        "+",
        "detail-type",
        "TopicArn",
        "Message",
        "\u{202e}",
    ]);
    let edits = proptest::collection::vec((any::<u16>(), any::<u8>(), parts), 0..6);
    let edited = (whole, edits).prop_map(|(whole, edits)| {
        let mut body = whole.into_bytes();
        for (at, byte, part) in edits {
            let at = usize::from(at) % body.len().max(1);
            match byte % 4 {
                0 => body[at] = byte,
                1 => body.truncate(at.max(1)),
                2 => drop(body.splice(at..at, part.bytes())),
                _ => drop(body.splice(at..(at + part.len()).min(body.len()), part.bytes())),
            }
        }
        body
    });
    prop_oneof![
        4 => edited,
        1 => proptest::collection::vec(any::<u8>(), 0..2000),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 4096, ..ProptestConfig::default() })]

    /// Whatever comes: no panic; and what is read as one thing by one reader is
    /// not another thing to the other.
    #[test]
    fn whatever_comes_is_read_within_bounds_and_in_one_way(body in bodies()) {
        let _alone = alone();
        let (claim, shown) = read(&body);
        if let Ok(claim) = claim {
            let enveloped = matches!(claim.form, Form::Enveloped | Form::EventEnveloped);
            prop_assert_eq!(enveloped, shown != Shown::NoEnvelope);
            prop_assert!(enveloped || claim.topic.is_none());
        }
    }
}
