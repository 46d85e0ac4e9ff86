//! The frame of a run, whatever the target: lease, listing, ledger, and what is
//! said in the end.

use std::sync::Arc;

use stepfleet_activity::{ActivityError, Class, Clock, TaskContext};

use crate::outside::parts::CopyLimits;
use crate::outside::{Object, ObjectStore};
use crate::s3_load::batch::Before;
use crate::s3_load::config::{LoadConfig, OnFailed};
use crate::s3_load::failed::SetAside;
use crate::s3_load::finish::Mover;
use crate::s3_load::input::{LoadInput, LoadOutput};
use crate::s3_load::keys::FAILED;
use crate::s3_load::lease::{Lease, Terms};
use crate::s3_load::names;
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
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) waiting: Vec<Object>,
    pub(crate) ignored: Ignored,
    /// How many it has tried and could not load.
    failed: u64,
    /// Where those that it has set aside are bad.
    places: String,
}

impl Tally {
    pub(crate) fn loaded(&mut self, rows: &[LedgerRow]) {
        self.waiting
            .retain(|object| !rows.iter().any(|row| is_of(row, object)));
    }
}

/// What became of the files that failed.
#[derive(Debug)]
pub(crate) struct Settled {
    /// How many have failed.
    pub(crate) failed: u64,
    /// These are in `failed/`.
    pub(crate) moved: Vec<Object>,
    /// Where they are bad.
    pub(crate) places: String,
    /// These stay where they are.
    pub(crate) held: Vec<Object>,
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

impl Run<'_> {
    /// Takes down what became of the files that failed, and notes for the next run
    /// which of them stay.
    pub(crate) fn settled(&mut self, settled: Settled) {
        self.tally.failed += settled.failed;
        self.tally.places = settled.places;
        let waiting = &mut self.tally.waiting;
        waiting.retain(|object| !settled.moved.contains(object));
        self.lease.suspects().note(&settled.held, waiting);
    }
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
                    ..Tally::default()
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
        let now = self.clock.now();
        let mut waiting = select::unprocessed(&tally.waiting, &tally.ignored, now);
        waiting.failed = tally.failed;
        if let Err(error) = self.signals.publish(input.table.id(), waiting).await {
            tracing::warn!(%error, "the metrics were not published");
        }
        let output = LoadOutput {
            remaining: waiting.files,
            ignored: tally.ignored.count,
            ignored_key: tally.ignored.example.clone(),
            ..result?
        };
        match self.config.on_failed {
            OnFailed::Fail if output.failed > 0 => Err(failed_files(input, &output, tally)),
            _ => Ok(output),
        }
    }

    pub(crate) fn aside<'a>(
        &'a self,
        input: &'a LoadInput,
        loaded_beside: u64,
    ) -> SetAside<'a, S, N> {
        SetAside {
            store: &self.store,
            signals: &self.signals,
            notify: self.config.notify.as_ref(),
            input,
            limits: self.limits,
            clock: &*self.clock,
            loaded_beside,
        }
    }

    pub(crate) fn mover<'a>(&'a self, input: &'a LoadInput) -> Mover<'a, S> {
        Mover {
            store: &self.store,
            input,
            limits: self.limits,
        }
    }
}

/// What is said once all that could be loaded is loaded.
fn failed_files(input: &LoadInput, output: &LoadOutput, tally: &Tally) -> ActivityError {
    let cause = format!(
        "{} files could not be loaded and are in s3://{}/{} (etl-worker reprocess moves them back); {} others were loaded, and {} wait; {}",
        output.failed,
        input.bucket,
        input.key(FAILED, ""),
        output.files,
        output.remaining,
        tally.places
    );
    ActivityError::named(names::FAILED, Class::Poison, cause)
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
        let mut split = Split::new(input.reload);
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
                split.add(object, rows.collect(), read);
            }
        }
        split.log(input.table.id());
        Ok(split)
    }
}

pub(crate) fn is_of(row: &LedgerRow, object: &Object) -> bool {
    row.key == object.key && row.etag == object.etag
}
