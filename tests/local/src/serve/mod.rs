//! Everything together: AWS on one port, the cluster on another.

mod error;
mod integrations;
mod options;
mod pods;
mod setup;

use std::collections::BTreeMap;
use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use axum::body::Body;
use stepfleet_activity::Catalogue;
use stepfleet_activity::catalogue::{self, ReadOptions};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::Context;
use crate::cloudwatch::CloudWatch;
use crate::cluster::{Cluster, ClusterOptions};
use crate::door::{self, Hosts, Token, port};
use crate::faults::{self, Faults};
use crate::page::{self, Board, sampler};
use crate::redshift::{DataApi, Warehouse, WarehouseOptions};
use crate::s3::S3;
use crate::secrets::Secrets;
use crate::server::{self, Absent, HttpService, JsonService, Services};
use crate::sfn::StepFunctions;
use crate::sns::Sns;
use crate::sqs::Sqs;
use crate::timers;

pub use error::StartError;
pub use options::{LocalOptions, WarehouseOption};
use pods::Workers;

/// The account that is pretended unless another is told.
pub const ACCOUNT: &str = "123456789012";
/// The region that is pretended unless another is told.
pub const REGION: &str = "eu-west-1";

/// AWS and a cluster that run. When it is dropped, what runs is killed;
/// [`Local::stop`] lets it end in order.
pub struct Local {
    /// Who and where everything pretends to be.
    pub context: Context,
    /// Step Functions.
    pub sfn: Arc<StepFunctions>,
    /// CloudWatch.
    pub cloudwatch: Arc<CloudWatch>,
    /// SNS.
    pub sns: Arc<Sns>,
    /// SQS.
    pub sqs: Arc<Sqs>,
    /// S3.
    pub s3: Arc<S3>,
    /// Secrets Manager.
    pub secrets: Arc<Secrets>,
    /// The Redshift Data API.
    pub redshift: Arc<dyn JsonService>,
    warehouse: Option<Arc<Warehouse>>,
    /// The cluster.
    pub cluster: Arc<Cluster>,
    /// What goes wrong.
    pub faults: Faults,
    /// What the status page shows.
    pub board: Board,
    /// Where the AWS is that processes are told to speak to.
    endpoint: String,
    /// Where the KUBECONFIG is.
    pub kubeconfig: PathBuf,
    decisions_url: Arc<Mutex<Option<String>>>,
    /// Who shows it may change faults and clock; none for everybody who is let in.
    control: Option<Token>,
    tasks: JoinSet<()>,
    /// What pods run.
    workers: Workers,
    /// Held as long as the folder is ours.
    _lock: File,
}

/// Two ports that are bound and not yet served.
struct Ports {
    aws: (TcpListener, String),
    cluster: (TcpListener, String),
    /// What both are called.
    hosts: Hosts,
}

// === impl Local ===

