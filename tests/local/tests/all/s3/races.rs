//! Many at once, each with a condition: as many win as it lets.

use std::collections::BTreeMap;

use aws_sdk_s3::Client;
use tokio::task::JoinSet;

use super::{body, open, serve, status};

/// How many want the same thing.
const MANY: u16 = 8;
/// How often they do.
const ROUNDS: usize = 5;

/// What a caller sends to the key of a round, with the ETag that it knows.
type Call = fn(Client, String, String, u16) -> tokio::task::JoinHandle<u16>;

fn create(client: Client, key: String, _: String, number: u16) -> tokio::task::JoinHandle<u16> {
    tokio::spawn(async move {
        let put = client.put_object().bucket("data").key(key + "-new");
        let put = put.body(number.to_string().into_bytes().into());
        status(put.if_none_match("*").send().await)
    })
}

fn replace(client: Client, key: String, etag: String, number: u16) -> tokio::task::JoinHandle<u16> {
    tokio::spawn(async move {
        let put = client.put_object().bucket("data").key(key).if_match(etag);
        let put = put.body(number.to_string().into_bytes().into());
        status(put.send().await)
    })
}

fn copy(client: Client, key: String, etag: String, _: u16) -> tokio::task::JoinHandle<u16> {
    tokio::spawn(async move {
        let copy = client
            .copy_object()
            .bucket("data")
            .key(format!("{key}-copy"));
        let copy = copy.copy_source(format!("data/{key}"));
        let copy = copy.copy_source_if_match(etag).if_none_match("*");
        status(copy.send().await)
    })
}

fn delete(client: Client, key: String, etag: String, _: u16) -> tokio::task::JoinHandle<u16> {
    tokio::spawn(async move {
        let delete = client.delete_object().bucket("data").key(key);
        status(delete.if_match(etag).send().await)
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_with_one_condition_exactly_one_wins() {
    let dir = tempfile::tempdir().unwrap();
    let client = serve(open(dir.path())).await;
    let cases: [(&str, Call, u16); 4] = [
        ("create", create, 412),
        ("replace", replace, 412),
        ("copy", copy, 412),
        // What is gone has no ETag to match.
        ("delete", delete, 404),
    ];
    for (name, send, lost) in cases {
        for round in 0..ROUNDS {
            let key = format!("{name}/{round}");
            let put = client.put_object().bucket("data").key(&key);
            let etag = put.body(body("first")).send().await.unwrap().e_tag.unwrap();
            let all =
                (0..MANY).map(|number| send(client.clone(), key.clone(), etag.clone(), number));
            let mut counts = BTreeMap::new();
            for one in all.collect::<Vec<_>>() {
                *counts.entry(one.await.unwrap()).or_insert(0) += 1;
            }
            let wanted = BTreeMap::from([(200, 1), (lost, MANY - 1)]);
            assert_eq!(counts, wanted, "{name}, round {round}");
        }
    }
}

/// A counter that everybody raises by reading and writing on condition.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_update_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let client = serve(open(dir.path())).await;
    let first = client.put_object().bucket("data").key("counter");
    first.body(body("0")).send().await.unwrap();
    let mut all = JoinSet::new();
    for _ in 0..4 {
        let client = client.clone();
        all.spawn(async move {
            let mut raised = 0;
            while raised < 5 {
                let get = client.get_object().bucket("data").key("counter");
                let got = get.send().await.unwrap();
                let etag = got.e_tag.clone().unwrap();
                let text = got.body.collect().await.unwrap().to_vec();
                let number: u32 = String::from_utf8(text).unwrap().parse().unwrap();
                let put = client.put_object().bucket("data").key("counter");
                let put = put.body((number + 1).to_string().into_bytes().into());
                if status(put.if_match(etag).send().await) == 200 {
                    raised += 1;
                }
            }
        });
    }
    while let Some(one) = all.join_next().await {
        one.unwrap();
    }
    let got = client
        .get_object()
        .bucket("data")
        .key("counter")
        .send()
        .await;
    let text = got.unwrap().body.collect().await.unwrap().into_bytes();
    assert_eq!(text.as_ref(), b"20");
}

/// A mover copies on condition and deletes on condition, as a writer replaces
/// the object: what is in the new place is what was deleted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_move_on_condition_never_takes_what_it_did_not_copy() {
    let dir = tempfile::tempdir().unwrap();
    let client = serve(open(dir.path())).await;
    for round in 0..10 {
        let key = format!("in/{round}");
        let put = |text| {
            client
                .put_object()
                .bucket("data")
                .key(&key)
                .body(body(text))
        };
        let etag = put("old").send().await.unwrap().e_tag.unwrap();
        let moved = async {
            let copy = client
                .copy_object()
                .bucket("data")
                .key(format!("{key}-done"));
            let copy = copy.copy_source(format!("data/{key}"));
            let copied = status(copy.copy_source_if_match(&etag).send().await);
            let delete = client.delete_object().bucket("data").key(&key);
            let deleted = status(delete.if_match(&etag).send().await);
            (copied, deleted)
        };
        let ((copied, deleted), written) = tokio::join!(moved, put("new").send());
        written.unwrap();
        let left = client.get_object().bucket("data").key(&key).send().await;
        let left = left.unwrap().body.collect().await.unwrap().into_bytes();
        assert_eq!(left.as_ref(), b"new", "round {round}: never lost");
        if copied == 200 {
            let done = client
                .get_object()
                .bucket("data")
                .key(format!("{key}-done"));
            let done = done.send().await.unwrap().body.collect().await.unwrap();
            assert_eq!(done.into_bytes().as_ref(), b"old", "round {round}");
        }
        assert!([200, 412].contains(&deleted), "round {round}: {deleted}");
        assert!(copied == 200 || deleted == 412, "round {round}");
    }
}
