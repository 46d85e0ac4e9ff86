//! `etl.s3-plan`: which of many loads have something to do, for a Map that runs
//! them side by side.

use std::sync::Arc;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use stepfleet_activity::catalogue::{Activity, not_one_of, read_config};
use stepfleet_activity::{
    ActivityError, Area, CancelSafety, Catalogue, Clock, ConfigFault, HandlerSpec, SystemClock,
    TaskContext,
};

use crate::outside::ObjectStore;
use crate::outside::s3;
use crate::s3_load::Clients;
use crate::s3_load::HANDLER as S3_LOAD;
use crate::s3_load::config::{LoadConfig, SetUpError, standing};
use crate::s3_load::input::{LoadInput, bad_input};
use crate::s3_load::select::{self, Listed};
use crate::s3_load::signals::Outlets;
use crate::s3_load::signals::Signals;
use crate::s3_load::table::Dialect;

/// The handler's name.
pub(crate) const HANDLER: &str = "etl.s3-plan";

/// The handler, as a binary lists and checks it.
pub(crate) fn spec() -> HandlerSpec {
    HandlerSpec {
        name: HANDLER,
        summary: "Says for which of a loader's loads something waits, so that a Map runs these",
        cancel: CancelSafety::CancelSafe,
        config_schema,
        input_schema,
        check_config: check,
    }
}

/// Listings at once.
const LISTINGS: usize = 8;

/// `config` of `etl.s3-plan`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PlanConfig {
    /// The loader's activity: its `loads` are planned, and it runs them.
    pub(crate) load: String,
    /// Loads that run at once: the MaxConcurrency of the state machine.
    #[serde(default = "default_concurrency")]
    #[schemars(range(min = 1, max = 40))]
    pub(crate) concurrency: u32,
}

fn default_concurrency() -> u32 {
    4
}

/// The input of `etl.s3-plan`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanInput {
    /// Loads instead of those of the loader's config.
    #[serde(default)]
    pub loads: Vec<LoadInput>,
}

impl PlanInput {
    /// Reads what a plan is given.
    ///
    /// # Errors
    /// `Worker.BadInput`: where, what was found, and what is allowed.
    pub fn read(value: &Value) -> Result<Self, ActivityError> {
        let loads = value["loads"].as_array().map_or(0, Vec::len);
        if loads > MOST_LOADS {
            let found = format!("found {loads} loads; allowed are {MOST_LOADS}");
            return Err(bad_input(vec![ConfigFault::new("loads", found)]));
        }
        read_config(value).map_err(|fault| bad_input(vec![fault]))
    }
}

/// So many loads fit into an input; more are named in the loader's `loads`.
const MOST_LOADS: usize = 500;

/// The output of `etl.s3-plan`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlanOutput {
    /// The loads for which something waits, each as the input of a run.
    pub loads: Vec<LoadInput>,
    /// For how many others nothing waits.
    pub idle: u64,
}

/// The JSON Schema of `config`.
pub(crate) fn config_schema() -> Value {
    schemars::schema_for!(PlanConfig).to_value()
}

/// The JSON Schema of the input.
pub(crate) fn input_schema() -> Value {
    schemars::schema_for!(PlanInput).to_value()
}

/// Whether `config` can be read and names a loader of the catalogue.
pub(crate) fn check(activity: &Activity, catalogue: &Catalogue) -> Result<(), Vec<ConfigFault>> {
    let config: PlanConfig = read_config(&activity.config).map_err(|fault| vec![fault])?;
    // A Map of one state machine runs 40 iterations at once; AWS documents no more.
    if !(1..=40).contains(&config.concurrency) {
        let message = format!("found {}; allowed is 1 to 40", config.concurrency);
        return Err(vec![ConfigFault::new("concurrency", message)]);
    }
    if loader(catalogue, &config.load).is_some() {
        return Ok(());
    }
    let loaders = catalogue.activities.values();
    let loaders = loaders.filter(|activity| activity.handler == S3_LOAD);
    let known = loaders.map(|activity| activity.name.as_str());
    let named = ("activity of etl.s3-load", config.load.as_str());
    Err(vec![not_one_of("load", named, known)])
}

/// The loader that a plan is for.
pub(crate) fn loader<'a>(catalogue: &'a Catalogue, name: &str) -> Option<&'a Activity> {
    let found = catalogue.activities.get(name);
    found.filter(|activity| activity.handler == S3_LOAD)
}

