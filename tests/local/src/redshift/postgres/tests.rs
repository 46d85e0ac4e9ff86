//! The server over restarts, kills and closed folders, and whom statements run as.

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
    assert!(open(&parse(&url).unwrap(), None).await.is_err());
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

async fn who(warehouse: &Warehouse) -> String {
    let client = warehouse.statements().await.unwrap();
    let row = client.query_one("select session_user::text", &[]).await;
    row.unwrap().get(0)
}

/// Of a given server, and of a folder that a superuser's statements filled.
#[tokio::test]
async fn statements_are_nobody_who_reaches_the_machine_and_keep_what_they_had() {
    let (_folder, options) = options(0o755);
    let first = Warehouse::start(&options).await.unwrap();
    let old = "create schema old; create table old.t (id bigserial); create view old.v as \
               select * from old.t; create function old.f() returns int language sql as \
               'select 1'; create role plain login password 'plain'; grant create, usage on \
               schema public to plain; grant create on database postgres to plain; \
               create role keeper login createrole password 'keeper'";
    let client = first.connection().await.unwrap();
    client.batch_execute(old).await.unwrap();
    first.stop().await;

    let own = Warehouse::start(&options).await.unwrap();
    assert_eq!(who(&own).await, role::ROLE);
    let client = own.statements().await.unwrap();
    let all = "drop view old.v; drop function old.f(); drop table old.t; drop schema old";
    client.batch_execute(all).await.unwrap();

    let at = |user: &str| {
        let mut given = options.clone();
        let (_, rest) = own.url().split_once('@').unwrap();
        given.url = Some(format!("postgres://{user}:{user}@{rest}"));
        given
    };
    let mut given = options.clone();
    given.url = Some(own.url().to_owned());
    let shared = Warehouse::start(&given).await.unwrap();
    assert_eq!(who(&shared).await, role::ROLE);
    assert_eq!(who(&own).await, role::ROLE, "both know the password");
    // What the owner made of compat.sql is not a plain user's to replace.
    let client = own.connection().await.unwrap();
    let hand = "do $$ declare one record; begin for one in select p.oid::regprocedure as f \
                from pg_proc p where p.pronamespace = 'public'::regnamespace loop \
                execute format('alter routine %s owner to plain', one.f); end loop; for one \
                in select c.oid::regclass as t from pg_class c where c.relnamespace in \
                ('public'::regnamespace, 'stepfleet_copy'::regnamespace) and c.relkind in \
                ('r', 'v', 'S') loop execute format('alter table %s owner to plain', one.t); \
                end loop; end $$; grant all on schema stepfleet_copy to plain";
    client.batch_execute(hand).await.unwrap();
    let plain = Warehouse::start(&at("plain")).await.unwrap();
    assert_eq!(who(&plain).await, "plain");
    let keeper = Warehouse::start(&at("keeper")).await;
    assert!(keeper.is_err(), "may not be the user of statements");
    // What it may become counts too.
    let chief = "create role chief superuser nocreaterole noreplication nobypassrls; \
                 grant chief to plain";
    client.batch_execute(chief).await.unwrap();
    let member = Warehouse::start(&at("plain")).await;
    assert!(member.is_err(), "may become a superuser");
    own.stop().await;
}
