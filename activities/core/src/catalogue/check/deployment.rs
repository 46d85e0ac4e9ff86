//! A deployment: mode, bounds, schedule, damping, drain.

use std::time::Duration;

use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;

use super::values::{ANY, MAX_REPLICAS, is_cluster_name};
use super::{Checker, Sink};
use crate::catalogue::from_tree::from_tree;
use crate::catalogue::raw::{
    RawDamping, RawDays, RawDeployment, RawFlapBudget, RawMode, RawReplicas, RawScheduleEntry,
};
use crate::catalogue::tree::Node;
use crate::catalogue::types::{Damping, Deployment, FlapBudget, Mode, Replicas, ScheduleEntry};

const DAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];
/// Why nobody can have a fleet of none.
const NO_ZERO: &str = "nothing can wake a fleet from zero yet";

/// A deployment whose node has the defaults in it already. `drain` is what its
/// activities ask for, if it says none itself.
pub(crate) fn deployment(
    name: &str,
    node: &Node,
    drain: Duration,
    sink: &mut Sink<'_>,
) -> Option<Deployment> {
    let raw: RawDeployment = from_tree(node)
        .map_err(|fault| sink.mistyped(fault, node))
        .ok()?;
    let mut check = Checker { node, sink };
    let named = is_cluster_name(name);
    if !named {
        check.fault(
            "",
            format!("found `{name}`; allowed are the names that Kubernetes takes: lower-case letters, digits and inner hyphens, at most 63"),
        );
    }
    let replicas = check.replicas(raw.replicas.unwrap_or_default());
    let damping = check.damping(raw.damping.unwrap_or_default());
    let drain = check.duration("drain", raw.drain.as_ref(), drain, ANY);
    let deployment = Deployment {
        name: name.to_owned(),
        mode: match raw.mode {
            Some(RawMode::Recommend) => Mode::Recommend,
            Some(RawMode::Act) | None => Mode::Act,
        },
        replicas: replicas?,
        damping: damping?,
        drain: drain?,
    };
    named.then_some(deployment)
}

impl Checker<'_, '_> {
    fn replicas(&mut self, raw: RawReplicas) -> Option<Replicas> {
        let min = self.bound("replicas.min", raw.min.unwrap_or(1));
        let max = self.bound(
            "replicas.max",
            raw.max.unwrap_or(20.max(raw.min.unwrap_or(1))),
        );
        let (min, max) = (min?, max?);
        if min > max {
            self.fault(
                "replicas.min",
                format!("found min {min} above max {max}; allowed is min up to max"),
            );
            return None;
        }
        let entries = raw.schedule.unwrap_or_default().into_iter().enumerate();
        let schedule: Vec<Option<ScheduleEntry>> = entries
            .map(|(index, entry)| {
                let at = format!("replicas.schedule[{index}]");
                self.entry(&at, entry, (min, max))
            })
            .collect();
        Some(Replicas {
            min,
            max,
            schedule: schedule.into_iter().collect::<Option<_>>()?,
        })
    }

    fn bound(&mut self, at: &str, value: u32) -> Option<u32> {
        if value == 0 {
            self.fault(
                at,
                format!("found 0; allowed is 1 to {MAX_REPLICAS}: {NO_ZERO}"),
            );
            return None;
        }
        self.count(at, Some(value), value, 1..=MAX_REPLICAS)
    }

    fn entry(
        &mut self,
        at: &str,
        raw: RawScheduleEntry,
        bounds: (u32, u32),
    ) -> Option<ScheduleEntry> {
        let RawScheduleEntry {
            days,
            from,
            to,
            zone,
            min,
            max,
        } = raw;
        let days = self.days(&format!("{at}.days"), days);
        let from = self.time(&format!("{at}.from"), &from);
        let to = self.time(&format!("{at}.to"), &to);
        let zone = self.zone(&format!("{at}.zone"), zone.as_deref().unwrap_or("UTC"));
        let bounded = self.entry_bounds(at, (min, max), bounds);
        let entry = ScheduleEntry {
            days: days?,
            from: from?,
            to: to?,
            zone: zone?,
            min,
            max,
        };
        bounded.then_some(entry)
    }

