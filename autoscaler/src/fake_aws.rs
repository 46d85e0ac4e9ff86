//! An AWS that answers from a script over loopback, and remembers what it was asked.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_sqs::config::{Credentials, SharedCredentialsProvider};
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use ciborium::Value as Cbor;
use serde_json::{Number, Value, json};

#[derive(Default)]
struct Script {
    answers: VecDeque<(u16, Value)>,
    asked: Vec<(String, Value)>,
}

/// The answers are given in order; after them every call is refused.
pub(crate) struct FakeAws {
    pub(crate) config: SdkConfig,
    script: Arc<Mutex<Script>>,
}

impl FakeAws {
    pub(crate) async fn start(answers: Vec<(u16, Value)>) -> Self {
        let script = Arc::new(Mutex::new(Script {
            answers: answers.into(),
            asked: Vec::new(),
        }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let address = listener.local_addr().expect("an address");
        let router = axum::Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&script));
        tokio::spawn(async move { axum::serve(listener, router).await });
        let credentials = Credentials::new("any", "any", None, None, "test");
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-west-1"))
            .endpoint_url(format!("http://{address}"))
            .retry_config(RetryConfig::disabled())
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .build();
        Self { config, script }
    }

    /// Operations with their inputs.
    pub(crate) fn asked(&self) -> Vec<(String, Value)> {
        self.script.lock().expect("a lock").asked.clone()
    }
}

/// An answer in which AWS says no. It is not one that an SDK tries again.
pub(crate) fn denied() -> (u16, Value) {
    (400, json!({"__type": "AccessDenied", "message": "not you"}))
}

async fn answer(State(script): State<Arc<Mutex<Script>>>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let cbor = path.contains("/operation/");
    let target = request.headers().get("x-amz-target").cloned();
    let operation = match &target {
        Some(target) => target.to_str().expect("text").rsplit('.').next(),
        None => path.rsplit('/').next(),
    };
    let bytes = to_bytes(request.into_body(), usize::MAX)
        .await
        .expect("a body");
    let input = if cbor {
        to_json(ciborium::from_reader(&*bytes).expect("CBOR"))
    } else {
        serde_json::from_slice(&bytes).expect("JSON")
    };
    let (status, output) = {
        let mut script = script.lock().expect("a lock");
        let operation = operation.unwrap_or_default().to_owned();
        script.asked.push((operation, input));
        script.answers.pop_front().unwrap_or_else(denied)
    };
    let response = Response::builder().status(status);
    let response = if cbor {
        let mut bytes = Vec::new();
        ciborium::into_writer(&to_cbor("", &output), &mut bytes).expect("CBOR");
        (response.header("smithy-protocol", "rpc-v2-cbor"))
            .header("content-type", "application/cbor")
            .body(Body::from(bytes))
    } else {
        (response.header("content-type", "application/x-amz-json-1.0"))
            .body(Body::from(output.to_string()))
    };
    response.expect("a response")
}

fn to_json(cbor: Cbor) -> Value {
    match cbor {
        Cbor::Bool(value) => value.into(),
        Cbor::Text(value) => value.into(),
        Cbor::Float(value) => Number::from_f64(value).map_or(Value::Null, Value::Number),
        Cbor::Integer(value) => i64::try_from(value).expect("64 bits").into(),
        Cbor::Tag(_, value) => to_json(*value),
        Cbor::Array(items) => items.into_iter().map(to_json).collect(),
        Cbor::Map(entries) => (entries.into_iter())
            .map(|(key, value)| (key.into_text().expect("a name"), to_json(value)))
            .collect(),
        _ => Value::Null,
    }
}

/// JSON has no timestamps: CloudWatch's are known by their names.
fn to_cbor(name: &str, value: &Value) -> Cbor {
    match value {
        Value::Null => Cbor::Null,
        Value::Bool(value) => Cbor::Bool(*value),
        Value::String(value) => Cbor::Text(value.clone()),
        Value::Number(number) => {
            let number = Cbor::Float(number.as_f64().expect("a number"));
            if name.contains("Timestamp") {
                Cbor::Tag(1, Box::new(number))
            } else {
                number
            }
        }
        Value::Array(items) => Cbor::Array(items.iter().map(|item| to_cbor(name, item)).collect()),
        Value::Object(members) => Cbor::Map(
            (members.iter())
                .map(|(key, value)| (Cbor::Text(key.clone()), to_cbor(key, value)))
                .collect(),
        ),
    }
}
