//! What is remembered of one Deployment between cycles and across restarts.
//!
//! Kept as JSON in a ConfigMap, written with a precondition. The intent is
//! written before the act and settled by reading the count back, so that a kill
//! at any instruction neither repeats a step nor forgets one.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::decision::{Decision, Observation, Policy, starves};
use crate::time::{after, before};

/// The version of the JSON that this program writes and reads.
pub const VERSION: u32 = 1;
/// A step against the direction of the last one within this span is a reversal.
pub const REVERSAL: Duration = Duration::from_secs(600);
/// What repeats unchanged is written anew after this long, not every tick.
const GRAIN: Duration = Duration::from_secs(30);

/// What is remembered of one Deployment. There is no default: a record that
/// could not be read is not an empty one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// [`VERSION`].
    pub version: u32,
    /// The Lease's transitions under which it was written: the fence.
    pub epoch: i32,
    /// How many intents there were.
    pub sequence: u64,
    /// The level of each alarm, by its name.
    pub alarms: BTreeMap<String, AlarmRecord>,
    /// Since when an activity is latched as starved.
    pub starved: BTreeMap<String, Timestamp>,
    /// The count as we last saw or set it.
    pub replicas: u32,
    /// A step that was begun and not yet seen to have taken effect.
    pub intent: Option<Intent>,
    /// The last step out.
    pub last_out: Option<Timestamp>,
    /// The last step in.
    pub last_in: Option<Timestamp>,
    /// When somebody else last changed the count.
    pub changed_by_hand: Option<Timestamp>,
    /// The last breach that was seen.
    pub breach: Option<BreachRecord>,
    /// When the direction changed.
    pub reversals: Vec<Timestamp>,
    /// Recommendations that a later one did not outdo; falling, oldest first.
    pub recommendations: Vec<Recommendation>,
}

/// One alarm, as CloudWatch said when it was last asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlarmRecord {
    /// Its level.
    pub level: Level,
    /// When it came to that level.
    pub since: Timestamp,
}

/// What an alarm says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// `OK`.
    Ok,
    /// `ALARM`.
    Alarm,
    /// `INSUFFICIENT_DATA`, or nobody said.
    Unknown,
}

/// A step that is about to be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// Counted up.
    pub id: u64,
    /// The count before.
    pub from: u32,
    /// The count to set.
    pub to: u32,
    /// When it was decided.
    pub at: Timestamp,
}

/// A breach, and the count that was too low for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BreachRecord {
    /// When it was last seen.
    pub at: Timestamp,
    /// The count at that time.
    pub replicas: u32,
}

/// A count that was recommended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recommendation {
    /// When last.
    pub at: Timestamp,
    /// The count.
    pub replicas: u32,
}

/// Why a record cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Not our JSON.
    #[error("the record is not readable ({0}): delete its ConfigMap to start afresh")]
    Unreadable(String),
    /// Written by a newer program.
    #[error(
        "the record has version {found}, this program reads {VERSION}: run the newer autoscaler, or delete the ConfigMap to start afresh"
    )]
    Version {
        /// The version found.
        found: u32,
    },
}

// === impl Record ===

impl Record {
    /// The record of a Deployment that is seen for the first time. Its count
    /// counts as recommended, so that a step in waits for the whole window.
    pub fn new(replicas: u32, now: Timestamp) -> Self {
        Self {
            version: VERSION,
            epoch: 0,
            sequence: 0,
            alarms: BTreeMap::new(),
            starved: BTreeMap::new(),
            replicas,
            intent: None,
            last_out: None,
            last_in: None,
            changed_by_hand: None,
            breach: None,
            reversals: Vec::new(),
            recommendations: vec![Recommendation { at: now, replicas }],
        }
    }

