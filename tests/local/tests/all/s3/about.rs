//! Names that XML cannot carry, and what a writer says of an object.

use std::time::Duration;

use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::types::{ChecksumAlgorithm, EncodingType, MetadataDirective};

use super::{body, open, serve};

#[tokio::test]
async fn names_are_encoded_where_it_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let client = serve(open(dir.path())).await;
    for key in ["a b/c+d%e", "a b/\u{1}x", "a b/\u{e4}/y", "plain"] {
        let put = client.put_object().bucket("data").key(key);
        put.body(body("x")).send().await.unwrap();
    }
    let list = || {
        client
            .list_objects_v2()
            .bucket("data")
            .prefix("a b/")
            .delimiter("/")
    };
    let listed = list()
        .encoding_type(EncodingType::Url)
        .send()
        .await
        .unwrap();
    let keys: Vec<&str> = listed
        .contents()
        .iter()
        .filter_map(|one| one.key())
        .collect();
    assert_eq!(keys, ["a%20b/%01x", "a%20b/c%2Bd%25e"]);
    let groups = listed.common_prefixes().iter();
    let groups: Vec<&str> = groups.filter_map(|one| one.prefix()).collect();
    assert_eq!(groups, ["a%20b/%C3%A4/"]);
    assert_eq!(listed.prefix(), Some("a%20b/"));
    assert_eq!(listed.encoding_type(), Some(&EncodingType::Url));
    let pages = list().encoding_type(EncodingType::Url).max_keys(1);
    let mut pages = pages.into_paginator().send();
    let mut count = 0;
    while let Some(page) = pages.next().await {
        let page = page.unwrap();
        count += page.contents().len() + page.common_prefixes().len();
    }
    assert_eq!(count, 3);
    let unknown = list().encoding_type("base64".into()).send().await;
    assert_eq!(unknown.unwrap_err().code(), Some("InvalidArgument"));
}

#[tokio::test]
async fn what_a_writer_says_is_told_to_readers() {
    let dir = tempfile::tempdir().unwrap();
    let client = serve(open(dir.path())).await;
    let put = client.put_object().bucket("data").key("said");
    let put = put.content_type("text/csv").cache_control("no-store");
    let put = put.metadata("batch", "7").body(body("1,2\n"));
    put.send().await.unwrap();
    let copy = |to: &str| {
        let copy = client.copy_object().bucket("data").key(to);
        copy.copy_source("data/said")
    };
    copy("same").send().await.unwrap();
    let other = copy("other").metadata_directive(MetadataDirective::Replace);
    other.metadata("batch", "8").send().await.unwrap();
    // Also after a restart.
    let client = serve(open(dir.path())).await;
    for (key, kind, cache, batch) in [
        ("said", "text/csv", Some("no-store"), "7"),
        ("same", "text/csv", Some("no-store"), "7"),
        ("other", "binary/octet-stream", None, "8"),
    ] {
        let head = client
            .head_object()
            .bucket("data")
            .key(key)
            .send()
            .await
            .unwrap();
        assert_eq!(head.content_type(), Some(kind), "{key}");
        assert_eq!(head.cache_control(), cache, "{key}");
        assert_eq!(head.metadata().unwrap()["batch"], batch, "{key}");
    }
}

#[tokio::test]
async fn a_body_that_is_not_what_its_sender_says_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let client = serve(open(dir.path())).await;
    let put = || {
        client
            .put_object()
            .bucket("data")
            .key("k")
            .body(body("123456789"))
    };
    let wrong = put().checksum_crc32("AAAAAA==").send().await.unwrap_err();
    assert_eq!(wrong.code(), Some("BadDigest"));
    let wrong = put().content_md5("1B2M2Y8AsgTpgAmY7PhCfg==").send().await;
    assert_eq!(wrong.unwrap_err().code(), Some("BadDigest"));
    put().checksum_crc32("y/Q5Jg==").send().await.unwrap();
    for algorithm in [
        ChecksumAlgorithm::Crc32,
        ChecksumAlgorithm::Crc32C,
        ChecksumAlgorithm::Sha1,
        ChecksumAlgorithm::Sha256,
    ] {
        let sent = put().checksum_algorithm(algorithm.clone()).send().await;
        assert!(sent.is_ok(), "{algorithm}: {sent:?}");
    }
    let head = client
        .head_object()
        .bucket("data")
        .key("k")
        .send()
        .await
        .unwrap();
    let age = head.last_modified().unwrap().to_millis().unwrap();
    assert_eq!(age % 1_000, 0, "S3 has whole seconds");
    assert!(age > i64::try_from(Duration::from_secs(1_700_000_000).as_millis()).unwrap());
}
