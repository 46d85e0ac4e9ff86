//! A store that has no conditions, as it answers over the wire.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_sdk_s3::config::Builder;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

const ANSWER: &str = "<?xml version=\"1.0\"?><Error><Code>NotImplemented</Code><Message>A header you provided implies functionality that is not implemented</Message></Error>";

/// A store that answers every request so; the number counts these.
async fn store() -> (Client, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let requests = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&requests);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            let mut head = [0; 8_192];
            let _ = stream.read(&mut head).await;
            let answer = format!(
                "HTTP/1.1 501 Not Implemented\r\nContent-Type: application/xml\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{ANSWER}",
                ANSWER.len()
            );
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    let aws = aws_config::defaults(aws_config::BehaviorVersion::latest())
        .region(aws_config::Region::new("eu-west-1"))
        .endpoint_url(url)
        .test_credentials()
        .load()
        .await;
    let config = Builder::from(&aws).force_path_style(true).build();
    (Client::from_conf(config), requests)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_store_does_not_have_is_said_with_what_to_do_and_never_tried_again() {
    let (client, requests) = store().await;
    let at = At {
        bucket: "land",
        key: "p/incoming/a.csv",
    };
    let errors = [
        (
            client.delete(at, "e").await.expect_err("no DELETE"),
            "say `s3: {conditional_delete: head}`",
        ),
        (
            client
                .put(at, Vec::new(), PutIf::Absent)
                .await
                .expect_err("no PUT"),
            "no PUT with If-Match or If-None-Match",
        ),
        (
            client
                .copy(at, "e", To::over("b"))
                .await
                .expect_err("no COPY"),
            "no COPY with x-amz-copy-source-if-match",
        ),
    ];
    for (error, want) in errors {
        assert_eq!(error.class, Class::Permanent, "{error}");
        assert!(error.reason.starts_with("NotImplemented: "), "{error}");
        assert!(error.reason.contains(want), "{error}");
    }
    assert_eq!(requests.load(Ordering::SeqCst), 3, "each once");
}
