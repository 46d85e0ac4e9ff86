//! What a run is made of.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use stepfleet_activity::catalogue::Delivery;
use stepfleet_activity::{Catalogue, Clock, SystemClock};

use super::{ACCOUNT, REGION, StartError};
use crate::Context;
use crate::door::{Hosts, Token};
use crate::timers::{Shifted, Timers};

/// What a run is made of.
#[derive(Debug, Clone)]
pub struct LocalOptions {
    /// Where AWS and the status page listen; port 0 for a free one.
    pub listen: String,
    /// Where the Kubernetes API listens; port 0 for a free one.
    pub cluster_listen: String,
    /// Listens beyond loopback, if that is what the addresses say.
    pub allow_remote: bool,
    /// The names that others call this by, beside loopback's and what is advertised.
    pub allowed_hosts: Vec<String>,
    /// What to show to change faults and clock; beyond loopback there is always one.
    pub control_token: Option<Token>,
    /// Where everything is kept.
    pub dir: PathBuf,
    /// Where others reach AWS, like `http://172.17.0.1:4566`; none for what it listens on.
    pub advertise: Option<String>,
    /// Where the AWS is that the catalogue's Deployments speak to, like `http://172.17.0.1:4566`;
    /// none for the one that is here.
    pub aws_endpoint: Option<String>,
    /// What to make at the start: each file is laid over those before it.
    pub catalogues: Vec<PathBuf>,
    /// Runs the catalogue's Deployments on the cluster that is here.
    pub deployments: bool,
    /// Takes a catalogue with alarm periods under 60 s.
    pub allow_short_periods: bool,
    /// Which PostgreSQL is the warehouse.
    pub warehouse: WarehouseOption,
    /// The folders to look for PostgreSQL in; none for `PATH` and where packages put it.
    pub postgres: Option<Vec<PathBuf>>,
    /// The binary that pods run; none for the `etl-worker` beside our own.
    pub worker: Option<PathBuf>,
    /// Whom pods run as, by name or number; none for who we are, and `nobody` where that is root.
    pub pod_user: Option<String>,
    /// How long each statement takes at least.
    pub statement_latency: Duration,
    /// The length of a datapoint of `AWS/States`.
    pub metric_resolution: Duration,
    /// How long after its end a datapoint can be read.
    pub metric_delay: Duration,
    /// The account; none for the catalogue's.
    pub account: Option<String>,
    /// The region; none for the catalogue's.
    pub region: Option<String>,
    /// What goes wrong from the start.
    pub faults: Option<PathBuf>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
}

/// Which PostgreSQL is the warehouse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WarehouseOption {
    /// One that is started in the folder.
    Own,
    /// One that runs already.
    At(String),
    /// None: the Data API is refused.
    None,
}

// === impl LocalOptions ===

impl LocalOptions {
    /// As AWS has it, on free ports, in a folder.
    pub fn new(dir: PathBuf) -> Self {
        Self {
            listen: "127.0.0.1:0".to_owned(),
            cluster_listen: "127.0.0.1:0".to_owned(),
            allow_remote: false,
            allowed_hosts: Vec::new(),
            control_token: None,
            dir: std::path::absolute(&dir).unwrap_or(dir),
            advertise: None,
            aws_endpoint: None,
            catalogues: Vec::new(),
            deployments: true,
            allow_short_periods: false,
            warehouse: WarehouseOption::Own,
            postgres: None,
            worker: None,
            pod_user: None,
            statement_latency: Duration::ZERO,
            metric_resolution: Duration::from_secs(60),
            metric_delay: Duration::from_secs(30),
            account: None,
            region: None,
            faults: None,
            clock: Arc::new(SystemClock),
        }
    }

    /// What is to be shown to change faults and clock.
    ///
    /// # Errors
    /// If others could reach a port and nobody said that they may.
    pub(super) fn control(&self) -> Result<Option<Token>, StartError> {
        let ports = [
            ("--listen", &self.listen),
            ("--cluster-listen", &self.cluster_listen),
        ];
        let mut remote = false;
        for (flag, address) in ports {
            let parsed = address.parse::<SocketAddr>();
            if parsed.is_ok_and(|address| !address.ip().to_canonical().is_loopback()) {
                if !self.allow_remote {
                    return Err(StartError::Usage(format!(
                        "{flag} {address}: others reach that, and who reaches it has all that is \
                         here; allowed are 127.0.0.1 and ::1, or give --allow-remote on a \
                         network that is yours"
                    )));
                }
                remote = true;
            }
        }
        let random = || remote.then(Token::random);
        Ok(self.control_token.clone().or_else(random))
    }