    /// Reads what [`Record::to_json`] wrote.
    ///
    /// # Errors
    /// If it is not a record of this version.
    pub fn from_json(text: &str) -> Result<Self, RecordError> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let unreadable = |error: serde_json::Error| RecordError::Unreadable(error.to_string());
        let Versioned { version } = serde_json::from_str(text).map_err(unreadable)?;
        if version != VERSION {
            return Err(RecordError::Version { found: version });
        }
        serde_json::from_str(text).map_err(unreadable)
    }

    /// The record as JSON.
    ///
    /// # Errors
    /// Never for a record: its maps have strings for keys.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }

    /// Compares the count with what we left: an intent took effect, or never
    /// did (and then starts no cooldown), or somebody else changed the count.
    pub fn settle(&mut self, replicas: u32, now: Timestamp) {
        match self.intent.take() {
            Some(intent) if replicas == intent.to => self.step_taken(intent),
            Some(intent) if replicas == intent.from => {}
            None if replicas == self.replicas => {}
            _ => self.changed_by_hand = Some(now),
        }
        self.replicas = replicas;
    }

    fn step_taken(&mut self, intent: Intent) {
        let out = intent.to > intent.from;
        let opposite = if out { self.last_in } else { self.last_out };
        let same = if out { self.last_out } else { self.last_in };
        // Only the last step counts: an older one in the other direction is none.
        if opposite.is_some_and(|at| intent.at < after(at, REVERSAL)) && opposite > same {
            self.reversals.push(intent.at);
        }
        let last = if out {
            &mut self.last_out
        } else {
            &mut self.last_in
        };
        *last = Some(intent.at);
        self.replicas = intent.to;
    }

    /// Opens an intent.
    pub fn intend(&mut self, from: u32, to: u32, at: Timestamp) {
        self.sequence += 1;
        let id = self.sequence;
        self.intent = Some(Intent { id, from, to, at });
    }

    /// Latches and releases *starved*: it holds until something starts, or the
    /// activity's timeout has passed. An alarm may be set by hand, for a moment:
    /// it is latched only where what was measured agrees, or is not known.
    pub fn latch(&mut self, observation: &Observation, policy: &Policy, now: Timestamp) {
        for activity in &policy.activities {
            let flow = (observation.activities.get(&activity.name)).and_then(|a| a.flow.as_ref());
            let alarm = (self.alarms.get(&activity.alarm_starved))
                .filter(|alarm| alarm.level == Level::Alarm);
            let since = match (self.starved.get(&activity.name), alarm, flow) {
                (Some(since), _, _) => Some(*since),
                (None, Some(alarm), flow)
                    if flow.is_none_or(|flow| flow.waits(activity.starved_for, now)) =>
                {
                    Some(alarm.since)
                }
                (None, _, Some(flow)) => starves(flow, activity.starved_for, now).then_some(now),
                (None, _, None) => None,
            };
            let held = since.filter(|since| {
                now < after(*since, activity.timeout)
                    && !flow.is_some_and(|flow| flow.started_since(*since))
            });
            match held {
                Some(since) => self.starved.insert(activity.name.clone(), since),
                None => self.starved.remove(&activity.name),
            };
        }
        let known = |name: &String| policy.activities.iter().any(|a| a.name == *name);
        self.starved.retain(|name, _| known(name));
    }

    /// Remembers what a decision means for later ones, and forgets what is old.
    pub fn note(&mut self, decision: &Decision, policy: &Policy, now: Timestamp) {
        let window = policy.damping.stabilization;
        let grain = grain(window);
        self.recommend(decision.recommendation, now, grain);
        let kept = before(now, window + grain);
        self.recommendations.retain(|old| old.at >= kept);
        let oldest = before(now, policy.damping.per);
        self.reversals.retain(|at| *at >= oldest);
        if decision.breached {
            let replicas = self.replicas;
            let same = (self.breach.as_ref())
                .is_some_and(|old| old.replicas == replicas && now < after(old.at, grain));
            if !same {
                self.breach = Some(BreachRecord { at: now, replicas });
            }
        }
    }

    /// Keeps the recommendations falling: what a newer one outdoes cannot be
    /// the highest of any window any more.
    fn recommend(&mut self, replicas: u32, now: Timestamp, grain: Duration) {
        if let Some(last) = self.recommendations.last()
            && last.replicas == replicas
            && now < after(last.at, grain)
        {
            return;
        }
        self.recommendations.retain(|old| old.replicas > replicas);
        let at = now;
        self.recommendations.push(Recommendation { at, replicas });
    }

    /// The highest recommendation within the window.
    pub fn highest_recommendation(&self, now: Timestamp, window: Duration) -> Option<u32> {
        let oldest = before(now, window + grain(window));
        (self.recommendations.iter())
            .filter(|old| old.at > oldest)
            .map(|old| old.replicas)
            .max()
    }

    /// How many reversals there were within the span.
    pub fn reversals_since(&self, now: Timestamp, per: Duration) -> u32 {
        let oldest = before(now, per);
        let count = self.reversals.iter().filter(|at| **at > oldest).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }
}

/// Within a grain a repeat is not written, so a window is that much longer.
fn grain(window: Duration) -> Duration {
    GRAIN.min(window / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    #[test]
    fn an_intent_is_settled_by_the_count() {
        // name, count, want: last_out, by hand
        let cases = [
            ("took effect", 6, Some(at(100)), None),
            ("never took effect: no cooldown", 4, None, None),
            ("somebody else was faster", 9, None, Some(at(130))),
        ];
        for (name, count, last_out, by_hand) in cases {
            let mut record = Record::new(4, at(0));
            record.intend(4, 6, at(100));
            record.settle(count, at(130));
            assert_eq!(record.last_out, last_out, "{name}");
            assert_eq!(record.changed_by_hand, by_hand, "{name}");
            assert_eq!((record.intent, record.replicas), (None, count), "{name}");
        }
    }

    #[test]
    fn a_reversal_is_a_step_against_the_last_one_within_ten_minutes() {
        let mut record = Record::new(4, at(0));
        let mut step = |from, to, when| {
            record.intend(from, to, at(when));
            record.settle(to, at(when));
            record.reversals.len()
        };
        assert_eq!(step(4, 6, 0), 0);
        assert_eq!(step(6, 5, 599), 1, "against the last, within the span");
        assert_eq!(step(5, 4, 700), 1, "the same direction");
        assert_eq!(step(4, 6, 1300), 1, "ten minutes later");
        assert_eq!(step(6, 8, 1310), 1, "the last step was out too");
    }

    #[test]
    fn the_highest_recommendation_of_the_window_is_kept() {
        let mut record = Record::new(4, at(0));
        let window = Duration::from_secs(400);
        for (when, count) in [(10, 8), (100, 5), (200, 6), (250, 3)] {
            record.recommend(count, at(when), Duration::from_secs(1));
        }
        assert_eq!(record.recommendations.len(), 3, "5 was outdone by 6");
        assert_eq!(record.highest_recommendation(at(300), window), Some(8));
        assert_eq!(record.highest_recommendation(at(500), window), Some(6));
        assert_eq!(record.highest_recommendation(at(660), window), Some(3));
        assert_eq!(record.highest_recommendation(at(900), window), None);
    }

    #[test]
    fn json_comes_back_and_other_versions_are_refused() {
        let mut record = Record::new(4, at(0));
        record.intend(4, 5, at(1));
        let text = record.to_json().expect("json");
        assert_eq!(Record::from_json(&text).expect("ours"), record);
        let newer = text.replace("\"version\":1", "\"version\":2");
        let error = Record::from_json(&newer).expect_err("newer").to_string();
        assert!(error.contains("version 2"), "{error}");
        assert!(Record::from_json("{}").is_err());
    }
}
