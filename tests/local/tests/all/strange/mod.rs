//! What no client sends: numbers without bounds, names without end, what is
//! missing and what is nested. Whatever is answered, the process lives, and
//! nothing in it has panicked.

mod calls;

use std::time::Duration;

use serde_json::{Value, json};

use crate::aws::send;
use crate::program::Program;
use calls::{CLOUDWATCH, NAME, SFN, SQS, calls, definition, strange};

/// The places in a value: of each member and each item, and of what is in them.
fn places(value: &Value) -> Vec<String> {
    let within = |name: String, inner: &Value| {
        let below = places(inner);
        let below = below
            .into_iter()
            .map(move |place| format!("/{name}{place}"));
        below.collect::<Vec<_>>()
    };
    let mut all = vec![String::new()];
    match value {
        Value::Object(members) => {
            all.extend(
                members
                    .iter()
                    .flat_map(|(name, inner)| within(name.clone(), inner)),
            );
        }
        Value::Array(items) => {
            let items = items.iter().enumerate();
            all.extend(items.flat_map(|(at, inner)| within(at.to_string(), inner)));
        }
        _ => {}
    }
    all
}

/// A good value, and each that has something strange at one place: a third of
/// what is strange at each place, so that all of it is at one of three neighbours.
fn broken(good: &Value) -> Vec<Value> {
    let strange = strange();
    let mut all = vec![good.clone()];
    for (number, place) in places(good).into_iter().enumerate() {
        for value in strange.iter().skip(number % 3).step_by(3) {
            let mut bad = good.clone();
            *bad.pointer_mut(&place).unwrap() = value.clone();
            all.push(bad);
        }
    }
    all
}

/// One request; what it is answered does not matter, but that it is. One that
/// waits for something is not waited for.
async fn ask(request: http::Request<String>, what: &str) {
    let asked = tokio::time::timeout(Duration::from_secs(3), send(request)).await;
    if let Ok((status, said)) = asked {
        assert!((200..600).contains(&status), "{what}: {said}");
        assert!(status != 500 || !said.is_empty(), "{what}");
    }
}

async fn aws(url: &str, (service, operation): (&str, &str), body: String) {
    let what = format!("{operation} {}", body.chars().take(400).collect::<String>());
    let request = http::Request::post(url)
        .header("x-amz-target", format!("{service}.{operation}"))
        .header("content-type", "application/x-amz-json-1.0");
    ask(request.body(body).unwrap(), &what).await;
}

/// The numbers and texts of a machine's definition, which are texts in a request.
async fn machines(url: &str) {
    aws(
        url,
        (SFN, "CreateActivity"),
        json!({"name": "work"}).to_string(),
    )
    .await;
    for (number, bad) in broken(&definition()).into_iter().enumerate() {
        let name = format!("m{number}");
        let body = json!({
            "name": name, "roleArn": "arn:aws:iam::123456789012:role/r", "definition": bad.to_string(),
        });
        aws(url, (SFN, "CreateStateMachine"), body.to_string()).await;
        let body = json!({
            "stateMachineArn": format!("{NAME}:stateMachine:{name}"),
            "input": r#"{"n": 1, "list": [1, 2]}"#,
        });
        aws(url, (SFN, "StartExecution"), body.to_string()).await;
    }
}

async fn topics(url: &str) {
    let topic = "arn:aws:sns:eu-west-1:123456789012:t";
    let calls: [&[(&str, &str)]; 5] = [
        &[
            ("Action", "CreateTopic"),
            ("Name", "t"),
            ("Attributes.entry.1.key", "SignatureVersion"),
            ("Attributes.entry.1.value", "2"),
        ],
        &[
            ("Action", "Subscribe"),
            ("TopicArn", topic),
            ("Protocol", "sqs"),
            ("Endpoint", "arn:aws:sqs:eu-west-1:123456789012:q"),
            ("Attributes.entry.1.key", "FilterPolicy"),
            ("Attributes.entry.1.value", "{}"),
        ],
        &[
            ("Action", "Publish"),
            ("TopicArn", topic),
            ("Message", "m"),
            ("Subject", "s"),
            ("MessageAttributes.entry.1.Name", "a"),
            ("MessageAttributes.entry.1.Value.DataType", "Number"),
            ("MessageAttributes.entry.1.Value.StringValue", "1"),
        ],
        &[
            ("Action", "PublishBatch"),
            ("TopicArn", topic),
            ("PublishBatchRequestEntries.member.1.Id", "1"),
            ("PublishBatchRequestEntries.member.1.Message", "m"),
        ],
        &[("Action", "ListTopics"), ("NextToken", "1")],
    ];
    for call in calls {
        for at in 0..call.len() {
            for value in strange().iter().filter_map(Value::as_str) {
                let mut form = call.to_vec();
                form[at].1 = value;
                query(url, &form).await;
                let mut form = call.to_vec();
                form[at].0 = value;
                query(url, &form).await;
            }
        }
        query(url, call).await;
    }
}

