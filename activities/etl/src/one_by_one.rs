//! One file after another, for targets that load no more at once: each in a
//! transaction of its own, with its row in the ledger.

use stepfleet_activity::{ActivityError, Area, Class, TaskContext};

use crate::batch::{Batch, Before};
use crate::failed::{self, Reject};
use crate::input::{LoadInput, LoadOutput};
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
        let split = self.split(input, &tally.waiting).await?;
        let swept = split.loaded();
        tally.loaded(&swept);
        let mut output = LoadOutput {
            moved: self.mover(input).moves(&swept, lease).await?,
            already: split.already.len() as u64,
            ..LoadOutput::default()
        };
        let chosen = plan::select(&split.fresh, self.config.max_files, self.config.max_bytes);
        let mut rejects = Vec::new();
        let each = self.each(
            (input, &split.before, chosen),
            (lease, context),
            (tally, &mut output, &mut rejects),
        );
        // What was bad before a failure is bad after it.
        let (mut suspects, mut failure) = match each.await {
            Ok(suspects) => (suspects, None),
            Err(error) => (Vec::new(), Some(error)),
        };
        // A failure that is not the data's is the file's own where others load.
        let evidence = output.files > 0 || !split.leftovers.is_empty();
        if evidence || self.judged(input, &suspects).await? {
            rejects.append(&mut suspects);
        } else if let Some(first) = suspects.first() {
            failure.get_or_insert(ActivityError::permanent(Area::LOAD, first.place()));
        }
        if output.files == 0 && self.is_storm(&rejects) {
            let cause = format!(
                "{}; none of isolate.attempts files or more could be loaded, and nothing was moved: mend the table or the files, or allow more attempts",
                failed::places(&rejects)
            );
            // Whatever else has failed: so many are no evidence against each other.
            return Err(failure.unwrap_or_else(|| ActivityError::poison(Area::LOAD, cause)));
        }
        let aside = self.set_aside(input, &rejects, lease).await;
        tally.set_aside(aside.as_deref().unwrap_or_default());
        output.failed = failure.map_or(aside, Err)?.len() as u64;
        Ok(output)
    }

    /// So many bad files and no good one are the table's fault, or the format's.
    fn is_storm(&self, rejects: &[Reject]) -> bool {
        rejects.len() >= self.config.isolate_attempts as usize
    }

    async fn each(
        &self,
        (input, before, files): (&LoadInput, &Before, Vec<Object>),
        (lease, context): (&mut Lease, &TaskContext),
        (tally, output, rejects): (&mut Tally, &mut LoadOutput, &mut Vec<Reject>),
    ) -> Result<Vec<Reject>, ActivityError> {
        let mut suspects = Vec::new();
        let dt = self.clock.now().strftime("%Y-%m-%d").to_string();
        for file in files {
            lease.keep(&self.store).await?;
            context.progress.set(format!("loading {}", file.key));
            let batch = Batch::new(input, vec![file.clone()], dt.clone()).again(before);
            let outcome = match self.one(&batch, &file).await {
                // A refused read, a trigger, a limit: no file holds up the others.
                Err(error) if error.class() == Class::Permanent => {
                    suspects.push(Reject::alone(&batch, &file, error.cause()));
                    continue;
                }
                outcome => outcome?,
            };
            match outcome {
                Some(FileOutcome::Loaded(rows)) => {
                    let row = row(&batch, &file);
                    tally.loaded(std::slice::from_ref(&row));
                    output.files += 1;
                    output.rows += rows;
                    output.bytes += file.size;
                    output.batch_id.get_or_insert(batch.id);
                    output.moved += self.mover(input).moves(&[row], lease).await?;
                }
                Some(FileOutcome::Bad(bad)) => {
                    let alone = Reject::alone(&batch, &file, &bad.reason);
                    rejects.push(Reject::named(&batch, bad).unwrap_or(alone));
                }
                // Of another run, or replaced since it was listed: the next run sees it.
                Some(FileOutcome::Already) | None => {}
            }
        }
        Ok(suspects)
    }

    /// The file as it was listed; none where it is another one by now.
    async fn one(
        &self,
        batch: &Batch,
        file: &Object,
    ) -> Result<Option<FileOutcome>, ActivityError> {
        let at = At {
            bucket: &batch.input.bucket,
            key: &file.key,
        };
        let Some((body, etag)) = self.store.get(at).await? else {
            return Ok(None);
        };
        if etag != file.etag {
            return Ok(None);
        }
        Ok(Some(self.warehouse.load(batch, body).await?))
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
        age: std::time::Duration::ZERO,
    }
}