impl Local {
    /// Starts everything, and makes what the catalogue says if there is one.
    ///
    /// # Errors
    /// What is in the way, and what to do about it. Nothing is left running.
    pub async fn start(options: LocalOptions) -> Result<Self, StartError> {
        let catalogue = read_catalogue(&options)?;
        let workers = Workers::prepare(&options)?;
        let faults = read_faults(&options)?;
        let control = options.control()?;
        let lock = take_dir(&options.dir)?;
        let ports = Ports {
            aws: bind("--listen", &options.listen).await?,
            cluster: bind("--cluster-listen", &options.cluster_listen).await?,
            hosts: options.hosts()?,
        };
        let base_url = options.base_url(&ports.aws.1)?;
        let endpoint = options.endpoint(base_url)?.to_owned();
        let context = options.context(catalogue.as_ref(), base_url);
        door::keep(&context.dir, control.as_ref())
            .map_err(|error| StartError::dir(&context.dir, error))?;
        let sqs = Arc::new(Sqs::new(context.clone()));
        let sns = Arc::new(Sns::new(context.clone(), Arc::clone(&sqs))?);
        let cloudwatch = Arc::new(CloudWatch::new(context.clone(), Arc::clone(&sns) as _));
        let sfn = StepFunctions::new(context.clone(), Arc::clone(&cloudwatch) as _);
        let s3 = S3::open(&context, Arc::clone(&sqs))
            .map_err(|error| StartError::dir(&context.dir, error))?;
        let (redshift, warehouse) = warehouse(&options, &context, &s3).await?;
        let secrets = Arc::new(Secrets::new(context.clone()));
        let kubeconfig = context.dir.join("kubeconfig");
        let cluster = Cluster::new(ClusterOptions {
            clock: Arc::clone(&context.clock),
            dir: context.dir.clone(),
            env: pod_environment(environment(&context, &endpoint, &kubeconfig)),
            user: workers.user.clone(),
        });
        cluster
            .write_kubeconfig(&ports.cluster.1)
            .map_err(|error| StartError::dir(&context.dir, error))?;
        sfn.reach(Arc::new(integrations::Others {
            cloudwatch: Arc::clone(&cloudwatch),
            sns: Arc::clone(&sns),
            sqs: Arc::clone(&sqs),
            s3: Arc::new(Buckets(Arc::clone(&s3))),
            redshift: Arc::clone(&redshift),
            secrets: Arc::clone(&secrets),
        }));
        let mut local = Self {
            context,
            sfn,
            cloudwatch,
            sns,
            sqs,
            s3,
            secrets,
            redshift,
            warehouse,
            cluster,
            faults,
            board: Board::default(),
            endpoint,
            kubeconfig,
            decisions_url: Arc::default(),
            control,
            tasks: JoinSet::new(),
            workers,
            _lock: lock,
        };
        local.serve(ports, catalogue.as_ref());
        if let Some(catalogue) = &catalogue {
            setup::make(&local, catalogue, &options).await?;
        }
        Ok(local)
    }

    fn serve(&mut self, ports: Ports, catalogue: Option<&Catalogue>) {
        let services = Services {
            context: self.context.clone(),
            sfn: Arc::clone(&self.sfn),
            cloudwatch: Arc::clone(&self.cloudwatch),
            sns: Arc::clone(&self.sns),
            sqs: Arc::clone(&self.sqs),
            s3: Arc::new(Buckets(Arc::clone(&self.s3))),
            secrets: Arc::clone(&self.secrets),
            redshift: Arc::clone(&self.redshift),
            faults: self.faults.clone(),
        };
        let control = timers::control::router(self.context.clone())
            .merge(faults::control::router(self.faults.clone()));
        // The page's own paths go before the port's, which takes all that is left.
        let aws = page::router(self.board.clone(), Arc::clone(&self.sfn))
            .merge(door::guard(control, self.control.as_ref()))
            .fallback_service(server::router(services));
        let Ports {
            aws: (listener, _),
            cluster,
            hosts,
        } = ports;
        self.tasks.spawn(port::serve(listener, aws, hosts.clone()));
        self.tasks
            .spawn(port::serve(cluster.0, self.cluster.router(), hosts));
        self.tasks.spawn(Arc::clone(&self.cloudwatch).run());
        let sources = sampler::Sources {
            clock: Arc::clone(&self.context.clock),
            sfn: Arc::clone(&self.sfn),
            cloudwatch: Arc::clone(&self.cloudwatch),
            s3: Arc::clone(&self.s3),
            cluster: Arc::clone(&self.cluster),
            deployments: catalogue.map_or_else(Vec::new, |catalogue| {
                catalogue.deployments.keys().cloned().collect()
            }),
            decisions_url: Arc::clone(&self.decisions_url),
        };
        self.tasks.spawn(sampler::run(sources, self.board.clone()));
    }

    /// What a process needs in its environment to speak to this, or to the other AWS
    /// that was named, and to nothing else.
    pub fn environment(&self) -> BTreeMap<String, String> {
        environment(&self.context, &self.endpoint, &self.kubeconfig)
    }

    /// The same as lines for a shell.
    pub fn exports(&self) -> String {
        self.environment()
            .into_iter()
            .map(|(name, value)| format!("export {name}='{}'\n", value.replace('\'', r"'\''")))
            .collect()
    }

    /// The file with the word that changes faults and clock, where one is asked for.
    pub fn control_token_file(&self) -> Option<PathBuf> {
        self.control.as_ref().map(|_| door::file(&self.context.dir))
    }

