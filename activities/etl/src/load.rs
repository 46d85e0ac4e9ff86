//! One run of the loader, from the listing to the move.

use std::sync::Arc;

use stepfleet_activity::catalogue::Activity;
use stepfleet_activity::{ActivityError, Area, Catalogue, Clock, SystemClock, TaskContext};

use crate::batch::Batch;
use crate::config::{LoadConfig, SetUpError};
use crate::failed::{Reject, SetAside};
use crate::finish::{Finisher, Mover};
use crate::input::{LoadInput, LoadOutput, bad_input};
use crate::isolate::Isolated;
use crate::lease::Lease;
use crate::outside::{
    At, Conditional, Ledger, LedgerRow, Object, ObjectStore, PutIf, Signals, Warehouse,
};
use crate::parts::CopyLimits;
use crate::postgres::Postgres;
use crate::redshift::{self, DataApi};
use crate::signals::Outlets;
use crate::table::Dialect;
use crate::{metrics, plan, s3, secrets, sns};

/// The clients that the loader works with.
#[derive(Debug, Clone)]
pub struct Clients {
    /// Where the files are.
    pub s3: s3::Client,
    /// Where they go.
    pub redshiftdata: redshift::Client,
    /// Where the loader says what waits.
    pub cloudwatch: metrics::Client,
    /// Where it tells people of files that cannot be loaded.
    pub sns: sns::Client,
    /// Where a PostgreSQL's secret is.
    pub secrets: secrets::Client,
}

/// The handler `etl.s3-load`.
#[derive(Debug, Clone)]
pub struct S3Load {
    loader: Kind,
}

/// By what the warehouse is.
#[derive(Debug, Clone)]
enum Kind {
    /// Many files in one COPY.
    Redshift(Arc<Loader<s3::Client, DataApi, Outlets>>),
    /// One file after another.
    Postgres(Arc<Loader<s3::Client, Postgres, Outlets>>),
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
        let config = LoadConfig::of(catalogue, activity)?;
        let Some(warehouse) = catalogue.warehouses.get(&config.warehouse) else {
            let known: Vec<&str> = catalogue.warehouses.keys().map(String::as_str).collect();
            return Err(SetUpError::UnknownWarehouse {
                activity: activity.name.clone(),
                warehouse: config.warehouse,
                known: known.join(", "),
            });
        };
        let redshiftdata = clients.redshiftdata.clone();
        let commit = config.commit;
        let postgres = Postgres::new(warehouse, &clients.secrets);
        let loader = match postgres.map_err(|reason| SetUpError::Postgres {
            activity: activity.name.clone(),
            reason,
        })? {
            Some(postgres) => Kind::Postgres(Arc::new(loader(clients, config, postgres))),
            None => {
                let warehouse = DataApi::new(redshiftdata, warehouse.clone()).by(commit);
                Kind::Redshift(Arc::new(loader(clients, config, warehouse)))
            }
        };
        Ok(Self { loader })
    }

    /// Loads what is due, once. Dropping the future leaves nothing half-done: a
    /// statement that it waits for is cancelled, and what could not be cancelled
    /// is adopted by the next run.
    ///
    /// # Errors
    /// `Load.Transient`, `Load.Permanent`, `Load.Conflict`, `Load.Poison` or `Worker.BadInput`.
    pub async fn run(
        &self,
        input: LoadInput,
        context: TaskContext,
    ) -> Result<LoadOutput, ActivityError> {
        let on = |dialect| input.on(dialect).map_err(bad_input);
        match &self.loader {
            Kind::Redshift(loader) => loader.run(&on(Dialect::Redshift)?, &context).await,
            Kind::Postgres(loader) => {
                let input = on(Dialect::Postgres)?;
                loader.run_one_by_one(&input, &context).await
            }
        }
    }
}

fn loader<W>(clients: Clients, config: LoadConfig, warehouse: W) -> Loader<s3::Client, W, Outlets> {
    Loader {
        store: clients.s3,
        warehouse,
        signals: Outlets {
            cloudwatch: clients.cloudwatch,
            sns: clients.sns,
        },
        clock: Arc::new(SystemClock),
        config,
        limits: CopyLimits::default(),
    }
}

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

