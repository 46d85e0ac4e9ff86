//! Thresholds, spans and steps of an activity's alarms.

use std::time::Duration;

use super::Checker;
use super::fleet::DAY;
use super::values::{ANY, show};
use crate::catalogue::raw::{RawAlarms, RawDuration, RawIn, RawOut, RawStep};
use crate::catalogue::types::{AlarmSettings, Amount, InSettings, OutSettings, Step};

/// More than this at once is a mistake: ten times the count.
const MOST_OUT: f64 = 1_000.0;
/// Nobody scales in by more than everything.
const MOST_IN: f64 = 100.0;

impl Checker<'_, '_> {
    pub(super) fn alarms(&mut self, raw: RawAlarms, period: Duration) -> Option<AlarmSettings> {
        let starved = raw.starved.unwrap_or_default();
        let out = self.out(raw.out.unwrap_or_default(), period);
        let above = out.as_ref().map(|out| out.above);
        let in_ = self.in_(&raw.in_.unwrap_or_default(), above, period);
        let starved_for = self.span(
            "alarms.starved.for",
            starved.for_.as_ref(),
            Duration::from_secs(180),
            period,
        );
        Some(AlarmSettings {
            out: out?,
            in_: in_?,
            starved_for: starved_for?,
        })
    }

    fn out(&mut self, raw: RawOut, period: Duration) -> Option<OutSettings> {
        let above = self.duration(
            "alarms.out.above",
            raw.above.as_ref(),
            Duration::from_secs(30),
            ANY,
        );
        let for_ = self.span(
            "alarms.out.for",
            raw.for_.as_ref(),
            Duration::from_secs(60),
            period,
        );
        let steps = match raw.steps {
            None => above.map(default_steps),
            Some(steps) => self.steps(&steps, above),
        };
        Some(OutSettings {
            above: above?,
            for_: for_?,
            steps: steps?,
        })
    }

    fn in_(
        &mut self,
        raw: &RawIn,
        above: Option<Duration>,
        period: Duration,
    ) -> Option<InSettings> {
        let below = self.below(raw.below.as_ref(), above);
        let for_ = self.span(
            "alarms.in.for",
            raw.for_.as_ref(),
            Duration::from_secs(600),
            period,
        );
        let remove = match &raw.remove {
            Some(remove) => self.amount("alarms.in.remove", remove, MOST_IN),
            None => Some(Amount::Percent(5.0)),
        };
        Some(InSettings {
            below: below?,
            for_: for_?,
            remove: remove?,
        })
    }

    /// Both alarms at once would be a fleet that does not know where to go.
    fn below(&mut self, raw: Option<&RawDuration>, above: Option<Duration>) -> Option<Duration> {
        let usual = Duration::from_millis(200);
        let default = above.map_or(usual, |above| usual.min(above / 2));
        let below = self.duration("alarms.in.below", raw, default, ANY)?;
        if let Some(above) = above
            && below >= above
        {
            self.fault(
                "alarms.in.below",
                format!(
                    "found {} for out above {}; allowed is less than that",
                    show(below),
                    show(above)
                ),
            );
            return None;
        }
        Some(below)
    }

    /// A whole number of periods, a day at most. A default is rounded up.
    fn span(
        &mut self,
        at: &str,
        raw: Option<&RawDuration>,
        default: Duration,
        period: Duration,
    ) -> Option<Duration> {
        let whole = |span: Duration| span.as_millis().div_ceil(period.as_millis().max(1));
        if raw.is_none() {
            let periods = u32::try_from(whole(default)).unwrap_or(u32::MAX);
            return Some(period.saturating_mul(periods));
        }
        let span = self.duration(at, raw, default, ANY)?;
        let fits = span.as_nanos().is_multiple_of(period.as_nanos().max(1));
        if fits && span <= DAY {
            return Some(span);
        }
        self.fault(
            at,
            format!(
                "found {}; allowed is a multiple of the period, {}, up to {}",
                show(span),
                show(period),
                show(DAY)
            ),
        );
        None
    }

    /// Ascending, the last open, none at or below the breach itself.
    fn steps(&mut self, raw: &[RawStep], above: Option<Duration>) -> Option<Vec<Step>> {
        if raw.is_empty() {
            self.fault("alarms.out.steps", "found no step; allowed is one or more");
            return None;
        }
        let mut floor = above.map(|above| (above, "the breach itself"));
        let mut steps = Vec::new();
        for (index, step) in raw.iter().enumerate() {
            let at = format!("alarms.out.steps[{index}]");
            let is_last = index + 1 == raw.len();
            let to = self.step_to(&at, step, is_last, floor);
            let add = self.amount(&format!("{at}.add"), &step.add, MOST_OUT);
            if let Some(Some(to)) = to {
                floor = Some((to, "the step before"));
            }
            steps.push(to.zip(add).map(|(to, add)| Step { to, add }));
        }
        steps.into_iter().collect()
    }

    fn step_to(
        &mut self,
        at: &str,
        step: &RawStep,
        is_last: bool,
        floor: Option<(Duration, &str)>,
    ) -> Option<Option<Duration>> {
        let at_to = format!("{at}.to");
        match (&step.to, is_last) {
            (None, true) => Some(None),
            (None, false) => {
                self.fault(at, "found no `to`; only the last step has none");
                None
            }
            (Some(_), true) => {
                self.fault(
                    &at_to,
                    "found a `to` in the last step; the last one has none, so that every wait has a step",
                );
                None
            }
            (Some(raw), false) => {
                let to = self.duration(&at_to, Some(raw), Duration::ZERO, ANY)?;
                if let Some((floor, what)) = floor
                    && to <= floor
                {
                    self.fault(
                        &at_to,
                        format!(
                            "found {}; allowed is more than {}, {what}",
                            show(to),
                            show(floor)
                        ),
                    );
                    return None;
                }
                Some(Some(to))
            }
        }
    }
}

/// 20% up to a minute, half up to five, all beyond; without those that a high
/// threshold leaves no room for.
fn default_steps(above: Duration) -> Vec<Step> {
    let step = |to: Option<u64>, percent| Step {
        to: to.map(Duration::from_secs),
        add: Amount::Percent(percent),
    };
    let all = [
        step(Some(60), 20.0),
        step(Some(300), 50.0),
        step(None, 100.0),
    ];
    let fits = |step: &Step| step.to.is_none_or(|to| to > above);
    all.into_iter().filter(fits).collect()
}
