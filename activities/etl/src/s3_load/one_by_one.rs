//! One file after another, for targets that load no more at once: each in a
//! transaction of its own, with its row in the ledger.

use stepfleet_activity::{ActivityError, Area, Class, TaskContext};

use crate::outside::{At, Object, ObjectStore};
use crate::s3_load::batch::Batch;
use crate::s3_load::failed::{self, Reject};
use crate::s3_load::input::{LoadInput, LoadOutput};
use crate::s3_load::loader::{Loader, Run};
use crate::s3_load::select;
use crate::s3_load::signals::Signals;
use crate::s3_load::warehouse::{FileOutcome, FileTarget, LedgerRow};

/// What came of the files of a run.
#[derive(Debug, Default)]
struct Found {
    output: LoadOutput,
    /// The files that cannot be loaded.
    rejects: Vec<Reject>,
    /// Files that failed for a reason that is not the data's.
    suspects: Vec<Reject>,
}

impl<S: ObjectStore, T: FileTarget, N: Signals> Loader<S, T, N> {
    pub(crate) async fn run_one_by_one(
        &self,
        input: &LoadInput,
        context: &TaskContext,
    ) -> Result<LoadOutput, ActivityError> {
        self.run_by(input, context, async |run| self.load_one_by_one(run).await)
            .await
    }

    async fn load_one_by_one(&self, run: &mut Run<'_>) -> Result<LoadOutput, ActivityError> {
        let input = run.input;
        let split = self.split(input, &run.tally.waiting).await?;
        let swept = split.loaded();
        run.tally.loaded(&swept);
        run.before = split.before;
        let moved = self.mover(input).moves(&swept, &mut run.lease).await?;
        let chosen = select::select(&split.fresh, self.config.max_files, self.config.max_bytes);
        let mut found = Found::default();
        // What was bad before a failure is bad after it.
        let mut failure = self.each(run, chosen, &mut found).await.err();
        if failure.is_some() {
            found.suspects.clear();
        }
        let Found {
            mut output,
            mut rejects,
            mut suspects,
        } = found;
        output.moved += moved;
        output.already = split.already.len() as u64;
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
        let aside = self.set_aside(input, &rejects, &mut run.lease).await;
        run.tally.set_aside(aside.as_deref().unwrap_or_default());
        output.failed = failure.map_or(aside, Err)?.len() as u64;
        Ok(output)
    }

    /// So many bad files and no good one are the table's fault, or the format's.
    fn is_storm(&self, rejects: &[Reject]) -> bool {
        rejects.len() >= self.config.isolate_attempts as usize
    }

    async fn each(
        &self,
        run: &mut Run<'_>,
        files: Vec<Object>,
        found: &mut Found,
    ) -> Result<(), ActivityError> {
        let input = run.input;
        let dt = self.clock.now().strftime("%Y-%m-%d").to_string();
        for file in files {
            run.lease.keep(&self.store).await?;
            run.context.progress.set(format!("loading {}", file.key));
            let batch = Batch::new(input, vec![file.clone()], dt.clone()).again(&run.before);
            let outcome = match self.one(&batch, &file).await {
                // A refused read, a trigger, a limit: no file holds up the others.
                Err(error) if error.class() == Class::Permanent => {
                    found
                        .suspects
                        .push(Reject::alone(&batch, &file, error.cause()));
                    continue;
                }
                outcome => outcome?,
            };
            match outcome {
                Some(FileOutcome::Loaded(rows)) => {
                    let row = row(&batch, &file);
                    run.tally.loaded(std::slice::from_ref(&row));
                    found.output.files += 1;
                    found.output.rows += rows;
                    found.output.bytes += file.size;
                    found.output.batch_id.get_or_insert(batch.id);
                    found.output.moved += self.mover(input).moves(&[row], &mut run.lease).await?;
                }
                Some(FileOutcome::Bad(bad)) => {
                    let alone = Reject::alone(&batch, &file, &bad.reason);
                    found
                        .rejects
                        .push(Reject::named(&batch, bad).unwrap_or(alone));
                }
                // Of another run, or replaced since it was listed: the next run sees it.
                Some(FileOutcome::Already) | None => {}
            }
        }
        Ok(())
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
