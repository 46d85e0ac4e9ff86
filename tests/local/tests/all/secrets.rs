//! Secrets Manager as clients speak to it: JSON 1.1.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

use crate::aws::{self, Aws};

/// The status, the content's type and the answer.
async fn call(aws: &Aws, operation: &str, input: Value) -> (u16, String, Value) {
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let request = http::Request::post(&aws.local.context.base_url)
        .header("x-amz-target", format!("secretsmanager.{operation}"))
        .header("content-type", "application/x-amz-json-1.1")
        .body(Full::from(input.to_string()))
        .unwrap();
    let response = client.request(request).await.unwrap();
    let status = response.status().as_u16();
    let kind = response.headers()["content-type"].to_str().unwrap();
    let kind = kind.to_owned();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, kind, serde_json::from_slice(&body).unwrap())
}

#[tokio::test]
async fn a_secret_is_made_and_told() {
    let aws = aws::start(|_| {}).await;
    let input = json!({"Name": "s", "SecretString": "x"});
    let (status, kind, made) = call(&aws, "CreateSecret", input).await;
    assert_eq!((status, kind.as_str()), (200, "application/x-amz-json-1.1"));
    let get = json!({"SecretId": made["ARN"]});
    let (_, _, told) = call(&aws, "GetSecretValue", get).await;
    assert_eq!(told["SecretString"], "x");
    assert_eq!(told["VersionStages"], json!(["AWSCURRENT"]));
    let (status, _, refused) = call(&aws, "GetSecretValue", json!({"SecretId": "no"})).await;
    assert_eq!(status, 400);
    assert_eq!(refused["__type"], "ResourceNotFoundException");
    let (_, _, refused) = call(&aws, "RotateSecret", json!({})).await;
    assert!(
        refused["message"]
            .as_str()
            .unwrap()
            .contains("RotateSecret")
    );
}
