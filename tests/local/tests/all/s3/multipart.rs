//! Uploads in parts.

use aws_sdk_s3::Client;
use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};

use super::{body, open, serve, status};

/// The least that a part has which is not the last.
const PART: usize = 5 * 1024 * 1024;

async fn start(client: &Client, key: &str) -> String {
    let create = client.create_multipart_upload().bucket("data").key(key);
    let created = create.content_type("text/csv").send().await.unwrap();
    created.upload_id.unwrap()
}

async fn upload(client: &Client, (key, id): (&str, &str), number: i32, bytes: Vec<u8>) -> String {
    let part = client.upload_part().bucket("data").key(key).upload_id(id);
    let part = part.part_number(number).body(bytes.into());
    part.send().await.unwrap().e_tag.unwrap()
}

fn named(parts: &[(i32, &str)]) -> CompletedMultipartUpload {
    let parts = parts.iter().map(|(number, etag)| {
        let part = CompletedPart::builder().part_number(*number);
        part.e_tag(*etag).build()
    });
    let parts = parts.collect();
    CompletedMultipartUpload::builder()
        .set_parts(Some(parts))
        .build()
}

#[tokio::test]
async fn an_object_is_made_of_its_parts() {
    let dir = tempfile::tempdir().unwrap();
    let client = serve(open(dir.path())).await;
    let id = start(&client, "big").await;
    let first = upload(&client, ("big", &id), 1, vec![b'a'; PART]).await;
    upload(&client, ("big", &id), 3, b"old".to_vec()).await;
    let last = upload(&client, ("big", &id), 3, b"tail".to_vec()).await;
    let parts = || {
        let list = client.list_parts().bucket("data").key("big").upload_id(&id);
        list.max_parts(1).into_paginator().items().send()
    };
    let listed: Vec<_> = parts().try_collect().await.unwrap();
    let listed: Vec<_> = listed
        .iter()
        .map(|one| (one.part_number(), one.size()))
        .collect();
    assert_eq!(listed, [(Some(1), Some(5_242_880)), (Some(3), Some(4))]);
    let uploads = client.list_multipart_uploads().bucket("data").send().await;
    assert_eq!(uploads.unwrap().uploads()[0].key(), Some("big"));
    let complete = || {
        let complete = client.complete_multipart_upload().bucket("data").key("big");
        complete.upload_id(&id)
    };
    let table = [
        (vec![(3, last.as_str()), (1, &first)], "InvalidPartOrder"),
        (vec![(1, &first), (1, &first)], "InvalidPartOrder"),
        (vec![(1, &first), (2, &last)], "InvalidPart"),
        (vec![(1, &last), (3, &last)], "InvalidPart"),
        (vec![], "MalformedXML"),
    ];
    for (parts, wanted) in table {
        let refused = complete().multipart_upload(named(&parts)).send().await;
        assert_eq!(refused.unwrap_err().code(), Some(wanted), "{parts:?}");
    }
    let completed = complete().multipart_upload(named(&[(1, &first), (3, &last)]));
    let etag = completed.send().await.unwrap().e_tag.unwrap();
    assert!(etag.ends_with("-2\""), "{etag}");
    let get = || client.get_object().bucket("data").key("big");
    let tail = get().range("bytes=5242878-").send().await.unwrap();
    assert_eq!(tail.content_type(), Some("text/csv"));
    assert_eq!(tail.e_tag(), Some(etag.as_str()));
    assert_eq!(
        tail.body.collect().await.unwrap().into_bytes().as_ref(),
        b"aatail"
    );
    let part = get().part_number(2).send().await.unwrap();
    assert_eq!(part.parts_count(), Some(2));
    assert_eq!(part.content_range(), Some("bytes 5242880-5242883/5242884"));
    assert_eq!(status(get().part_number(3).send().await), 416);
    let again = complete()
        .multipart_upload(named(&[(1, &first)]))
        .send()
        .await;
    assert_eq!(again.unwrap_err().code(), Some("NoSuchUpload"));
}

