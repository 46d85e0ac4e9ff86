//! Event notifications: what a bucket tells to queues, and in what form.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use s3s::dto::{
    Event, FilterRule, FilterRuleName, NotificationConfiguration, NotificationConfigurationFilter,
    QueueConfiguration, S3KeyFilter,
};
use s3s::{S3Error, S3Result, s3_error};
use serde_json::{Value, json};

use super::store::ObjectInfo;
use crate::Context;
use crate::sqs::{Outgoing, Sender, Sqs};

/// What can be asked for. The rest of AWS's kinds never happens here.
const KINDS: [&str; 8] = [
    "s3:ObjectCreated:*",
    "s3:ObjectCreated:Put",
    "s3:ObjectCreated:Post",
    "s3:ObjectCreated:Copy",
    "s3:ObjectCreated:CompleteMultipartUpload",
    "s3:ObjectRemoved:*",
    "s3:ObjectRemoved:Delete",
    "s3:ObjectRemoved:DeleteMarkerCreated",
];

/// What happened to an object that is there now.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Put,
    Copy,
    Complete,
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Put => "ObjectCreated:Put",
            Self::Copy => "ObjectCreated:Copy",
            Self::Complete => "ObjectCreated:CompleteMultipartUpload",
        }
    }
}

/// Which events go to which queues. Kept as long as the queues are: while the
/// process runs.
#[derive(Debug)]
pub(super) struct Events {
    context: Context,
    queues: Arc<Sqs>,
    rules: Mutex<BTreeMap<String, Vec<Rule>>>,
}

#[derive(Debug, Clone)]
struct Rule {
    id: String,
    queue_arn: String,
    kinds: Vec<String>,
    prefix: String,
    suffix: String,
}

