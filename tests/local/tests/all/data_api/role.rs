//! Whom statements run as: nobody who reaches the machine behind the warehouse.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use aws_sdk_redshiftdata::types::StatusString;

use super::{Bench, text};

/// Runs what has to be refused, as it is and inside of a block; gives what was said.
async fn refused(bench: &Bench, sql: &str) {
    let block = format!("DO $block$ BEGIN EXECUTE $sql${sql}$sql$; END $block$");
    for sql in [sql, &block] {
        let described = bench.run(sql).await;
        let said = described.error.unwrap_or_default();
        assert_eq!(described.status, Some(StatusString::Failed), "{sql}");
        let why = [
            "permission denied",
            "must be superuser",
            "must have",
            "must be a superuser",
            "is not allowed",
        ];
        let ours = ["COPY", "is not here"];
        assert!(
            why.iter().chain(&ours).any(|part| said.contains(part)),
            "{sql}: {said}"
        );
        // What is refused by us is refused by PostgreSQL too, where we do not look.
        assert!(
            !sql.starts_with("DO") || why.iter().any(|part| said.contains(part)),
            "{sql}: {said}"
        );
    }
}

pub(super) async fn no_statement_reaches_the_machine(bench: Arc<Bench>) {
    bench.ok("CREATE TABLE public.machine (line text)").await;
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let taken = folder.path().join("taken");
    let taken = taken.display();
    for sql in [
        &format!("COPY public.machine FROM PROGRAM 'id > {taken}; cat {taken}'"),
        &format!("COPY (SELECT 1) TO PROGRAM 'cat > {taken}'"),
        "COPY public.machine FROM '/etc/passwd'",
        &format!("COPY (SELECT 1) TO '{taken}'"),
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT pg_read_binary_file('/etc/passwd')",
        "SELECT pg_ls_dir('/')",
        "SELECT pg_stat_file('/etc/passwd')",
        "SELECT pg_current_logfile()",
        "SELECT lo_import('/etc/passwd')",
        &format!("SELECT lo_export(1, '{taken}')"),
        "LOAD '/tmp/any.so'",
        "CREATE FUNCTION f() RETURNS int AS '/tmp/any.so', 'f' LANGUAGE c",
        "CREATE EXTENSION file_fdw",
        "CREATE EXTENSION dblink",
        "CREATE EXTENSION adminpack",
        "CREATE SERVER s FOREIGN DATA WRAPPER file_fdw",
        "ALTER SYSTEM SET archive_command = 'id'",
        "SELECT pg_reload_conf()",
        "SELECT pg_rotate_logfile()",
        "CREATE TABLESPACE t LOCATION '/tmp'",
        "CREATE SUBSCRIPTION s CONNECTION 'host=127.0.0.1' PUBLICATION p",
        "SET session_preload_libraries = 'any'",
        "SET log_directory = '/tmp'",
    ] {
        refused_or_unknown(&bench, sql).await;
    }
    assert_eq!(bench.count("public.machine").await, 0);
    assert!(!folder.path().join("taken").exists());
}

/// An extension that is not installed cannot be made by anybody.
async fn refused_or_unknown(bench: &Bench, sql: &str) {
    let described = bench.run(sql).await;
    let said = described.error.unwrap_or_default();
    let absent = [
        "could not open extension control file",
        "is not available",
        "does not exist",
        "cannot be changed",
        "cannot run inside a transaction block",
        "could not access file",
    ];
    if !absent.iter().any(|part| said.contains(part)) {
        refused(bench, sql).await;
    }
}

pub(super) async fn no_statement_becomes_somebody_else(bench: Arc<Bench>) {
    for sql in [
        "SET ROLE stepfleet",
        "SET SESSION AUTHORIZATION stepfleet",
        "SET LOCAL ROLE stepfleet",
        "SET ROLE pg_execute_server_program",
        "ALTER ROLE stepfleet_user SUPERUSER",
        "ALTER ROLE stepfleet PASSWORD 'mine'",
        "CREATE ROLE mine LOGIN SUPERUSER",
        "GRANT pg_read_server_files TO stepfleet_user",
        "GRANT stepfleet TO stepfleet_user",
        "SELECT rolpassword FROM pg_authid",
        "ALTER TABLE public.sys_load_history OWNER TO stepfleet_user",
        "INSERT INTO public.sys_load_history (query_id) VALUES (1)",
        "CREATE OR REPLACE FUNCTION public.getdate() RETURNS timestamp LANGUAGE sql AS 'SELECT now()::timestamp'",
        "UPDATE pg_proc SET prosecdef = true",
        "CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION f()",
    ] {
        let described = bench.run(sql).await;
        assert_eq!(described.status, Some(StatusString::Failed), "{sql}");
        let said = described.error.unwrap_or_default();
        let why = ["permission denied", "must be", "must have"];
        assert!(why.iter().any(|part| said.contains(part)), "{sql}: {said}");
    }
    // Back is where it came from, which is no superuser either.
    for back in ["RESET ROLE", "SET ROLE NONE", "RESET SESSION AUTHORIZATION"] {
        bench.ok(back).await;
        let described = bench
            .batch(&[back, "COPY (SELECT 1) TO PROGRAM 'cat'"])
            .await;
        assert_eq!(described.status, Some(StatusString::Failed), "{back}");
    }
    let who = bench
        .rows("SELECT session_user::text, current_setting('is_superuser')")
        .await;
    assert_eq!(who[0], [text("stepfleet_user"), text("off")]);
}

