//! The procedure `stepfleet.load_batch_2` as the last guard against loading twice.
//! A loader looks for the batch before it calls, and so hardly ever needs it.
//! Here it is called with what loaders have sent whose look came too early: they
//! die over the call, so that nobody looks and no file is moved.

use std::time::Duration;

use aws_sdk_redshiftdata::Client;
use aws_sdk_redshiftdata::operation::describe_statement::DescribeStatementOutput;
use aws_sdk_redshiftdata::types::StatusString;
use futures::future::join_all;
use nix::sys::signal::Signal;
use tokio::time::timeout;

use crate::gate::{Call, When};
use crate::process::until;
use crate::proxy::Proxy;
use crate::target::Target;
use crate::world::{FILES, World};

/// A load, on a busy machine.
const LONG: Duration = Duration::from_secs(180);
/// So long that no heartbeat lapses by itself.
const HEARTBEAT: &str = "100s";
/// Calls of one batch at once.
const AT_ONCE: usize = 5;

/// A warehouse, and a load that is to come into it by the procedure.
struct Scene {
    world: World,
    data: Client,
    activity: String,
}

impl Scene {
    async fn start(name: &str) -> Self {
        let activity = name.to_owned();
        let activities = std::slice::from_ref(&activity);
        let mut world = World::start(name, activities, ("0s", HEARTBEAT)).await;
        let config = "warehouse: main, commit: procedure";
        world.set_up_as(activities, config).await;
        let data = Client::new(&crate::world::config(&world.endpoint).await);
        Self {
            world,
            data,
            activity,
        }
    }

    /// Makes the table.
    async fn target(&self) -> Target<'_> {
        let made = self.world.targets(std::slice::from_ref(&self.activity));
        made.await.remove(0)
    }

    async fn start_execution(&self, target: &Target<'_>) -> String {
        let input = target.input();
        self.world.start_execution(&self.activity, &input).await
    }

    /// Lets a worker die before its batch reaches the warehouse or right after;
    /// gives the way that the call was on. Its execution is tried again.
    async fn die(&self, name: &str, when: When) -> Proxy {
        let call = Call::Named("BatchExecuteStatement".to_owned());
        let proxy = Proxy::start(&self.world.endpoint, Some((call, when))).await;
        let mut victim = self.world.worker_at((&self.activity, name), &proxy.url);
        let held = timeout(LONG, proxy.held()).await;
        assert!(held.is_ok(), "only {:?}\n{}", proxy.calls(), victim.said());
        victim.signal(Signal::SIGKILL);
        victim.ended(LONG).await;
        self.world.lapse(&proxy.token().expect("a task")).await;
        proxy
    }

    /// The end of the only statement of a batch, which the loader has sent.
    async fn sent(&self, batch: &str) -> DescribeStatementOutput {
        let list = self.data.list_statements().statement_name(batch);
        let listed = list.status(StatusString::All).send().await.expect("a list");
        let [statement] = listed.statements() else {
            panic!("{:?}", listed.statements());
        };
        self.ended(statement.id()).await
    }

    /// Sends what the loader has sent, as a worker does that knows of no other.
    async fn send(&self, of: &DescribeStatementOutput, number: usize) -> String {
        let parts = of.sub_statements().iter();
        let sqls = parts.filter_map(|part| part.query_string().map(str::to_owned));
        let sqls: Vec<String> = sqls.collect();
        let [_lock, call] = &sqls[..] else {
            panic!("{sqls:?}");
        };
        assert!(call.starts_with("CALL stepfleet.load_batch_2("), "{call}");
        let sent = (self.data.batch_execute_statement())
            .set_database(of.database().map(str::to_owned))
            .set_workgroup_name(of.workgroup_name().map(str::to_owned))
            .set_sqls(Some(sqls))
            .client_token(format!("{}-{number}", of.id()))
            .send()
            .await;
        sent.expect("accepted").id.expect("an id")
    }

    async fn ended(&self, id: &str) -> DescribeStatementOutput {
        until("a statement's end", LONG, async || {
            let look = self.data.describe_statement().id(id).send().await;
            let look = look.expect("a description");
            let over = [
                StatusString::Finished,
                StatusString::Failed,
                StatusString::Aborted,
            ];
            over.contains(look.status().expect("a status"))
                .then_some(look)
        })
        .await
    }

    /// The procedure refuses quietly: for the loader, the batch has committed, and
    /// whose the files are it reads in the ledger.
    async fn assert_quiet(&self, id: &str) {
        let ended = self.ended(id).await;
        let said = (ended.status(), ended.error());
        assert_eq!(said, (Some(&StatusString::Finished), None));
    }

    /// Rows, distinct rows; files in the ledger, distinct files, and batches.
    async fn loaded(&self, target: &Target<'_>) -> [i64; 5] {
        let table = target.table();
        let numbers = self.world.numbers(format!(
            "SELECT (SELECT count(*) FROM {table}), (SELECT count(DISTINCT id) FROM {table}), \
             count(*), count(DISTINCT object_key || etag), count(DISTINCT batch_id) \
             FROM stepfleet.ledger WHERE table_name = '{table}'"
        ));
        numbers.await.try_into().expect("five")
    }

    /// Somebody takes up what the dead have left.
    async fn finish(&self, target: &Target<'_>, execution: &str) {
        let _fresh = self.world.worker(&self.activity, "fresh").await;
        self.world.succeeded(execution, LONG).await;
        target.assert_loaded_once(&self.activity).await;
    }
}

