//! What a load is about: a table, its files, and how both are when it is over.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use crate::world::World;

/// A table and the prefix of its files.
pub(crate) struct Target<'a> {
    world: &'a World,
    name: String,
    landed: Mutex<Vec<(&'static str, &'static str)>>,
}

impl<'a> Target<'a> {
    /// Of a table that is there.
    pub(crate) fn new(world: &'a World, name: &str) -> Self {
        Self {
            world,
            name: name.to_owned(),
            landed: Mutex::default(),
        }
    }

    pub(crate) fn table(&self) -> String {
        let fleet = self.world.fleet().replace('-', "_");
        format!("public.{fleet}_{}", self.name)
    }

    /// What an execution that loads it is started with.
    pub(crate) fn input(&self) -> Value {
        json!({
            "bucket": self.world.fleet(), "prefix": format!("{}/", self.name),
            "table": self.table(), "format": "csv",
        })
    }

    /// The same as the catalogue says it.
    pub(crate) fn as_config(&self) -> String {
        let input = self.input();
        let text = |field: &str| input[field].as_str().expect("a text").to_owned();
        format!(
            "{{bucket: {}, prefix: {}, table: {}, format: csv}}",
            text("bucket"),
            text("prefix"),
            text("table")
        )
    }

    pub(crate) async fn land(&self, files: &[(&'static str, &'static str)]) {
        for (name, body) in files {
            let put = (self.world.s3.put_object())
                .bucket(self.world.fleet())
                .key(format!("{}/incoming/{name}", self.name))
                .body(body.as_bytes().to_vec().into());
            put.send().await.expect("a file lands");
        }
        self.landed().extend(files);
    }

    fn landed(&self) -> MutexGuard<'_, Vec<(&'static str, &'static str)>> {
        self.landed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The keys in one of its folders, without what all of them begin with.
    pub(crate) async fn keys(&self, folder: &str) -> Vec<String> {
        let prefix = format!("{}/{folder}/", self.name);
        let list = self.world.s3.list_objects_v2().bucket(self.world.fleet());
        let listed = list.prefix(&prefix).send().await.expect("a list");
        let keys = listed.contents().iter().filter_map(|object| object.key());
        keys.filter_map(|key| key.strip_prefix(&prefix))
            .map(str::to_owned)
            .collect()
    }

    /// Lets a file land that no warehouse takes.
    pub(crate) async fn land_bad(&self, (name, body): (&'static str, &'static str)) {
        self.land(&[(name, body)]).await;
        self.landed().pop();
    }

    /// The one file in `failed/`, and what the report beside it says.
    pub(crate) async fn failed(&self) -> (String, Value) {
        let keys = self.keys("failed").await;
        let (files, reports): (Vec<_>, Vec<_>) = keys.iter().partition(|key| key.contains('/'));
        let ([file], [report]) = (&files[..], &reports[..]) else {
            panic!("{keys:?}");
        };
        let (id, name) = file.split_once('/').expect("a folder");
        assert_eq!(**report, format!("{id}.json"), "{keys:?}");
        let key = format!("{}/failed/{report}", self.name);
        let got = self
            .world
            .s3
            .get_object()
            .bucket(self.world.fleet())
            .key(key);
        let body = got.send().await.expect("a report").body.collect().await;
        let report = serde_json::from_slice(&body.expect("its body").into_bytes());
        (name.to_owned(), report.expect("JSON"))
    }

    /// All that has landed is loaded once: nothing lost, nothing doubled,
    /// nothing left over.
    pub(crate) async fn assert_loaded_once(&self, what: &str) {
        self.assert_loaded_once_by("stepfleet.ledger", what).await;
    }

    /// The same by another ledger.
    pub(crate) async fn assert_loaded_once_by(&self, ledger: &str, what: &str) {
        let table = self.table();
        let numbers = self.world.numbers(format!(
            "SELECT (SELECT count(*) FROM {table}), (SELECT count(DISTINCT id) FROM {table}), \
             (SELECT coalesce(sum(amount), 0)::bigint FROM {table}), count(*), \
             count(DISTINCT object_key || etag), coalesce(sum(CASE WHEN loaded_rows > 0 THEN 1 ELSE 0 END), 0) \
             FROM {ledger} WHERE table_name = '{table}'"
        ));
        let numbers = numbers.await;
        let landed = self.landed().clone();
        let amounts = (landed.iter())
            .flat_map(|(_, body)| body.lines())
            .filter_map(|line| line.split_once(',')?.1.parse::<i64>().ok());
        let amounts: Vec<i64> = amounts.collect();
        let (rows, files) = (count(&amounts), count(&landed));
        assert_eq!(
            numbers,
            [rows, rows, amounts.iter().sum(), files, files, files],
            "{what}: rows, distinct rows, their sum; files in the ledger, distinct, verified"
        );
        let none: [&str; 0] = [];
        assert_eq!(self.keys("incoming").await, none, "{what}: incoming");
        assert_eq!(self.keys("leases").await, none, "{what}: leases");
        // The day and the batch come before the name.
        let name = |key: &String| key.splitn(3, '/').nth(2).map(str::to_owned);
        let moved = self.keys("processed").await;
        let mut moved: Vec<String> = moved.iter().filter_map(name).collect();
        moved.sort_unstable();
        let mut landed: Vec<&str> = landed.iter().map(|(name, _)| *name).collect();
        landed.sort_unstable();
        assert_eq!(moved, landed, "{what}: processed");
    }
}

fn count<T>(things: &[T]) -> i64 {
    i64::try_from(things.len()).expect("few")
}
