//! The frame of a run, whatever the target: lease, listing, ledger, and what is
//! said in the end.

use std::sync::Arc;

use stepfleet_activity::{ActivityError, Clock, TaskContext};

use crate::outside::parts::CopyLimits;
use crate::outside::{Object, ObjectStore};
use crate::s3_load::batch::Before;
use crate::s3_load::config::LoadConfig;
use crate::s3_load::failed::{Reject, SetAside};
use crate::s3_load::finish::Mover;
use crate::s3_load::input::{LoadInput, LoadOutput};
use crate::s3_load::lease::{Lease, Terms};
use crate::s3_load::select::{self, Ignored, Listed};
use crate::s3_load::signals::Signals;
use crate::s3_load::split::Split;
use crate::s3_load::warehouse::{Ledger, LedgerRow};

/// The loader over any outside.
#[derive(Debug)]
pub(crate) struct Loader<S, W, N> {
    pub(crate) store: S,
    pub(crate) warehouse: W,
    pub(crate) signals: N,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) config: LoadConfig,
    pub(crate) limits: CopyLimits,
}

/// What one run has listed and not loaded.
#[derive(Debug)]
pub(crate) struct Tally {
    pub(crate) waiting: Vec<Object>,
    pub(crate) ignored: Ignored,
}

impl Tally {
    pub(crate) fn loaded(&mut self, rows: &[LedgerRow]) {
        self.waiting
            .retain(|object| !rows.iter().any(|row| is_of(row, object)));
    }

    pub(crate) fn set_aside(&mut self, files: &[Object]) {
        self.waiting.retain(|object| !files.contains(object));
    }
}

/// One run that has the lease of its prefix.
#[derive(Debug)]
pub(crate) struct Run<'a> {
    pub(crate) input: &'a LoadInput,
    pub(crate) context: &'a TaskContext,
    pub(crate) lease: Lease,
    pub(crate) tally: &'a mut Tally,
    /// What the ledger has of files that are to be loaded again.
    pub(crate) before: Before,
}

/// What every way of loading begins and ends with.
impl<S: ObjectStore, W, N: Signals> Loader<S, W, N> {
    /// A run that loads by `load` while it has the lease.
    pub(crate) async fn run_by(
        &self,
        input: &LoadInput,
        context: &TaskContext,
        load: impl AsyncFnOnce(&mut Run<'_>) -> Result<LoadOutput, ActivityError>,
    ) -> Result<LoadOutput, ActivityError> {
        let (lease, mut tally) = self.begin(input, context).await?;
        let result = match lease {
            Ok(Some(lease)) => {
                let mut run = Run {
                    input,
                    context,
                    lease,
                    tally: &mut tally,
                    before: Before::default(),
                };
                let result = load(&mut run).await;
                run.lease.release(&self.store).await;
                result
            }
            Ok(None) => Ok(held()),
            Err(error) => Err(error),
        };
        self.end(input, &tally, result).await
    }

    /// Takes the lease, and lists. The metric is published on every tick, so a
    /// lease that is not to be had comes as a part of the answer.
    async fn begin(
        &self,
        input: &LoadInput,
        context: &TaskContext,
    ) -> Result<(Result<Option<Lease>, ActivityError>, Tally), ActivityError> {
        input.check()?;
        let terms = Terms {
            attempt: context.attempt.clone(),
            span: self.config.lease,
            clock: Arc::clone(&self.clock),
        };
        let lease = Lease::acquire(&self.store, input, terms).await;
        let listed = self
            .store
            .list(&input.bucket, &input.key("incoming", ""))
            .await;
        match listed {
            Ok(listed) => {
                let Listed { files, ignored } = select::sort(input, listed);
                ignored.log(input.table.id());
                let tally = Tally {
                    waiting: files,
                    ignored,
                };
                Ok((lease.map_err(ActivityError::from), tally))
            }
            Err(error) => {
                if let Ok(Some(lease)) = lease {
                    lease.release(&self.store).await;
                }
                Err(error.into())
            }
        }
    }

    /// Publishes what waits now, whatever came of the load.
    async fn end(
        &self,
        input: &LoadInput,
        tally: &Tally,
        result: Result<LoadOutput, ActivityError>,
    ) -> Result<LoadOutput, ActivityError> {
        let waiting = select::unprocessed(&tally.waiting, &tally.ignored, self.clock.now());
        if let Err(error) = self.signals.publish(input.table.id(), waiting).await {
            tracing::warn!(%error, "the metrics were not published");
        }
        result.map(|output| LoadOutput {
            remaining: waiting.files,
            ignored: tally.ignored.count,
            ignored_key: tally.ignored.example.clone(),
            ..output
        })
    }

    pub(crate) async fn set_aside(
        &self,
        input: &LoadInput,
        rejects: &[Reject],
        lease: &mut Lease,
    ) -> Result<Vec<Object>, ActivityError> {
        let aside = SetAside {
            store: &self.store,
            signals: &self.signals,
            notify: self.config.notify.as_ref(),
            input,
            limits: self.limits,
            clock: &*self.clock,
        };
        aside.run(rejects, lease).await
    }

    pub(crate) fn mover<'a>(&'a self, input: &'a LoadInput) -> Mover<'a, S> {
        Mover {
            store: &self.store,
            input,
            limits: self.limits,
        }
    }
}

/// What somebody answers who finds the table held.
pub(crate) fn held() -> LoadOutput {
    LoadOutput {
        held: true,
        ..LoadOutput::default()
    }
}

impl<S: ObjectStore, W: Ledger, N: Signals> Loader<S, W, N> {
    /// Goes through the settled files, oldest first, until there are enough for
    /// a batch: which are in the ledger, and which are not.
    pub(crate) async fn split(
        &self,
        input: &LoadInput,
        files: &[Object],
    ) -> Result<Split, ActivityError> {
        let now = self.clock.now();
        let settled: Vec<&Object> = files
            .iter()
            .filter(|object| select::settled(object, now, self.config.settle))
            .collect();
        let mut split = Split::default();
        for window in settled.chunks(self.config.max_files) {
            if split.fresh.len() >= self.config.max_files {
                break;
            }
            let keys: Vec<String> = window.iter().map(|object| object.key.clone()).collect();
            let rows = self
                .warehouse
                .ledger(input.table.id(), &input.bucket, &keys)
                .await?;
            // After the answer: who was slow to give it makes nothing look as if
            // it had come again.
            let read = self.clock.now();
            for object in window {
                let rows = rows.iter().filter(|row| is_of(row, object));
                split.add(object, rows.collect(), input.reload, read);
            }
        }
        split.log(input.table.id());
        Ok(split)
    }
}

pub(crate) fn is_of(row: &LedgerRow, object: &Object) -> bool {
    row.key == object.key && row.etag == object.etag
}