async fn query(url: &str, form: &[(&str, &str)]) {
    let body = serde_urlencoded::to_string(form).unwrap();
    let what = body.chars().take(400).collect::<String>();
    let request = http::Request::post(format!("{url}/"))
        .header("content-type", "application/x-www-form-urlencoded")
        .header("authorization", "AWS4-HMAC-SHA256 Credential=k/20261121/eu-west-1/sns/aws4_request, SignedHeaders=host, Signature=0");
    ask(request.body(body).unwrap(), &what).await;
}

/// Method, path and parameters, headers.
type ObjectCall = (&'static str, String, Vec<(&'static str, String)>);

/// Paths, parameters, headers and bodies of what is no JSON.
async fn objects(url: &str) {
    let numbers = [
        "-1",
        "0",
        "18446744073709551615",
        "9999999999999999999999",
        "1e9",
        "",
        "x",
    ];
    let mut calls: Vec<ObjectCall> = Vec::new();
    for number in numbers {
        for parameter in [
            "max-keys",
            "partNumber",
            "part-number-marker",
            "max-uploads",
            "list-type",
        ] {
            calls.push((
                "GET",
                format!("/b/k?{parameter}={number}&uploadId=u"),
                vec![],
            ));
            calls.push((
                "GET",
                format!("/b?{parameter}={number}&list-type=2"),
                vec![],
            ));
            calls.push((
                "PUT",
                format!("/b/k?{parameter}={number}&uploadId=u"),
                vec![],
            ));
        }
        let ranges = [
            format!("bytes={number}-{number}"),
            format!("bytes=-{number}"),
            format!("bytes={number}-"),
        ];
        for range in ranges {
            calls.push(("GET", "/b/k".to_owned(), vec![("range", range.clone())]));
            calls.push((
                "PUT",
                "/b/k?partNumber=1&uploadId=u".to_owned(),
                vec![
                    ("x-amz-copy-source", "/b/k".to_owned()),
                    ("x-amz-copy-source-range", range),
                ],
            ));
        }
        let decoded = vec![
            (
                "x-amz-content-sha256",
                "STREAMING-UNSIGNED-PAYLOAD-TRAILER".to_owned(),
            ),
            ("x-amz-decoded-content-length", number.to_owned()),
        ];
        calls.push(("PUT", "/b/k".to_owned(), decoded));
    }
    let dates = [
        "Thu, 01 Jan 99999 00:00:00 GMT",
        "x",
        "Fri, 31 Dec 9999 23:59:59 GMT",
        "Thu, 01 Jan 0001 00:00:00 GMT",
    ];
    for date in dates {
        for name in ["if-modified-since", "if-unmodified-since"] {
            calls.push(("GET", "/b/k".to_owned(), vec![(name, date.to_owned())]));
        }
    }
    for path in [
        "/b",
        "/b/k",
        "//",
        "/%00",
        "/b/%2e%2e/%2e%2e/x",
        "/b/%ff",
        "/b/..",
        "/_stepfleet/execution?arn=%00",
        "/_stepfleet/?show=x",
    ] {
        for method in ["GET", "PUT", "HEAD", "DELETE", "POST", "PATCH"] {
            calls.push((method, path.to_owned(), vec![]));
        }
    }
    calls.push(("GET", format!("/b/{}", "k".repeat(7_000)), vec![]));
    let bodies = [
        "",
        "x",
        "ffffffffffffffff\r\n",
        "-1\r\n\r\n",
        "<Delete>",
        "\u{0}",
    ];
    for (method, path, headers) in calls {
        for body in bodies {
            let mut request = http::Request::builder()
                .method(method)
                .uri(format!("{url}{path}"));
            for (name, value) in &headers {
                request = request.header(*name, value);
            }
            let what = format!(
                "{method} {} {headers:?} {body:?}",
                &path[..path.len().min(100)]
            );
            ask(request.body(body.to_owned()).unwrap(), &what).await;
        }
    }
}

