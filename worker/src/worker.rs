//! A worker from its parts: builds, serves, drains.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;
use futures::future::join_all;
use stepfleet_activity::{ActivityError, ActivityTask, Clock, Output, SystemClock};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::JoinError;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tower::ServiceExt;
use tower::util::BoxCloneSyncService;
use tower_service::Service;

use crate::aws::{check_credentials, load_config};
use crate::http::{Status, router};
use crate::lane::{Lane, longest_drain};
use crate::meters::Meters;
use crate::options::ActivityOptions;
use crate::output::OutputStore;
use crate::output_s3::S3Outputs;
use crate::poller::{Polled, Pollers};
use crate::runtime::HandlerRuntime;
use crate::sfn::{AwsStepFunctions, StepFunctions};
use crate::shutdown::{Phase, ShutdownHandle};
use crate::signals;
use crate::stack::{Handler, Received, stack};
use crate::trouble::Trouble;

/// Why a worker did not start. Each says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// Nothing to serve.
    #[error("no activity to serve: add one with WorkerBuilder::activity")]
    NoActivity,
    /// The port is taken, or the address is not this machine's.
    #[error("cannot listen on {address}: {source}; choose another address (--listen)")]
    Listen {
        /// What was asked for.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// Nothing names credentials, or they cannot be had.
    #[error(
        "no AWS credentials: {0}; set AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, \
         or give the machine or pod a role"
    )]
    Credentials(String),
    /// The process cannot have threads, signals or a registry.
    #[error("the worker cannot be set up: {0}")]
    Setup(String),
}

/// How a worker ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Every task was reported and every poll has ended.
    Clean,
    /// The drain deadline cut what was still open.
    Cut,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Clean => Self::SUCCESS,
            Exit::Cut => Self::FAILURE,
        }
    }
}

/// Serves activities. See [`Worker::builder`].
#[derive(Debug)]
pub struct Worker(());

impl Worker {
    /// Begins a worker.
    ///
    /// ```no_run
    /// use stepfleet_worker::{ActivityError, ActivityOptions, TaskContext, Worker, handler_fn};
    ///
    /// # async fn run() -> Result<(), stepfleet_worker::RunError> {
    /// let double = handler_fn(|number: u32, _context: TaskContext| async move {
    ///     Ok::<_, ActivityError>(number * 2)
    /// });
    /// let arn = "arn:aws:states:eu-west-1:123456789012:activity:double";
    /// let exit = Worker::builder()
    ///     .activity(ActivityOptions::new(arn).slots(10), double)
    ///     .run()
    ///     .await?;
    /// # let _ = exit; Ok(())
    /// # }
    /// ```
    pub fn builder() -> WorkerBuilder {
        WorkerBuilder {
            name: signals::worker_name(),
            activities: Vec::new(),
            aws: None,
            sfn: None,
            outputs: None,
            listen: None,
            clock: Arc::new(SystemClock),
            handlers: None,
            shutdown: None,
            drain: None,
        }
    }
}

/// The parts of a worker.
#[must_use = "a worker does nothing until it is run"]
pub struct WorkerBuilder {
    name: Arc<str>,
    activities: Vec<(ActivityOptions, Handler)>,
    aws: Option<SdkConfig>,
    sfn: Option<Arc<dyn StepFunctions>>,
    outputs: Option<Arc<dyn OutputStore>>,
    listen: Option<SocketAddr>,
    clock: Arc<dyn Clock>,
    handlers: Option<Handle>,
    shutdown: Option<ShutdownHandle>,
    drain: Option<Duration>,
}

// === impl WorkerBuilder ===

impl WorkerBuilder {
    /// Serves an activity, given by its options or by its ARN alone, with any
    /// service of tasks: [`handler_fn`](crate::handler_fn) makes one.
    pub fn activity<S>(mut self, options: impl Into<ActivityOptions>, service: S) -> Self
    where
        S: Service<ActivityTask, Response = Output> + Clone + Send + Sync + 'static,
        S::Error: Into<ActivityError>,
        S::Future: Send + 'static,
    {
        let handler = BoxCloneSyncService::new(service.map_err(Into::into));
        self.activities.push((options.into(), handler));
        self
    }

