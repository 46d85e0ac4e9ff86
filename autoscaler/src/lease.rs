//! Who decides: one autoscaler at a time, by a Lease.
//!
//! A Lease alone does not fence, so its number of transitions is the epoch of
//! every record, and nobody writes over a record of a later epoch.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use stepfleet_activity::Clock;
use tokio::sync::watch;

use crate::http::{Part, Shared};
use crate::scale::{Cluster, ClusterError};
use crate::time::{after, before};

/// For how long a Lease holds that is not renewed.
pub(crate) const DURATION: Duration = Duration::from_secs(15);
/// How often it is renewed, and how often others look.
pub(crate) const RENEWAL: Duration = Duration::from_secs(5);
/// Its holder stops acting so long before it lapses.
const MARGIN: Duration = Duration::from_secs(3);

/// A Lease, as far as it matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LeaseState {
    /// Nobody if it was released.
    pub(crate) holder: Option<String>,
    pub(crate) renewed: Timestamp,
    pub(crate) duration: Duration,
    pub(crate) transitions: i32,
}

/// What its holder may do: act under this epoch until then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fence {
    pub(crate) epoch: i32,
    pub(crate) until: Timestamp,
}

/// What we saw of another's Lease, and since when by our clock: clocks of two
/// machines are never compared.
#[derive(Debug, Clone, Default)]
pub(crate) struct Watching(Option<(LeaseState, Timestamp)>);

/// The Lease that we should write now, if it is ours or free.
pub(crate) fn claim(
    current: Option<&LeaseState>,
    watching: &mut Watching,
    me: &str,
    now: Timestamp,
) -> Option<LeaseState> {
    let mine = |transitions| LeaseState {
        holder: Some(me.to_owned()),
        renewed: now,
        duration: DURATION,
        transitions,
    };
    let Some(current) = current else {
        return Some(mine(1));
    };
    if current.holder.as_deref() == Some(me) {
        return Some(mine(current.transitions));
    }
    let since = match &watching.0 {
        Some((seen, since)) if seen == current => *since,
        _ => now,
    };
    watching.0 = Some((current.clone(), since));
    let free = current.holder.is_none() || now >= after(since, current.duration);
    free.then(|| mine(current.transitions.saturating_add(1)))
}

/// How keeping a Lease ended: what the last line of the log says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Left {
    /// It was ours, and others may take it at once.
    Released,
    /// It was not ours.
    NotHeld,
    /// It may be ours still: others take it when it lapses.
    Lapses(String),
}

impl fmt::Display for Left {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Released => formatter.write_str("the Lease is released"),
            Self::NotHeld => formatter.write_str("the Lease was not held by this autoscaler"),
            Self::Lapses(why) => write!(
                formatter,
                "the Lease could not be released ({why}): if it is held, it lapses within {} s",
                DURATION.as_secs()
            ),
        }
    }
}

/// Takes and renews the Lease until told to stop, then releases it.
pub(crate) async fn keep<C: Cluster>(
    keeper: Keeper<'_, C>,
    fence: watch::Sender<Option<Fence>>,
    mut stop: watch::Receiver<bool>,
) -> Left {
    let mut watching = Watching::default();
    let mut ticks = tokio::time::interval(RENEWAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = stop.wait_for(|stop| *stop) => break,
        }
        let held = *fence.borrow();
        let next = keeper.attempt(&mut watching, held).await;
        if held.map(|f| f.epoch) != next.map(|f| f.epoch) {
            tracing::info!(leader = next.is_some(), "leadership changed");
        }
        fence.send_replace(next);
    }
    fence.send_replace(None);
    match in_time(keeper.release()).await {
        Ok(true) => Left::Released,
        Ok(false) => Left::NotHeld,
        Err(error) => Left::Lapses(error.to_string()),
    }
}

/// A call that hangs is given up before the next one is due.
async fn in_time<T>(
    call: impl Future<Output = Result<T, ClusterError>>,
) -> Result<T, ClusterError> {
    (tokio::time::timeout(RENEWAL, call).await)
        .unwrap_or_else(|_| Err(ClusterError::Unavailable("no answer in time".to_owned())))
}

