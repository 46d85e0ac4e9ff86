//! Who decides: one autoscaler at a time, by a Lease.
//!
//! A Lease alone does not fence, so its number of transitions is the epoch of
//! every record, and nobody writes over a record of a later epoch.

use std::time::Duration;

use jiff::Timestamp;
use stepfleet_activity::Clock;
use tokio::sync::watch;

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

/// Takes and renews the Lease until told to stop, then releases it.
pub(crate) async fn keep<C: Cluster>(
    keeper: Keeper<'_, C>,
    fence: watch::Sender<Option<Fence>>,
    mut stop: watch::Receiver<bool>,
) {
    let mut watching = Watching::default();
    let mut ticks = tokio::time::interval(RENEWAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = stop.wait_for(|stop| *stop) => break,
        }
        let now = keeper.clock.now();
        let held = *fence.borrow();
        let next = match tokio::time::timeout(RENEWAL, keeper.renew(&mut watching)).await {
            Ok(Ok(next)) => next,
            Ok(Err(ClusterError::Conflict)) => None,
            failed => {
                let error = failed.map_or_else(
                    |_| "no answer in time".to_owned(),
                    |done| done.err().map_or_else(String::new, |e| e.to_string()),
                );
                tracing::warn!(error, "the Lease could not be renewed");
                held.filter(|fence| now < fence.until)
            }
        };
        if held.map(|f| f.epoch) != next.map(|f| f.epoch) {
            tracing::info!(leader = next.is_some(), "leadership changed");
        }
        fence.send_replace(next);
    }
    if fence.send_replace(None).is_some()
        && let Err(error) = keeper.release().await
    {
        tracing::warn!(%error, "the Lease could not be released: it lapses by itself");
    }
}

/// Who keeps which Lease.
pub(crate) struct Keeper<'a, C> {
    pub(crate) cluster: &'a C,
    pub(crate) clock: &'a dyn Clock,
    pub(crate) name: String,
    pub(crate) me: String,
}

impl<C: Cluster> Keeper<'_, C> {
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

    async fn release(&self) -> Result<(), ClusterError> {
        let Some(current) = self.cluster.lease(&self.name).await? else {
            return Ok(());
        };
        if current.value.holder.as_deref() != Some(self.me.as_str()) {
            return Ok(());
        }
        let state = LeaseState {
            holder: None,
            ..current.value
        };
        (self
            .cluster
            .put_lease(&self.name, state, Some(current.version)))
        .await
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
