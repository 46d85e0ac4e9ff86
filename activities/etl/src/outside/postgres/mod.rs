//! The way to a PostgreSQL: this folder and the targets' name its client.

mod connect;
mod login;
pub(crate) mod tls;

use stepfleet_activity::Class;
use tokio_postgres::Error;

use super::call::{CallError, chain};
pub(crate) use connect::Postgres;

/// No answer, a lost connection and what the server says of itself (classes 08,
/// 40, 53, 55 and 57 of SQLSTATE, and 25006 of a failover) may be over later. A
/// statement that took too long (57014) takes as long again.
pub(crate) fn failed(what: impl Into<String>, error: &Error) -> CallError {
    let database = error.as_db_error();
    let class = database.map_or(Class::Transient, |error| match error.code().code() {
        "57014" => Class::Permanent,
        "25006" => Class::Transient,
        code if ["08", "40", "53", "55", "57"].contains(&&code[..2]) => Class::Transient,
        _ => Class::Permanent,
    });
    CallError {
        what: what.into(),
        reason: database.map_or_else(|| chain(error), ToString::to_string),
        class,
    }
}