    fn entry_bounds(
        &mut self,
        at: &str,
        (min, max): (Option<u32>, Option<u32>),
        outside: (u32, u32),
    ) -> bool {
        if min.is_none() && max.is_none() {
            self.fault(
                at,
                "found neither `min` nor `max`; a schedule entry says one of them",
            );
            return false;
        }
        let said = [("min", min), ("max", max)];
        let fine = said.map(|(key, value)| {
            value.is_none_or(|value| self.bound(&format!("{at}.{key}"), value).is_some())
        });
        let (low, high) = (min.unwrap_or(outside.0), max.unwrap_or(outside.1));
        if fine == [true; 2] && low > high {
            self.fault(
                at,
                format!(
                    "found min {low} above max {high} at these times; allowed is min up to max"
                ),
            );
            return false;
        }
        fine == [true; 2]
    }

    fn days(&mut self, at: &str, raw: Option<RawDays>) -> Option<Vec<Weekday>> {
        let parts = match raw {
            None => return Some(DAYS.map(|(_, day)| day).to_vec()),
            Some(RawDays::One(text)) => vec![text],
            Some(RawDays::Many(texts)) => texts,
        };
        let parts = parts.iter().flat_map(|text| text.split(','));
        let mut chosen = [false; 7];
        for part in parts {
            let Some(days) = span_of_days(part.trim()) else {
                self.fault(
                    at,
                    format!("found `{part}`; allowed are mon, tue, wed, thu, fri, sat, sun, and spans like `mon-fri`"),
                );
                return None;
            };
            for day in days {
                chosen[day] = true;
            }
        }
        if !chosen.contains(&true) {
            self.fault(
                at,
                "found no day; allowed are days like `mon-fri` or `sat,sun`",
            );
            return None;
        }
        let days = DAYS.iter().zip(chosen).filter(|(_, chosen)| *chosen);
        Some(days.map(|((_, day), _)| *day).collect())
    }

    fn time(&mut self, at: &str, text: &str) -> Option<Time> {
        let time = parse_time(text);
        if time.is_none() {
            self.fault(
                at,
                format!(
                    "found `{text}`; allowed is a time of day, \"00:00\" to \"23:59\", in quotes"
                ),
            );
        }
        time
    }

    fn zone(&mut self, at: &str, name: &str) -> Option<TimeZone> {
        let zone = TimeZone::get(name).ok();
        if zone.is_none() {
            self.fault(
                at,
                format!("found `{name}`; allowed is a zone of the IANA database like `Europe/Berlin` that this machine has"),
            );
        }
        zone
    }

    fn damping(&mut self, raw: RawDamping) -> Option<Damping> {
        let cooldown = raw.cooldown.unwrap_or_default();
        let out = self.duration(
            "damping.cooldown.out",
            cooldown.out.as_ref(),
            Duration::from_secs(60),
            ANY,
        );
        let in_ = self.duration(
            "damping.cooldown.in",
            cooldown.in_.as_ref(),
            Duration::from_secs(600),
            ANY,
        );
        let stabilization = self.duration(
            "damping.stabilization",
            raw.stabilization.as_ref(),
            Duration::from_secs(600),
            Duration::ZERO..=*ANY.end(),
        );
        let flap_budget = self.flap_budget(raw.flap_budget);
        Some(Damping {
            cooldown_out: out?,
            cooldown_in: in_?,
            stabilization: stabilization?,
            flap_budget: flap_budget?,
        })
    }

    fn flap_budget(&mut self, raw: Option<RawFlapBudget>) -> Option<FlapBudget> {
        let default = FlapBudget {
            reversals: 40,
            per: Duration::from_secs(86_400),
        };
        let Some(RawFlapBudget { reversals, per }) = raw else {
            return Some(default);
        };
        let reversals = self.count(
            "damping.flap_budget.reversals",
            Some(reversals),
            default.reversals,
            1..=100_000,
        );
        let per = self.duration("damping.flap_budget.per", Some(&per), default.per, ANY);
        Some(FlapBudget {
            reversals: reversals?,
            per: per?,
        })
    }
}

/// Indexes of days: `mon`, or `fri-mon`, which goes over the weekend.
fn span_of_days(text: &str) -> Option<Vec<usize>> {
    let index = |name: &str| DAYS.iter().position(|(short, _)| *short == name);
    let (first, last) = match text.split_once('-') {
        Some((first, last)) => (index(first.trim())?, index(last.trim())?),
        None => (index(text)?, index(text)?),
    };
    let length = (last + 7 - first) % 7 + 1;
    Some((first..first + length).map(|day| day % 7).collect())
}

/// `HH:MM`, two digits each.
fn parse_time(text: &str) -> Option<Time> {
    let (hours, minutes) = text.split_once(':')?;
    let two_digits = |part: &str| {
        let digits = part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| part.parse::<i8>().ok()).flatten()
    };
    Time::new(two_digits(hours)?, two_digits(minutes)?, 0, 0).ok()
}
