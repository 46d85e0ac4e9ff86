//! One file after another, for targets that load no more at once: each in a
//! transaction of its own, with its row in the ledger.

use stepfleet_activity::{ActivityError, Class, TaskContext};

use crate::outside::{At, Object, ObjectStore};
use crate::s3_load::batch::Batch;
use crate::s3_load::failed::Reject;
use crate::s3_load::input::{LoadInput, LoadOutput};
use crate::s3_load::judge::Tried;
use crate::s3_load::loader::{Loader, Run};
use crate::s3_load::select;
use crate::s3_load::signals::Signals;
use crate::s3_load::warehouse::{FileOutcome, FileTarget, LedgerRow};

/// What came of the files of a run.
#[derive(Debug, Default)]
struct Found {
    output: LoadOutput,
    tried: Tried,
    /// A loaded file that may not be moved: it holds up none of the others.
    stuck: Option<ActivityError>,
}

impl Found {
    /// Takes down how many were moved, or what keeps one from being moved.
    fn moved(&mut self, moved: Result<u64, ActivityError>) -> Result<(), ActivityError> {
        match moved {
            Ok(moved) => self.output.moved += moved,
            Err(error) if error.class() == Class::Permanent => {
                self.stuck.get_or_insert(error);
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }
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
        let (files, untried) = run.lease.suspects().order(&run.tally.waiting);
        let split = self.split(input, &files).await?;
        let swept = split.loaded();
        run.tally.loaded(&swept);
        run.before = split.before;
        let mut found = Found::default();
        found.moved(self.mover(input).moves(&swept, &mut run.lease).await)?;
        let chosen = select::select(&split.fresh, self.config.max_files, self.config.max_bytes);
        found.tried.loaded = split.leftovers.len() as u64;
        found.tried.again = files[untried..].to_vec();
        let failure = self.each(run, chosen, &mut found).await.err();
        let Found {
            mut output,
            tried,
            stuck,
        } = found;
        // Only what is bad whatever happens: nobody has judged the others.
        let tried = match failure {
            Some(_) => tried.named_only(),
            None => tried,
        };
        output.already = split.already.len() as u64;
        let settled = self.settle(run, tried).await;
        output.failed = failure.map_or(settled, Err)?;
        stuck.map_or(Ok(output), Err)
    }

    async fn each(
        &self,
        run: &mut Run<'_>,
        files: Vec<Object>,
        found: &mut Found,
    ) -> Result<(), ActivityError> {
        let input = run.input;
        let most = self.config.isolate_attempts as usize;
        let dt = self.clock.now().strftime("%Y-%m-%d").to_string();
        for file in files {
            run.lease.keep(&self.store).await?;
            run.context.progress.set(format!("loading {}", file.key));
            let batch = Batch::new(input, vec![file.clone()], dt.clone()).again(&run.before);
            if let Some(rows) = self.one(&batch, &file, found).await? {
                let row = row(&batch, &file);
                run.tally.loaded(std::slice::from_ref(&row));
                found.tried.has_loaded();
                found.output.files += 1;
                found.output.rows += rows;
                found.output.bytes += file.size;
                found.output.batch_id.get_or_insert(batch.id);
                let moved = self.mover(input).moves(&[row], &mut run.lease).await;
                found.moved(moved)?;
            }
            if found.tried.unfit.len() >= most {
                break;
            }
        }
        found.tried.gave_up = found.tried.rejects.len() >= most;
        Ok(())
    }

    /// Loads a file; gives its rows, or takes down why there are none.
    async fn one(
        &self,
        batch: &Batch,
        file: &Object,
        found: &mut Found,
    ) -> Result<Option<u64>, ActivityError> {
        let Found { output, tried, .. } = found;
        let Some(body) = self.body(batch, file, tried).await? else {
            return Ok(None);
        };
        match self.warehouse.load(batch, body).await {
            Ok(FileOutcome::Loaded(rows)) => return Ok(Some(rows)),
            Ok(FileOutcome::Bad(bad)) => tried.rejects.push(Reject::of_one(batch, file, bad)),
            Ok(FileOutcome::Odd(bad)) => tried.failed_alone(Reject::of_one(batch, file, bad)),
            // Of another run: the next run sees it.
            Ok(FileOutcome::Already) => {}
            Err(error) if error.class == Class::Permanent => {
                let reject = Reject::alone(batch, file, &error.to_string());
                tried.failed_for_table(reject, output.files);
            }
            Err(error) => return Err(error.into()),
        }
        Ok(None)
    }

    /// The file as it was listed; none where it is another one by now, or where it
    /// may not be read: the next run sees the one, and the others judge the other.
    async fn body(
        &self,
        batch: &Batch,
        file: &Object,
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
        age: std::time::Duration::ZERO,
    }
}