impl Events {
    pub(super) fn new(context: Context, queues: Arc<Sqs>) -> Self {
        Self {
            context,
            queues,
            rules: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Vec<Rule>>> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the place of what was configured, and sends a test event to every
    /// queue that is named.
    pub(super) fn configure(
        &self,
        bucket: &str,
        configuration: NotificationConfiguration,
        unchecked: bool,
    ) -> S3Result<()> {
        let others = configuration
            .topic_configurations
            .is_some_and(|l| !l.is_empty())
            || configuration.event_bridge_configuration.is_some();
        let functions = configuration.lambda_function_configurations;
        if others || functions.is_some_and(|list| !list.is_empty()) {
            return Err(s3_error!(
                NotImplemented,
                "stepfleet-local sends events to queues alone, not to topics, functions or EventBridge"
            ));
        }
        let queues = configuration.queue_configurations.unwrap_or_default();
        let rules = queues.into_iter().map(Rule::read);
        let rules: Vec<Rule> = rules.collect::<S3Result<_>>()?;
        check_overlaps(&rules)?;
        let queues: BTreeSet<&String> = rules.iter().map(|rule| &rule.queue_arn).collect();
        for arn in queues {
            let test = json!({
                "Service": "Amazon S3", "Event": "s3:TestEvent", "Time": self.time(),
                "Bucket": bucket, "RequestId": request_id(), "HostId": host_id(),
            });
            // Not delivered, not allowed: AWS says the same of both.
            if let Err(error) = self.send(bucket, arn, &test)
                && !unchecked
            {
                tracing::warn!(bucket, queue = arn, %error, "an event configuration is refused");
                return Err(s3_error!(
                    InvalidArgument,
                    "Unable to validate the following destination configurations"
                ));
            }
        }
        self.lock().insert(bucket.to_owned(), rules);
        Ok(())
    }

    pub(super) fn configured(&self, bucket: &str) -> Vec<QueueConfiguration> {
        let rules = self.lock().get(bucket).cloned();
        rules.into_iter().flatten().map(Rule::shown).collect()
    }

    /// The bucket is gone.
    pub(super) fn forget(&self, bucket: &str) {
        self.lock().remove(bucket);
    }

    pub(super) fn created(&self, bucket: &str, kind: Kind, info: &ObjectInfo) {
        let object = json!({
            "key": encoded(&info.key),
            "size": info.size,
            "eTag": info.etag,
            "sequencer": sequencer(info.change()),
        });
        self.tell((bucket, &info.key), kind.as_str(), &object);
    }

    pub(super) fn removed(&self, bucket: &str, key: &str, change: u64) {
        let object = json!({"key": encoded(key), "sequencer": sequencer(change)});
        self.tell((bucket, key), "ObjectRemoved:Delete", &object);
    }

    fn tell(&self, (bucket, key): (&str, &str), kind: &str, object: &Value) {
        let rules = self.lock().get(bucket).cloned().unwrap_or_default();
        for rule in rules.iter().filter(|rule| rule.wants(kind, key)) {
            let record = json!({
                "eventVersion": "2.1",
                "eventSource": "aws:s3",
                "awsRegion": self.context.region,
                "eventTime": self.time(),
                "eventName": kind,
                "userIdentity": {"principalId": "AWS:STEPFLEETLOCAL"},
                "requestParameters": {"sourceIPAddress": "127.0.0.1"},
                "responseElements": {"x-amz-request-id": request_id(), "x-amz-id-2": host_id()},
                "s3": {
                    "s3SchemaVersion": "1.0",
                    "configurationId": rule.id,
                    "bucket": {
                        "name": bucket,
                        "ownerIdentity": {"principalId": "STEPFLEETLOCAL"},
                        "arn": arn(bucket),
                    },
                    "object": object,
                },
            });
            let event = json!({"Records": [record]});
            if let Err(error) = self.send(bucket, &rule.queue_arn, &event) {
                tracing::warn!(bucket, key, queue = rule.queue_arn, %error,
                    "an event could not be delivered");
            }
        }
    }

    fn send(&self, bucket: &str, queue_arn: &str, body: &Value) -> Result<(), crate::AwsError> {
        let sender = Sender {
            service: "s3.amazonaws.com",
            source_arn: &arn(bucket),
            source_account: &self.context.account,
        };
        let outgoing = Outgoing {
            body: body.to_string(),
            ..Outgoing::default()
        };
        self.queues.deliver(queue_arn, outgoing, &sender)
    }

    fn time(&self) -> String {
        let now = self.context.clock.now();
        now.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
    }
}

// === impl Rule ===

impl Rule {
    fn read(configuration: QueueConfiguration) -> S3Result<Self> {
        let kinds = configuration.events.iter().map(|kind| {
            let known = KINDS.iter().find(|known| **known == kind.as_ref());
            known.map(|known| (*known).to_owned()).ok_or_else(|| {
                invalid(&format!(
                    "The event '{}' is not supported for notifications by stepfleet-local",
                    kind.as_ref()
                ))
            })
        });
        let kinds: Vec<String> = kinds.collect::<S3Result<_>>()?;
        if kinds.is_empty() {
            return Err(s3_error!(MalformedXML, "a configuration names its events"));
        }
        let (mut prefix, mut suffix) = (None, None);
        let filter = configuration.filter.and_then(|filter| filter.key);
        for rule in filter
            .into_iter()
            .flat_map(|key| key.filter_rules.unwrap_or_default())
        {
            let name = rule
                .name
                .as_ref()
                .map(|name| name.as_str().to_ascii_lowercase());
            let place = match name.as_deref() {
                Some("prefix") => &mut prefix,
                Some("suffix") => &mut suffix,
                _ => return Err(invalid("filter rule name must be either prefix or suffix")),
            };
            if place.replace(rule.value.unwrap_or_default()).is_some() {
                return Err(invalid(
                    "Cannot specify more than one prefix rule and one suffix rule in a filter.",
                ));
            }
        }
        Ok(Self {
            id: configuration
                .id
                .unwrap_or_else(|| uuid::Uuid::new_v4().simple().to_string()),
            queue_arn: configuration.queue_arn,
            kinds,
            prefix: prefix.unwrap_or_default(),
            suffix: suffix.unwrap_or_default(),
        })
    }

    fn shown(self) -> QueueConfiguration {
        let rules = [
            (FilterRuleName::PREFIX, self.prefix),
            (FilterRuleName::SUFFIX, self.suffix),
        ];
        let rules = rules.into_iter().filter(|(_, value)| !value.is_empty());
        let rules = rules.map(|(name, value)| FilterRule {
            name: Some(FilterRuleName::from_static(name)),
            value: Some(value),
        });
        let rules: Vec<FilterRule> = rules.collect();
        let filtered = !rules.is_empty();
        let filter = NotificationConfigurationFilter {
            key: Some(S3KeyFilter {
                filter_rules: Some(rules),
            }),
        };
        QueueConfiguration {
            events: self.kinds.into_iter().map(Event::from).collect(),
            filter: Some(filter).filter(|_| filtered),
            id: Some(self.id),
            queue_arn: self.queue_arn,
        }
    }

    fn wants(&self, kind: &str, key: &str) -> bool {
        key.starts_with(&self.prefix)
            && key.ends_with(&self.suffix)
            && self.kinds.iter().any(|wanted| {
                let wanted = wanted.trim_start_matches("s3:");
                wanted == kind
                    || wanted
                        .strip_suffix('*')
                        .is_some_and(|all| kind.starts_with(all))
            })
    }

    /// Whether one object could be told twice.
    fn overlaps(&self, other: &Self) -> bool {
        let one_of =
            |a: &str, b: &str, within: fn(&str, &str) -> bool| within(a, b) || within(b, a);
        let covers =
            |a: &str, b: &str| a == b || a.strip_suffix('*').is_some_and(|all| b.starts_with(all));
        let mut pairs = self
            .kinds
            .iter()
            .flat_map(|a| other.kinds.iter().map(move |b| (a, b)));
        pairs.any(|(a, b)| covers(a, b) || covers(b, a))
            && one_of(&self.prefix, &other.prefix, |a, b| a.starts_with(b))
            && one_of(&self.suffix, &other.suffix, |a, b| a.ends_with(b))
    }
}

fn check_overlaps(rules: &[Rule]) -> S3Result<()> {
    let ids: BTreeSet<&str> = rules.iter().map(|rule| rule.id.as_str()).collect();
    if ids.len() < rules.len() {
        return Err(invalid(
            "Same ID used for multiple configurations. IDs must be unique",
        ));
    }
    for (at, rule) in rules.iter().enumerate() {
        if rules[..at].iter().any(|other| rule.overlaps(other)) {
            return Err(invalid(
                "Configuration is ambiguously defined. Cannot have overlapping suffixes in two \
                 rules if the prefixes are overlapping for the same event type.",
            ));
        }
    }
    Ok(())
}

fn invalid(message: &str) -> S3Error {
    s3_error!(InvalidArgument, "{message}")
}

fn arn(bucket: &str) -> String {
    format!("arn:aws:s3:::{bucket}")
}

/// As a form's value: a space is a plus; slashes stay.
fn encoded(key: &str) -> String {
    key.bytes().fold(String::new(), |mut out, byte| {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'*' | b'/' => {
                out.push(char::from(byte));
            }
            b' ' => out.push('+'),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
        out
    })
}

/// Of two events of one key the later has the greater one, compared as text.
fn sequencer(change: u64) -> String {
    format!("{change:018X}")
}

fn request_id() -> String {
    let id = uuid::Uuid::new_v4().simple().to_string();
    id[..16].to_ascii_uppercase()
}

fn host_id() -> String {
    format!("{0}{0}", uuid::Uuid::new_v4().simple())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(kinds: &[&str], prefix: &str, suffix: &str) -> Rule {
        Rule {
            id: format!("{kinds:?}{prefix}{suffix}"),
            queue_arn: "arn:q".to_owned(),
            kinds: kinds.iter().map(|kind| (*kind).to_owned()).collect(),
            prefix: prefix.to_owned(),
            suffix: suffix.to_owned(),
        }
    }

    #[test]
    fn a_rule_wants_its_kinds_and_keys() {
        let all = "s3:ObjectCreated:*";
        let table = [
            (rule(&[all], "", ""), "ObjectCreated:Put", "k", true),
            (
                rule(&[all], "", ""),
                "ObjectCreated:CompleteMultipartUpload",
                "k",
                true,
            ),
            (rule(&[all], "", ""), "ObjectRemoved:Delete", "k", false),
            (
                rule(&["s3:ObjectCreated:Put"], "", ""),
                "ObjectCreated:Put",
                "k",
                true,
            ),
            (
                rule(&["s3:ObjectCreated:Put"], "", ""),
                "ObjectCreated:Copy",
                "k",
                false,
            ),
            (
                rule(&["s3:ObjectRemoved:*"], "", ""),
                "ObjectRemoved:Delete",
                "k",
                true,
            ),
            (
                rule(&[all], "in/", ".csv"),
                "ObjectCreated:Put",
                "in/a.csv",
                true,
            ),
            (
                rule(&[all], "in/", ".csv"),
                "ObjectCreated:Put",
                "in/a.json",
                false,
            ),
            (
                rule(&[all], "in/", ".csv"),
                "ObjectCreated:Put",
                "out/a.csv",
                false,
            ),
        ];
        for (rule, kind, key, wanted) in table {
            assert_eq!(rule.wants(kind, key), wanted, "{rule:?} {kind} {key}");
        }
    }

    #[test]
    fn no_object_is_told_twice() {
        let (all, put, removed) = (
            "s3:ObjectCreated:*",
            "s3:ObjectCreated:Put",
            "s3:ObjectRemoved:*",
        );
        let table = [
            (rule(&[all], "", ""), rule(&[put], "a", ""), false),
            (rule(&[all], "", ""), rule(&[removed], "", ""), true),
            (rule(&[all], "a/", ""), rule(&[all], "b/", ""), true),
            (rule(&[all], "a/", ""), rule(&[all], "a/b", ""), false),
            (
                rule(&[all], "a/", ".csv"),
                rule(&[all], "a/b", ".json"),
                true,
            ),
            (
                rule(&[all], "a/", ".gz"),
                rule(&[all], "a/", ".csv.gz"),
                false,
            ),
        ];
        for (one, other, good) in table {
            let rules = [one, other];
            assert_eq!(check_overlaps(&rules).is_ok(), good, "{rules:?}");
        }
    }

    #[test]
    fn keys_are_encoded_as_in_a_form() {
        for (key, wanted) in [
            ("in/a b+c.csv", "in/a+b%2Bc.csv"),
            ("day=1/\u{e4}~(1)", "day%3D1/%C3%A4%7E%281%29"),
        ] {
            assert_eq!(encoded(key), wanted);
        }
        assert!(sequencer(9) < sequencer(10) && sequencer(255) < sequencer(u64::MAX));
    }
}