    /// What the ports are called.
    pub(super) fn hosts(&self) -> Result<Hosts, StartError> {
        let mut hosts = Hosts::new(&self.allowed_hosts)
            .map_err(|why| StartError::Usage(format!("--allow-host: {why}")))?;
        let advertised = self.advertise.as_deref().and_then(|url| url.parse().ok());
        let advertised: Option<http::Uri> = advertised;
        if let Some(host) = advertised.as_ref().and_then(http::Uri::host) {
            hosts.add(host);
        }
        Ok(hosts)
    }

    /// Whether the catalogue and these go together.
    pub(super) fn check(&self, catalogue: &Catalogue) -> Result<(), StartError> {
        let aws = &catalogue.aws;
        let told = [
            ("--account", &self.account, &aws.account),
            ("--region", &self.region, &aws.region),
        ];
        for (flag, told, said) in told {
            if told.as_ref().is_some_and(|told| told != said) {
                return Err(StartError::Usage(format!(
                    "{flag}: the catalogue says {said}; leave the flag out"
                )));
            }
        }
        let own = self.aws_endpoint.is_none();
        if own && catalogue.signals.delivery == Delivery::EventBridge {
            return Err(StartError::Usage(
                "signals.delivery: found `eventbridge`, which stepfleet-local does not have; \
                 allowed here are `sns` and `raw`"
                    .to_owned(),
            ));
        }
        if own && catalogue.signals.period < self.metric_resolution {
            let period = humantime::format_duration(catalogue.signals.period);
            return Err(StartError::Usage(format!(
                "the catalogue's signals.period of {period} is shorter than a datapoint; \
                 give --metric-resolution {period}"
            )));
        }
        Ok(())
    }

    /// Where others are told that AWS is: queue URLs and the certificate's begin with it.
    pub(super) fn base_url<'a>(&'a self, bound: &'a str) -> Result<&'a str, StartError> {
        let Some(url) = self.advertise.as_deref() else {
            return Ok(bound);
        };
        let parsed: Option<http::Uri> = url.parse().ok();
        let whole = parsed.is_some_and(|uri| {
            uri.scheme_str() == Some("http") && uri.host().is_some() && uri.path() == "/"
        });
        if whole && !url.ends_with('/') {
            return Ok(url);
        }
        Err(StartError::Usage(format!(
            "--advertise {url}: not where to reach this port, like http://172.17.0.1:4566 \
             (http, no path)"
        )))
    }

    /// Where the AWS is that processes are told to speak to.
    ///
    /// # Errors
    /// If it is no place, or nothing would speak to it.
    pub(super) fn endpoint<'a>(&'a self, base_url: &'a str) -> Result<&'a str, StartError> {
        let Some(url) = self.aws_endpoint.as_deref() else {
            return Ok(base_url);
        };
        let parsed: Option<http::Uri> = url.parse().ok();
        let whole = parsed.is_some_and(|uri| {
            matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some()
        });
        let unused = self.catalogues.is_empty() || !self.deployments;
        let fault = match (whole, unused) {
            (false, _) => "not where an AWS is, like http://172.17.0.1:4566",
            (true, true) => {
                "it is for the Deployments of a catalogue: give one, and no --no-deployments"
            }
            (true, false) if self.warehouse != WarehouseOption::None => {
                "the warehouse is behind that AWS: give --no-warehouse"
            }
            (true, false) => return Ok(url),
        };
        Err(StartError::Usage(format!("--aws-endpoint {url}: {fault}")))
    }

    pub(super) fn context(&self, catalogue: Option<&Catalogue>, base_url: &str) -> Context {
        let aws = catalogue.map(|catalogue| &catalogue.aws);
        let or = |told: &Option<String>, said: Option<&String>, unsaid: &str| {
            let known = told.as_ref().or(said);
            known.cloned().unwrap_or_else(|| unsaid.to_owned())
        };
        let timers = Timers::default();
        let clock = Shifted {
            clock: Arc::clone(&self.clock),
            timers: timers.clone(),
        };
        Context {
            clock: Arc::new(clock),
            account: or(&self.account, aws.map(|aws| &aws.account), ACCOUNT),
            region: or(&self.region, aws.map(|aws| &aws.region), REGION),
            base_url: base_url.to_owned(),
            dir: self.dir.clone(),
            metric_resolution: self.metric_resolution,
            metric_delay: self.metric_delay,
            timers,
        }
    }
}
