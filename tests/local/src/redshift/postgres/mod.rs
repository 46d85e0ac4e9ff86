//! The PostgreSQL behind the Redshift Data API: one of its own, or a given one.

mod find;
mod leftover;
mod place;
mod process;
mod role;
#[cfg(test)]
mod tests;

use std::error::Error as _;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use tokio::sync::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;
use tokio_postgres::config::Host;
use tokio_postgres::error::DbError;
use tokio_postgres::{AsyncMessage, Client, Config, NoTls};

use process::Server;

/// What the loader uses of Redshift and PostgreSQL lacks.
const COMPAT: &str = include_str!("../compat.sql");
/// Gives what an owner's statements made, before there was a role for them, to that role.
const ADOPT: &str = include_str!("adopt.sql");

/// How long a connection may take, unless the URL says it.
const CONNECTED_WITHIN: Duration = Duration::from_secs(10);

/// Why there is no warehouse.
#[derive(Debug, thiserror::Error)]
pub enum WarehouseError {
    /// No installed PostgreSQL.
    #[error(
        "PostgreSQL (initdb, postgres) is neither on PATH nor where packages put it. Install it:\n  \
         Debian, Ubuntu: sudo apt-get install postgresql\n  \
         Fedora:         sudo dnf install postgresql-server\n  \
         macOS:          brew install postgresql@17\n\
         or name a running one by its URL"
    )]
    NotFound,
    /// Root without another user to become.
    #[error(
        "PostgreSQL refuses to run as root, and there is neither a user `postgres` nor `nobody`: \
         run this as another user"
    )]
    NoUser,
    /// A file or folder of the server cannot be used.
    #[error("{}: {source}", path.display())]
    Folder {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A server of an earlier run does not end.
    #[error(
        "the PostgreSQL of an earlier run (process {pid}) does not end: end it, then try again"
    )]
    StillRunning {
        /// Its process.
        pid: i32,
    },
    /// `initdb` failed.
    #[error("initdb failed:\n{said}")]
    Initdb {
        /// What it printed.
        said: String,
    },
    /// The server ended or never accepted a connection.
    #[error("PostgreSQL does not start: {reason}\n{text}\n(all of it: {})", log.display())]
    WillNotStart {
        /// What was seen of it.
        reason: String,
        /// The file with all that it said.
        log: PathBuf,
        /// The last lines of that.
        text: String,
    },
    /// What was given is no URL of a server.
    #[error("{reason}: a PostgreSQL's URL is like postgres://user:password@host:5432/database")]
    Url {
        /// What is wrong with it, without the password.
        reason: String,
    },
    /// The server is not there, or refuses the connection or `compat.sql`.
    #[error("the PostgreSQL at {at} cannot be used: {reason}")]
    Refused {
        /// Its hosts and ports.
        at: String,
        /// What it said.
        reason: String,
    },
}

/// Which PostgreSQL to use.
#[derive(Clone)]
pub struct WarehouseOptions {
    /// The folder for a server's data, password and log.
    pub dir: PathBuf,
    /// A running server to use instead of starting one.
    pub url: Option<String>,
    /// The folders to look for its programs in; none for `PATH` and where
    /// packages put them.
    pub programs: Option<Vec<PathBuf>>,
}

/// A PostgreSQL that stands in for Redshift.
pub struct Warehouse {
    url: String,
    /// Whose it is: a superuser, unless a given URL names somebody else.
    owner: Config,
    /// Whom statements run as: nobody who reaches the machine.
    statements: Config,
    /// None for a given server, and after `stop`.
    server: Mutex<Option<Server>>,
}

impl Warehouse {
    /// Connects to the given server, or starts one on the folder; either way
    /// it then has what `compat.sql` defines.
    pub async fn start(options: &WarehouseOptions) -> Result<Arc<Self>, WarehouseError> {
        let (url, server) = match &options.url {
            Some(url) => (url.clone(), None),
            None => {
                let folders = options.programs.clone();
                let programs = find::programs(&folders.unwrap_or_else(find::search_list))?;
                let place = place::Place::prepare(&options.dir).await?;
                let log = options.dir.join("postgres.log");
                let server = Server::start(&programs, place, log).await?;
                (server.url.clone(), Some(server))
            }
        };
        let owner = parse(&url)?;
        let client = open_closed(&owner).await?;
        let made = client.batch_execute(COMPAT).await;
        made.map_err(|error| refused(&owner, reason(&error)))?;
        let statements = role::statements(&client, &owner).await?;
        if server.is_some() {
            let adopted = client.batch_execute(ADOPT).await;
            adopted.map_err(|error| refused(&owner, reason(&error)))?;
            place::write_url(&options.dir, &login(&statements))?;
        }
        Ok(Arc::new(Self {
            url,
            owner,
            statements,
            server: Mutex::new(server),
        }))
    }

    /// A connection of the server's owner, open until the client is dropped: a
    /// superuser, so never for what somebody asks for.
    pub async fn connection(&self) -> Result<Client, WarehouseError> {
        open(&self.owner, None).await
    }

    /// The same for the machinery's own texts: what users made is not found by
    /// it, unless its schema is named.
    pub(super) async fn machinery(&self) -> Result<Client, WarehouseError> {
        open_closed(&self.owner).await
    }