#[tokio::test]
async fn a_part_that_is_not_the_last_has_five_mebibytes() {
    let dir = tempfile::tempdir().unwrap();
    let client = serve(open(dir.path())).await;
    let id = start(&client, "k").await;
    let first = upload(&client, ("k", &id), 1, vec![0; PART - 1]).await;
    let last = upload(&client, ("k", &id), 2, vec![0; 1]).await;
    let complete = client.complete_multipart_upload().bucket("data").key("k");
    let complete = complete.upload_id(&id);
    let complete = complete.multipart_upload(named(&[(1, &first), (2, &last)]));
    let refused = complete.send().await.unwrap_err();
    assert_eq!(refused.code(), Some("EntityTooSmall"));
    let zero = client.upload_part().bucket("data").key("k").upload_id(&id);
    let zero = zero.part_number(0).body(body("x")).send().await;
    assert_eq!(zero.unwrap_err().code(), Some("InvalidArgument"));
    let abort = client.abort_multipart_upload().bucket("data").key("k");
    abort.upload_id(&id).send().await.unwrap();
    let uploads = client.list_multipart_uploads().bucket("data").send().await;
    assert_eq!(uploads.unwrap().uploads().len(), 0);
    let gone = client.upload_part().bucket("data").key("k").upload_id(&id);
    let gone = gone.part_number(1).body(body("x")).send().await;
    assert_eq!(gone.unwrap_err().code(), Some("NoSuchUpload"));
}

#[tokio::test]
async fn a_conditional_upload_meets_others() {
    let dir = tempfile::tempdir().unwrap();
    let client = serve(open(dir.path())).await;
    let put = || client.put_object().bucket("data").key("k").body(body("x"));
    let complete = async |key: &str, none_match: Option<&str>, between: bool| {
        let id = start(&client, key).await;
        let etag = upload(&client, (key, &id), 1, b"y".to_vec()).await;
        if between {
            put().send().await.unwrap();
            let delete = client.delete_object().bucket("data").key("k");
            delete.send().await.unwrap();
        }
        let complete = client.complete_multipart_upload().bucket("data").key(key);
        let complete = complete
            .upload_id(&id)
            .multipart_upload(named(&[(1, &etag)]));
        let complete = complete.set_if_none_match(none_match.map(str::to_owned));
        status(complete.send().await)
    };
    // Deleted since it was started: to be started again.
    assert_eq!(complete("k", Some("*"), true).await, 409);
    assert_eq!(complete("k", None, true).await, 200);
    assert_eq!(complete("k", Some("*"), false).await, 412);
    assert_eq!(complete("new", Some("*"), false).await, 200);
}

#[tokio::test]
async fn parts_are_copied_from_ranges_on_condition() {
    let dir = tempfile::tempdir().unwrap();
    let client = serve(open(dir.path())).await;
    let put = client.put_object().bucket("data").key("from");
    let etag = put
        .body(body("0123456789"))
        .send()
        .await
        .unwrap()
        .e_tag
        .unwrap();
    let id = start(&client, "to").await;
    let copy = |range: &str, etag: &str| {
        let copy = client
            .upload_part_copy()
            .bucket("data")
            .key("to")
            .upload_id(&id);
        let copy = copy.part_number(1).copy_source("data/from");
        copy.copy_source_range(range)
            .copy_source_if_match(etag)
            .send()
    };
    assert_eq!(status(copy("bytes=2-4", "\"0\"").await), 412);
    for range in ["bytes=2-10", "bytes=4-2", "bytes=2-", "2-4"] {
        let refused = copy(range, &etag).await.unwrap_err();
        assert_eq!(refused.code(), Some("InvalidArgument"), "{range}");
    }
    let copied = copy("bytes=2-4", &etag)
        .await
        .unwrap()
        .copy_part_result
        .unwrap();
    let parts = named(&[(1, copied.e_tag().unwrap())]);
    let complete = client.complete_multipart_upload().bucket("data").key("to");
    complete
        .upload_id(&id)
        .multipart_upload(parts)
        .send()
        .await
        .unwrap();
    let got = client
        .get_object()
        .bucket("data")
        .key("to")
        .send()
        .await
        .unwrap();
    assert_eq!(
        got.body.collect().await.unwrap().into_bytes().as_ref(),
        b"234"
    );
}
