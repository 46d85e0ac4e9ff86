//! The loader as it is on AWS, against the one-machine AWS: S3 and both ways into
//! Redshift with their real SQL.

mod formats;

use std::io::Write as _;
use std::time::Duration;

use aws_config::SdkConfig;
use serde_json::json;
use stepfleet_activity::catalogue::{Catalogue, ReadOptions, parse};
use stepfleet_activity::{Clock as _, SystemClock, TaskContext};
use stepfleet_local::serve::{Local, LocalOptions, WarehouseOption};
use tempfile::TempDir;

use crate::outside::data_api::DataApi;
use crate::outside::{At, Object, ObjectStore as _, PutIf};
use crate::s3_load::batch::{Batch, Before};
use crate::s3_load::redshift::sql;
use crate::s3_load::warehouse::LedgerRow;
use crate::{Clients, LoadInput, LoadOutput, S3Load, setup};

const CATALOGUE: &str = "version: 1
fleet: f
aws: {account: \"123456789012\", region: eu-west-1}
warehouses: {main: {workgroup: main, database: postgres}}
deployments: {d: {replicas: {min: 1, max: 1}}}
activities:
  transaction: {handler: etl.s3-load, deployment: d, config: {warehouse: main, settle: 0s, on_failed: succeed, loads: [
    {bucket: land, prefix: transaction/, table: public.transaction, format: csv}]}}
  procedure: {handler: etl.s3-load, deployment: d, config: {warehouse: main, settle: 0s, on_failed: succeed, commit: procedure, loads: [
    {bucket: land, prefix: procedure/, table: public.procedure, format: csv}]}}
";

/// An AWS that was set up, with both tables.
struct Machine {
    local: Local,
    aws: SdkConfig,
    catalogue: Catalogue,
    _dir: TempDir,
}

impl Machine {
    async fn start() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let mut options = LocalOptions::new(dir.path().join("aws"));
        options.warehouse = WarehouseOption::Own;
        let local = Local::start(options).await.expect("an AWS");
        let aws = aws_config::defaults(aws_config::BehaviorVersion::latest())
            .region(aws_config::Region::new("eu-west-1"))
            .endpoint_url(&local.context.base_url)
            .test_credentials()
            .load()
            .await;
        let catalogue = parse("f", CATALOGUE, &ReadOptions::default()).expect("a catalogue");
        let machine = Self {
            local,
            aws,
            catalogue,
            _dir: dir,
        };
        let made = machine.s3().create_bucket().bucket("land").send().await;
        made.expect("a bucket");
        for table in ["transaction", "procedure"] {
            let sql = format!("CREATE TABLE public.{table} (a int, b varchar(10))");
            machine.data().run(&sql, &[]).await.expect("a table");
        }
        machine
    }

    /// What `etl-worker setup` does.
    async fn set_up(&self) {
        let clients = setup::Clients {
            s3: self.s3(),
            sfn: aws_sdk_sfn::Client::new(&self.aws),
            cloudwatch: aws_sdk_cloudwatch::Client::new(&self.aws),
            redshiftdata: aws_sdk_redshiftdata::Client::new(&self.aws),
            secrets: aws_sdk_secretsmanager::Client::new(&self.aws),
        };
        for step in setup::plan(&self.catalogue, None) {
            step.take(&clients).await.expect("a step");
        }
    }

    fn s3(&self) -> aws_sdk_s3::Client {
        let config = aws_sdk_s3::config::Builder::from(&self.aws).force_path_style(true);
        aws_sdk_s3::Client::from_conf(config.build())
    }

    fn data(&self) -> DataApi {
        let client = aws_sdk_redshiftdata::Client::new(&self.aws);
        DataApi::new(client, self.catalogue.warehouses["main"].clone())
    }

    async fn put(&self, key: &str, body: Vec<u8>) -> String {
        let at = At {
            bucket: "land",
            key,
        };
        let _ = self.s3().remove(at).await;
        self.s3().put(at, body, PutIf::Absent).await.expect("put");
        self.s3().etag(at).await.expect("an ETag").expect("there")
    }

    /// One run of an activity, whose prefix and table have its name.
    async fn run(&self, name: &str, reload: bool) -> LoadOutput {
        let input = LoadInput {
            reload,
            ..input(name)
        };
        self.load(name, input).await
    }

    /// One run of an activity with this input.
    async fn load(&self, name: &str, input: LoadInput) -> LoadOutput {
        let clients = Clients {
            s3: self.s3(),
            redshiftdata: aws_sdk_redshiftdata::Client::new(&self.aws),
            cloudwatch: aws_sdk_cloudwatch::Client::new(&self.aws),
            sns: aws_sdk_sns::Client::new(&self.aws),
            secrets: aws_sdk_secretsmanager::Client::new(&self.aws),
        };
        let load = S3Load::new(clients, &self.catalogue, &self.catalogue.activities[name]);
        let now = SystemClock.now();
        let context = TaskContext {
            attempt: None,
            received: now,
            deadline: now,
            heartbeat_interval: Duration::from_secs(20),
            progress: Default::default(),
        };
        let output = load.expect("a loader").run(input, context).await;
        output.expect("a load")
    }

    async fn rows(&self, name: &str) -> Vec<String> {
        let sql = format!("SELECT a, b FROM public.{name} ORDER BY a");
        let rows = self.data().run(&sql, &[]).await.expect("rows");
        rows.into_iter().map(|row| row.join(",")).collect()
    }

    /// Everything was loaded an hour ago.
    async fn an_hour_passes(&self) {
        let sql = "UPDATE stepfleet.ledger SET loaded_at = loaded_at - interval '1 hour'";
        self.data().run(sql, &[]).await.expect("older rows");
    }
}

