//! What S3 says of new objects: its own form, the same inside an SNS envelope,
//! and EventBridge's. Parsed leniently: it only wakes somebody who looks himself.

use jiff::Timestamp;
use serde_json::Value;

/// An object that has arrived, as an event says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Arrival {
    pub(crate) bucket: String,
    pub(crate) key: String,
    pub(crate) at: Timestamp,
    /// Orders the events of one key.
    sequencer: String,
}

impl Arrival {
    /// Whether this is the later event of the same key. S3 says: pad the shorter
    /// one on the right with zeros, then compare as texts. Nothing is padded here:
    /// anybody who may write to the queue chooses how long they are.
    pub(crate) fn is_later_than(&self, other: &Self) -> bool {
        let width = self.sequencer.len().max(other.sequencer.len());
        self.padded(width).gt(other.padded(width))
    }

    fn padded(&self, width: usize) -> impl Iterator<Item = u8> {
        let digits = self.sequencer.bytes().map(|byte| byte.to_ascii_uppercase());
        digits.chain(std::iter::repeat(b'0')).take(width)
    }
}

/// What a message says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Said {
    /// Objects have arrived; none, where it is about something else.
    Arrivals(Vec<Arrival>),
    /// It is no event of S3.
    Nonsense(&'static str),
}

/// Reads a message's body.
pub(crate) fn read(body: &str) -> Said {
    let event = parse(body);
    let inner = match &event {
        Some(event) if event["Type"] == "Notification" => event["Message"].as_str(),
        _ => None,
    };
    // One envelope, never one inside another.
    match inner.map(parse).unwrap_or(event) {
        Some(event) => said(&event),
        None => Said::Nonsense("it is not JSON"),
    }
}

fn parse(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok()
}

fn said(event: &Value) -> Said {
    // What S3 sends when the notification is set up.
    if event["Event"] == "s3:TestEvent" {
        return Said::Arrivals(Vec::new());
    }
    if event["detail-type"].is_string() && event["source"] == "aws.s3" {
        let created = event["detail-type"] == "Object Created";
        let arrival = created.then(|| from_event_bridge(event));
        return arrivals(arrival.into_iter());
    }
    let Some(records) = event["Records"].as_array() else {
        return Said::Nonsense("it has no Records");
    };
    let created = |record: &&Value| {
        let name = record["eventName"].as_str().unwrap_or_default();
        name.trim_start_matches("s3:").starts_with("ObjectCreated:")
    };
    arrivals(records.iter().filter(created).map(from_record))
}

fn arrivals(found: impl Iterator<Item = Option<Arrival>>) -> Said {
    match found.collect::<Option<Vec<Arrival>>>() {
        Some(arrivals) => Said::Arrivals(arrivals),
        None => Said::Nonsense("a record has no bucket, key or time"),
    }
}

/// The key is encoded as a form is: `+` is a space.
fn from_record(record: &Value) -> Option<Arrival> {
    let object = &record["s3"]["object"];
    Some(Arrival {
        bucket: record["s3"]["bucket"]["name"].as_str()?.to_owned(),
        key: decode(object["key"].as_str()?)?,
        at: record["eventTime"].as_str()?.parse().ok()?,
        sequencer: sequencer(object),
    })
}

/// The key is as it is.
fn from_event_bridge(event: &Value) -> Option<Arrival> {
    let detail = &event["detail"];
    Some(Arrival {
        bucket: detail["bucket"]["name"].as_str()?.to_owned(),
        key: detail["object"]["key"].as_str()?.to_owned(),
        at: event["time"].as_str()?.parse().ok()?,
        sequencer: sequencer(&detail["object"]),
    })
}

fn sequencer(object: &Value) -> String {
    object["sequencer"].as_str().unwrap_or_default().to_owned()
}

