//! One run of the loader, from the listing to the move.

use std::collections::HashSet;
use std::sync::Arc;

use stepfleet_activity::catalogue::Activity;
use stepfleet_activity::{ActivityError, Area, Catalogue, Class, Clock, SystemClock, TaskContext};

use crate::batch::Batch;
use crate::config::{LoadConfig, SetUpError};
use crate::finish::Finisher;
use crate::input::{LoadInput, LoadOutput};
use crate::lease::Lease;
use crate::outside::{
    At, Conditional, Description, LedgerRow, Metrics, Object, ObjectStore, PutIf, State, Warehouse,
};
use crate::redshift::{self, DataApi, FIRST_PAUSE};
use crate::{metrics, plan, s3};

/// The clients that the loader works with.
#[derive(Debug, Clone)]
pub struct Clients {
    /// Where the files are.
    pub s3: s3::Client,
    /// Where they go.
    pub redshiftdata: redshift::Client,
    /// Where the loader says what waits.
    pub cloudwatch: metrics::Client,
}

/// The handler `etl.s3-load`.
#[derive(Debug, Clone)]
pub struct S3Load {
    loader: Arc<Loader<s3::Client, DataApi, metrics::Client>>,
}

impl S3Load {
    /// A loader for an activity, by its config and the catalogue's warehouses.
    ///
    /// # Errors
    /// If the config is not the loader's, or its warehouse is not in the catalogue.
    pub fn new(
        clients: Clients,
        catalogue: &Catalogue,
        activity: &Activity,
    ) -> Result<Self, SetUpError> {
        let config = LoadConfig::read(&activity.config).map_err(|faults| {
            let faults: Vec<String> = faults
                .iter()
                .map(|fault| format!("{}: {}", fault.path, fault.message))
                .collect();
            SetUpError::Config {
                activity: activity.name.clone(),
                faults: faults.join("; "),
            }
        })?;
        let Some(warehouse) = catalogue.warehouses.get(&config.warehouse) else {
            let known: Vec<&str> = catalogue.warehouses.keys().map(String::as_str).collect();
            return Err(SetUpError::UnknownWarehouse {
                activity: activity.name.clone(),
                warehouse: config.warehouse,
                known: known.join(", "),
            });
        };
        Ok(Self {
            loader: Arc::new(Loader {
                store: clients.s3,
                warehouse: DataApi::new(clients.redshiftdata, warehouse.clone()),
                metrics: clients.cloudwatch,
                clock: Arc::new(SystemClock),
                config,
            }),
        })
    }

    /// Loads what is due, once. Dropping the future leaves nothing half-done:
    /// the next run adopts what the warehouse is still doing.
    ///
    /// # Errors
    /// `Load.Transient`, `Load.Permanent`, `Load.Conflict`, `Load.Poison` or `Worker.BadInput`.
    pub async fn run(
        &self,
        input: LoadInput,
        context: TaskContext,
    ) -> Result<LoadOutput, ActivityError> {
        self.loader.run(&input, &context).await
    }
}

/// The loader over any outside.
#[derive(Debug)]
pub(crate) struct Loader<S, W, M> {
    pub(crate) store: S,
    pub(crate) warehouse: W,
    pub(crate) metrics: M,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) config: LoadConfig,
}

/// What one run has listed and not loaded.
#[derive(Debug)]
struct Tally {
    waiting: Vec<Object>,
}

impl Tally {
    fn loaded(&mut self, rows: &[LedgerRow]) {
        self.waiting
            .retain(|object| !rows.iter().any(|row| is_of(row, object)));
    }
}

