//! The role that statements run as: it may do nothing to the machine.
//!
//! A superuser of PostgreSQL is whoever the server runs as: `COPY ... PROGRAM`,
//! `pg_read_file`, `lo_import`. So statements log in as a role that is none, and
//! that cannot become one: `SET ROLE` and `RESET ROLE` lead back to itself.

use sha2::{Digest, Sha256};
use tokio_postgres::{Client, Config};

use super::{WarehouseError, open, reason, refused};

/// The role that is made for statements.
pub(super) const ROLE: &str = "stepfleet_user";

/// What makes a role somebody who reaches the machine, or another role.
const DANGERS: &str = "SELECT array_to_string(array_remove(ARRAY[
    CASE WHEN r.rolsuper THEN 'SUPERUSER' END,
    CASE WHEN r.rolcreaterole THEN 'CREATEROLE' END,
    CASE WHEN r.rolreplication THEN 'REPLICATION' END,
    CASE WHEN r.rolbypassrls THEN 'BYPASSRLS' END] || ARRAY(
        SELECT p.rolname::text FROM pg_roles p WHERE p.rolname = ANY (ARRAY[
            'pg_read_server_files', 'pg_write_server_files', 'pg_execute_server_program',
            'pg_read_all_data', 'pg_write_all_data', 'pg_signal_backend', 'pg_checkpoint'])
        AND pg_has_role(r.oid, p.oid, 'MEMBER'))
        || ARRAY(
        SELECT 'membership in ' || p.rolname FROM pg_roles p
        WHERE p.oid <> r.oid AND pg_has_role(r.oid, p.oid, 'MEMBER')
        AND (p.rolsuper OR p.rolcreaterole OR p.rolreplication OR p.rolbypassrls)), NULL), ', ')
    FROM pg_roles r WHERE r.rolname = session_user";

/// Makes the role, and what it may do; again, it is as it was at first.
const MAKE: &str = include_str!("role.sql");

/// Where statements log in: as the owner's own user where that one is harmless
/// already, else as a role that is made for them.
///
/// # Errors
/// If there is no harmless role and none can be made.
pub(super) async fn statements(owner: &Client, config: &Config) -> Result<Config, WarehouseError> {
    if dangers(owner, config).await?.is_empty() {
        return Ok(config.clone());
    }
    let mut statements = config.clone();
    statements.user(ROLE).password(password(config));
    make(owner, &statements).await?;
    let client = open(&statements, None).await?;
    let dangers = dangers(&client, &statements).await?;
    if dangers.is_empty() {
        return Ok(statements);
    }
    let why = format!(
        "statements would run as {ROLE}, which has {dangers}: take that from it, or name a user \
         in the URL that has none of it"
    );
    Err(refused(&statements, why))
}

/// Makes the role of `statements` as it has to be, whatever became of it.
pub(super) async fn make(owner: &Client, statements: &Config) -> Result<(), WarehouseError> {
    let password = statements.get_password().unwrap_or_default();
    let password = String::from_utf8_lossy(password);
    // As a setting: DO takes no parameters, and text is no SQL.
    let told = "SELECT set_config('stepfleet.role', $1, false), \
                set_config('stepfleet.role_password', $2, false)";
    let failed = |error: tokio_postgres::Error| {
        let why = format!(
            "statements run as a role that is no superuser, and {ROLE} cannot be made for them: \
             {}; name a user in the URL that is no superuser",
            reason(&error)
        );
        refused(statements, why)
    };
    let role = ROLE.to_owned();
    let told = owner.execute(told, &[&role, &password.as_ref()]).await;
    told.map_err(failed)?;
    owner.batch_execute(MAKE).await.map_err(failed)
}

async fn dangers(client: &Client, config: &Config) -> Result<String, WarehouseError> {
    let row = client.query_one(DANGERS, &[]).await;
    let row = row.map_err(|error| refused(config, reason(&error)))?;
    Ok(row.get(0))
}

/// The role's password. Two runs on one server know the same one; who does not
/// know the owner's does not know this.
fn password(owner: &Config) -> String {
    match owner.get_password() {
        Some(known) => hex::encode(
            Sha256::new_with_prefix(b"stepfleet_user")
                .chain_update(known)
                .finalize(),
        ),
        None => hex::encode(rand::random::<[u8; 32]>()),
    }
}
