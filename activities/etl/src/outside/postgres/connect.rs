//! The way to a server: where it is, whom it is spoken to as, and how safely.

use std::fmt;
use std::time::Duration;

use stepfleet_activity::Class;
use stepfleet_activity::catalogue::{Warehouse, WarehouseTarget};
use tokio_postgres::config::SslMode;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, Error, NoTls};

use super::failed;
use super::login::Login;
use super::tls::{self, Tls};
use crate::outside::Answer;
use crate::outside::call::{CallError, chain};
use crate::outside::secrets::{self, Credentials};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);

/// One server of the catalogue. A call has a connection of its own: a file is
/// worth more than a handshake, and a dead one needs no looking after.
#[derive(Clone)]
pub(crate) struct Postgres {
    /// Without user and password.
    config: Config,
    login: Login,
    /// None for loopback in the clear.
    tls: Option<Tls>,
}

impl fmt::Debug for Postgres {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Postgres")
            .field("config", &self.config)
            .field("login", &self.login)
            .field("tls", &self.tls.is_some())
            .finish()
    }
}

impl Postgres {
    /// `None` where the warehouse is no PostgreSQL.
    ///
    /// # Errors
    /// With what this machine lacks: the password's variable, or CAs to trust.
    pub(crate) fn new(
        warehouse: &Warehouse,
        secrets: &secrets::Client,
    ) -> Result<Option<Self>, String> {
        let WarehouseTarget::Postgres {
            host,
            port,
            user,
            password_env,
            tls,
        } = &warehouse.target
        else {
            return Ok(None);
        };
        let tls = tls::connector(tls)?;
        // What is not `Require` could be talked out of it by the server.
        let mode = tls.as_ref().map_or(SslMode::Disable, |_| SslMode::Require);
        let mut config = Config::new();
        config
            .host(host)
            .port(*port)
            .dbname(&warehouse.database)
            .application_name("stepfleet")
            .ssl_mode(mode)
            .connect_timeout(CONNECT);
        let login = match &warehouse.secret {
            Some(arn) => Login::secret(secrets.clone(), arn.clone()),
            None => Login::Said(Credentials {
                user: user.clone().unwrap_or_default(),
                password: password_env.as_deref().map(variable).transpose()?,
            }),
        };
        Ok(Some(Self { config, login, tls }))
    }

    /// A connection. One that is refused for its password is tried again with
    /// what the secret says by then, if it says something else.
    pub(crate) async fn connect(&self) -> Answer<Client> {
        let credentials = self.login.credentials().await?;
        let error = match self.open(&credentials).await {
            Ok(client) => return Ok(client),
            Err(error) => error,
        };
        if !is_login_refused(&error) {
            return Err(not_connected(&error));
        }
        match self.login.renewed(&credentials).await? {
            Some(new) => {
                let opened = self.open(&new).await;
                opened.map_err(|error| self.login_refused(&error))
            }
            None => Err(self.login_refused(&error)),
        }
    }

    async fn open(&self, credentials: &Credentials) -> Result<Client, Error> {
        let mut config = self.config.clone();
        config.user(&credentials.user);
        if let Some(password) = &credentials.password {
            config.password(password);
        }
        // A connection ends with its client.
        if let Some(tls) = &self.tls {
            let (client, connection) = config.connect(tls.clone()).await?;
            tokio::spawn(connection);
            return Ok(client);
        }
        let (client, connection) = config.connect(NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// A rotation sets the server's password a moment before the secret says it.
    fn login_refused(&self, error: &Error) -> CallError {
        let refused = not_connected(error);
        if !(self.login.is_secret() && error.code() == Some(&SqlState::INVALID_PASSWORD)) {
            return refused;
        }
        CallError {
            reason: format!(
                "{}; the secret says nothing else: its rotation may be under way",
                refused.reason
            ),
            class: Class::Transient,
            ..refused
        }
    }
}

fn variable(name: &str) -> Result<String, String> {
    std::env::var(name).map_err(|_| {
        format!(
            "the environment has no variable {name}, which the warehouse names as its password_env"
        )
    })
}

fn is_login_refused(error: &Error) -> bool {
    [
        SqlState::INVALID_PASSWORD,
        SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
    ]
    .iter()
    .any(|code| error.code() == Some(code))
}

fn not_connected(error: &Error) -> CallError {
    let what = "connect to PostgreSQL";
    if tls::is_distrust(error) {
        return CallError {
            what: what.to_owned(),
            reason: format!(
                "{}; the warehouse's `tls_ca` names the CAs to trust, and its host must be a name in the certificate",
                chain(error)
            ),
            class: Class::Permanent,
        };
    }
    failed(what, error)
}
