//! Copies in parts, as they go over the wire.

use aws_sdk_s3::config::Builder;
use stepfleet_local::serve::{Local, LocalOptions, WarehouseOption};
use tempfile::TempDir;

use super::*;
use crate::outside::parts::{self, CopyLimits, Original};

const BUCKET: &str = "land";
const FROM: &str = "p/incoming/a b+'é%.csv";
const TO: &str = "p/processed/x/a b+'é%.csv";
/// S3 takes no smaller part, but for the last.
const PART: u64 = 5 << 20;
const LIMITS: CopyLimits = CopyLimits {
    whole: PART,
    part: PART,
};

/// A bucket with an object of two parts and a bit.
struct Machine {
    local: Local,
    client: Client,
    body: Vec<u8>,
    etag: String,
    _dir: TempDir,
}

impl Machine {
    async fn start() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let mut options = LocalOptions::new(dir.path().join("aws"));
        options.warehouse = WarehouseOption::None;
        let local = Local::start(options).await.expect("an AWS");
        let aws = aws_config::defaults(aws_config::BehaviorVersion::latest())
            .region(aws_config::Region::new("eu-west-1"))
            .endpoint_url(&local.context.base_url)
            .test_credentials()
            .load()
            .await;
        let client = Client::from_conf(Builder::from(&aws).force_path_style(true).build());
        let made = client.create_bucket().bucket(BUCKET).send().await;
        made.expect("a bucket");
        let body: Vec<u8> = (0..2 * PART + 7).map(|at| (at % 251) as u8).collect();
        let put = client.put_object().bucket(BUCKET).key(FROM);
        let put = put.content_type("text/csv").metadata("origin", "billing");
        let put = put.body(body.clone().into()).send().await;
        let etag = bare(put.expect("an object").e_tag().expect("its ETag"));
        Self {
            local,
            client,
            body,
            etag,
            _dir: dir,
        }
    }

    async fn copy(&self, etag: &str, to: To<'_>) -> Conditional<()> {
        let original = Original {
            at: at(FROM),
            etag,
            bytes: self.body.len() as u64,
        };
        let copied = parts::copy(&self.client, original, to, LIMITS).await;
        copied.expect("no fault")
    }

    async fn uploads(&self) -> usize {
        let list = self.client.list_multipart_uploads().bucket(BUCKET);
        list.send().await.expect("a list").uploads().len()
    }
}

fn at(key: &str) -> At<'_> {
    At {
        bucket: BUCKET,
        key,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_in_parts_is_the_whole_object_and_what_is_said_of_it() {
    let machine = Machine::start().await;
    // What a worker that died has begun is given up.
    let left = machine.client.begin(at(FROM), &machine.etag, TO).await;
    assert!(matches!(left, Ok(Conditional::Done(_))), "{left:?}");
    assert_eq!(machine.uploads().await, 1);
    let copied = machine.copy(&machine.etag, To::new(TO)).await;
    assert_eq!(copied, Conditional::Done(()));
    assert_eq!(machine.uploads().await, 0);
    let got = machine.client.get_object().bucket(BUCKET).key(TO).send();
    let got = got.await.expect("the copy");
    assert_eq!(got.content_type(), Some("text/csv"));
    let metadata = got.metadata().and_then(|all| all.get("origin"));
    assert_eq!(metadata.map(String::as_str), Some("billing"));
    let etag = bare(got.e_tag().expect("its ETag"));
    assert!(etag.ends_with("-3"), "two parts and a bit: {etag}");
    let body = got.body.collect().await.expect("its body").to_vec();
    assert!(body == machine.body, "the bytes are others");

    // A copy of the same in the same parts is the same: whoever died after it
    // knows it by its ETag.
    let again = machine.copy(&machine.etag, To::over(TO)).await;
    assert_eq!(again, Conditional::Done(()));
    let listed = machine.client.list(BUCKET, TO).await.expect("a list");
    assert_eq!(listed[0].etag, etag);
    machine.local.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_in_parts_whose_precondition_fails_leaves_nothing() {
    let machine = Machine::start().await;
    let taken = machine
        .client
        .put(at(TO), b"theirs".to_vec(), PutIf::Absent)
        .await;
    assert!(matches!(taken, Ok(Conditional::Done(_))), "{taken:?}");
    let other = "0123456789abcdef0123456789abcdef";
    for (etag, to, want) in [
        (machine.etag.as_str(), To::new(TO), Conditional::Refused),
        (other, To::new("p/processed/y"), Conditional::Refused),
        (other, To::over(TO), Conditional::Refused),
    ] {
        assert_eq!(machine.copy(etag, to).await, want, "{etag} {to:?}");
        assert_eq!(machine.uploads().await, 0, "{etag} {to:?}");
    }
    let (body, _) = (machine.client.get(at(TO)).await)
        .expect("no fault")
        .expect("an object");
    assert_eq!(body, b"theirs");
    let gone = machine.client.delete(at(FROM), &machine.etag).await;
    assert_eq!(gone.expect("no fault"), Conditional::Done(()));
    let missing = machine.copy(&machine.etag, To::over(TO)).await;
    assert_eq!(missing, Conditional::Missing);
    machine.local.stop().await;
}

/// It is replaced between the beginning and the parts.
#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_another_object_is_no_part() {
    let machine = Machine::start().await;
    let begun = machine.client.begin(at(FROM), &machine.etag, TO).await;
    let Ok(Conditional::Done(id)) = begun else {
        panic!("{begun:?}");
    };
    let put = machine.client.put_object().bucket(BUCKET).key(FROM);
    let put = put.body(vec![b'x'; machine.body.len()].into()).send().await;
    put.expect("another object");
    let upload = Upload {
        bucket: BUCKET,
        to: To::new(TO),
        id: &id,
    };
    let part = Part {
        number: 1,
        first: 0,
        last: PART - 1,
    };
    let from = (at(FROM), machine.etag.as_str());
    let copied = machine.client.copy_part(from, upload, part).await;
    assert_eq!(copied.expect("no fault"), Conditional::Refused);
    machine.client.abort(upload).await.expect("given up");
    assert_eq!(machine.uploads().await, 0);
    machine.local.stop().await;
}