/// What the machinery does for a statement it does not do with its own rights:
/// types, defaults, triggers and operators are the statement's texts too.
pub(super) async fn no_statement_runs_as_the_machinery(bench: Arc<Bench>) {
    bench.put("trap/a", "1\n2\n").await;
    for sql in [
        "CREATE TABLE public.trap_log (who text)",
        "CREATE FUNCTION public.trap(v int) RETURNS boolean LANGUAGE plpgsql AS \
         'BEGIN INSERT INTO public.trap_log VALUES (current_user::text); RETURN true; END'",
        "CREATE DOMAIN public.trapped AS int CHECK (public.trap(VALUE))",
        "CREATE TABLE public.trap_t (a public.trapped)",
        "CREATE FUNCTION public.trap_times(a double precision, b int) RETURNS double precision \
         LANGUAGE plpgsql AS \
         'BEGIN INSERT INTO public.trap_log VALUES (current_user::text); RETURN a * b::float8; END'",
        "CREATE OPERATOR public.* (LEFTARG = double precision, RIGHTARG = int, FUNCTION = public.trap_times)",
        "CREATE OR REPLACE PROCEDURE public.trap_load() LANGUAGE plpgsql AS $$ BEGIN \
         COPY public.trap_t FROM 's3://data/trap/' IAM_ROLE default CSV; END $$",
        "CALL public.trap_load()",
        "COPY public.trap_t FROM 's3://data/trap/' IAM_ROLE default CSV",
    ] {
        bench.ok(sql).await;
    }
    assert_eq!(bench.count("public.trap_t").await, 4);
    let history = "SELECT count(*) FROM sys_load_history WHERE table_name = 'trap_t'";
    assert_eq!(bench.number(history).await, 2);
    let who = bench.rows("SELECT DISTINCT who FROM public.trap_log").await;
    assert_eq!(who, [[text("stepfleet_user")]]);
    bench
        .ok("DROP OPERATOR public.* (double precision, int)")
        .await;
}

pub(super) async fn everybody_may_do_what_a_warehouse_is_for(bench: Arc<Bench>) {
    for sql in [
        "CREATE SCHEMA wares",
        "CREATE TABLE wares.t (id bigint IDENTITY(1,1), a varchar(max))",
        "CREATE TEMP TABLE s (a int)",
        "CREATE VIEW wares.v AS SELECT a FROM wares.t",
        "INSERT INTO wares.t (a) VALUES ('x')",
        "ALTER TABLE wares.t ADD COLUMN b int",
        "TRUNCATE wares.t",
        "LOCK TABLE wares.t",
        "GRANT SELECT ON wares.t TO PUBLIC",
        "SELECT * FROM stl_load_errors",
        "SELECT * FROM sys_load_error_detail",
        "SELECT getdate(), pg_last_copy_id()",
        "SELECT * FROM pg_catalog.pg_class JOIN information_schema.tables ON table_name = relname",
        "SELECT has_table_privilege('wares.t', 'insert')",
        "ANALYZE wares.t",
        "DROP SCHEMA wares CASCADE",
    ] {
        bench.ok(sql).await;
    }
}

/// A role may change its own password and what its sessions begin with. That
/// locks nobody out.
pub(super) async fn what_it_does_to_itself_is_mended(bench: Arc<Bench>) {
    for sql in [
        "ALTER ROLE CURRENT_USER PASSWORD 'mine'",
        "ALTER ROLE CURRENT_USER SET local_preload_libraries = 'not-there'",
        "ALTER ROLE CURRENT_USER IN DATABASE postgres SET local_preload_libraries = 'not-there'",
    ] {
        bench.ok(sql).await;
        bench.ok("SELECT 1").await;
    }
}

/// From outside: a password on loopback, and its file is nobody else's.
pub(super) async fn nobody_logs_in_without_the_password(bench: Arc<Bench>) {
    let hba = bench.dir.join("postgres").join("pg_hba.conf");
    // As root the server may live elsewhere: its folder is closed to its user.
    let elsewhere = fs::read_to_string(bench.dir.join("postgres-elsewhere"));
    let hba = elsewhere.map_or(hba, |base| {
        std::path::Path::new(&base)
            .join("postgres")
            .join("pg_hba.conf")
    });
    let rules = fs::read_to_string(hba).unwrap();
    let mut methods = rules
        .lines()
        .filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
        .filter_map(|line| line.split_whitespace().last());
    assert!(methods.all(|method| method == "scram-sha-256"), "{rules}");
    let url = bench.dir.join("postgres.url");
    let mode = fs::metadata(&url).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "{mode:o}");
    let listens = "SELECT current_setting('listen_addresses')";
    assert_eq!(bench.rows(listens).await[0], [text("127.0.0.1")]);
}
