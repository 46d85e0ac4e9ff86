//! A worker that dies at a chosen call, and how a test runs the loader in it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use stepfleet_activity::{ActivityError, Attempt, Class, Clock as _, TaskContext};
use tokio::sync::Notify;

use super::world::{Condition, World, input, lock};
use crate::LoadConfig;
use crate::LoadInput;
use crate::LoadOutput;
use crate::outside::call::CallError;
use crate::outside::data_api::Statement;
use crate::outside::deleting::Store;
use crate::outside::parts::CopyLimits;
use crate::outside::sns::Notice;
use crate::outside::{Answer, At, Conditional, Object, ObjectStore, Part, PutIf, To, Upload};
use crate::s3_load::batch::Batch;
use crate::s3_load::loader::Loader;
use crate::s3_load::signals::{Signals, Unprocessed};
use crate::s3_load::warehouse::{
    BadFile, Description, FileOutcome, FileTarget, Ledger, LedgerRow, Loaded, Warehouse,
};

/// When the worker dies, if it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dies {
    Never,
    /// Before the call of this number has any effect.
    Before(usize),
    /// After its effect, before its answer is seen.
    After(usize),
    /// It lives: its handler is dropped before the call has any effect.
    DroppedBefore(usize),
    /// It lives: its handler is dropped before the answer is seen.
    DroppedAfter(usize),
}

/// One worker's view of the world.
#[derive(Clone)]
pub(super) struct Faulty {
    world: World,
    dies: Dies,
    calls: Arc<Mutex<Vec<&'static str>>>,
    dead: Arc<AtomicBool>,
    died: Arc<Notify>,
}

impl Faulty {
    pub(super) fn new(world: &World, dies: Dies) -> Self {
        Self {
            world: world.clone(),
            dies,
            calls: Arc::default(),
            dead: Arc::default(),
            died: Arc::default(),
        }
    }

    pub(super) fn calls(&self) -> Vec<&'static str> {
        lock(&self.calls).clone()
    }

    /// Lets other futures go on first: a call to the outside takes time.
    async fn call<T>(
        &self,
        name: &'static str,
        effect: impl FnOnce(&World) -> T + Send,
    ) -> Answer<T> {
        tokio::task::yield_now().await;
        let number = {
            let mut calls = lock(&self.calls);
            calls.push(name);
            calls.len()
        };
        self.die(self.dies == Dies::Before(number)).await;
        self.drop_handler(self.dies == Dies::DroppedBefore(number))
            .await;
        self.world.happen(name);
        let answer = effect(&self.world);
        self.die(self.dies == Dies::After(number)).await;
        self.drop_handler(self.dies == Dies::DroppedAfter(number))
            .await;
        Ok(answer)
    }

    /// The worker goes on, and with it what the handler left it to do.
    async fn drop_handler(&self, now: bool) {
        if now {
            self.died.notify_one();
            std::future::pending::<()>().await;
        }
    }

    /// A dead worker does nothing more, in any of its futures.
    async fn die(&self, now: bool) {
        if now {
            self.dead.store(true, Ordering::SeqCst);
            self.died.notify_one();
        }
        if self.dead.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
    }
}

impl ObjectStore for Faulty {
    async fn list(&self, _: &str, prefix: &str) -> Answer<Vec<Object>> {
        self.call("list", |world| world.list(prefix)).await
    }

    async fn get(&self, at: At<'_>) -> Answer<Option<(Vec<u8>, String)>> {
        self.call("get", |world| {
            let got = world.get(at);
            let is_frozen =
                |body: &[u8]| body.starts_with(b"frozen") || body.starts_with(b"sealed");
            match got {
                Some((body, _)) if is_frozen(&body) => Err(refused()),
                got => Ok(got),
            }
        })
        .await?
    }

    async fn begins(&self, at: At<'_>, etag: &str, bytes: u64) -> Answer<Conditional<Vec<u8>>> {
        self.call("begins", |world| {
            let kept = || world.begins(at, etag, bytes);
            let found = || world.etag(at.key).unwrap_or_default();
            world.lacking(
                Condition::Begins,
                (kept, || world.begins(at, &found(), bytes)),
            )
        })
        .await?
    }