    /// The name in execution histories, instead of `POD_NAME`, or host and process.
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = name.into();
        self
    }

    /// The AWS configuration, instead of the one from the environment.
    pub fn aws(mut self, aws: SdkConfig) -> Self {
        self.aws = Some(aws);
        self
    }

    /// Another Step Functions than AWS's, for tests. Without [`Self::aws`], no
    /// credentials are looked for then.
    pub fn step_functions(mut self, sfn: impl StepFunctions) -> Self {
        self.sfn = Some(Arc::new(sfn));
        self
    }

    /// Another store for large outputs than S3.
    pub fn outputs(mut self, outputs: impl OutputStore) -> Self {
        self.outputs = Some(Arc::new(outputs));
        self
    }

    /// Where `/metrics`, `/healthz`, `/readyz` and `/load` are served; nowhere unless said.
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen = Some(address);
        self
    }

    /// Tells the time, instead of the machine's clock.
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Runs handlers on this runtime, instead of one of the worker's own. A
    /// handler that blocks a thread must not share it with the worker.
    pub fn handlers_on(mut self, runtime: Handle) -> Self {
        self.handlers = Some(runtime);
        self
    }

    /// Stops the worker by this handle, instead of SIGTERM and SIGINT.
    pub fn shutdown(mut self, handle: ShutdownHandle) -> Self {
        self.shutdown = Some(handle);
        self
    }

    /// How long a drain may take before it is cut; else the longest timeout, a
    /// minute for the open poll, and the report.
    pub fn drain_deadline(mut self, deadline: Duration) -> Self {
        self.drain = Some(deadline);
        self
    }

    /// Serves until it is stopped and drained. Dropping the future cancels open
    /// polls, which may lose their tasks: stop it by a signal or a [`ShutdownHandle`].
    ///
    /// # Errors
    /// If the worker cannot start. Once it runs, it goes on trying.
    pub async fn run(mut self) -> Result<Exit, RunError> {
        if self.activities.is_empty() {
            return Err(RunError::NoActivity);
        }
        let listener = match self.listen {
            Some(address) => Some(bind(address).await?),
            None => None,
        };
        self.connect().await?;
        let (shutdown, _signals) = match self.shutdown.take() {
            Some(handle) => (handle, None),
            None => signals::install().map_err(|error| RunError::Setup(error.to_string()))?,
        };
        let slots = self
            .activities
            .iter()
            .map(|(options, _)| options.slots as usize);
        let own = HandlerRuntime::new(self.handlers.is_none().then(|| slots.sum()))?;
        let drain = self
            .drain
            .unwrap_or_else(|| longest_drain(self.activities.iter().map(|(options, _)| options)));
        let (status, stacks) = self.lanes(&shutdown, &own)?;
        let _server = listener.map(|listener| serve_status(listener, Arc::clone(&status)));
        tracing::info!(worker = %status.worker, activities = status.lanes.len(), "polling");
        let exit = serve(&status, stacks, drain).await;
        tracing::info!(?exit, "stopped");
        Ok(exit)
    }

    /// Makes the clients, unless they were given.
    async fn connect(&mut self) -> Result<(), RunError> {
        if self.sfn.is_some() && self.aws.is_none() {
            return Ok(());
        }
        let aws = match self.aws.take() {
            Some(aws) => aws,
            None => load_config(&self.activities[0].0.arn).await,
        };
        check_credentials(&aws).await?;
        if self.outputs.is_none() {
            self.outputs = Some(Arc::new(S3Outputs::new(&aws)));
        }
        if self.sfn.is_none() {
            self.sfn = Some(Arc::new(AwsStepFunctions::new(&aws)));
        }
        Ok(())
    }

    pub(crate) fn lanes(
        self,
        shutdown: &ShutdownHandle,
        own: &HandlerRuntime,
    ) -> Result<(Arc<Status>, Vec<crate::stack::Stack>), RunError> {
        let meters = Meters::new().map_err(|error| RunError::Setup(error.to_string()))?;
        let handlers = self.handlers.or_else(|| own.handle());
        let (Some(sfn), Some(handlers)) = (self.sfn, handlers) else {
            return Err(RunError::Setup("no client or no runtime".to_owned()));
        };
        let mut lanes = Vec::new();
        let mut stacks = Vec::new();
        for (options, handler) in self.activities {
            let lane = Arc::new(Lane {
                worker_name: Arc::clone(&self.name),
                sfn: Arc::clone(&sfn),
                outputs: self.outputs.clone(),
                clock: Arc::clone(&self.clock),
                meters: meters.activity(&options.name, options.slots),
                trouble: Trouble::default(),
                shutdown: shutdown.clone(),
                handlers: handlers.clone(),
                slots: Arc::new(Semaphore::new(options.slots as usize)),
                options,
            });
            stacks.push(stack(&lane, handler));
            lanes.push(lane);
        }
        let status = Status {
            worker: self.name,
            since: self.clock.now(),
            meters,
            lanes,
            shutdown: shutdown.clone(),
        };
        Ok((Arc::new(status), stacks))
    }
}

