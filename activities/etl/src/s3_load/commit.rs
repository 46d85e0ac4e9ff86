//! The commit of a batch: submitted or adopted, waited for, and then decided by
//! the ledger.

use std::collections::HashSet;

use stepfleet_activity::{ActivityError, Area, Class};

use crate::outside::data_api::State;
use crate::outside::data_api::{self, FIRST_PAUSE};
use crate::outside::{Object, ObjectStore};
use crate::s3_load::batch::Batch;
use crate::s3_load::cancel::CancelOnDrop;
use crate::s3_load::failed::Reject;
use crate::s3_load::forms;
use crate::s3_load::input::LoadInput;
use crate::s3_load::lease::Lease;
use crate::s3_load::loader::{Loader, is_of};
use crate::s3_load::redshift::sql;
use crate::s3_load::signals::Signals;
use crate::s3_load::warehouse::{Description, LedgerRow, Warehouse};

/// How a batch ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// It is in the ledger.
    Loaded(Vec<LedgerRow>),
    /// Rolled back, and the warehouse names files of the batch.
    Bad(Vec<Reject>),
    /// Rolled back for a reason that may lie in a file, though none is named.
    Unexplained(ActivityError),
}

/// A statement that is ours to wait for.
struct Submitted {
    id: String,
    /// Whether an earlier attempt has submitted it.
    adopted: bool,
}

impl<S: ObjectStore, W: Warehouse, M: Signals> Loader<S, W, M> {
    /// Submits the batch, or adopts what was submitted, and waits for its end.
    /// Whatever that was, the ledger says what happened.
    pub(crate) async fn commit(
        &self,
        batch: &Batch,
        lease: &mut Lease,
    ) -> Result<Ended, ActivityError> {
        loop {
            let submitted = self.submit(batch, lease).await?;
            let ended = self.wait(&submitted.id, lease).await?;
            let rows = self.committed(batch).await?;
            if !rows.is_empty() {
                return Ok(Ended::Loaded(rows));
            }
            // An attempt that was closed cancels what it has submitted, which
            // may come true only after this one has adopted it. Nobody but a
            // person cancels what this one has submitted itself.
            if ended.state == State::Cancelled && submitted.adopted {
                tracing::info!(
                    batch = batch.id,
                    "an earlier attempt has cancelled the load"
                );
                continue;
            }
            return self.explain(batch, &ended).await;
        }
    }

    async fn submit(&self, batch: &Batch, lease: &mut Lease) -> Result<Submitted, ActivityError> {
        let statements = self.warehouse.statements(&batch.id).await?;
        let over = statements.iter();
        let over = over.filter(|one| one.state.is_rolled_back()).count();
        let mut all = statements.into_iter();
        if let Some(adopted) = all.find(|one| !one.state.is_rolled_back()) {
            return Ok(Submitted {
                id: adopted.id,
                adopted: true,
            });
        }
        lease.keep(&self.store).await?;
        self.unchanged(batch).await?;
        let id = self.warehouse.submit(batch, &batch.token(over)).await?;
        Ok(Submitted { id, adopted: false })
    }

    /// The batch's files in the ledger: all of them, or none.
    async fn committed(&self, batch: &Batch) -> Result<Vec<LedgerRow>, ActivityError> {
        let input = &batch.input;
        let mut rows = self
            .warehouse
            .ledger(input.table.id(), &input.bucket, &batch.keys())
            .await?;
        rows.retain(|row| {
            !batch.before.has(row) && batch.files.iter().any(|file| is_of(row, file))
        });
        if rows.iter().any(|row| row.batch_id != batch.id) {
            let cause =
                "another load took some of these files; the next attempt goes on without them";
            return Err(ActivityError::conflict(Area::LOAD, cause));
        }
        Ok(rows)
    }

