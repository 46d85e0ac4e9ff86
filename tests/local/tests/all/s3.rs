//! S3 as the SDK speaks to it.

mod about;
mod conditions;
mod events;
mod multipart;
mod pages;
mod races;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::{Client, primitives::ByteStream};
use stepfleet_activity::SystemClock;
use stepfleet_local::{Context, s3::S3, sqs::Sqs};

fn open(dir: &Path) -> Arc<S3> {
    open_with_queues(dir).0
}

fn open_with_queues(dir: &Path) -> (Arc<S3>, Arc<Sqs>) {
    let context = Context {
        clock: Arc::new(SystemClock),
        account: "123456789012".into(),
        region: "eu-west-1".into(),
        base_url: String::new(),
        dir: dir.to_owned(),
        metric_resolution: Duration::from_secs(60),
        metric_delay: Duration::ZERO,
        timers: stepfleet_local::timers::Timers::default(),
    };
    let queues = Arc::new(Sqs::new(context.clone()));
    let s3 = S3::open(&context, Arc::clone(&queues)).expect("a store");
    (s3, queues)
}

async fn serve(s3: Arc<S3>) -> Client {
    s3.create_bucket("data").expect("a bucket");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a free port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    let app = axum::Router::new().fallback(move |request: axum::extract::Request| {
        let s3 = Arc::clone(&s3);
        async move { s3.handle(request).await }
    });
    tokio::spawn(async move { axum::serve(listener, app).await });
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .credentials_provider(Credentials::new("any", "any", None, None, "test"))
        .region(Region::new("eu-west-1"))
        .endpoint_url(endpoint)
        .force_path_style(true)
        .build();
    Client::from_conf(config)
}

fn body(text: &'static str) -> ByteStream {
    ByteStream::from_static(text.as_bytes())
}

fn status<T, E>(result: Result<T, SdkError<E>>) -> u16 {
    result.err().map_or(200, |error| {
        error.raw_response().map_or(0, |raw| raw.status().as_u16())
    })
}

fn encode(key: &str) -> String {
    key.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[tokio::test]
async fn odd_keys_come_back_as_they_went_also_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let client = serve(open(dir.path())).await;
    let keys = [
        "it's",
        "a b",
        "a+b",
        "snow/\u{2603}/\u{e4}.csv",
        "q\"uote",
        "per%20cent",
    ];
    for key in keys {
        client
            .put_object()
            .bucket("data")
            .key(key)
            .body(body("1,2\n"))
            .send()
            .await
            .unwrap();
    }
    let client = serve(open(dir.path())).await;
    for key in keys {
        let got = client
            .get_object()
            .bucket("data")
            .key(key)
            .send()
            .await
            .unwrap();
        assert_eq!(
            got.body.collect().await.unwrap().into_bytes().as_ref(),
            b"1,2\n",
            "{key}"
        );
        let source = format!("data/{}", encode(key));
        let target = format!("processed/{key}");
        client
            .copy_object()
            .bucket("data")
            .key(&target)
            .copy_source(source)
            .send()
            .await
            .unwrap();
        let got = client
            .head_object()
            .bucket("data")
            .key(&target)
            .send()
            .await
            .unwrap();
        assert_eq!(got.content_length(), Some(4), "{key}");
    }
}

#[tokio::test]
async fn a_condition_that_does_not_hold_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let client = serve(open(dir.path())).await;
    let put = |text| client.put_object().bucket("data").key("k").body(body(text));
    let etag = put("one").send().await.unwrap().e_tag.unwrap();
    assert_eq!(status(put("two").if_none_match("*").send().await), 412);
    assert_eq!(status(put("two").if_match("\"0\"").send().await), 412);
    let copy = || {
        client
            .copy_object()
            .bucket("data")
            .copy_source("data/k")
            .key("c")
    };
    assert_eq!(
        status(copy().copy_source_if_match("\"0\"").send().await),
        412
    );
    assert_eq!(
        status(
            copy()
                .copy_source_if_match(&etag)
                .if_none_match("*")
                .send()
                .await
        ),
        200
    );
    assert_eq!(status(copy().if_none_match("*").send().await), 412);
    let delete = || client.delete_object().bucket("data").key("k");
    assert_eq!(status(delete().if_match("\"0\"").send().await), 412);
    assert_eq!(status(put("three").if_match(&etag).send().await), 200);
    assert_eq!(status(delete().if_match(&etag).send().await), 412);
    assert_eq!(status(delete().send().await), 200);
    let gone = client
        .get_object()
        .bucket("data")
        .key("k")
        .send()
        .await
        .unwrap_err();
    assert_eq!(gone.code(), Some("NoSuchKey"));
}

#[tokio::test]
async fn the_unknown_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let client = serve(open(dir.path())).await;
    let refused = client
        .get_bucket_acl()
        .bucket("data")
        .send()
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Some("NotImplemented"));
    let put = || client.put_object().bucket("data").key("k").body(body("x"));
    let tagged = put().tagging("a=b").send().await.unwrap_err();
    assert_eq!(tagged.code(), Some("NotImplemented"));
    assert!(tagged.message().unwrap().contains("x-amz-tagging"));
    let redirected = client.create_multipart_upload().bucket("data").key("k");
    let redirected = redirected.website_redirect_location("/x").send().await;
    assert_eq!(status(redirected), 501);
    let head = client.head_object().bucket("data").key("k").send().await;
    assert_eq!(status(head), 404, "nothing was written");
    let other = put().expected_bucket_owner("210987654321").send().await;
    assert_eq!(other.unwrap_err().code(), Some("AccessDenied"));
    let own = put().expected_bucket_owner("123456789012").send().await;
    assert_eq!(status(own), 200);
}
