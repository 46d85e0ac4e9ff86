//! One load at a time per prefix: an object in the bucket that says who loads
//! what, and until when. It keeps overlapping ticks short; what makes a load
//! happen once is the ledger, so a lease that is lost early harms nothing.
//!
//! It is the prefix that is held, and not the table: of two tables that are
//! loaded from one prefix each would move the other's files away.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use stepfleet_activity::{Attempt, Class, Clock};

use crate::outside::call::CallError;
use crate::outside::{Answer, At, Conditional, ObjectStore, PutIf};
use crate::s3_load::input::LoadInput;
use crate::s3_load::suspects::Suspects;

/// What the lease object says.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Held {
    until: Timestamp,
    /// What is being loaded.
    table: String,
    /// Makes each writing of it different, so that its ETag fences.
    nonce: String,
    attempt: Option<Attempt>,
    /// What runs tell the next ones.
    #[serde(default, skip_serializing_if = "Suspects::is_none")]
    suspects: Suspects,
}

impl Held {
    /// Expired, or an earlier attempt's of the very state that asks now.
    fn may_be_taken(&self, now: Timestamp, by: Option<&Attempt>) -> bool {
        let earlier = match (&self.attempt, by) {
            (Some(held), Some(by)) => {
                held.execution == by.execution
                    && held.state == by.state
                    && held.entered == by.entered
                    && held.retry < by.retry
            }
            _ => false,
        };
        earlier || self.until <= now
    }
}

/// The lease's name in `leases/`.
pub(crate) const LEASE: &str = "incoming.json";

static NONCE: AtomicU64 = AtomicU64::new(0);

/// Where a lease is, and which writing of it is ours.
#[derive(Debug, Clone)]
pub(crate) struct Mark {
    bucket: String,
    key: String,
    pub(crate) etag: String,
}

impl Mark {
    pub(crate) fn at(&self) -> At<'_> {
        At {
            bucket: &self.bucket,
            key: &self.key,
        }
    }
}

/// Who holds a lease, and for how long at a time.
#[derive(Debug)]
pub(crate) struct Terms {
    /// Takes over from earlier attempts of its own state at once.
    pub(crate) attempt: Option<Attempt>,
    pub(crate) span: Duration,
    pub(crate) clock: Arc<dyn Clock>,
}

/// A lease that we hold.
#[derive(Debug)]
pub(crate) struct Lease {
    bucket: String,
    key: String,
    table: String,
    etag: String,
    until: Timestamp,
    span: Duration,
    attempt: Option<Attempt>,
    suspects: Suspects,
    clock: Arc<dyn Clock>,
}

impl Lease {
    /// Takes the prefix's lease; `None` if somebody else loads the same table from
    /// it. Who would load another one is told so: that is nobody's intention.
    pub(crate) async fn acquire<S: ObjectStore>(
        store: &S,
        input: &LoadInput,
        terms: Terms,
    ) -> Answer<Option<Self>> {
        let Terms {
            attempt,
            span,
            clock,
        } = terms;
        let mut lease = Self {
            bucket: input.bucket.clone(),
            key: input.key("leases", LEASE),
            table: input.table.id().to_owned(),
            etag: String::new(),
            until: clock.now(),
            span,
            attempt,
            suspects: Suspects::default(),
            clock,
        };
        if lease.write(store, None).await? {
            return Ok(Some(lease));
        }
        let Some((body, etag)) = store.get(lease.at()).await? else {
            return Ok(None); // Released this instant: the next tick takes it.
        };
        // What cannot be read was not written by us: whoever put it there keeps it.
        let Ok(held) = serde_json::from_slice::<Held>(&body) else {
            return Ok(None);
        };
        if !held.may_be_taken(lease.clock.now(), lease.attempt.as_ref()) {
            return if held.table == lease.table {
                Ok(None)
            } else {
                Err(lease.of_another_table(&held))
            };
        }
        if held.table == lease.table {
            lease.suspects = held.suspects;
        }
        let taken = lease.write(store, Some(etag)).await?;
        Ok(taken.then_some(lease))
    }