impl<S: ObjectStore, W: Warehouse, M: Metrics> Loader<S, W, M> {
    pub(crate) async fn run(
        &self,
        input: &LoadInput,
        context: &TaskContext,
    ) -> Result<LoadOutput, ActivityError> {
        input.check()?;
        let terms = (context.attempt.clone(), self.config.lease);
        let lease = Lease::acquire(&self.store, input, terms, Arc::clone(&self.clock)).await;
        // The metric is published on every tick, also where the lease is not to be had.
        let listed = self
            .store
            .list(&input.bucket, &input.key("incoming", ""))
            .await;
        let listed = match listed {
            Ok(listed) => plan::files(input, listed),
            Err(error) => {
                if let Ok(Some(lease)) = lease {
                    lease.release(&self.store).await;
                }
                return Err(error.into());
            }
        };
        let mut tally = Tally { waiting: listed };
        let result = match lease {
            Ok(Some(mut lease)) => {
                let result = self.load(input, (&mut lease, context), &mut tally).await;
                lease.release(&self.store).await;
                result
            }
            Ok(None) => Ok(LoadOutput {
                held: true,
                ..LoadOutput::default()
            }),
            Err(error) => Err(error.into()),
        };
        let waiting = plan::unprocessed(&tally.waiting, self.clock.now());
        if let Err(error) = self.metrics.publish(&input.table, waiting).await {
            tracing::warn!(%error, "the metrics were not published");
        }
        result.map(|output| LoadOutput {
            remaining: waiting.files,
            ..output
        })
    }

    async fn load(
        &self,
        input: &LoadInput,
        (lease, context): (&mut Lease, &TaskContext),
        tally: &mut Tally,
    ) -> Result<LoadOutput, ActivityError> {
        let finisher = Finisher {
            store: &self.store,
            warehouse: &self.warehouse,
            input,
        };
        let (leftovers, fresh) = self.split(input, &tally.waiting).await?;
        tally.loaded(&leftovers);
        let (_, swept) = finisher.finish(&leftovers, lease).await?;
        let chosen = plan::select(&fresh, self.config.max_files, self.config.max_bytes);
        if chosen.is_empty() {
            return Ok(LoadOutput {
                moved: swept,
                ..LoadOutput::default()
            });
        }
        let dt = self.clock.now().strftime("%Y-%m-%d").to_string();
        let batch = Batch::new(input, chosen, dt);
        context
            .progress
            .set(format!("loading {} files", batch.files.len()));
        self.write(&batch).await?;
        let rows = self.commit(&batch, lease).await?;
        tally.loaded(&rows);
        context.progress.set("moving files");
        let (loaded, moved) = finisher.finish(&rows, lease).await?;
        Ok(LoadOutput {
            files: rows.len() as u64,
            rows: loaded,
            bytes: batch.bytes(),
            batch_id: Some(batch.id),
            moved: swept + moved,
            ..LoadOutput::default()
        })
    }

    /// Goes through the settled files, oldest first, until there are enough for
    /// a batch: which are in the ledger, and which are not.
    async fn split(
        &self,
        input: &LoadInput,
        files: &[Object],
    ) -> Result<(Vec<LedgerRow>, Vec<Object>), ActivityError> {
        let now = self.clock.now();
        let settled: Vec<&Object> = files
            .iter()
            .filter(|object| plan::settled(object, now, self.config.settle))
            .collect();
        let (mut leftovers, mut fresh) = (Vec::new(), Vec::new());
        for window in settled.chunks(self.config.max_files) {
            if fresh.len() >= self.config.max_files {
                break;
            }
            let keys: Vec<String> = window.iter().map(|object| object.key.clone()).collect();
            let rows = self
                .warehouse
                .ledger(&input.table, &input.bucket, &keys)
                .await?;
            for object in window {
                match rows.iter().find(|row| is_of(row, object)) {
                    Some(row) => leftovers.push(row.clone()),
                    None => fresh.push((*object).clone()),
                }
            }
        }
        Ok((leftovers, fresh))
    }

