//! The handler on AWS: which loader an activity has, by what its warehouse is.

use std::sync::Arc;

use stepfleet_activity::catalogue::Activity;
use stepfleet_activity::{ActivityError, Catalogue, SystemClock, TaskContext};

use crate::outside::data_api::{self, DataApi};
use crate::outside::deleting::Store;
use crate::outside::parts::CopyLimits;
use crate::outside::postgres::Postgres;
use crate::outside::{s3, secrets, sns};
use crate::s3_load::config::{LoadConfig, SetUpError};
use crate::s3_load::input::{LoadInput, LoadOutput, bad_input};
use crate::s3_load::loader::Loader;
use crate::s3_load::metrics;
use crate::s3_load::redshift::Redshift;
use crate::s3_load::signals::Outlets;
use crate::s3_load::table::Dialect;

/// The clients that the loader works with.
#[derive(Debug, Clone)]
pub struct Clients {
    /// Where the files are.
    pub s3: s3::Client,
    /// Where they go.
    pub redshiftdata: data_api::Client,
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
    Redshift(Arc<Loader<Store<s3::Client>, Redshift, Outlets>>),
    /// One file after another.
    Postgres(Arc<Loader<Store<s3::Client>, Postgres, Outlets>>),
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
                let api = DataApi::new(redshiftdata, warehouse.clone());
                let warehouse = Redshift::new(api, commit);
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
    /// `Load.Transient`, `Load.Permanent`, `Load.Conflict`, `Load.Poison`,
    /// `Load.Shape`, `Load.Failed` or `Worker.BadInput`.
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

fn loader<W>(
    clients: Clients,
    config: LoadConfig,
    warehouse: W,
) -> Loader<Store<s3::Client>, W, Outlets> {
    Loader {
        store: Store::new(clients.s3, config.conditional_delete),
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
