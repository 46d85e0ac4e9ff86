//! All of it in this process, and what the clients need to speak to it.

use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_sfn::config::Credentials;
use aws_sdk_sfn::error::{ProvideErrorMetadata, SdkError};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use stepfleet_local::serve::{Local, LocalOptions, WarehouseOption};
use tempfile::TempDir;

/// A run of its own, gone when it is dropped.
pub(crate) struct Aws {
    pub(crate) local: Local,
    pub(crate) config: SdkConfig,
    _dir: TempDir,
}

/// Starts everything but a warehouse, unless the options are changed.
pub(crate) async fn start(change: impl FnOnce(&mut LocalOptions)) -> Aws {
    let dir = tempfile::tempdir().unwrap();
    let mut options = LocalOptions::new(dir.path().join("run"));
    options.warehouse = WarehouseOption::None;
    change(&mut options);
    let local = Local::start(options).await.unwrap();
    let config = config(&local.context.base_url).await;
    Aws {
        local,
        config,
        _dir: dir,
    }
}

/// What clients need to speak to what is there.
pub(crate) async fn config(url: &str) -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .endpoint_url(url)
        .credentials_provider(Credentials::new("any", "any", None, None, "test"))
        .load()
        .await
}

/// A queue's policy that lets a service in, whatever it sends for.
pub(crate) fn open_policy(service: &str) -> String {
    let statement = serde_json::json!({
        "Effect": "Allow", "Principal": {"Service": service},
        "Action": "sqs:SendMessage", "Resource": "*",
    });
    serde_json::json!({"Version": "2012-10-17", "Statement": [statement]}).to_string()
}

/// Waits until something holds; says what if it never does.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    let all = async {
        while !holds().await {
            ticks.tick().await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(60), all).await;
    assert!(waited.is_ok(), "never: {what}");
}

/// The name and the message of a refusal.
pub(crate) fn refused<T, E: ProvideErrorMetadata>(
    result: Result<T, SdkError<E>>,
) -> (String, String) {
    let error = result.err().expect("a refusal");
    let part = |part: Option<&str>| part.unwrap_or_default().to_owned();
    (part(error.code()), part(error.message()))
}

/// One call of what is not AWS: the status and the body.
pub(crate) async fn http(method: &str, url: &str, body: &str) -> (u16, String) {
    let request = http::Request::builder().method(method).uri(url);
    send(request.body(body.to_owned()).unwrap()).await
}

/// One request with the headers that it has: the status and the body.
pub(crate) async fn send(request: http::Request<String>) -> (u16, String) {
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let response = client.request(request.map(Full::from)).await.unwrap();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8_lossy(&body).into_owned())
}