    /// What the prefix is.
    fn prefix(&self) -> &str {
        let lease = self.key.strip_suffix(LEASE).unwrap_or(&self.key);
        lease.strip_suffix("leases/").unwrap_or(lease)
    }

    fn of_another_table(&self, held: &Held) -> CallError {
        CallError {
            what: format!(
                "load {} from s3://{}/{}",
                self.table,
                self.bucket,
                self.prefix()
            ),
            reason: format!(
                "it is being loaded into {}, until {} at most; a prefix is for one table, and nothing was done: give each its own prefix",
                held.table, held.until
            ),
            class: Class::Conflict,
        }
    }

    /// Extends the lease once a third of it has passed.
    pub(crate) async fn keep<S: ObjectStore>(&mut self, store: &S) -> Answer<()> {
        let left = Duration::try_from(self.until.duration_since(self.clock.now()));
        if left.is_ok_and(|left| left > self.span * 2 / 3) {
            return Ok(());
        }
        let etag = self.etag.clone();
        if self.write(store, Some(etag)).await? {
            return Ok(());
        }
        Err(CallError {
            what: format!("extend the lease s3://{}/{}", self.bucket, self.key),
            reason: "another worker has taken it over; what is loaded so far is in the ledger, and the next run goes on from there".to_owned(),
            class: Class::Conflict,
        })
    }

    /// What tells whether the lease is still this one.
    pub(crate) fn mark(&self) -> Mark {
        Mark {
            bucket: self.bucket.clone(),
            key: self.key.clone(),
            etag: self.etag.clone(),
        }
    }

    /// What runs before this one have tried in vain.
    pub(crate) fn suspects(&mut self) -> &mut Suspects {
        &mut self.suspects
    }

    /// Gives the prefix free. A failure only means that it is free later. Where
    /// there is something to tell the next run, the lease stays, as one that has
    /// expired.
    pub(crate) async fn release<S: ObjectStore>(mut self, store: &S) {
        let released = if self.suspects.is_none() {
            store.delete(self.at(), &self.etag).await.map(drop)
        } else {
            let etag = self.etag.clone();
            let written = self.put(store, Timestamp::UNIX_EPOCH, Some(etag));
            written.await.map(drop)
        };
        if let Err(error) = released {
            tracing::warn!(%error, "the lease was not released and will expire");
        }
    }

    fn at(&self) -> At<'_> {
        At {
            bucket: &self.bucket,
            key: &self.key,
        }
    }

    async fn write<S: ObjectStore>(&mut self, store: &S, over: Option<String>) -> Answer<bool> {
        let now = self.clock.now();
        let span = jiff::SignedDuration::try_from(self.span).unwrap_or(jiff::SignedDuration::MAX);
        let until = now.saturating_add(span).unwrap_or(now);
        self.put(store, until, over).await
    }

    async fn put<S: ObjectStore>(
        &mut self,
        store: &S,
        until: Timestamp,
        over: Option<String>,
    ) -> Answer<bool> {
        let now = self.clock.now();
        let held = Held {
            until,
            table: self.table.clone(),
            nonce: format!(
                "{}-{}-{}",
                now.as_nanosecond(),
                std::process::id(),
                NONCE.fetch_add(1, Ordering::Relaxed)
            ),
            attempt: self.attempt.clone(),
            suspects: self.suspects.clone(),
        };
        let body = serde_json::to_vec(&held).map_err(|error| CallError {
            what: "write a lease".to_owned(),
            reason: error.to_string(),
            class: Class::Permanent,
        })?;
        let condition = over.as_deref().map_or(PutIf::Absent, PutIf::Match);
        let Conditional::Done(etag) = store.put(self.at(), body, condition).await? else {
            return Ok(false);
        };
        (self.etag, self.until) = (etag, held.until);
        Ok(true)
    }
}