    async fn put(
        &self,
        at: At<'_>,
        body: Vec<u8>,
        condition: PutIf<'_>,
    ) -> Answer<Conditional<String>> {
        self.call("put", |world| {
            let which = match condition {
                PutIf::Absent => Condition::PutAbsent,
                PutIf::Match(_) => Condition::PutMatch,
            };
            let again = body.clone();
            let kept = || world.put(at, body, condition);
            let let_pass = || {
                world.remove_key(at.key);
                world.put(at, again, PutIf::Absent)
            };
            world.lacking(which, (kept, let_pass))
        })
        .await?
    }

    async fn copy(&self, from: At<'_>, etag: &str, to: To<'_>) -> Answer<Conditional<()>> {
        self.call("copy", |world| {
            if let Some((body, _)) = world.get(from)
                && body.starts_with(b"sealed")
            {
                return Err(refused());
            }
            let which = match to.absent {
                true => Condition::CopyAbsent,
                false => Condition::CopySource,
            };
            let let_pass = || {
                let found = world.etag(from.key).unwrap_or_default();
                world.copy(from, &found, To::over(to.key))
            };
            world.lacking(which, (|| world.copy(from, etag, to), let_pass))
        })
        .await?
    }

    async fn begin(&self, from: At<'_>, etag: &str, to: &str) -> Answer<Conditional<String>> {
        self.call("begin", |world| world.begin(from, etag, to))
            .await
    }

    async fn copy_part(
        &self,
        from: (At<'_>, &str),
        upload: Upload<'_>,
        part: Part,
    ) -> Answer<Conditional<String>> {
        self.call("copy_part", |world| {
            let let_pass = || {
                let found = world.etag(from.0.key).unwrap_or_default();
                world.copy_part((from.0, &found), upload, part)
            };
            let kept = || world.copy_part(from, upload, part);
            world.lacking(Condition::Part, (kept, let_pass))
        })
        .await?
    }

    async fn complete(&self, upload: Upload<'_>, etags: &[String]) -> Answer<Conditional<()>> {
        self.call("complete", |world| world.complete(upload, etags))
            .await
    }

    async fn abort(&self, upload: Upload<'_>) -> Answer<()> {
        self.call("abort", |world| world.abort(upload)).await
    }

    async fn delete(&self, at: At<'_>, etag: &str) -> Answer<Conditional<()>> {
        self.call("delete", |world| world.delete(at, etag)).await?
    }

    async fn etag(&self, at: At<'_>) -> Answer<Option<String>> {
        self.call("head", |world| world.etag(at.key)).await
    }

    async fn remove(&self, at: At<'_>) -> Answer<()> {
        self.call("remove", |world| world.remove_key(at.key)).await
    }
}

/// S3's answer to who may not read an object.
fn refused() -> CallError {
    CallError {
        what: "read an object".to_owned(),
        reason: "AccessDenied: no right on its key".to_owned(),
        class: Class::Permanent,
    }
}

impl Ledger for Faulty {
    async fn ledger(&self, table: &str, _: &str, keys: &[String]) -> Answer<Vec<LedgerRow>> {
        self.call("ledger", |world| world.ledger(table, keys)).await
    }
}

impl FileTarget for Faulty {
    async fn load(&self, batch: &Batch, body: Vec<u8>) -> Answer<FileOutcome> {
        self.call("load", |world| {
            if body.starts_with(b"odd") {
                return Ok(FileOutcome::Odd(BadFile {
                    reason: "a trigger does not like it".to_owned(),
                    ..BadFile::default()
                }));
            }
            if lock(&world.db).denied || body.starts_with(b"denied") {
                return Err(CallError {
                    what: "load".to_owned(),
                    reason: "permission denied for table t".to_owned(),
                    class: Class::Permanent,
                });
            }
            Ok(world.load_file(batch, &body))
        })
        .await?
    }
}

impl Warehouse for Faulty {
    async fn submit(&self, batch: &Batch, token: &str) -> Answer<String> {
        self.call("submit", |world| world.submit(batch, token))
            .await
    }

    async fn statements(&self, batch_id: &str) -> Answer<Vec<Statement>> {
        self.call("statements", |world| world.statements(batch_id))
            .await
    }

    async fn cancel(&self, id: &str) -> Answer<()> {
        self.call("cancel", |world| world.cancel(id)).await?
    }

    async fn describe(&self, id: &str) -> Answer<Description> {
        self.call("describe", |world| world.describe(id)).await
    }