    /// A connection for what somebody asks for.
    pub(super) async fn statements(&self) -> Result<Client, WarehouseError> {
        self.enter(None).await
    }

    /// The same, told to be the Data API's, and what the server says on it
    /// beside its answers.
    pub(super) async fn session(
        &self,
    ) -> Result<(Client, UnboundedReceiver<DbError>), WarehouseError> {
        let (heard, notices) = unbounded_channel();
        let client = self.enter(Some(heard)).await?;
        Ok((client, notices))
    }

    /// Logs in as the role of statements. A statement may have changed its
    /// password or how its sessions begin: then it is made as it was.
    async fn enter(
        &self,
        heard: Option<UnboundedSender<DbError>>,
    ) -> Result<Client, WarehouseError> {
        match open(&self.statements, heard.clone()).await {
            Err(error) if self.statements.get_user() == Some(role::ROLE) => {
                tracing::debug!(%error, "the role of statements is made anew");
                role::make(&self.machinery().await?, &self.statements).await?;
                open(&self.statements, heard).await
            }
            entered => entered,
        }
    }

    /// Where the server is, with the password of its owner.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Ends the server if it was started here. A second call does nothing.
    pub async fn stop(&self) {
        if let Some(server) = self.server.lock().await.take() {
            server.stop().await;
        }
    }
}

// The URL has a password in it.
impl fmt::Debug for Warehouse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Warehouse").finish_non_exhaustive()
    }
}

impl fmt::Debug for WarehouseOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WarehouseOptions")
            .field("dir", &self.dir)
            .finish_non_exhaustive()
    }
}

fn parse(url: &str) -> Result<Config, WarehouseError> {
    url.parse().map_err(|error| WarehouseError::Url {
        reason: reason(&error),
    })
}

/// Connects with the search path of the application; what the server says
/// beside its answers goes to `heard`.
async fn open(
    config: &Config,
    heard: Option<UnboundedSender<DbError>>,
) -> Result<Client, WarehouseError> {
    let listens = heard.as_ref().map_or("", |_| " -c stepfleet.data_api=on");
    let options = format!("-c search_path=public,stepfleet{listens}");
    connect((config, &options), heard).await
}

/// Connects with a search path on which nobody but PostgreSQL put anything: a
/// user's function or operator of the right name would run with our rights.
async fn open_closed(config: &Config) -> Result<Client, WarehouseError> {
    connect((config, "-c search_path=pg_catalog,pg_temp"), None).await
}

async fn connect(
    (config, told): (&Config, &str),
    heard: Option<UnboundedSender<DbError>>,
) -> Result<Client, WarehouseError> {
    let given = config;
    let mut config = given.clone();
    let options = format!("{} {told}", given.get_options().unwrap_or_default());
    config.options(options.trim()).application_name("stepfleet");
    let within = *config.get_connect_timeout().unwrap_or(&CONNECTED_WITHIN);
    // Around all of it: what listens there may take the connection and say nothing.
    let connected = timeout(within, config.connect(NoTls)).await;
    let silent = |_| refused(given, format!("it does not answer within {within:?}"));
    let connected = connected.map_err(silent)?;
    let (client, mut connection) = connected.map_err(|error| refused(given, reason(&error)))?;
    tokio::spawn(async move {
        let mut messages = futures::stream::poll_fn(|context| connection.poll_message(context));
        while let Some(message) = messages.next().await {
            match message {
                Ok(AsyncMessage::Notice(notice)) => {
                    if let Some(heard) = &heard {
                        // Nobody hears the end of a session that was given up.
                        let _ = heard.send(notice);
                    }
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::debug!(%error, "a connection to PostgreSQL broke");
                    return;
                }
            }
        }
    });
    Ok(client)
}

/// What the server said, or why it could not be asked, with all causes.
pub(super) fn reason(error: &tokio_postgres::Error) -> String {
    if let Some(error) = error.as_db_error() {
        return error.message().to_owned();
    }
    let mut said = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        said = format!("{said}: {cause}");
        source = cause.source();
    }
    said
}

fn refused(config: &Config, reason: String) -> WarehouseError {
    let at = address(config);
    WarehouseError::Refused { at, reason }
}

/// A URL to log in by, of a config that has an address, a user and a password
/// whose letters mean nothing in a URL.
fn login(config: &Config) -> String {
    let password = String::from_utf8_lossy(config.get_password().unwrap_or_default());
    format!(
        "postgres://{}:{password}@{}/{}",
        config.get_user().unwrap_or_default(),
        address(config),
        config.get_dbname().unwrap_or_default()
    )
}

/// The hosts of a server, each with its port.
fn address(config: &Config) -> String {
    let ports = config.get_ports();
    let hosts = config.get_hosts().iter().enumerate().map(|(at, host)| {
        // One port is for all hosts, none is PostgreSQL's own.
        let port = ports.get(at).or_else(|| ports.first()).unwrap_or(&5432);
        match host {
            Host::Tcp(name) => format!("{name}:{port}"),
            Host::Unix(folder) => folder.display().to_string(),
        }
    });
    hosts.collect::<Vec<_>>().join(", ")
}
