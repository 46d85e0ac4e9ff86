//! One table in two spellings, in every mode: two executions at once, files that
//! come again after the ledger was written by loaders that noted a table as it was
//! spelt, and the statements of a load that are sent once more then.

use std::time::Duration;

use aws_sdk_redshiftdata::Client;
use aws_sdk_redshiftdata::types::StatusString;
use serde_json::json;

use crate::process::until;
use crate::target::Target;
use crate::world::{FILES, World};

/// A load, on a busy machine.
const LONG: Duration = Duration::from_secs(180);

/// How the files come into the table, and whose ledger says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Statements,
    Procedure,
    OneByOne,
}

impl Mode {
    const ALL: [(Self, &str); 3] = [
        (Self::Statements, "warehouse: main"),
        (Self::Procedure, "warehouse: main, commit: procedure"),
        (Self::OneByOne, "warehouse: files"),
    ];

    fn name(self) -> String {
        format!("{self:?}").to_lowercase()
    }

    fn ledger(self) -> &'static str {
        match self {
            Self::OneByOne => "stepfleet.files",
            Self::Statements | Self::Procedure => "stepfleet.ledger",
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_in_two_spellings_is_loaded_once() {
    let names = Mode::ALL.map(|(mode, _)| mode.name());
    let mut world = World::start("spelling", &names, ("0s", "100s")).await;
    if !world.open_postgres().await {
        return; // No PostgreSQL of its own.
    }
    world
        .set_up_each(&Mode::ALL.map(|(mode, config)| (mode.name(), config.to_owned())))
        .await;
    world.targets(&names).await;
    for (mode, _) in Mode::ALL {
        let name = mode.name();
        let target = world.target(&name);
        let _workers = [
            world.worker(&name, "one").await,
            world.worker(&name, "two").await,
        ];
        twice_at_once(&world, mode, &target).await;
        noted_as_it_was_spelt(&world, mode, &target).await;
    }
}

async fn twice_at_once(world: &World, mode: Mode, target: &Target<'_>) {
    target.land(&FILES).await;
    let spelt = |table: String| {
        let mut input = target.input();
        input["table"] = json!(table);
        input
    };
    let upper = target.table().to_uppercase();
    let quoted = format!("\"{}\"", target.table().replace('.', "\".\""));
    let mut executions = Vec::new();
    for table in [target.table(), upper, quoted] {
        let started = world.start_execution(&mode.name(), &spelt(table)).await;
        executions.push(started);
    }
    for execution in &executions {
        world.succeeded(execution, LONG).await;
    }
    target
        .assert_loaded_once_by(mode.ledger(), &mode.name())
        .await;
}

/// A ledger of before, and the same files once more in `incoming/`.
async fn noted_as_it_was_spelt(world: &World, mode: Mode, target: &Target<'_>) {
    let table = target.table();
    let keys = target.keys("manifests").await;
    let manifest = keys.iter().find_map(|key| key.strip_suffix(".files.json"));
    respell(world, mode, (&table, "upper")).await;
    land_again(world, target).await;
    let mut input = target.input();
    input["table"] = json!(table.to_uppercase());
    let execution = world.start_execution(&mode.name(), &input).await;
    let output = world.succeeded(&execution, LONG).await;
    assert_eq!(
        (&output["files"], &output["moved"]),
        (&json!(0), &json!(3)),
        "{mode:?}"
    );
    if let Some(batch) = manifest {
        send_again(world, mode, (&table, batch)).await;
    }
    respell(world, mode, (&table, "lower")).await;
    target
        .assert_loaded_once_by(mode.ledger(), &mode.name())
        .await;
}

async fn respell(world: &World, mode: Mode, (table, how): (&str, &str)) {
    let ledger = mode.ledger();
    let update = format!(
        "UPDATE {ledger} SET table_name = {how}(table_name) WHERE lower(table_name) = '{table}'"
    );
    world.execute_all(&[update]).await;
}

async fn land_again(world: &World, target: &Target<'_>) {
    let input = target.input();
    for (name, body) in FILES {
        let put = (world.s3.put_object())
            .bucket(world.fleet())
            .key(format!(
                "{}incoming/{name}",
                input["prefix"].as_str().expect("a prefix")
            ))
            .body(body.as_bytes().to_vec().into());
        put.send().await.expect("a file lands");
    }
}

/// The transaction of the load again, while the ledger has its files by another
/// batch's name: only the table, as it was spelt, can stop it.
async fn send_again(world: &World, mode: Mode, (table, batch): (&str, &str)) {
    let data = Client::new(&crate::world::config(&world.endpoint).await);
    let rename = |from: &str, to: &str| {
        format!("UPDATE stepfleet.ledger SET batch_id = '{to}' WHERE batch_id = '{from}'")
    };
    world.execute_all(&[rename(batch, "another")]).await;
    let list = data.list_statements().statement_name(batch);
    let listed = list.status(StatusString::All).send().await.expect("a list");
    let of = data.describe_statement().id(listed.statements()[0].id());
    let of = of.send().await.expect("a description");
    let parts = of.sub_statements().iter();
    let sqls: Vec<String> = parts
        .filter_map(|part| part.query_string().map(str::to_owned))
        .collect();
    let sent = (data.batch_execute_statement())
        .set_database(of.database().map(str::to_owned))
        .set_workgroup_name(of.workgroup_name().map(str::to_owned))
        .set_sqls(Some(sqls))
        .send()
        .await;
    let id = sent.expect("accepted").id.expect("an id");
    let ended = until("a statement's end", LONG, async || {
        let look = data.describe_statement().id(&id).send().await;
        let look = look.expect("a description");
        let over = [StatusString::Finished, StatusString::Failed];
        over.contains(look.status().expect("a status"))
            .then_some(look)
    })
    .await;
    let (status, why) = (ended.status(), ended.error().unwrap_or_default());
    match mode {
        Mode::Procedure => assert_eq!(status, Some(&StatusString::Finished), "{why}"),
        _ => assert!(why.contains("division by zero"), "{status:?}: {why}"),
    }
    let rows = world.numbers(format!("SELECT count(*) FROM {table}")).await;
    assert_eq!(rows, [6], "{mode:?}");
    world.execute_all(&[rename("another", batch)]).await;
}