fn input(name: &str) -> LoadInput {
    let input = json!({"bucket": "land", "prefix": format!("{name}/"), "table": format!("public.{name}"), "format": "csv"});
    serde_json::from_value(input).expect("an input")
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut to = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    to.write_all(text).expect("memory");
    to.finish().expect("memory")
}

fn bzip2(text: &[u8]) -> Vec<u8> {
    let mut to = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    to.write_all(text).expect("memory");
    to.finish().expect("memory")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_of_packing_comes_in_and_what_comes_again_once_more() {
    let machine = Machine::start().await;
    machine.set_up().await;
    for name in ["transaction", "procedure"] {
        let key = |file: &str| format!("{name}/incoming/{file}");
        machine.put(&key("1.csv"), b"1,a\n".to_vec()).await;
        machine.put(&key("2.csv.gz"), gzip(b"2,b\n")).await;
        machine.put(&key("part-3"), bzip2(b"3,c\n")).await;
        let zstd = zstd::encode_all(&b"4,d\n"[..], 1).expect("memory");
        machine.put(&key("x/part-4"), zstd).await;
        machine.put(&key("_SUCCESS"), Vec::new()).await;
        let output = machine.run(name, false).await;
        let counts = [output.files, output.rows, output.moved, output.ignored];
        assert_eq!(counts, [4, 4, 4, 1], "{name}");
        assert_eq!(machine.rows(name).await, ["1,a", "2,b", "3,c", "4,d"]);

        // Again, unread; and again, once more.
        machine.an_hour_passes().await;
        let again = async || machine.put(&key("1.csv"), b"1,a\n".to_vec()).await;
        again().await;
        let output = machine.run(name, false).await;
        let counts = [output.files, output.already, output.moved];
        assert_eq!(counts, [0, 1, 1], "{name}");
        for times in [2, 3] {
            machine.an_hour_passes().await;
            again().await;
            machine
                .put(&key(&format!("n{times}")), format!("9,{times}\n").into())
                .await;
            let output = machine.run(name, true).await;
            let counts = [output.files, output.already, output.rows];
            assert_eq!(counts, [2, 0, 2], "{name}");
            let rows = machine.rows(name).await;
            let ones = rows.iter().filter(|row| *row == "1,a").count();
            assert_eq!(ones, times, "{name}: {rows:?}");
            // Nothing has come since.
            assert_eq!(machine.run(name, true).await.files, 0, "{name}");
        }
        stale(&machine, name).await;

        // What is not what its name says is the file's fault.
        let at = At {
            bucket: "land",
            key: &key("1.csv"),
        };
        machine.s3().remove(at).await.expect("gone");
        machine.put(&key("7.csv.gz"), gzip(b"7,g\n")).await;
        machine.put(&key("8.csv.gz"), b"8,h\n".to_vec()).await;
        let output = machine.run(name, false).await;
        assert_eq!((output.files, output.failed), (1, 1), "{name}");
        let failed = machine.s3().list("land", &format!("{name}/failed/")).await;
        let mut failed = failed.expect("a list").into_iter();
        assert!(
            failed.any(|object| object.key.ends_with("/8.csv.gz")),
            "{name}"
        );
    }
    machine.local.stop().await;
}

/// A load again that knows less than the ledger changes nothing.
async fn stale(machine: &Machine, name: &str) {
    let key = format!("{name}/incoming/1.csv");
    let etag = machine.put(&key, b"1,a\n".to_vec()).await;
    let file = Object {
        key: key.clone(),
        etag: etag.clone(),
        size: 4,
        modified: SystemClock.now(),
    };
    let mut before = Before::default();
    before.add(&LedgerRow {
        batch_id: "of-long-ago".to_owned(),
        key,
        etag,
        dt: String::new(),
        bytes: 4,
        verified: true,
        age: Duration::ZERO,
    });
    let batch = Batch::new(&input(name), vec![file], "2026-01-01".to_owned()).again(&before);
    machine.put(&batch.manifest_key(), batch.manifest()).await;
    machine.put(&batch.list_key(), batch.list()).await;
    let had = machine.rows(name).await;
    let done = match name {
        "procedure" => machine.data().run_all(sql::call(&batch, None)).await,
        _ => machine.data().run_all(sql::load(&batch, None)).await,
    };
    assert_eq!(done.is_ok(), name == "procedure", "{name}: {done:?}");
    assert_eq!(machine.rows(name).await, had, "{name}");
}