/// The handler `etl.s3-plan`.
#[derive(Debug, Clone)]
pub struct S3Plan {
    planner: Arc<Planner<s3::Client, Outlets>>,
}

impl S3Plan {
    /// A planner for an activity, by its config and that of its loader.
    ///
    /// # Errors
    /// If the config is not the planner's, or its loader's is not the loader's.
    pub fn new(
        clients: Clients,
        catalogue: &Catalogue,
        activity: &Activity,
    ) -> Result<Self, SetUpError> {
        let faults = check(activity, catalogue).err().unwrap_or_default();
        let config = read_config::<PlanConfig>(&activity.config).ok();
        let Some(loader) = config.and_then(|config| loader(catalogue, &config.load)) else {
            return Err(SetUpError::new(activity, &faults));
        };
        let config = LoadConfig::of(catalogue, loader)?;
        let warehouse = catalogue.warehouses.get(&config.warehouse);
        Ok(Self {
            planner: Arc::new(Planner {
                store: clients.s3,
                signals: Outlets {
                    cloudwatch: clients.cloudwatch,
                    sns: clients.sns,
                },
                clock: Arc::new(SystemClock),
                dialect: warehouse.map_or(Dialect::Redshift, Dialect::of),
                config,
            }),
        })
    }

    /// Lists every load's `incoming/`; changes nothing.
    ///
    /// # Errors
    /// `Load.Transient`, `Load.Permanent` or `Worker.BadInput`.
    pub async fn run(
        &self,
        input: PlanInput,
        context: TaskContext,
    ) -> Result<PlanOutput, ActivityError> {
        self.planner.run(input, &context).await
    }
}

/// The planner over any outside.
#[derive(Debug)]
pub(crate) struct Planner<S, N> {
    pub(crate) store: S,
    pub(crate) signals: N,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) config: LoadConfig,
    pub(crate) dialect: Dialect,
}

impl<S: ObjectStore, N: Signals> Planner<S, N> {
    pub(crate) async fn run(
        &self,
        input: PlanInput,
        context: &TaskContext,
    ) -> Result<PlanOutput, ActivityError> {
        let loads = match input.loads.is_empty() {
            true => self.config.loads.clone(),
            false => self.said(input.loads)?,
        };
        if loads.is_empty() {
            let cause =
                "there is nothing to plan: name `loads` in the input, or in the loader's config";
            return Err(ActivityError::permanent(Area::LOAD, cause));
        }
        context
            .progress
            .set(format!("looking at {} loads", loads.len()));
        // Collected first: a stream over a closure is not provably Send for every lifetime.
        let looks: Vec<_> = loads.iter().map(|load| self.is_due(load)).collect();
        let looks = stream::iter(looks).buffered(LISTINGS);
        let due: Vec<bool> = looks.try_collect().await?;
        let all = loads.len();
        let loads: Vec<LoadInput> = loads
            .into_iter()
            .zip(due)
            .filter_map(|(load, due)| due.then_some(load))
            .collect();
        Ok(PlanOutput {
            idle: (all - loads.len()) as u64,
            loads,
        })
    }

    /// The loads of an input, as the warehouse reads them; no two are one, since a
    /// Map runs them side by side.
    fn said(&self, loads: Vec<LoadInput>) -> Result<Vec<LoadInput>, ActivityError> {
        standing::checked(loads, self.dialect).map_err(bad_input)
    }

    /// Whether a run would find something. Of those that find nothing the
    /// metric is published here: no run of theirs does it.
    async fn is_due(&self, load: &LoadInput) -> Result<bool, ActivityError> {
        let incoming = load.key("incoming", "");
        let listed = self.store.list(&load.bucket, &incoming).await?;
        let (Listed { files, ignored }, now) = (select::sort(load, listed), self.clock.now());
        let settled = |file| select::settled(file, now, self.config.settle);
        if files.iter().any(settled) {
            return Ok(true);
        }
        ignored.log(load.table.id());
        let waiting = select::unprocessed(&files, &ignored, now);
        if let Err(error) = self.signals.publish(load.table.id(), waiting).await {
            tracing::warn!(%error, "the metrics were not published");
        }
        Ok(false)
    }
}
