//! Signals: alarm changes that arrive over a queue, parsed leniently, trusted
//! strictly.
//!
//! Anybody who may write to the queue or the topic could speak in an alarm's
//! name, so everything that the catalogue knows of an alarm is compared. What is
//! left is a reason to ask CloudWatch, and never more than that.

mod parse;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use stepfleet_activity::Catalogue;
use stepfleet_activity::alarm::{self, AlarmSpec, Metric, Watched};
use stepfleet_activity::catalogue::Delivery;

pub use parse::{Claim, ClaimedMetric, Form, ParseError, parse, parse_bytes};
pub(crate) use parse::{LONGEST, is_envelope};

use crate::record::AlarmRecord;
use crate::time::after;

/// A message may come from a clock that is ahead of ours by this much.
const AHEAD: Duration = Duration::from_secs(300);

/// A change of an alarm of ours, as somebody claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signal {
    /// The alarm's name.
    pub alarm: String,
    /// The Deployment that it is about.
    pub deployment: String,
    /// What is said to have changed.
    pub change: AlarmRecord,
}

/// Why a message is rejected: a label of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rejection {
    /// Not the form that the catalogue names.
    WrongForm,
    /// The catalogue has no such alarm.
    UnknownAlarm,
    /// Another account, or none.
    WrongAccount,
    /// Another region.
    WrongRegion,
    /// Another topic.
    WrongTopic,
    /// The ARN is not that of the alarm.
    WrongArn,
    /// The alarm of this name watches another metric.
    WrongMetric,
    /// The metric is that of another activity.
    WrongDimension,
    /// Older than `signals.max_age`.
    TooOld,
    /// From a time that is not yet.
    FromTheFuture,
    /// SNS did not sign it.
    Signature,
    /// SNS's certificate is not there yet: CloudWatch is asked all the same, and
    /// the message stays in the queue.
    Unverified,
    /// A newer change of the alarm is known, or CloudWatch was asked since.
    Late,
    /// The level is known.
    Duplicate,
    /// CloudWatch was asked, and does not say so.
    Unconfirmed,
}

/// What the catalogue knows of its alarms: the yardstick for claims.
#[derive(Debug, Clone)]
pub struct Trust {
    account: String,
    region: String,
    topic: String,
    max_age: Duration,
    form: Form,
    alarms: BTreeMap<String, Known>,
}

#[derive(Debug, Clone)]
struct Known {
    spec: AlarmSpec,
    deployment: String,
}

// === impl Rejection ===

impl Rejection {
    /// All of them, in the order of the documentation's table.
    pub const ALL: [Self; 15] = [
        Self::WrongForm,
        Self::UnknownAlarm,
        Self::WrongAccount,
        Self::WrongRegion,
        Self::WrongTopic,
        Self::WrongArn,
        Self::WrongMetric,
        Self::WrongDimension,
        Self::TooOld,
        Self::FromTheFuture,
        Self::Signature,
        Self::Unverified,
        Self::Late,
        Self::Duplicate,
        Self::Unconfirmed,
    ];

    /// The reason's code.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WrongForm => "wrong-form",
            Self::UnknownAlarm => "unknown-alarm",
            Self::WrongAccount => "wrong-account",
            Self::WrongRegion => "wrong-region",
            Self::WrongTopic => "wrong-topic",
            Self::WrongArn => "wrong-arn",
            Self::WrongMetric => "wrong-metric",
            Self::WrongDimension => "wrong-dimension",
            Self::TooOld => "too-old",
            Self::FromTheFuture => "from-the-future",
            Self::Signature => "signature",
            Self::Unverified => "unverified",
            Self::Late => "late",
            Self::Duplicate => "duplicate",
            Self::Unconfirmed => "unconfirmed",
        }
    }
}

// === impl Trust ===

impl Trust {
    /// What a catalogue says of its alarms.
    pub fn of(catalogue: &Catalogue) -> Self {
        let mut alarms = BTreeMap::new();
        for activity in catalogue.activities.values() {
            for spec in alarm::alarms(catalogue, activity) {
                let deployment = activity.deployment.clone();
                alarms.insert(spec.name.clone(), Known { spec, deployment });
            }
        }
        Self {
            account: catalogue.aws.account.clone(),
            region: catalogue.aws.region.clone(),
            topic: (catalogue.aws).arn("sns", &format!("{}-signals", catalogue.fleet)),
            max_age: catalogue.signals.max_age,
            form: match catalogue.signals.delivery {
                Delivery::Sns => Form::Enveloped,
                Delivery::Raw => Form::Raw,
                Delivery::EventBridge => Form::Event,
            },
            alarms,
        }
    }