/// Who keeps which Lease.
pub(crate) struct Keeper<'a, C> {
    pub(crate) cluster: &'a C,
    pub(crate) clock: &'a dyn Clock,
    pub(crate) name: String,
    pub(crate) me: String,
    pub(crate) shared: &'a Shared,
}

impl<C: Cluster> Keeper<'_, C> {
    /// What we may do after one try. While the Lease cannot be reached, what we
    /// hold is ours until it is about to lapse.
    async fn attempt(&self, watching: &mut Watching, held: Option<Fence>) -> Option<Fence> {
        match in_time(self.renew(watching)).await {
            Ok(Some(next)) => {
                if held.is_none() {
                    self.shared.lead();
                }
                self.shared.ready(Part::Lease);
                Some(next)
            }
            // Where somebody else was faster, it can be reached too.
            Ok(None) | Err(ClusterError::Conflict) => {
                self.shared.stand_by();
                None
            }
            Err(error) => {
                let why = format!("the Lease {} cannot be reached: {error}", self.name);
                tracing::warn!("{why}");
                self.shared.metrics.failed("lease");
                self.shared.unready(Part::Lease, why);
                held.filter(|fence| self.clock.now() < fence.until)
            }
        }
    }

    async fn renew(&self, watching: &mut Watching) -> Result<Option<Fence>, ClusterError> {
        let current = self.cluster.lease(&self.name).await?;
        let now = self.clock.now();
        let state = current.as_ref().map(|current| &current.value);
        let Some(next) = claim(state, watching, &self.me, now) else {
            return Ok(None);
        };
        let epoch = next.transitions;
        let over = current.map(|current| current.version);
        self.cluster.put_lease(&self.name, next, over).await?;
        let until = before(after(now, DURATION), MARGIN);
        Ok(Some(Fence { epoch, until }))
    }

    /// Whether it was ours. Looked up rather than remembered: a renewal that
    /// nobody heard of may have taken it.
    async fn release(&self) -> Result<bool, ClusterError> {
        let Some(current) = self.cluster.lease(&self.name).await? else {
            return Ok(false);
        };
        if current.value.holder.as_deref() != Some(self.me.as_str()) {
            return Ok(false);
        }
        let state = LeaseState {
            holder: None,
            ..current.value
        };
        (self.cluster)
            .put_lease(&self.name, state, Some(current.version))
            .await?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    #[test]
    fn a_lease_is_taken_when_free_or_lapsed_by_our_own_clock() {
        let theirs = |renewed| LeaseState {
            holder: Some("them".into()),
            renewed: at(renewed),
            duration: DURATION,
            transitions: 3,
        };
        let mut watching = Watching::default();
        let mut try_at = |state: Option<LeaseState>, now| {
            claim(state.as_ref(), &mut watching, "me", at(now)).map(|next| next.transitions)
        };
        assert_eq!(try_at(None, 0), Some(1), "there is none");
        assert_eq!(
            try_at(Some(theirs(-9999)), 100),
            None,
            "their clock is far behind: watched first"
        );
        assert_eq!(try_at(Some(theirs(-9999)), 114), None);
        assert_eq!(
            try_at(Some(theirs(-9990)), 114),
            None,
            "renewed: the watch starts over"
        );
        assert_eq!(try_at(Some(theirs(-9990)), 128), None);
        assert_eq!(
            try_at(Some(theirs(-9990)), 129),
            Some(4),
            "lapsed: the epoch rises"
        );
        let released = LeaseState {
            holder: None,
            ..theirs(129)
        };
        assert_eq!(try_at(Some(released), 130), Some(4), "released: at once");
        let ours = LeaseState {
            holder: Some("me".into()),
            ..theirs(0)
        };
        assert_eq!(
            try_at(Some(ours), 500),
            Some(3),
            "ours: renewed, the same epoch"
        );
    }
}
