//! The PostgreSQL behind the Redshift Data API: one of its own, or a given one.

mod find;
mod leftover;
mod place;
mod process;

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
        let client = connect(&url).await?;
        let made = client.batch_execute(COMPAT).await;
        made.map_err(|error| refused(&url, reason(&error)))?;
        Ok(Arc::new(Self {
            url,
            server: Mutex::new(server),
        }))
    }

    /// A connection of its own, open until the client is dropped.
    pub async fn connection(&self) -> Result<Client, WarehouseError> {
        connect(&self.url).await
    }

    /// A connection that is told to be the Data API's, and what the server
    /// says on it beside its answers.
    pub(super) async fn session(
        &self,
    ) -> Result<(Client, UnboundedReceiver<DbError>), WarehouseError> {
        let (heard, notices) = unbounded_channel();
        let client = open(&self.url, Some(heard)).await?;
        Ok((client, notices))
    }

    /// Where the server is, with the password.
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

/// Connects to `url` with the search path of the application.
async fn connect(url: &str) -> Result<Client, WarehouseError> {
    open(url, None).await
}

/// Connects; what the server says beside its answers goes to `heard`.
async fn open(
    url: &str,
    heard: Option<UnboundedSender<DbError>>,
) -> Result<Client, WarehouseError> {
    let mut config: Config = url.parse().map_err(|error| WarehouseError::Url {
        reason: reason(&error),
    })?;
    let given = config.get_options().unwrap_or_default();
    let listens = heard.as_ref().map_or("", |_| " -c stepfleet.data_api=on");
    let options = format!("{given} -c search_path=public,stepfleet{listens}");
    config.options(options.trim()).application_name("stepfleet");
    let within = *config.get_connect_timeout().unwrap_or(&CONNECTED_WITHIN);
    // Around all of it: what listens there may take the connection and say nothing.
    let connected = timeout(within, config.connect(NoTls)).await;
    let silent = |_| refused(url, format!("it does not answer within {within:?}"));
    let connected = connected.map_err(silent)?;
    let (client, mut connection) = connected.map_err(|error| refused(url, reason(&error)))?;
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

fn refused(url: &str, reason: String) -> WarehouseError {
    let at = url
        .parse()
        .map_or_else(|_| String::new(), |config| address(&config));
    WarehouseError::Refused { at, reason }
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

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use nix::sys::signal::Signal;

    use super::*;

    /// A folder with these permissions, and the options for one below it.
    fn options(mode: u32) -> (tempfile::TempDir, WarehouseOptions) {
        let folder = tempfile::tempdir().unwrap();
        let permissions = Permissions::from_mode(mode);
        std::fs::set_permissions(folder.path(), permissions).unwrap();
        let dir = folder.path().join("warehouse");
        let options = WarehouseOptions {
            dir,
            url: None,
            programs: None,
        };
        (folder, options)
    }

    /// As root, a closed folder has the server live elsewhere.
    #[tokio::test]
    async fn starts_again_after_a_killed_server_in_a_closed_folder() {
        starts_again(0o700).await;
    }

    #[tokio::test]
    async fn starts_again_after_a_killed_server_in_an_open_folder() {
        starts_again(0o755).await;
    }

    async fn starts_again(mode: u32) {
        let (_folder, options) = options(mode);
        let first = Warehouse::start(&options).await.unwrap();
        let client = first.connection().await.unwrap();
        let sql = "select getdate() between timestamp '2020-01-01' and 'infinity', \
                   pg_typeof(getdate())::text, current_setting('search_path'), \
                   nextval('stepfleet_query_id')";
        let row = client.query_one(sql, &[]).await.unwrap();
        assert!(row.get::<_, bool>(0));
        assert_eq!(row.get::<_, &str>(1), "timestamp without time zone");
        assert_eq!(row.get::<_, &str>(2), "public,stepfleet");
        assert_eq!(row.get::<_, i64>(3), 1);
        first
            .server
            .lock()
            .await
            .as_ref()
            .unwrap()
            .signal(Signal::SIGKILL);
        // As after a killed run, nothing of the first is tidied up.
        std::mem::forget(first);

        let second = Warehouse::start(&options).await.unwrap();
        let client = second.connection().await.unwrap();
        client.query_one("select getdate()", &[]).await.unwrap();
        second.stop().await;
        assert!(second.connection().await.is_err());
        second.stop().await;
    }

    #[tokio::test]
    async fn ends_the_server_left_in_a_closed_folder() {
        ends_what_is_left(0o700).await;
    }

    #[tokio::test]
    async fn ends_the_server_left_in_an_open_folder() {
        ends_what_is_left(0o755).await;
    }

    async fn ends_what_is_left(mode: u32) {
        let (_folder, options) = options(mode);
        let first = Warehouse::start(&options).await.unwrap();
        let url = first.url().to_owned();
        std::mem::forget(first);

        let second = Warehouse::start(&options).await.unwrap();
        assert!(connect(&url).await.is_err());
        // The second is a given server for a third, which leaves it running.
        let given = WarehouseOptions {
            url: Some(second.url().to_owned()),
            ..options
        };
        let third = Warehouse::start(&given).await.unwrap();
        third.stop().await;
        second.connection().await.unwrap();
        second.stop().await;
    }

    #[tokio::test]
    async fn says_why_the_server_ended() {
        let (_folder, options) = options(0o755);
        let data = options.dir.join("postgres");
        std::fs::create_dir_all(&data).unwrap();
        std::fs::write(data.join("PG_VERSION"), "1\n").unwrap();
        std::fs::write(options.dir.join("postgres-password"), "x").unwrap();
        let error = Warehouse::start(&options).await.unwrap_err();
        let WarehouseError::WillNotStart { text, .. } = &error else {
            panic!("{error}")
        };
        assert!(text.contains("postgresql.conf"), "{error}");
    }

    #[tokio::test]
    async fn keeps_its_data_where_it_can() {
        let (_folder, options) = options(0o755);
        for run in 1..=2_i64 {
            let warehouse = Warehouse::start(&options).await.unwrap();
            let client = warehouse.connection().await.unwrap();
            let row = client
                .query_one("select nextval('stepfleet_query_id')", &[])
                .await
                .unwrap();
            assert_eq!(row.get::<_, i64>(0), run);
            warehouse.stop().await;
        }
    }
}
