//! One run on Redshift, from the listing to the move.

use stepfleet_activity::{ActivityError, Area, TaskContext};

use crate::outside::{At, Conditional, ObjectStore, PutIf};
use crate::s3_load::batch::Batch;
use crate::s3_load::finish::Finisher;
use crate::s3_load::input::{LoadInput, LoadOutput};
use crate::s3_load::isolate::Isolated;
use crate::s3_load::loader::{Loader, Run};
use crate::s3_load::select;
use crate::s3_load::signals::Signals;
use crate::s3_load::warehouse::Warehouse;

impl<S: ObjectStore, W: Warehouse, N: Signals> Loader<S, W, N> {
    pub(crate) async fn run(
        &self,
        input: &LoadInput,
        context: &TaskContext,
    ) -> Result<LoadOutput, ActivityError> {
        self.run_by(input, context, async |run| self.load(run).await)
            .await
    }

    async fn load(&self, run: &mut Run<'_>) -> Result<LoadOutput, ActivityError> {
        let input = run.input;
        let finisher = Finisher {
            mover: self.mover(input),
            warehouse: &self.warehouse,
        };
        let (files, untried) = run.lease.suspects().order(&run.tally.waiting);
        let split = self.split(input, &files).await?;
        let swept_rows = split.loaded();
        run.tally.loaded(&swept_rows);
        run.before = split.before;
        let chosen = select::select(&split.fresh, self.config.max_files, self.config.max_bytes);
        // Those that have failed before come last, and by themselves.
        let tried = &files[untried..];
        let (again, first) = chosen.into_iter().partition(|file| tried.contains(file));
        // What has come of the others judges a file that fails without a reason:
        // so they stay until it is gone, whatever happens in between.
        let isolated = match self.grouped_in_turn(input, [again, first]).await {
            Ok(groups) => match self.look(input, groups, run.context).await {
                Ok(looked) => self.isolate(run, looked).await,
                Err(error) => Err(error.into()),
            },
            Err(error) => Err(error),
        };
        let (mut isolated, failure) = match isolated {
            Ok(isolated) => (isolated, None),
            Err(error) => (Isolated::default(), Some(error)),
        };
        let rows = isolated.rows();
        run.tally.loaded(&rows);
        isolated.tried.loaded += split.leftovers.len() as u64;
        let settled = self.settle(run, isolated.tried).await;
        run.context.progress.set("moving files");
        let swept = finisher.finish(&swept_rows, &mut run.lease).await;
        let done = finisher.finish(&rows, &mut run.lease).await;
        let failed = failure.map_or(settled, Err)?;
        let ((_, swept), (count, moved)) = (swept?, done?);
        Ok(LoadOutput {
            files: rows.len() as u64,
            rows: count,
            bytes: rows.iter().map(|row| row.bytes).sum(),
            batch_id: isolated.loaded.into_iter().next().map(|(id, _)| id),
            moved: swept + moved,
            failed,
            already: split.already.len() as u64,
            ..LoadOutput::default()
        })
    }

    /// Manifest and file list; what is there already is the same, by its name.
    pub(crate) async fn write(&self, batch: &Batch) -> Result<(), ActivityError> {
        let objects = [
            (batch.manifest_key(), batch.manifest()),
            (batch.list_key(), batch.list()),
        ];
        for (key, body) in objects {
            let at = At {
                bucket: &batch.input.bucket,
                key: &key,
            };
            if self.store.put(at, body, PutIf::Absent).await? == Conditional::Missing {
                let cause = format!("the bucket {} does not exist", batch.input.bucket);
                return Err(ActivityError::permanent(Area::LOAD, cause));
            }
        }
        Ok(())
    }
}
