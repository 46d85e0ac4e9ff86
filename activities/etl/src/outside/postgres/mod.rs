//! The way to a PostgreSQL: this folder and the targets' name its client.

mod connect;
mod login;
mod sqlstate;
pub(crate) mod tls;

use stepfleet_activity::Class;
use tokio_postgres::Error;

use super::call::{CallError, chain};
pub(crate) use connect::Postgres;
pub(crate) use sqlstate::Blame;

/// No answer and a lost connection may be over later; what the server says is
/// somebody's fault.
pub(crate) fn failed(what: impl Into<String>, error: &Error) -> CallError {
    let database = error.as_db_error();
    let class = database.map_or(Class::Transient, |error| {
        Blame::of(error.code().code()).class()
    });
    CallError {
        what: what.into(),
        reason: database.map_or_else(|| chain(error), ToString::to_string),
        class,
    }
}
