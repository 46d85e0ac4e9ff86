//! The decision core: what the count should be, and why.
//!
//! Nothing here waits, calls, logs or reads a clock: the caller observes before
//! and acts after. The order of authority: another autoscaler, a pause, a hand;
//! bounds; out; in. Then damping, which only ever holds a step or shortens a
//! step in.

mod assess;
#[cfg(test)]
mod laws;
mod policy;
mod reason;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use stepfleet_activity::catalogue::Mode;

pub use assess::starves;
use assess::{Assessment, Breach};
pub use policy::{ActivityPolicy, Bounds, Damping, Policy, Window};
pub use reason::{Hold, Why};

use crate::record::Record;
use crate::time::after;

/// What was seen of one Deployment in one cycle. What could not be read is `None`.
#[derive(Debug, Clone)]
pub struct Observation {
    /// `spec.replicas`: without it nothing is decided, so it is always known.
    pub replicas: u32,
    /// Whether a HorizontalPodAutoscaler targets the Deployment.
    pub autoscaled: Option<bool>,
    /// When the levels of all alarms were last read from CloudWatch.
    pub levels_read: Option<Timestamp>,
    /// By activity. One that is not here is unknown.
    pub activities: BTreeMap<String, Seen>,
}

/// What was seen of one activity.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// The newest average wait.
    pub wait: Option<Duration>,
    /// What was scheduled and started.
    pub flow: Option<Flow>,
}

/// How many tasks were scheduled and started, by period, oldest first. A period
/// without a datapoint is zero here: the read as a whole succeeded.
#[derive(Debug, Clone, PartialEq)]
pub struct Flow {
    /// The start of the first period.
    pub from: Timestamp,
    /// The length of a period.
    pub period: Duration,
    /// One per period.
    pub counts: Vec<Count>,
}

/// One period's tasks.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Count {
    /// Tasks scheduled.
    pub scheduled: f64,
    /// Tasks started.
    pub started: f64,
}

/// What to do, and what was recommended before damping.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// What to do.
    pub action: Action,
    /// The count that the alarms ask for: what the stabilization window combines.
    pub recommendation: u32,
    /// Whether an activity is in breach or starved.
    pub breached: bool,
}

/// What to do. A `Scale` is complete: carrying it out leaves no choice.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Set the count.
    Scale {
        /// The count that was observed.
        from: u32,
        /// The count to set: another one.
        to: u32,
        /// Why.
        why: Why,
    },
    /// Leave the count.
    Hold(Hold),
}

/// What the alarms and bounds ask for, before damping.
enum Proposal {
    Out { to: u32, why: Why },
    In { to: u32, why: Why },
    Stay(Hold),
}

/// Decides for one Deployment. The record has the levels that this cycle goes by.
#[must_use]
pub fn decide(
    record: &Record,
    observation: &Observation,
    policy: &Policy,
    now: Timestamp,
) -> Decision {
    let situation = Situation {
        record,
        observation,
        policy,
        now,
    };
    let assessment = Assessment::new(&situation);
    let proposal = situation.propose(&assessment);
    let recommendation = match &proposal {
        Proposal::Out { to, .. } | Proposal::In { to, .. } => *to,
        Proposal::Stay(_) => observation.replicas,
    };
    let action = match situation.held() {
        Some(hold) => Action::Hold(hold),
        None => situation.damp(proposal, &assessment),
    };
    Decision {
        action: carried_out(action, policy.mode),
        recommendation,
        breached: !assessment.breaches.is_empty(),
    }
}

fn carried_out(action: Action, mode: Mode) -> Action {
    match (action, mode) {
        (Action::Scale { to, why, .. }, Mode::Recommend) => {
            Action::Hold(Hold::Recommended { to, why })
        }
        (action, _) => action,
    }
}

// === impl Action ===

impl Action {
    /// The reason's code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Scale { why, .. } => why.as_str(),
            Self::Hold(hold) => hold.as_str(),
        }
    }

    /// The reason as a sentence with its numbers.
    pub fn text(&self) -> String {
        match self {
            Self::Scale { why, .. } => why.to_string(),
            Self::Hold(hold) => hold.to_string(),
        }
    }

    /// `scale-out`, `scale-in` or `hold`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Scale { from, to, .. } if from < to => "scale-out",
            Self::Scale { .. } => "scale-in",
            Self::Hold(_) => "hold",
        }
    }
}

// === impl Situation ===

/// The arguments of [`decide`], together.
struct Situation<'a> {
    record: &'a Record,
    observation: &'a Observation,
    policy: &'a Policy,
    now: Timestamp,
}