fn decode(key: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(key.len());
    let mut rest = key.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |byte: u8| char::from(byte).to_digit(16);
                let (high, low) = (digit(rest.next()?)?, digit(rest.next()?)?);
                u8::try_from(high * 16 + low).ok()?
            }
            plain => plain,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn record(name: &str, key: &str, sequencer: &str) -> Value {
        json!({
            "eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "eu-west-1",
            "eventTime": "2026-03-01T12:00:00.123Z", "eventName": name,
            "s3": {"bucket": {"name": "land"}, "object": {"key": key, "size": 3, "eTag": "e", "sequencer": sequencer}},
        })
    }

    fn keys(said: Said) -> Vec<String> {
        match said {
            Said::Arrivals(arrivals) => arrivals.into_iter().map(|one| one.key).collect(),
            Said::Nonsense(why) => panic!("{why}"),
        }
    }

    #[test]
    fn keys_are_decoded_as_forms_are() {
        for (key, want) in [
            ("p/incoming/a.csv", "p/incoming/a.csv"),
            ("p/incoming/a+b.csv", "p/incoming/a b.csv"),
            ("p/incoming/1%2B1%20.csv", "p/incoming/1+1 .csv"),
            ("p/%C3%A9/%E6%97%A5%27%22.csv", "p/é/日'\".csv"),
        ] {
            let event = json!({"Records": [record("ObjectCreated:Put", key, "1")]});
            assert_eq!(keys(read(&event.to_string())), [want], "{key}");
        }
        for key in ["%", "%2", "%zz", "%FF", "%+1"] {
            let event = json!({"Records": [record("ObjectCreated:Put", key, "1")]});
            assert!(
                matches!(read(&event.to_string()), Said::Nonsense(_)),
                "{key}"
            );
        }
    }

    #[test]
    fn every_form_of_an_event_is_understood() {
        let records = json!({"Records": [
            record("ObjectCreated:Put", "a", "1"),
            record("ObjectCreated:CompleteMultipartUpload", "b", "1"),
            record("ObjectRemoved:Delete", "c", "1"),
        ]});
        let bridge = json!({
            "source": "aws.s3", "detail-type": "Object Created", "time": "2026-03-01T12:00:00Z",
            "detail": {"bucket": {"name": "land"}, "object": {"key": "a+b%20c", "sequencer": "1"}},
        });
        let removed = json!({"source": "aws.s3", "detail-type": "Object Deleted", "detail": {}});
        let enveloped = json!({"Type": "Notification", "Message": records.to_string()});
        let test = json!({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "land"});
        for (event, want) in [
            (&records, vec!["a", "b"]),
            (&enveloped, vec!["a", "b"]),
            (&bridge, vec!["a+b%20c"]),
            (&removed, vec![]),
            (&test, vec![]),
            (&json!({"Records": []}), vec![]),
        ] {
            assert_eq!(keys(read(&event.to_string())), want, "{event}");
        }
        for nonsense in [
            "",
            "hello",
            "[]",
            "{}",
            r#"{"Records": [{"eventName": "ObjectCreated:Put"}]}"#,
        ] {
            assert!(matches!(read(nonsense), Said::Nonsense(_)), "{nonsense}");
        }
    }

    /// It ended the process, and whatever came after it: a format's width has 16 bits.
    #[test]
    fn a_sequencer_of_any_length_is_compared() {
        let long = "0".repeat(70_000) + "A";
        for (one, other, later) in [
            (&*long, "1", false),
            (&*long, "0", true),
            ("1", &*long, true),
        ] {
            let arrival = |text| from_record(&record("ObjectCreated:Put", "a", text)).expect("one");
            assert_eq!(arrival(one).is_later_than(&arrival(other)), later);
        }
    }

    #[test]
    fn an_envelope_inside_an_envelope_is_nonsense() {
        for (depth, good) in [(0, true), (1, true), (2, false), (9, false)] {
            let mut event = json!({"Records": []}).to_string();
            for _ in 0..depth {
                event = json!({"Type": "Notification", "Message": event}).to_string();
            }
            assert_eq!(read(&event) == Said::Arrivals(vec![]), good, "{depth}");
        }
    }

    #[test]
    fn sequencers_are_compared_padded_on_the_right() {
        for (one, other, later) in [
            ("0055AED6DCD90281E5", "0055AED6DCD90281E4", true),
            ("0055AED6DCD90281E4", "0055AED6DCD90281E5", false),
            ("0055AED6DCD90281E5", "0055AED6DCD9", true),
            ("0055AED6DCDA", "0055AED6DCD90281E5", true),
            ("00", "0", false),
            ("0055aed6", "0055AED5", true),
            ("", "1", false),
        ] {
            let arrival = |text| from_record(&record("ObjectCreated:Put", "a", text)).expect("one");
            assert_eq!(
                arrival(one).is_later_than(&arrival(other)),
                later,
                "{one} {other}"
            );
        }
    }
}