    /// Manifest and file list; what is there already is the same, by its name.
    async fn write(&self, batch: &Batch) -> Result<(), ActivityError> {
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

    /// Submits the batch, or adopts what was submitted, and waits for its end.
    /// Whatever that was, the ledger says what happened.
    async fn commit(
        &self,
        batch: &Batch,
        lease: &mut Lease,
    ) -> Result<Vec<LedgerRow>, ActivityError> {
        let statements = self.warehouse.statements(&batch.id).await?;
        let failed = statements
            .iter()
            .filter(|statement| statement.state == State::Failed)
            .count();
        let adopted = statements
            .into_iter()
            .find(|statement| statement.state != State::Failed);
        let id = match adopted {
            Some(statement) => statement.id,
            None => {
                lease.keep(&self.store).await?;
                self.unchanged(batch).await?;
                self.warehouse.submit(batch, &batch.token(failed)).await?
            }
        };
        let ended = self.wait(&id, lease).await?;
        let input = &batch.input;
        let mut rows = self
            .warehouse
            .ledger(&input.table, &input.bucket, &batch.keys())
            .await?;
        rows.retain(|row| batch.files.iter().any(|file| is_of(row, file)));
        if rows.iter().any(|row| row.batch_id != batch.id) {
            let cause =
                "another load took some of these files; the next attempt goes on without them";
            return Err(ActivityError::conflict(Area::LOAD, cause));
        }
        if rows.is_empty() {
            return Err(self.explain(batch, &ended).await?);
        }
        Ok(rows)
    }

    /// Whether all files are still what was listed. A COPY takes no ETag, so a
    /// file that is written again between this look and the COPY is loaded as it
    /// is then, under the ETag of before, and once more under its own: keys have
    /// to be written once. This look keeps that window to a few seconds.
    async fn unchanged(&self, batch: &Batch) -> Result<(), ActivityError> {
        let input = &batch.input;
        let now = self
            .store
            .list(&input.bucket, &input.key("incoming", ""))
            .await?;
        let now: HashSet<(&str, &str)> = now
            .iter()
            .map(|object| (object.key.as_str(), object.etag.as_str()))
            .collect();
        let mut files = batch.files.iter();
        match files.find(|file| !now.contains(&(file.key.as_str(), file.etag.as_str()))) {
            None => Ok(()),
            Some(file) => {
                let cause = format!(
                    "{} was replaced or removed since it was listed; nothing was submitted, and the next attempt takes what is there then",
                    file.key
                );
                Err(ActivityError::conflict(Area::LOAD, cause))
            }
        }
    }

    async fn wait(&self, id: &str, lease: &mut Lease) -> Result<Description, ActivityError> {
        let mut pause = FIRST_PAUSE;
        loop {
            let looked = self.warehouse.describe(id).await?;
            if looked.state != State::Running {
                return Ok(looked);
            }
            lease.keep(&self.store).await?;
            pause = redshift::wait(pause).await;
        }
    }

    /// Why a batch is not in the ledger: a file's fault, or the statement's.
    async fn explain(
        &self,
        batch: &Batch,
        ended: &Description,
    ) -> Result<ActivityError, ActivityError> {
        let bad = match ended.copy_query {
            Some(query) => self.warehouse.bad_file(query).await?,
            None => None,
        };
        if let Some(bad) = bad {
            let cause = format!(
                "batch {}: file {}, line {}, column {}: {}; nothing was loaded or moved: mend or remove the file",
                batch.id, bad.file, bad.line, bad.column, bad.reason
            );
            return Ok(ActivityError::poison(Area::LOAD, cause));
        }
        let reason = ended
            .error
            .as_deref()
            .unwrap_or("the warehouse gave no reason");
        let class = match ended.state {
            State::Finished => Class::Permanent,
            _ => redshift::classify(reason),
        };
        let cause = format!("batch {} was not loaded: {reason}", batch.id);
        Ok(ActivityError::new(Area::LOAD, class, cause))
    }
}

fn is_of(row: &LedgerRow, object: &Object) -> bool {
    row.key == object.key && row.etag == object.etag
}