/// The batch whose manifest is there and is none of these.
async fn batch(target: &Target<'_>, known: &[&str]) -> String {
    let keys = target.keys("manifests").await;
    let names = keys
        .iter()
        .filter_map(|key| key.strip_suffix(".files.json"));
    let new: Vec<&str> = names.filter(|name| !known.contains(name)).collect();
    let [batch] = new[..] else {
        panic!("{keys:?}");
    };
    batch.to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_is_called_again_is_loaded_once() {
    let scene = Scene::start("again").await;
    let target = scene.target().await;
    target.land(&FILES).await;
    let execution = scene.start_execution(&target).await;
    scene.die("victim", When::After).await;
    let sent = scene.sent(&batch(&target, &[]).await).await;
    assert_eq!(scene.loaded(&target).await, [6, 6, 3, 3, 1], "the loader's");
    for number in 0..2 {
        let id = scene.send(&sent, number).await;
        scene.assert_quiet(&id).await;
        assert_eq!(scene.loaded(&target).await, [6, 6, 3, 3, 1], "{number}");
    }
    scene.finish(&target, &execution).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_is_called_by_several_at_once_is_loaded_once() {
    let scene = Scene::start("together").await;
    // Without its table the loader's own call fails, and all others are still to come.
    let target = scene.world.target(&scene.activity);
    target.land(&FILES).await;
    let execution = scene.start_execution(&target).await;
    scene.die("victim", When::After).await;
    let sent = scene.sent(&batch(&target, &[]).await).await;
    assert_eq!(sent.status(), Some(&StatusString::Failed), "{sent:?}");
    scene.target().await;
    let ids = join_all((0..AT_ONCE).map(|number| scene.send(&sent, number))).await;
    for id in &ids {
        scene.assert_quiet(id).await;
    }
    assert_eq!(scene.loaded(&target).await, [6, 6, 3, 3, 1]);
    scene.finish(&target, &execution).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_whose_files_came_in_with_another_loads_nothing() {
    let scene = Scene::start("late").await;
    let target = scene.target().await;
    target.land(&FILES).await;
    let execution = scene.start_execution(&target).await;
    let way = scene.die("late", When::Before).await;
    let late = batch(&target, &[]).await;
    target.land(&[("d.csv", "7,70\n")]).await;
    scene.die("victim", When::After).await;
    let other = batch(&target, &[&late]).await;
    let sent = scene.sent(&other).await;
    assert_eq!(sent.status(), Some(&StatusString::Finished), "{sent:?}");
    assert_eq!(scene.loaded(&target).await, [7, 7, 4, 4, 1], "the other's");
    way.release().await;
    let sent = scene.sent(&late).await;
    scene.assert_quiet(sent.id()).await;
    assert_eq!(scene.loaded(&target).await, [7, 7, 4, 4, 1]);
    scene.finish(&target, &execution).await;
}