impl std::fmt::Debug for WorkerBuilder {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let activities = self.activities.iter().map(|(options, _)| options);
        formatter
            .debug_struct("WorkerBuilder")
            .field("name", &self.name)
            .field("activities", &activities.collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// Polls and serves until everything has ended or the drain deadline cuts it.
pub(crate) async fn serve(
    status: &Status,
    stacks: Vec<crate::stack::Stack>,
    drain: Duration,
) -> Exit {
    let cut = CancellationToken::new();
    let _cut_at_the_end = cut.clone().drop_guard();
    // A task of its own for each lane: the future that a runtime blocks on is woken
    // by a system call each time.
    let served = status.lanes.iter().zip(stacks).map(|(lane, stack)| {
        let lane = serve_lane(Arc::clone(lane), stack, cut.clone());
        AbortOnDropHandle::new(tokio::spawn(lane))
    });
    let served = join_all(served);
    let deadline = async {
        status.shutdown.reached(Phase::Draining).await;
        tracing::info!(?drain, "draining: open polls and tasks end by themselves");
        sleep_until(Instant::now() + drain).await;
    };
    tokio::select! {
        biased;
        ended = served => {
            let failed = ended.into_iter().find_map(Result::err);
            if let Some(Ok(panic)) = failed.map(JoinError::try_into_panic) {
                std::panic::resume_unwind(panic);
            }
            Exit::Clean
        }
        () = deadline => {
            tracing::error!("the drain deadline has passed: what is still open is cut");
            Exit::Cut
        }
    }
}

/// Polls and serves one activity until it has drained.
async fn serve_lane(lane: Arc<Lane>, stack: crate::stack::Stack, cut: CancellationToken) {
    let serve = |polled: Polled| {
        let task = stack.clone().oneshot(Received::new(&lane, polled));
        tokio::spawn(cut.clone().run_until_cancelled_owned(task));
    };
    Pollers::new(Arc::clone(&lane)).run(serve).await;
    lane.idle().await;
}

fn serve_status(listener: TcpListener, status: Arc<Status>) -> AbortOnDropHandle<()> {
    if let Ok(address) = listener.local_addr() {
        tracing::info!(%address, "serving /metrics, /healthz, /readyz and /load");
    }
    AbortOnDropHandle::new(tokio::spawn(stepfleet_ports::serve(
        listener,
        router(status),
    )))
}

async fn bind(address: SocketAddr) -> Result<TcpListener, RunError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| RunError::Listen { address, source })
}
