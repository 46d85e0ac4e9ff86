//! A warehouse that is a PostgreSQL: where it is, whom it is spoken to as, and how safely.

use std::net::IpAddr;
use std::path::PathBuf;

use super::Checker;
use crate::catalogue::raw::{RawTls, RawWarehouse};
use crate::catalogue::types::{PostgresTls, WarehouseTarget};

/// PostgreSQL's port.
const PORT: u16 = 5432;

impl Checker<'_, '_> {
    /// Whether a warehouse of Redshift says nothing that is a PostgreSQL's.
    pub(super) fn redshift(&mut self, raw: &RawWarehouse) -> bool {
        for (name, there, instead) in [
            (
                "password_env",
                raw.password_env.is_some(),
                "Redshift takes a `secret`",
            ),
            ("tls", raw.tls.is_some(), TLS_ALWAYS),
            ("tls_ca", raw.tls_ca.is_some(), TLS_ALWAYS),
        ] {
            if there {
                let message =
                    format!("found a `{name}`; it is allowed beside `postgres` only: {instead}");
                self.fault(name, message);
                return false;
            }
        }
        true
    }

    /// `host` or `host:port`, one way to log in, and nothing that is Redshift's.
    pub(super) fn postgres(&mut self, raw: &RawWarehouse, server: &str) -> Option<WarehouseTarget> {
        for (name, there) in [
            ("workgroup", raw.workgroup.is_some()),
            ("cluster", raw.cluster.is_some()),
            ("copy_role", raw.copy_role.is_some()),
        ] {
            if there {
                let message = format!("found `{name}` beside `postgres`; it is Redshift's");
                self.fault(name, message);
                return None;
            }
        }
        let (host, port) = match server.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().ok()),
            None => (server, Some(PORT)),
        };
        let (Some(port), false) = (port.filter(|port| *port > 0), host.is_empty()) else {
            let message = format!("found `{server}`; allowed is `host` or `host:port`");
            self.fault("postgres", message);
            return None;
        };
        let user = self.login(raw)?;
        let tls = self.tls(raw, host)?;
        Some(WarehouseTarget::Postgres {
            host: host.to_owned(),
            port,
            user,
            password_env: raw.password_env.clone(),
            tls,
        })
    }

    /// The user, or none where a secret says user and password: never both.
    fn login(&mut self, raw: &RawWarehouse) -> Option<Option<String>> {
        if raw.secret.is_some() {
            for (name, there) in [
                ("user", raw.user.is_some()),
                ("password_env", raw.password_env.is_some()),
            ] {
                if there {
                    let message = format!(
                        "found a `{name}` beside a `secret`; the secret says user and password: leave one of them out"
                    );
                    self.fault(name, message);
                    return None;
                }
            }
            return Some(None);
        }
        let user = raw.user.clone().filter(|user| !user.is_empty());
        if user.is_none() {
            self.fault(
                "user",
                "found none; a PostgreSQL wants the name of a user, or a `secret` that says it",
            );
        }
        user.map(Some)
    }

    /// What is said, or what is safe; never in the clear beyond this machine.
    fn tls(&mut self, raw: &RawWarehouse, host: &str) -> Option<PostgresTls> {
        let here = is_here(host);
        let unsaid = if here && raw.tls_ca.is_none() {
            RawTls::Disable
        } else {
            RawTls::VerifyFull
        };
        let tls = raw.tls.unwrap_or(unsaid);
        if tls == RawTls::Disable && !here {
            let message = format!(
                "found `disable` for the host `{host}`; allowed is `verify-full` or `require`: only loopback (`localhost`, `127.0.0.1`) may be spoken to in the clear"
            );
            self.fault("tls", message);
            return None;
        }
        if is_socket(host) && tls != RawTls::Disable {
            let at = if raw.tls.is_some() { "tls" } else { "tls_ca" };
            let message =
                format!("found it for the socket `{host}`, which has no TLS: leave it out");
            self.fault(at, message);
            return None;
        }
        let ca = self.ca(raw, tls)?;
        Some(match tls {
            RawTls::Disable => PostgresTls::Disable,
            RawTls::Require => PostgresTls::Require,
            RawTls::VerifyFull => PostgresTls::VerifyFull { ca },
        })
    }

    /// The file of CAs, if there is one and somebody looks at it.
    fn ca(&mut self, raw: &RawWarehouse, tls: RawTls) -> Option<Option<PathBuf>> {
        if let (Some(_), RawTls::Disable | RawTls::Require) = (&raw.tls_ca, tls) {
            let message = "found a file beside a `tls` that checks no certificate; allowed is `tls: verify-full`";
            self.fault("tls_ca", message);
            return None;
        }
        let ca = raw.tls_ca.as_ref().map(PathBuf::from);
        if let Some(ca) = &ca
            && !ca.is_absolute()
        {
            let message = format!(
                "found `{}`; allowed is the absolute path of a file where the worker runs",
                ca.display()
            );
            self.fault("tls_ca", message);
            return None;
        }
        Some(ca)
    }
}

const TLS_ALWAYS: &str = "Redshift's Data API always has TLS";

/// Whether what goes to this host stays on this machine.
fn is_here(host: &str) -> bool {
    let loopback = || {
        host.parse()
            .is_ok_and(|address: IpAddr| address.is_loopback())
    };
    is_socket(host) || host.eq_ignore_ascii_case("localhost") || loopback()
}

/// Whether the client takes it for the folder of a socket.
fn is_socket(host: &str) -> bool {
    host.starts_with('/')
}
