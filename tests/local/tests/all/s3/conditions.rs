//! Conditions on times, and on what is copied: the tables of the API's reference.

use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::primitives::DateTime;
use aws_sdk_s3::types::{Delete, ObjectIdentifier};

use super::{body, open, serve, status};

/// If-Match, If-None-Match, and whether it is to be (un)modified since an hour ago.
type Wanted<'a> = (Option<&'a str>, Option<&'a str>, Option<bool>);

#[tokio::test]
async fn reads_and_copies_on_condition() {
    let dir = tempfile::tempdir().unwrap();
    let client = serve(open(dir.path())).await;
    let put = client.put_object().bucket("data").key("k").body(body("x"));
    let etag = put.send().await.unwrap().e_tag.unwrap();
    let head = client.head_object().bucket("data").key("k").send().await;
    let hour = 3_600;
    let before = DateTime::from_secs(head.unwrap().last_modified().unwrap().secs() - hour);
    let (good, bad) = (Some(etag.as_str()), Some("\"0\""));
    // What a read answers; a copy answers 412 where a read says 304.
    let table: [(Wanted<'_>, u16); 10] = [
        ((None, None, None), 200),
        ((good, None, None), 200),
        ((bad, None, None), 412),
        ((None, good, None), 304),
        ((None, bad, None), 200),
        ((None, None, Some(true)), 200),
        ((None, None, Some(false)), 412),
        ((good, None, Some(false)), 200),
        ((None, good, Some(true)), 304),
        ((bad, None, Some(true)), 412),
    ];
    for ((matches, none, modified), wanted) in table {
        let since = |is: bool| (modified == Some(is)).then_some(before);
        let case = format!("{matches:?} {none:?} {modified:?}");
        let text = |text: Option<&str>| text.map(str::to_owned);
        let get = client.get_object().bucket("data").key("k");
        let get = get
            .set_if_match(text(matches))
            .set_if_none_match(text(none));
        let get = get.set_if_modified_since(since(true));
        let got = status(get.set_if_unmodified_since(since(false)).send().await);
        assert_eq!(got, wanted, "get {case}");
        let head = client.head_object().bucket("data").key("k");
        let head = head
            .set_if_match(text(matches))
            .set_if_none_match(text(none));
        let head = head.set_if_modified_since(since(true));
        let told = status(head.set_if_unmodified_since(since(false)).send().await);
        assert_eq!(told, wanted, "head {case}");
        let copy = client
            .copy_object()
            .bucket("data")
            .key("c")
            .copy_source("data/k");
        let copy = copy.set_copy_source_if_match(text(matches));
        let copy = copy.set_copy_source_if_none_match(text(none));
        let copy = copy.set_copy_source_if_modified_since(since(true));
        let copied = copy
            .set_copy_source_if_unmodified_since(since(false))
            .send()
            .await;
        let wanted = if wanted == 304 { 412 } else { wanted };
        assert_eq!(status(copied), wanted, "copy {case}");
    }
}

#[tokio::test]
async fn what_a_write_cannot_ask_for_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let client = serve(open(dir.path())).await;
    let put = || client.put_object().bucket("data").key("k").body(body("x"));
    let etag = put().send().await.unwrap().e_tag.unwrap();
    assert_eq!(status(put().if_none_match(&etag).send().await), 501);
    let absent = client.put_object().bucket("data").key("no").body(body("x"));
    assert_eq!(status(absent.if_match(&etag).send().await), 404);
    let itself = client
        .copy_object()
        .bucket("data")
        .key("k")
        .copy_source("data/k");
    assert_eq!(
        itself.send().await.unwrap_err().code(),
        Some("InvalidRequest")
    );
    let version = client.copy_object().bucket("data").key("c");
    let version = version.copy_source("data/k?versionId=1").send().await;
    assert_eq!(status(version), 501);
}

#[tokio::test]
async fn many_are_deleted_each_on_its_condition() {
    let dir = tempfile::tempdir().unwrap();
    let client = serve(open(dir.path())).await;
    let mut etags = Vec::new();
    for key in ["a", "b", "c"] {
        let put = client.put_object().bucket("data").key(key).body(body("x"));
        etags.push(put.send().await.unwrap().e_tag.unwrap());
    }
    let object = |key: &str, etag: Option<&str>| {
        let object = ObjectIdentifier::builder().key(key);
        object.set_e_tag(etag.map(str::to_owned)).build().unwrap()
    };
    let delete = Delete::builder()
        .objects(object("a", Some(&etags[0])))
        .objects(object("b", Some("\"0\"")))
        .objects(object("c", None))
        .objects(object("gone", None))
        .objects(object("absent", Some(&etags[0])));
    let delete = client
        .delete_objects()
        .bucket("data")
        .delete(delete.build().unwrap());
    let output = delete.send().await.unwrap();
    let deleted: Vec<&str> = output
        .deleted()
        .iter()
        .filter_map(|one| one.key())
        .collect();
    assert_eq!(deleted, ["a", "c", "gone"]);
    let errors: Vec<_> = output
        .errors()
        .iter()
        .map(|one| (one.key(), one.code()))
        .collect();
    assert_eq!(
        errors,
        [
            (Some("b"), Some("PreconditionFailed")),
            (Some("absent"), Some("NoSuchKey")),
        ]
    );
}
