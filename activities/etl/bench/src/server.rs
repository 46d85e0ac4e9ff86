//! A scripted S3 and Data API: a bucket of so many files, of which the ledger
//! knows all or none.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep_until};

use crate::What;

/// Files on a page, as S3 has them.
const PAGE: usize = 1_000;

struct Script {
    /// The listing, page by page.
    pages: Vec<String>,
    /// Whether everything is loaded.
    loaded: bool,
    latency: Duration,
    /// The keys that each statement asks for.
    asked: Mutex<HashMap<String, Vec<String>>>,
}

/// The key of a file.
pub(crate) fn key(number: usize) -> String {
    format!("incoming/2026/03/01/orders-{number:08}.csv")
}

/// Serves until the process ends; gives the address.
pub(crate) async fn start(what: What, files: usize, latency: Duration) -> anyhow::Result<String> {
    let script = Arc::new(Script {
        pages: pages(files),
        loaded: what == What::Move,
        latency,
        asked: Mutex::default(),
    });
    let router = Router::new().fallback(handle).with_state(script);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(format!("http://{address}"))
}

fn pages(files: usize) -> Vec<String> {
    let numbers: Vec<usize> = (0..files).collect();
    let count = numbers.chunks(PAGE).count();
    let page = |(at, numbers): (usize, &[usize])| {
        let mut contents = String::new();
        for number in numbers {
            // Writing to a String cannot fail.
            let _ = write!(
                contents,
                "<Contents><Key>{}</Key><LastModified>2026-03-01T12:{:02}:{:02}.000Z</LastModified><ETag>\"{number:032x}\"</ETag><Size>1048576</Size></Contents>",
                key(*number),
                number / 60 % 60,
                number % 60
            );
        }
        let more = if at + 1 < count {
            format!(
                "<IsTruncated>true</IsTruncated><NextContinuationToken>{}</NextContinuationToken>",
                at + 1
            )
        } else {
            "<IsTruncated>false</IsTruncated>".to_owned()
        };
        format!(
            "<ListBucketResult><Name>land</Name><KeyCount>{}</KeyCount>{more}{contents}</ListBucketResult>",
            numbers.len()
        )
    };
    numbers.chunks(PAGE).enumerate().map(page).collect()
}

async fn handle(State(script): State<Arc<Script>>, request: Request<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    if let Some(target) = parts.headers.get("x-amz-target") {
        let operation = target.to_str().unwrap_or_default();
        let operation = operation.rsplit('.').next().unwrap_or_default().to_owned();
        let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
        let body = serde_json::from_slice(&body).unwrap_or_default();
        return data_api(&script, &operation, &body);
    }
    if parts.headers.contains_key("smithy-protocol") {
        return answer(
            StatusCode::OK,
            ("smithy-protocol", "rpc-v2-cbor"),
            vec![0xa0],
        );
    }
    let _ = to_bytes(body, usize::MAX).await;
    s3(
        &script,
        (&parts.method, &parts.uri.to_string()),
        &parts.headers,
    )
    .await
}

async fn take(latency: Duration) {
    sleep_until(Instant::now() + latency).await;
}

async fn s3(script: &Script, request: (&Method, &str), headers: &HeaderMap) -> Response<Body> {
    let xml = ("content-type", "application/xml");
    match request {
        (&Method::GET, uri) if uri.contains("list-type=2") => {
            let token = uri.split("continuation-token=").nth(1);
            let token = token.and_then(|rest| rest.split('&').next()?.parse().ok());
            let page = script.pages.get(token.unwrap_or(0_usize));
            answer(StatusCode::OK, xml, page.cloned().unwrap_or_default())
        }
        (&Method::PUT, _) if headers.contains_key("x-amz-copy-source") => {
            take(script.latency).await;
            let copied = "<CopyObjectResult><ETag>\"e\"</ETag><LastModified>2026-03-01T12:00:00.000Z</LastModified></CopyObjectResult>";
            answer(StatusCode::OK, xml, copied)
        }
        (&Method::PUT, _) => answer(StatusCode::OK, ("etag", "\"e\""), ""),
        (&Method::DELETE, _) => {
            take(script.latency).await;
            answer(StatusCode::NO_CONTENT, xml, "")
        }
        _ => answer(StatusCode::NOT_IMPLEMENTED, xml, ""),
    }
}

fn data_api(script: &Script, operation: &str, body: &Value) -> Response<Body> {
    let json = ("content-type", "application/x-amz-json-1.1");
    let mut asked = script.asked.lock().unwrap_or_else(PoisonError::into_inner);
    let said = match operation {
        "ExecuteStatement" => {
            let id = asked.len().to_string();
            let parameters = body["Parameters"].as_array().cloned().unwrap_or_default();
            let keys = parameters.iter().filter(|one| {
                one["name"]
                    .as_str()
                    .is_some_and(|name| name.starts_with("key"))
            });
            let keys = keys.filter_map(|one| one["value"].as_str().map(str::to_owned));
            asked.insert(id.clone(), keys.collect());
            json!({"Id": id})
        }
        "DescribeStatement" => {
            json!({"Id": body["Id"], "Status": "FINISHED", "HasResultSet": true})
        }
        "GetStatementResult" => {
            let keys = body["Id"].as_str().and_then(|id| asked.remove(id));
            let keys = keys.filter(|_| script.loaded).unwrap_or_default();
            let rows: Vec<Value> = keys.iter().map(|key| row(key)).collect();
            json!({"Records": rows})
        }
        "ListStatements" => json!({"Statements": []}),
        _ => {
            let error = json!({"__type": "ValidationException", "message": "no more here"});
            return answer(StatusCode::BAD_REQUEST, json, error.to_string());
        }
    };
    answer(StatusCode::OK, json, said.to_string())
}

/// A verified row of the ledger.
fn row(key: &str) -> Value {
    let number = key
        .rsplit('-')
        .next()
        .and_then(|end| end.strip_suffix(".csv"));
    let number: usize = number
        .and_then(|digits| digits.parse().ok())
        .unwrap_or_default();
    let text = |value: String| json!({"stringValue": value});
    json!([
        text("b".repeat(64)), text(key.to_owned()), text(format!("{number:032x}")),
        text("2026-03-01".to_owned()), {"longValue": 1}, {"longValue": 1_048_576},
    ])
}

fn answer(
    status: StatusCode,
    (name, value): (&'static str, &'static str),
    body: impl Into<Body>,
) -> Response<Body> {
    let mut answer = Response::new(body.into());
    *answer.status_mut() = status;
    let value = axum::http::HeaderValue::from_static(value);
    answer.headers_mut().insert(name, value);
    answer
}