/// What every way of loading begins and ends with.
impl<S: ObjectStore, W, N: Signals> Loader<S, W, N> {
    /// A run that loads by `load` while it has the lease.
    pub(crate) async fn run_by(
        &self,
        (input, context): (&LoadInput, &TaskContext),
        load: impl AsyncFnOnce(&mut Lease, &mut Tally) -> Result<LoadOutput, ActivityError>,
    ) -> Result<LoadOutput, ActivityError> {
        let (lease, mut tally) = self.begin(input, context).await?;
        let result = match lease {
            Ok(Some(mut lease)) => {
                let result = load(&mut lease, &mut tally).await;
                lease.release(&self.store).await;
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
        let terms = (context.attempt.clone(), self.config.lease);
        let lease = Lease::acquire(&self.store, input, terms, Arc::clone(&self.clock)).await;
        let listed = self
            .store
            .list(&input.bucket, &input.key("incoming", ""))
            .await;
        match listed {
            Ok(listed) => {
                let waiting = plan::files(input, listed);
                Ok((lease.map_err(ActivityError::from), Tally { waiting }))
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
        let waiting = plan::unprocessed(&tally.waiting, self.clock.now());
        if let Err(error) = self.signals.publish(input.table.id(), waiting).await {
            tracing::warn!(%error, "the metrics were not published");
        }
        result.map(|output| LoadOutput {
            remaining: waiting.files,
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

impl<S: ObjectStore, W: Warehouse, N: Signals> Loader<S, W, N> {
    pub(crate) async fn run(
        &self,
        input: &LoadInput,
        context: &TaskContext,
    ) -> Result<LoadOutput, ActivityError> {
        self.run_by((input, context), async |lease, tally| {
            self.load(input, (lease, context), tally).await
        })
        .await
    }

    async fn load(
        &self,
        input: &LoadInput,
        (lease, context): (&mut Lease, &TaskContext),
        tally: &mut Tally,
    ) -> Result<LoadOutput, ActivityError> {
        let finisher = Finisher {
            mover: self.mover(input),
            warehouse: &self.warehouse,
        };
        let (leftovers, fresh) = self.split(input, &tally.waiting).await?;
        tally.loaded(&leftovers);
        let chosen = plan::select(&fresh, self.config.max_files, self.config.max_bytes);
        let looked = self.look(input, chosen, context).await?;
        // What has come of the others judges a file that fails without a reason:
        // so they stay until it is gone, whatever happens in between.
        let result = self.isolate((input, &leftovers), looked, (lease, context));
        let result = result.await;
        let (isolated, failure) = match result {
            Ok(isolated) => (isolated, None),
            Err(error) => (Isolated::default(), Some(error)),
        };
        let rows = isolated.rows();
        tally.loaded(&rows);
        let aside = self.set_aside(input, &isolated.rejects, lease).await;
        tally.set_aside(aside.as_deref().unwrap_or_default());
        context.progress.set("moving files");
        let swept = finisher.finish(&leftovers, lease).await;
        let done = finisher.finish(&rows, lease).await;
        let failed = failure.map_or(aside, Err)?.len() as u64;
        let ((_, swept), (count, moved)) = (swept?, done?);
        Ok(LoadOutput {
            files: rows.len() as u64,
            rows: count,
            bytes: rows.iter().map(|row| row.bytes).sum(),
            batch_id: isolated.loaded.into_iter().next().map(|(id, _)| id),
            moved: swept + moved,
            failed,
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

impl<S: ObjectStore, W: Ledger, N: Signals> Loader<S, W, N> {
    /// Goes through the settled files, oldest first, until there are enough for
    /// a batch: which are in the ledger, and which are not.
    pub(crate) async fn split(
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
                .ledger(input.table.id(), &input.bucket, &keys)
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
}

pub(crate) fn is_of(row: &LedgerRow, object: &Object) -> bool {
    row.key == object.key && row.etag == object.etag
}
