//! Listings in pages, also of many keys, and ranges of bodies.

use std::sync::Arc;

use aws_sdk_s3::error::ProvideErrorMetadata;

use super::{body, open, serve, status};

#[tokio::test]
async fn listings_page_to_their_end() {
    let dir = tempfile::tempdir().unwrap();
    let s3 = open(dir.path());
    let client = serve(Arc::clone(&s3)).await;
    for number in 0..1_200 {
        s3.put("data", &format!("in/{number:05}"), b"x")
            .await
            .unwrap();
    }
    s3.put("data", "other", b"x").await.unwrap();
    let list = client.list_objects_v2().bucket("data").prefix("in/");
    let mut pages = list.into_paginator().send();
    let (mut sizes, mut keys) = (Vec::new(), Vec::new());
    while let Some(page) = pages.next().await {
        let page = page.unwrap();
        sizes.push(page.contents().len());
        let found = page.contents().iter().filter_map(|object| object.key());
        keys.extend(found.map(str::to_owned));
    }
    assert_eq!(sizes, [1_000, 200]);
    keys.dedup();
    assert_eq!(keys.len(), 1_200);
    let top = client.list_objects_v2().bucket("data").delimiter("/");
    let top = top.send().await.unwrap();
    assert_eq!(top.common_prefixes().len(), 1);
    assert_eq!(top.contents().len(), 1);
}

/// The older listing, which says where to go on only if there are groups.
#[tokio::test]
async fn the_older_listing_goes_on_behind_a_marker() {
    let dir = tempfile::tempdir().unwrap();
    let s3 = open(dir.path());
    let client = serve(Arc::clone(&s3)).await;
    for key in ["a/1", "a/2", "b", "c/1", "d"] {
        s3.put("data", key, b"x").await.unwrap();
    }
    let list = || client.list_objects().bucket("data").max_keys(2);
    let plain = list().send().await.unwrap();
    assert_eq!(
        (plain.is_truncated(), plain.next_marker()),
        (Some(true), None)
    );
    let mut marker = None;
    let mut found = Vec::new();
    loop {
        let page = list()
            .delimiter("/")
            .set_marker(marker)
            .send()
            .await
            .unwrap();
        let keys = page.contents().iter().filter_map(|one| one.key());
        let groups = page.common_prefixes().iter().filter_map(|one| one.prefix());
        found.extend(keys.chain(groups).map(str::to_owned));
        marker = page.next_marker;
        if marker.is_none() {
            break;
        }
    }
    found.sort();
    assert_eq!(found, ["a/", "b", "c/", "d"]);
    let buckets = client.list_buckets().max_buckets(1).send().await.unwrap();
    assert_eq!(buckets.buckets().len(), 1);
    let negative = list().max_keys(-1).send().await;
    assert_eq!(negative.unwrap_err().code(), Some("InvalidArgument"));
}

#[tokio::test]
async fn a_range_is_a_part_and_no_range_is_the_whole() {
    let dir = tempfile::tempdir().unwrap();
    let client = serve(open(dir.path())).await;
    let put = |key: &str, text| client.put_object().bucket("data").key(key).body(body(text));
    put("k", "0123456789").send().await.unwrap();
    put("empty", "").send().await.unwrap();
    let table = [
        ("bytes=2-4", "234", Some("bytes 2-4/10")),
        ("bytes=7-", "789", Some("bytes 7-9/10")),
        ("bytes=7-99", "789", Some("bytes 7-9/10")),
        ("bytes=-3", "789", Some("bytes 7-9/10")),
        ("bytes=-99", "0123456789", Some("bytes 0-9/10")),
        // Not of the form: as if it were not there.
        ("bytes=x", "0123456789", None),
        ("lines=1-2", "0123456789", None),
    ];
    for (range, wanted, said) in table {
        let get = client.get_object().bucket("data").key("k").range(range);
        let got = get.send().await.unwrap();
        assert_eq!(got.content_range(), said, "{range}");
        let bytes = got.body.collect().await.unwrap().into_bytes();
        assert_eq!(bytes.as_ref(), wanted.as_bytes(), "{range}");
        let head = client.head_object().bucket("data").key("k").range(range);
        let head = head.send().await.unwrap();
        let length = i64::try_from(wanted.len()).unwrap();
        assert_eq!(
            (head.content_length(), head.content_range()),
            (Some(length), said)
        );
    }
    for (key, range) in [("k", "bytes=10-"), ("k", "bytes=-0"), ("empty", "bytes=0-")] {
        let get = client.get_object().bucket("data").key(key).range(range);
        assert_eq!(status(get.send().await), 416, "{key} {range}");
    }
}
