//! From levels and metrics to what each activity says: out, in, or not known.

use std::time::Duration;

use jiff::Timestamp;
use stepfleet_activity::alarm::AlarmRole;

use super::{ActivityPolicy, Flow, Situation, Why};
use crate::record::Level;
use crate::time::{after, before};

/// What all activities of a Deployment say together.
pub(super) struct Assessment {
    /// The activities that ask for more.
    pub(super) breaches: Vec<Breach>,
    /// The first level that a step in would have to know.
    pub(super) unknown: Option<(String, AlarmRole)>,
    /// Whether every activity says *in*.
    pub(super) quiet: bool,
    /// The waits that are known, with the wait that would be a breach.
    pub(super) waits: Vec<(Duration, Duration)>,
}

/// An activity that asks for more.
pub(super) struct Breach {
    /// By how many replicas.
    pub(super) step: u32,
    /// Why.
    pub(super) why: Why,
}

impl Assessment {
    pub(super) fn new(situation: &Situation<'_>) -> Self {
        let activities = &situation.policy.activities;
        let mut all = Self {
            breaches: Vec::new(),
            unknown: None,
            quiet: !activities.is_empty(),
            waits: Vec::new(),
        };
        for activity in activities {
            all.add(situation, activity);
        }
        all
    }

    fn add(&mut self, situation: &Situation<'_>, activity: &ActivityPolicy) {
        let seen = situation.observation.activities.get(&activity.name);
        let wait = seen.and_then(|seen| seen.wait);
        let flow = seen.and_then(|seen| seen.flow.as_ref());
        let from = situation.observation.replicas;
        let name = || activity.name.clone();
        self.waits.extend(wait.map(|wait| (wait, activity.above)));

        let out = situation.level(&activity.alarm_out);
        let starved = situation.starved(activity, flow);
        if out == Level::Alarm {
            // The newest average may lag behind the alarm: then it says nothing.
            let wait = wait.filter(|wait| *wait > activity.above);
            let step = activity.step(wait, from);
            let activity = name();
            let why = Why::Breach {
                activity,
                wait,
                step,
            };
            self.breaches.push(Breach { step, why });
        }
        if starved == Level::Alarm {
            let step = activity.smallest_step(from);
            let activity = name();
            let why = Why::Starved { activity, step };
            self.breaches.push(Breach { step, why });
        }
        let idle = flow.is_some_and(Flow::idle);
        let quiet = match situation.level(&activity.alarm_in) {
            Level::Alarm => Level::Alarm,
            _ if idle => Level::Alarm,
            other => other,
        };
        self.quiet &= quiet == Level::Alarm;
        let levels = [
            (out, AlarmRole::Out),
            (starved, AlarmRole::Starved),
            (quiet, AlarmRole::In),
        ];
        let unknown = levels.iter().find(|(level, _)| *level == Level::Unknown);
        if let (None, Some((_, role))) = (&self.unknown, unknown) {
            self.unknown = Some((name(), *role));
        }
    }
}

impl Situation<'_> {
    /// A level that is believed: one that CloudWatch was asked about, or spoke
    /// of, not longer ago than a signal may be old.
    fn level(&self, alarm: &str) -> Level {
        let Some(known) = self.record.alarms.get(alarm) else {
            return Level::Unknown;
        };
        let confirmed = self.observation.levels_read.max(Some(known.since));
        let believed = confirmed.is_some_and(|at| self.now < after(at, self.policy.max_age));
        if believed {
            known.level
        } else {
            Level::Unknown
        }
    }

    /// The alarm, our own reading of the flow, and the latch: any says yes; the
    /// alarm or the flow must be known to say no.
    fn starved(&self, activity: &ActivityPolicy, flow: Option<&Flow>) -> Level {
        let alarm = self.level(&activity.alarm_starved);
        let flow = flow.map(|flow| starves(flow, activity.starved_for, self.now));
        let latched = self.record.starved.contains_key(&activity.name);
        if latched || alarm == Level::Alarm || flow == Some(true) {
            return Level::Alarm;
        }
        if alarm == Level::Ok || flow == Some(false) {
            return Level::Ok;
        }
        Level::Unknown
    }
}

/// Whether tasks that were scheduled at least `starved_for` ago, and not more
/// than twice that, have seen no task start since. Arrivals that stopped count
/// too, which the alarm's metric math misses.
pub fn starves(flow: &Flow, starved_for: Duration, now: Timestamp) -> bool {
    let (oldest, newest) = (before(now, starved_for * 2), before(now, starved_for));
    let mut waiting = false;
    for (start, count) in flow.periods() {
        if start < oldest {
            continue;
        }
        if count.started > 0.0 {
            return false;
        }
        waiting |= count.scheduled > 0.0 && after(start, flow.period) <= newest;
    }
    waiting
}

// === impl Flow ===

impl Flow {
    /// Each period's start and count.
    pub fn periods(&self) -> impl Iterator<Item = (Timestamp, super::Count)> {
        (0u32..)
            .zip(&self.counts)
            .map(|(index, count)| (after(self.from, self.period * index), *count))
    }

    /// Whether nothing was scheduled and nothing started in the whole span.
    pub fn idle(&self) -> bool {
        !self.counts.is_empty()
            && (self.counts.iter()).all(|count| count.scheduled == 0.0 && count.started == 0.0)
    }

    /// Whether tasks were scheduled and none has started for that long: what an
    /// alarm of starvation says, as it was measured.
    pub fn waits(&self, starved_for: Duration, now: Timestamp) -> bool {
        self.counts.iter().any(|count| count.scheduled > 0.0)
            && !self.started_since(before(now, starved_for))
    }

    /// Whether a task started in a period that began at or after `since`.
    pub fn started_since(&self, since: Timestamp) -> bool {
        self.periods()
            .any(|(start, count)| start >= since && count.started > 0.0)
    }
}