    /// Whether all files are still what was listed. A COPY takes no ETag, so a
    /// file that is written again between this look and the COPY is loaded as it
    /// is then, under the ETag of before, and once more under its own: keys have
    /// to be written once. This look keeps that window to a few seconds.
    async fn unchanged(&self, batch: &Batch) -> Result<(), ActivityError> {
        let there = self.still_there(&batch.input, &batch.files).await?;
        match batch.files.iter().zip(there).find(|(_, there)| !there) {
            None => Ok(()),
            Some((file, _)) => {
                let cause = format!(
                    "{} was replaced or removed since it was listed; nothing was submitted, and the next attempt takes what is there then",
                    file.key
                );
                Err(ActivityError::conflict(Area::LOAD, cause))
            }
        }
    }

    /// Which of these files are in `incoming/` as they were listed.
    pub(crate) async fn still_there(
        &self,
        input: &LoadInput,
        files: &[Object],
    ) -> Result<Vec<bool>, ActivityError> {
        let now = self
            .store
            .list(&input.bucket, &input.key("incoming", ""))
            .await?;
        let now: HashSet<(&str, &str)> = now
            .iter()
            .map(|object| (object.key.as_str(), object.etag.as_str()))
            .collect();
        let there = |file: &Object| now.contains(&(file.key.as_str(), file.etag.as_str()));
        Ok(files.iter().map(there).collect())
    }

    /// Waits for a statement's end. Who is dropped meanwhile cancels it; who
    /// fails meanwhile leaves it to the next attempt.
    async fn wait(&self, id: &str, lease: &mut Lease) -> Result<Description, ActivityError> {
        let mut guard = CancelOnDrop::new(&self.store, &self.warehouse, id);
        let ended = self.watch(id, lease, &mut guard).await;
        guard.disarm();
        ended
    }

    async fn watch(
        &self,
        id: &str,
        lease: &mut Lease,
        guard: &mut CancelOnDrop<S, W>,
    ) -> Result<Description, ActivityError> {
        let mut pause = FIRST_PAUSE;
        loop {
            guard.arm(lease.mark());
            let looked = self.warehouse.describe(id).await?;
            if looked.state != State::Running {
                return Ok(looked);
            }
            lease.keep(&self.store).await?;
            pause = data_api::wait(pause).await;
        }
    }

    /// Why a batch is not in the ledger: a file's fault, or the statement's.
    async fn explain(&self, batch: &Batch, ended: &Description) -> Result<Ended, ActivityError> {
        let said = ended.error.as_deref().unwrap_or_default();
        if ended.state == State::Failed && data_api::is_of_table(said) {
            // No file is asked: an earlier COPY of the batch may have named some.
            let cause = format!("batch {} was not loaded: {said}", batch.id);
            let error = ActivityError::permanent(Area::LOAD, cause);
            // A column that a header names may be the files' fault.
            return match forms::unknown_column(&batch.input, said) {
                Some(_) => Ok(Ended::Unexplained(error)),
                None => Err(error),
            };
        }
        if ended.state == State::Failed {
            let bad = self
                .warehouse
                .bad_files(&batch.id, ended.copy_query)
                .await?;
            let rejects: Vec<Reject> = bad
                .into_iter()
                .filter_map(|bad| Reject::named(batch, bad))
                .collect();
            if !rejects.is_empty() {
                return Ok(Ended::Bad(rejects));
            }
        }
        let (reason, class) = match (ended.state, ended.error.as_deref()) {
            (State::Cancelled, _) => (
                "its statement was cancelled in the warehouse",
                Class::Transient,
            ),
            (State::Finished, reason) => (
                reason.unwrap_or("its statement committed without it"),
                Class::Permanent,
            ),
            (_, Some(reason)) => (reason, data_api::classify(reason)),
            (_, None) => ("the warehouse gave no reason", Class::Permanent),
        };
        let cause = format!("batch {} was not loaded: {reason}", batch.id);
        let made = |name: &&str| reason.contains(*name);
        if sql::PROCEDURES.iter().any(made) && reason.contains("does not exist") {
            let cause = format!("{cause}; `etl-worker setup` makes it");
            return Err(ActivityError::permanent(Area::LOAD, cause));
        }
        let error = ActivityError::new(Area::LOAD, class, cause);
        if ended.state == State::Failed && class == Class::Permanent {
            return Ok(Ended::Unexplained(error));
        }
        Err(error)
    }
}