    /// Shows the decisions that an autoscaler says at this URL on the status page.
    pub fn follow_decisions(&self, url: String) {
        let mut known = self
            .decisions_url
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *known = Some(url);
    }

    /// Lets the pods end while AWS still answers them; then everything else.
    pub async fn stop(mut self) {
        self.cluster.stop().await;
        self.tasks.shutdown().await;
        if let Some(warehouse) = &self.warehouse {
            warehouse.stop().await;
        }
    }
}

/// S3 as the port asks for it.
pub(super) struct Buckets(Arc<S3>);

#[async_trait]
impl HttpService for Buckets {
    async fn handle(&self, request: http::Request<Body>) -> http::Response<Body> {
        self.0.handle(request).await
    }
}

fn environment(context: &Context, endpoint: &str, kubeconfig: &Path) -> BTreeMap<String, String> {
    [
        ("AWS_ENDPOINT_URL", endpoint),
        ("AWS_ACCESS_KEY_ID", "local"),
        ("AWS_SECRET_ACCESS_KEY", "local"),
        ("AWS_REGION", context.region.as_str()),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("KUBECONFIG", &kubeconfig.display().to_string()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .collect()
}

/// The same for pods, which do not speak to the cluster.
fn pod_environment(mut all: BTreeMap<String, String>) -> Vec<(String, String)> {
    all.remove("KUBECONFIG");
    all.into_iter().collect()
}

fn read_faults(options: &LocalOptions) -> Result<Faults, StartError> {
    let Some(path) = &options.faults else {
        return Ok(Faults::default());
    };
    Faults::read(path).map_err(|error| StartError::Usage(error.to_string()))
}

fn read_catalogue(options: &LocalOptions) -> Result<Option<Catalogue>, StartError> {
    if options.catalogues.is_empty() {
        return Ok(None);
    }
    let read = ReadOptions {
        allow_short_periods: options.allow_short_periods,
    };
    let catalogue = catalogue::read_all(&options.catalogues, &read)
        .map_err(|faults| StartError::Usage(faults.to_string()))?;
    options.check(&catalogue)?;
    Ok(Some(catalogue))
}

/// Makes the folder and takes it: two runs in one would end each other's pods.
fn take_dir(dir: &Path) -> Result<File, StartError> {
    let failed = |error| StartError::dir(dir, error);
    std::fs::create_dir_all(dir).map_err(failed)?;
    let file = File::create(dir.join("lock")).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(StartError::InUse(dir.to_owned())),
        Err(std::fs::TryLockError::Error(error)) => Err(failed(error)),
    }
}

async fn bind(flag: &'static str, address: &str) -> Result<(TcpListener, String), StartError> {
    let parsed: SocketAddr = address.parse().map_err(|_| {
        StartError::Usage(format!(
            "{flag} {address}: not an address and port, like 127.0.0.1:4566"
        ))
    })?;
    let failed = |source| StartError::Listen {
        flag,
        address: address.to_owned(),
        source,
    };
    let listener = TcpListener::bind(parsed).await.map_err(failed)?;
    let mut bound = listener.local_addr().map_err(failed)?;
    if bound.ip().is_unspecified() {
        bound.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    Ok((listener, format!("http://{bound}")))
}

/// The Data API on its warehouse; without one it is refused by name.
async fn warehouse(
    options: &LocalOptions,
    context: &Context,
    s3: &Arc<S3>,
) -> Result<(Arc<dyn JsonService>, Option<Arc<Warehouse>>), StartError> {
    let url = match &options.warehouse {
        WarehouseOption::None => return Ok((Arc::new(Absent("Redshift Data API")), None)),
        WarehouseOption::At(url) => Some(url.clone()),
        WarehouseOption::Own => None,
    };
    let warehouse = Warehouse::start(&WarehouseOptions {
        dir: options.dir.clone(),
        url,
        programs: options.postgres.clone(),
    })
    .await?;
    let latency = options.statement_latency;
    let api = DataApi::new(
        context.clone(),
        Arc::clone(&warehouse),
        Arc::clone(s3),
        latency,
    );
    Ok((Arc::new(api), Some(warehouse)))
}
