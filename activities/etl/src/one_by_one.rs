//! One file after another, for targets that load no more at once: each in a
//! transaction of its own, with its row in the ledger.

use stepfleet_activity::{ActivityError, Class, TaskContext};

use crate::batch::Batch;
use crate::failed::Reject;
use crate::input::{LoadInput, LoadOutput};
use crate::judge::Tried;
use crate::lease::Lease;
use crate::load::{Loader, Tally};
use crate::outside::{At, FileOutcome, FileTarget, LedgerRow, Object, ObjectStore, Signals};
use crate::plan;

impl<S: ObjectStore, T: FileTarget, N: Signals> Loader<S, T, N> {
    pub(crate) async fn run_one_by_one(
        &self,
        input: &LoadInput,
        context: &TaskContext,
    ) -> Result<LoadOutput, ActivityError> {
        self.run_by((input, context), async |lease, tally| {
            self.load_one_by_one(input, (lease, context), tally).await
        })
        .await
    }

    async fn load_one_by_one(
        &self,
        input: &LoadInput,
        (lease, context): (&mut Lease, &TaskContext),
        tally: &mut Tally,
    ) -> Result<LoadOutput, ActivityError> {
        let (files, untried) = lease.suspects().order(&tally.waiting);
        let (leftovers, fresh) = self.split(input, &files).await?;
        tally.loaded(&leftovers);
        let mut output = LoadOutput {
            moved: self.mover(input).moves(&leftovers, lease).await?,
            ..LoadOutput::default()
        };
        let chosen = plan::select(&fresh, self.config.max_files, self.config.max_bytes);
        let mut tried = Tried {
            loaded: leftovers.len() as u64,
            again: files[untried..].to_vec(),
            ..Tried::default()
        };
        let each = self.each(
            (input, chosen),
            (lease, context),
            (tally, &mut output, &mut tried),
        );
        let failure = each.await.err();
        if failure.is_some() {
            // Only what is bad whatever happens: nobody has judged the others.
            (tried.suspects, tried.unfit) = (Vec::new(), Vec::new());
        }
        let settled = self.settle(input, tried, lease).await;
        let settled = settled.and_then(|settled| tally.settled(settled, lease));
        output.failed = failure.map_or(settled, Err)?;
        Ok(output)
    }

    async fn each(
        &self,
        (input, files): (&LoadInput, Vec<Object>),
        (lease, context): (&mut Lease, &TaskContext),
        (tally, output, tried): (&mut Tally, &mut LoadOutput, &mut Tried),
    ) -> Result<(), ActivityError> {
        let most = self.config.isolate_attempts as usize;
        let dt = self.clock.now().strftime("%Y-%m-%d").to_string();
        for file in files {
            lease.keep(&self.store).await?;
            context.progress.set(format!("loading {}", file.key));
            let batch = Batch::new(input, vec![file.clone()], dt.clone());
            let Some(body) = self.body((&batch, &file), tried).await? else {
                continue;
            };
            match self.warehouse.load(&batch, body).await {
                Ok(FileOutcome::Loaded(rows)) => {
                    tried.has_loaded();
                    let row = row(&batch, &file);
                    tally.loaded(std::slice::from_ref(&row));
                    output.files += 1;
                    output.rows += rows;
                    output.bytes += file.size;
                    output.batch_id.get_or_insert(batch.id);
                    output.moved += self.mover(input).moves(&[row], lease).await?;
                }
                Ok(FileOutcome::Bad(bad)) => {
                    tried.rejects.push(Reject::of_one(&batch, &file, bad));
                }
                Ok(FileOutcome::Odd(bad)) => {
                    tried.failed_alone(Reject::of_one(&batch, &file, bad));
                }
                // Of another run: the next run sees it.
                Ok(FileOutcome::Already) => {}
                Err(error) if error.class == Class::Permanent => {
                    let said = error.to_string();
                    let reject = Reject::alone(&batch, &file, &said);
                    tried.failed_for_table(reject, output.files);
                }
                Err(error) => return Err(error.into()),
            }
            if tried.unfit.len() >= most {
                break;
            }
        }
        tried.gave_up = tried.rejects.len() >= most;
        Ok(())
    }

    /// The file as it was listed; none where it is another one by now, or where it
    /// may not be read: the next run sees the one, and the others judge the other.
    async fn body(
        &self,
        (batch, file): (&Batch, &Object),
        tried: &mut Tried,
    ) -> Result<Option<Vec<u8>>, ActivityError> {
        let at = At {
            bucket: &batch.input.bucket,
            key: &file.key,
        };
        match self.store.get(at).await {
            Ok(got) => Ok(got
                .filter(|(_, etag)| *etag == file.etag)
                .map(|(body, _)| body)),
            Err(error) if error.class == Class::Permanent => {
                tried.failed_alone(Reject::alone(batch, file, &error.to_string()));
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }
}

fn row(batch: &Batch, file: &Object) -> LedgerRow {
    LedgerRow {
        batch_id: batch.id.clone(),
        key: file.key.clone(),
        etag: file.etag.clone(),
        dt: batch.dt.clone(),
        bytes: file.size,
        verified: true,
    }
}