/// Faults and clock, and CBOR that is none.
async fn controls(url: &str) {
    let spans = ["1000000000000y", "-1s", "0s", "18446744073709551615s", "x"];
    for span in spans {
        for body in [
            json!({"advance": span}),
            json!({"advance": "1s", "step": span}),
            json!({"faults": [{"on": "sqs:ListQueues", "latency": span}]}),
        ] {
            let text = body.to_string();
            let clock = http::Request::post(format!("{url}/_stepfleet/clock"));
            ask(clock.body(text.clone()).unwrap(), &text).await;
            let faults = http::Request::put(format!("{url}/_stepfleet/faults"));
            ask(faults.body(text.clone()).unwrap(), &text).await;
            aws(url, (SQS, "ListQueues"), "{}".to_owned()).await;
        }
    }
    for value in strange() {
        let text = value.to_string();
        let faults = http::Request::put(format!("{url}/_stepfleet/faults"));
        ask(
            faults.body(text.clone()).unwrap(),
            &text[..text.len().min(100)],
        )
        .await;
        let cbor = format!("{url}/service/{CLOUDWATCH}/operation/PutMetricData");
        ask(http::Request::post(cbor).body(text).unwrap(), "no CBOR").await;
    }
    // CBOR of arrays in arrays, and of one that says it is as long as can be.
    for text in ["\u{1}".repeat(100_000), "\u{7f}".repeat(100_000)] {
        let cbor = format!("{url}/service/{CLOUDWATCH}/operation/PutMetricData");
        ask(http::Request::post(cbor).body(text).unwrap(), "no CBOR").await;
    }
    let clear = http::Request::delete(format!("{url}/_stepfleet/faults"));
    ask(clear.body(String::new()).unwrap(), "clear").await;
}

async fn cluster((url, token): (&str, &str)) {
    let labels = json!({"app": "x"});
    let container = json!({
        "name": "c", "image": "process", "command": ["true"], "args": [],
        "env": [{"name": "A", "value": "b"}],
        "readinessProbe": {"httpGet": {"path": "/"}, "periodSeconds": 1, "failureThreshold": 1},
    });
    let spec = json!({"terminationGracePeriodSeconds": 1, "containers": [container]});
    let deployment = json!({
        "metadata": {"name": "x", "labels": labels, "annotations": {"a": "b"}, "resourceVersion": "", "uid": ""},
        "spec": {
            "replicas": 1, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    });
    let lease = json!({
        "metadata": {"name": "l"},
        "spec": {"holderIdentity": "h", "leaseDurationSeconds": 1, "renewTime": "2026-01-01T00:00:00.000000Z"},
    });
    let scale = json!({"metadata": {"name": "x"}, "spec": {"replicas": 1}});
    let table = [
        (
            "POST",
            "/apis/apps/v1/namespaces/default/deployments",
            &deployment,
        ),
        (
            "PUT",
            "/apis/apps/v1/namespaces/default/deployments/x",
            &deployment,
        ),
        (
            "PUT",
            "/apis/apps/v1/namespaces/default/deployments/x/scale",
            &scale,
        ),
        (
            "POST",
            "/apis/coordination.k8s.io/v1/namespaces/default/leases",
            &lease,
        ),
        (
            "PUT",
            "/apis/coordination.k8s.io/v1/namespaces/default/leases/l",
            &lease,
        ),
    ];
    for (method, path, good) in table {
        for bad in broken(good) {
            let text = bad.to_string();
            let what = format!(
                "{method} {path} {}",
                text.chars().take(400).collect::<String>()
            );
            let request = http::Request::builder()
                .method(method)
                .uri(format!("{url}{path}"))
                .header("authorization", format!("Bearer {token}"));
            ask(request.body(text).unwrap(), &what).await;
        }
    }
}

async fn documents(url: &str) {
    for (service, operation, good) in calls() {
        for bad in broken(&good) {
            aws(url, (service, operation), bad.to_string()).await;
        }
        let deep = ["[".repeat(100_000), "{\"a\":".repeat(100_000)];
        let deep = deep.iter().map(String::as_str);
        for text in ["", "[", "7", "\"x\""].into_iter().chain(deep) {
            aws(url, (service, operation), text.to_owned()).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_is_asked_ends_it() {
    let program = Program::start();
    let url = program.export("AWS_ENDPOINT_URL");
    let (kube, token) = program.cluster();
    tokio::join!(
        documents(&url),
        topics(&url),
        objects(&url),
        machines(&url),
        cluster((&kube, &token)),
    );
    controls(&url).await;
    // What waits comes due: all that was made has its turn.
    let clock = http::Request::post(format!("{url}/_stepfleet/clock"));
    let (status, said) = send(
        clock
            .body(r#"{"advance": "9h", "step": "10m"}"#.to_owned())
            .unwrap(),
    )
    .await;
    assert_eq!(status, 200, "{said}");
    // The good one among the machines has run: what was asked was heard.
    let machine = format!("{NAME}:stateMachine:m0");
    let list = http::Request::post(&url)
        .header("x-amz-target", "AWSStepFunctions.ListExecutions")
        .body(json!({"stateMachineArn": machine}).to_string());
    let (_, said) = send(list.unwrap()).await;
    assert!(said.contains("SUCCEEDED"), "{said}");
    let page = http::Request::get(format!("{url}/_stepfleet/"));
    assert_eq!(send(page.body(String::new()).unwrap()).await.0, 200);
    let said = program.said();
    let at = said.find("panicked").map(|at| &said[at..]);
    assert_eq!(at, None, "it panicked");
}