    /// The names of all alarms, with their Deployments.
    pub fn alarms(&self) -> impl Iterator<Item = (&str, &str)> {
        (self.alarms.iter()).map(|(name, known)| (name.as_str(), known.deployment.as_str()))
    }

    /// The Deployment of an alarm of ours.
    pub fn deployment(&self, alarm: &str) -> Option<&str> {
        let known = self.alarms.get(alarm)?;
        Some(&known.deployment)
    }

    /// Compares a claim with the catalogue. Whether it is late or a duplicate
    /// shows when it is held against what CloudWatch says.
    ///
    /// # Errors
    /// The first thing that does not match.
    pub fn check(&self, claim: &Claim, now: Timestamp) -> Result<Signal, Rejection> {
        if claim.form != self.form {
            return Err(Rejection::WrongForm);
        }
        let Some(known) = self.alarms.get(&claim.alarm) else {
            return Err(Rejection::UnknownAlarm);
        };
        self.check_origin(claim, &known.spec)?;
        check_metrics(claim, &known.spec)?;
        if now > after(claim.changed, self.max_age) {
            return Err(Rejection::TooOld);
        }
        if claim.changed > after(now, AHEAD) {
            return Err(Rejection::FromTheFuture);
        }
        Ok(Signal {
            alarm: claim.alarm.clone(),
            deployment: known.deployment.clone(),
            change: AlarmRecord {
                level: claim.level,
                since: claim.changed,
            },
        })
    }

    fn check_origin(&self, claim: &Claim, spec: &AlarmSpec) -> Result<(), Rejection> {
        if claim.account.as_deref() != Some(self.account.as_str()) {
            return Err(Rejection::WrongAccount);
        }
        // An envelope without a topic is from another one as well.
        let enveloped = matches!(claim.form, Form::Enveloped | Form::EventEnveloped);
        if enveloped && claim.topic.as_deref() != Some(self.topic.as_str()) {
            return Err(Rejection::WrongTopic);
        }
        // A display name ("EU (Ireland)") says nothing that could be compared;
        // the ARNs of the alarm and of the activity hold the region as well.
        let code = claim.region.as_deref().filter(|region| is_code(region));
        if code.is_some_and(|region| region != self.region) {
            return Err(Rejection::WrongRegion);
        }
        if (claim.arn.as_ref()).is_some_and(|arn| *arn != spec.arn) {
            return Err(Rejection::WrongArn);
        }
        Ok(())
    }
}

/// Every metric that the alarm watches is claimed, and no other one.
fn check_metrics(claim: &Claim, spec: &AlarmSpec) -> Result<(), Rejection> {
    let watched: Vec<&Metric> = match &spec.watched {
        Watched::Metric(metric) => vec![metric],
        Watched::Math { metrics, .. } => metrics.iter().map(|(_, metric)| metric).collect(),
    };
    let name = |claimed: &ClaimedMetric, metric: &Metric| {
        claimed.namespace == alarm::NAMESPACE && claimed.name == metric.name
    };
    let all = (watched.iter()).all(|m| claim.metrics.iter().any(|claimed| name(claimed, m)));
    let only = (claim.metrics.iter()).all(|claimed| watched.iter().any(|m| name(claimed, m)));
    if !all || !only {
        return Err(Rejection::WrongMetric);
    }
    let arn = watched.first().map(|metric| metric.activity_arn.as_str());
    let right = |claimed: &ClaimedMetric| {
        claimed.dimensions.len() == 1
            && claimed.dimensions.get(alarm::DIMENSION).map(String::as_str) == arn
    };
    if claim.metrics.iter().all(right) {
        Ok(())
    } else {
        Err(Rejection::WrongDimension)
    }
}

/// Whether a region's text is a code like `eu-west-1`, `us-gov-west-1`.
fn is_code(region: &str) -> bool {
    let mut parts = region.split('-');
    let first = parts
        .next()
        .is_some_and(|part| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_lowercase()));
    let last = parts.next_back();
    first
        && parts.count() >= 1
        && last
            .is_some_and(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
}