    async fn ledgered_files(&self, batch_id: &str) -> Answer<u64> {
        self.call("ledgered_files", |world| world.ledgered_files(batch_id))
            .await
    }

    async fn loaded(&self, query: i64) -> Answer<Option<Loaded>> {
        self.call("loaded", |world| world.loaded(query)).await
    }

    async fn loaded_by_manifest(&self, batch_id: &str) -> Answer<Option<Loaded>> {
        self.call("loaded_by_manifest", |world| {
            world.loaded_by_manifest(batch_id)
        })
        .await
    }

    async fn bad_files(&self, batch_id: &str, query: Option<i64>) -> Answer<Vec<BadFile>> {
        self.call("bad_files", |world| world.bad_files(batch_id, query))
            .await
    }

    async fn mark_verified(&self, batch_id: &str, _: Loaded) -> Answer<()> {
        self.call("mark_verified", |world| world.mark_verified(batch_id))
            .await
    }
}

impl Signals for Faulty {
    async fn publish(&self, _: &str, waiting: Unprocessed) -> Answer<()> {
        self.call("publish", |world| world.publish(waiting)).await
    }

    async fn notify(&self, _: &str, notice: &Notice) -> Answer<()> {
        self.call("notify", |world| world.notify(notice)).await?
    }
}

/// Runs anything over one worker's view of the world; `None` if it died.
pub(super) async fn until_death<T>(faulty: &Faulty, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        result = work => Some(result),
        () = faulty.died.notified() => None,
    }
}

/// How a run ended.
pub(super) struct Run {
    /// `None` if the worker died, or the handler was dropped.
    pub(super) result: Option<Result<LoadOutput, ActivityError>>,
    pub(super) calls: Vec<&'static str>,
}

impl Run {
    pub(super) fn output(self) -> LoadOutput {
        let result = self.result.expect("the worker is alive");
        result.expect("the load is fine")
    }

    pub(super) fn error(self) -> ActivityError {
        let result = self.result.expect("the worker is alive");
        result.expect_err("the load fails")
    }
}

/// An execution that nobody else has.
pub(super) fn execution(world: &World) -> Attempt {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    Attempt {
        execution: format!("arn:e:{}", NUMBER.fetch_add(1, Ordering::Relaxed)),
        state: "Load".to_owned(),
        entered: world.clock.now(),
        retry: 0,
    }
}

/// Runs the loader once with at most so many files a load.
pub(super) async fn run_with(world: &World, max_files: u64, how: (Attempt, Dies)) -> Run {
    run_as(world, json!({"max_files": max_files}), how).await
}

/// Runs the loader once with these settings.
pub(super) async fn run_as(world: &World, settings: Value, how: (Attempt, Dies)) -> Run {
    run_of(world, (&input(), settings), how).await
}

/// Runs the loader once for this input, with these settings.
pub(super) async fn run_of(
    world: &World,
    (input, settings): (&LoadInput, Value),
    (attempt, dies): (Attempt, Dies),
) -> Run {
    let faulty = Faulty::new(world, dies);
    let mut config =
        json!({"warehouse": "main", "settle": "10s", "lease": "5m", "on_failed": "succeed"});
    if let (Value::Object(config), Value::Object(settings)) = (&mut config, settings) {
        config.extend(settings);
    }
    let config = LoadConfig::read(&config).expect("a config");
    let loader = Loader {
        store: Store::new(faulty.clone(), config.conditional_delete),
        warehouse: faulty.clone(),
        signals: faulty.clone(),
        clock: world.clock.clone(),
        config,
        // Small, so that the longer ones of the tests' files go in parts.
        limits: CopyLimits { whole: 12, part: 7 },
    };
    let now = world.clock.now();
    let context = TaskContext {
        attempt: Some(attempt),
        received: now,
        deadline: now,
        heartbeat_interval: Duration::from_secs(20),
        progress: Default::default(),
    };
    let one_by_one = lock(&world.db).one_by_one;
    let result = if one_by_one {
        until_death(&faulty, loader.run_one_by_one(input, &context)).await
    } else {
        until_death(&faulty, loader.run(input, &context)).await
    };
    let calls = faulty.calls();
    Run { result, calls }
}

/// A tick: an execution of its own that meets no fault.
pub(super) async fn tick(world: &World) -> Run {
    run_with(world, 200, (execution(world), Dies::Never)).await
}