impl Situation<'_> {
    /// What stands above every alarm and bound.
    fn held(&self) -> Option<Hold> {
        if self.observation.autoscaled == Some(true) {
            return Some(Hold::Autoscaled);
        }
        // `min` is 1 or more, so only a person sets zero.
        if self.observation.replicas == 0 {
            return Some(Hold::Paused);
        }
        let changed = self.record.changed_by_hand?;
        let until = after(changed, self.policy.damping.cooldown_in);
        (self.policy.mode == Mode::Act && self.now < until).then_some(Hold::ChangedByHand { until })
    }

    /// Clamping never reverses: out ends at max, in at min, and a count that is
    /// out of bounds on the other side stays where it is.
    fn propose(&self, assessment: &Assessment) -> Proposal {
        let from = self.observation.replicas;
        let Bounds { min, max } = self.policy.bounds_at(self.now);
        if from < min {
            let why = Why::BelowMin { min };
            return Proposal::Out { to: min, why };
        }
        if let Some(breach) = assessment.largest(from) {
            let (to, why) = breach;
            return match to.min(max) {
                to if to > from => Proposal::Out { to, why },
                _ => Proposal::Stay(Hold::AtMax { max }),
            };
        }
        if let Some((activity, role)) = &assessment.unknown {
            return Proposal::Stay(Hold::Unknown {
                activity: activity.clone(),
                role: *role,
            });
        }
        if from > max {
            let why = Why::AboveMax { max };
            return Proposal::In { to: max, why };
        }
        let Some(step) = assessment.removal(self.policy, from) else {
            return Proposal::Stay(Hold::NoBreach);
        };
        match from.saturating_sub(step).max(min) {
            to if to < from => Proposal::In {
                to,
                why: Why::Quiet { step },
            },
            _ => Proposal::Stay(Hold::AtMin { min }),
        }
    }

    fn damp(&self, proposal: Proposal, assessment: &Assessment) -> Action {
        let from = self.observation.replicas;
        match proposal {
            Proposal::Stay(hold) => Action::Hold(hold),
            Proposal::Out { to, why } => match self.damp_out(&why) {
                Some(hold) => Action::Hold(hold),
                None => Action::Scale { from, to, why },
            },
            Proposal::In { to, why } => match self.damp_in(to, &why, assessment) {
                Ok(to) => Action::Scale { from, to, why },
                Err(hold) => Action::Hold(hold),
            },
        }
    }

    /// The lower bound is a promise and waits for nothing; steps wait.
    fn damp_out(&self, why: &Why) -> Option<Hold> {
        if matches!(why, Why::BelowMin { .. }) {
            return None;
        }
        let until = after(self.record.last_out?, self.policy.damping.cooldown_out);
        (self.now < until).then_some(Hold::CoolingDown { out: true, until })
    }

    fn damp_in(&self, to: u32, why: &Why, assessment: &Assessment) -> Result<u32, Hold> {
        if self.observation.autoscaled.is_none() {
            return Err(Hold::AutoscaledUnknown);
        }
        self.cooled_down_in()?;
        // A bound that was lowered is obeyed whatever the history says.
        if matches!(why, Why::AboveMax { .. }) {
            return Ok(to);
        }
        self.within_flap_budget()?;
        let to = self.stabilized(to)?;
        self.lasting(to, assessment)?;
        Ok(to)
    }

    fn cooled_down_in(&self) -> Result<(), Hold> {
        let Some(last) = self.record.last_out.max(self.record.last_in) else {
            return Ok(());
        };
        let until = after(last, self.policy.damping.cooldown_in);
        if self.now < until {
            return Err(Hold::CoolingDown { out: false, until });
        }
        Ok(())
    }

    fn within_flap_budget(&self) -> Result<(), Hold> {
        let Damping { reversals, per, .. } = self.policy.damping;
        let used = self.record.reversals_since(self.now, per);
        if used >= reversals {
            return Err(Hold::FlapBudget {
                used,
                allowed: reversals,
                per,
            });
        }
        Ok(())
    }

    /// No lower than the highest recommendation of the window.
    fn stabilized(&self, to: u32) -> Result<u32, Hold> {
        let window = self.policy.damping.stabilization;
        let floor = self.record.highest_recommendation(self.now, window);
        let to = floor.map_or(to, |floor| floor.max(to));
        if to >= self.observation.replicas {
            return Err(Hold::Stabilizing { floor: to, window });
        }
        Ok(to)
    }

    /// A step in that would be taken back at once is not taken. Two signs: a
    /// breach within `cooldown.in` at this many replicas or more; and the last
    /// wait, spread over fewer replicas, would be a breach.
    fn lasting(&self, to: u32, assessment: &Assessment) -> Result<(), Hold> {
        let from = self.observation.replicas;
        if let Some(breach) = &self.record.breach
            && breach.replicas >= to
            && self.now < after(breach.at, self.policy.damping.cooldown_in)
        {
            let short = breach.replicas;
            return Err(Hold::AnticipatedReversal { to, short });
        }
        let factor = f64::from(from) / f64::from(to.max(1));
        let breaks = (assessment.waits.iter())
            .any(|(wait, above)| wait.as_secs_f64() * factor >= above.as_secs_f64());
        if breaks {
            return Err(Hold::AnticipatedReversal { to, short: to });
        }
        Ok(())
    }
}

// === impl Assessment ===

impl Assessment {
    /// The breach that asks for most, with the count it leads to. Activities
    /// that share a Deployment share its pods, so steps are not added up.
    fn largest(&self, from: u32) -> Option<(u32, Why)> {
        let Breach { step, why } = (self.breaches.iter()).max_by_key(|breach| breach.step)?;
        Some((from.saturating_add(*step), why.clone()))
    }

    /// The smallest removal, if all activities say *in*.
    fn removal(&self, policy: &Policy, from: u32) -> Option<u32> {
        if !self.quiet {
            return None;
        }
        (policy.activities.iter())
            .map(|activity| activity.remove.of(from))
            .min()
    }
}
