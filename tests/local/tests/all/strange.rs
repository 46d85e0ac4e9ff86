//! What no client sends: numbers without bounds, names without end, what is
//! missing and what is nested. Whatever is answered, the process lives, and
//! nothing in it has panicked.

use std::time::Duration;

use serde_json::{Value, json};

use crate::aws::send;
use crate::program::Program;

const SFN: &str = "AWSStepFunctions";
const SQS: &str = "AmazonSQS";
const CLOUDWATCH: &str = "GraniteServiceVersion20100801";
const SECRETS: &str = "secretsmanager";
const DATA: &str = "RedshiftData";
const NAME: &str = "arn:aws:states:eu-west-1:123456789012";

/// What stands where something else is expected.
fn strange() -> Vec<Value> {
    let deep = |open: &str, close: &str, times: usize| open.repeat(times) + &close.repeat(times);
    let mut values = vec![
        Value::Null,
        json!(true),
        json!(""),
        json!(-1),
        json!(0),
        json!(i64::MIN),
        json!(i64::MAX),
        json!(u64::MAX),
        json!(1e308),
        json!(-1e308),
        json!(5e-324),
        json!([]),
        json!({}),
        json!([[[[[[[[1]]]]]]]]),
        json!({"a": {"b": {"c": [null]}}}),
        json!("\u{0}\u{feff}\u{202e}é\u{10ffff}"),
        json!("9999-99-99T99:99:99Z"),
        json!("-9999999999999999999"),
        json!("${jndi:x}%s%n../../etc/passwd"),
        json!("n".repeat(70_000)),
        json!("1".repeat(70_000)),
    ];
    // Whatever reads this by calling itself.
    for (open, close) in [
        ("(", ")"),
        ("[", "]"),
        ("{\"a\":", "}"),
        ("States.Array(", ")"),
        ("$[?(", ")]"),
        ("-", ""),
        ("/*", "*/"),
        ("IF(1,", ",2)"),
    ] {
        values.push(json!(deep(open, close, 20_000)));
    }
    values.push(json!(format!("$.{}", "a.".repeat(30_000))));
    values
}

/// A machine that uses what numbers it may, and ends.
fn definition() -> Value {
    let retry = json!([{
        "ErrorEquals": ["States.ALL"], "IntervalSeconds": 1, "MaxAttempts": 1,
        "BackoffRate": 2.0, "MaxDelaySeconds": 9,
    }]);
    json!({
        "StartAt": "Fill",
        "TimeoutSeconds": 60,
        "States": {
            "Fill": {
                "Type": "Pass", "Parameters": {"n.$": "States.MathAdd($.n, 1)", "of.$": "$.n"},
                "ResultPath": "$.r", "InputPath": "$", "OutputPath": "$", "Next": "Which",
            },
            "Which": {
                "Type": "Choice",
                "Choices": [{"Variable": "$.n", "NumericGreaterThan": 7, "Next": "End"}],
                "Default": "Wait",
            },
            "Wait": {"Type": "Wait", "Seconds": 1, "Next": "Work"},
            "Work": {
                "Type": "Task", "Resource": format!("{NAME}:activity:none"),
                "TimeoutSeconds": 2, "HeartbeatSeconds": 1, "Retry": retry, "Next": "Each",
                "Catch": [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.e", "Next": "Each"}],
            },
            "Each": {
                "Type": "Map", "ItemsPath": "$.list", "MaxConcurrency": 2,
                "ToleratedFailurePercentage": 10,
                "ItemProcessor": {
                    "StartAt": "One", "States": {"One": {"Type": "Pass", "End": true}},
                },
                "Next": "End",
            },
            "End": {"Type": "Succeed"},
        },
    })
}

/// A good request of each operation that reads more than a name.
fn calls() -> Vec<(&'static str, &'static str, Value)> {
    let queue = "http://127.0.0.1/123456789012/q";
    let machine = format!("{NAME}:stateMachine:m");
    let role = "arn:aws:iam::123456789012:role/r";
    let metric = json!({
        "MetricName": "M", "Dimensions": [{"Name": "D", "Value": "d"}], "Timestamp": 1.0e9,
        "Value": 1, "Unit": "None", "StatisticValues": null, "Values": [1], "Counts": [1],
        "StorageResolution": 60,
    });
    let span = json!({
        "Namespace": "N", "MetricName": "M", "StartTime": 1.0e9, "EndTime": 1.1e9, "Period": 60,
        "Statistics": ["Sum"], "Dimensions": [{"Name": "D", "Value": "d"}],
    });
    let query = json!({
        "Id": "a", "ReturnData": true, "MetricStat": {
            "Metric": {"Namespace": "N", "MetricName": "M"}, "Period": 60, "Stat": "Sum",
        },
    });
    let alarm = json!({
        "AlarmName": "a", "Namespace": "N", "MetricName": "M", "Period": 60,
        "EvaluationPeriods": 1, "DatapointsToAlarm": 1, "Threshold": 1, "Statistic": "Sum",
        "ComparisonOperator": "GreaterThanThreshold", "TreatMissingData": "breaching",
        "AlarmActions": ["arn:aws:sns:eu-west-1:123456789012:t"],
    });
    let sum = json!({
        "AlarmName": "b", "EvaluationPeriods": 1, "Threshold": 1,
        "ComparisonOperator": "GreaterThanThreshold",
        "Metrics": [query, {"Id": "e", "Expression": "IF(a > 1, a, -a) / 2", "ReturnData": false}],
    });
    vec![
        (
            SFN,
            "CreateActivity",
            json!({"name": "a", "tags": [{"key": "k", "value": "v"}]}),
        ),
        (
            SFN,
            "ListActivities",
            json!({"maxResults": 1, "nextToken": "x"}),
        ),
        (
            SFN,
            "SendTaskSuccess",
            json!({"taskToken": "t", "output": "{}"}),
        ),
        (
            SFN,
            "SendTaskFailure",
            json!({"taskToken": "t", "error": "e", "cause": "c"}),
        ),
        (SFN, "SendTaskHeartbeat", json!({"taskToken": "t"})),
        (
            SFN,
            "GetActivityTask",
            json!({"activityArn": format!("{NAME}:activity:none"), "workerName": "w"}),
        ),
        (
            SFN,
            "CreateStateMachine",
            json!({
                "name": "m", "roleArn": role, "definition": definition().to_string(), "type": "STANDARD",
            }),
        ),
        (
            SFN,
            "ValidateStateMachineDefinition",
            json!({"definition": definition().to_string()}),
        ),
        (
            SFN,
            "StartExecution",
            json!({
                "stateMachineArn": machine, "name": "e", "input": r#"{"n": 1, "list": [1, 2]}"#,
            }),
        ),
        (
            SFN,
            "ListExecutions",
            json!({"stateMachineArn": machine, "maxResults": 1, "statusFilter": "RUNNING"}),
        ),
        (
            SFN,
            "GetExecutionHistory",
            json!({"executionArn": format!("{NAME}:execution:m:e"), "maxResults": 1, "reverseOrder": true}),
        ),
        (
            SFN,
            "StopExecution",
            json!({"executionArn": format!("{NAME}:execution:m:none"), "error": "e", "cause": "c"}),
        ),
        (
            SQS,
            "CreateQueue",
            json!({"QueueName": "q", "Attributes": {
                "VisibilityTimeout": "1", "DelaySeconds": "0", "MessageRetentionPeriod": "60",
                "Policy": "{}", "RedrivePolicy": "{}",
            }}),
        ),
        (
            SQS,
            "SetQueueAttributes",
            json!({"QueueUrl": queue, "Attributes": {"DelaySeconds": "0"}}),
        ),
        (
            SQS,
            "SendMessage",
            json!({
                "QueueUrl": queue, "MessageBody": "b", "DelaySeconds": 0,
                "MessageAttributes": {"a": {"DataType": "Number", "StringValue": "1"}},
            }),
        ),
        (
            SQS,
            "SendMessageBatch",
            json!({"QueueUrl": queue, "Entries": [{"Id": "1", "MessageBody": "b", "DelaySeconds": 0}]}),
        ),
        (
            SQS,
            "ReceiveMessage",
            json!({"QueueUrl": queue, "MaxNumberOfMessages": 1, "VisibilityTimeout": 0, "WaitTimeSeconds": 0}),
        ),
        (
            SQS,
            "ChangeMessageVisibility",
            json!({"QueueUrl": queue, "ReceiptHandle": "h", "VisibilityTimeout": 1}),
        ),
        (
            SQS,
            "DeleteMessageBatch",
            json!({"QueueUrl": queue, "Entries": [{"Id": "1", "ReceiptHandle": "h"}]}),
        ),
        (
            SQS,
            "StartMessageMoveTask",
            json!({"SourceArn": "arn:aws:sqs:eu-west-1:123456789012:q", "MaxNumberOfMessagesPerSecond": 1}),
        ),
        (
            CLOUDWATCH,
            "PutMetricData",
            json!({"Namespace": "N", "MetricData": [metric]}),
        ),
        (CLOUDWATCH, "GetMetricStatistics", span),
        (
            CLOUDWATCH,
            "GetMetricData",
            json!({"MetricDataQueries": [query], "StartTime": 1.0e9, "EndTime": 1.1e9, "MaxDatapoints": 1}),
        ),
        (CLOUDWATCH, "PutMetricAlarm", alarm),
        (CLOUDWATCH, "PutMetricAlarm", sum),
        (
            CLOUDWATCH,
            "DescribeAlarms",
            json!({"AlarmNames": ["a"], "MaxRecords": 1, "StateValue": "OK"}),
        ),
        (
            CLOUDWATCH,
            "SetAlarmState",
            json!({"AlarmName": "a", "StateValue": "OK", "StateReason": "r", "StateReasonData": "{}"}),
        ),
        (
            CLOUDWATCH,
            "DescribeAlarmHistory",
            json!({"AlarmName": "a", "StartDate": 1.0e9, "EndDate": 1.1e9, "MaxRecords": 1}),
        ),
        (
            CLOUDWATCH,
            "ListMetrics",
            json!({"Namespace": "N", "Dimensions": [{"Name": "D", "Value": "d"}]}),
        ),
        (
            SECRETS,
            "CreateSecret",
            json!({"Name": "s", "SecretString": "x", "ClientRequestToken": "0123456789012345678901234567890123"}),
        ),
        (
            SECRETS,
            "DeleteSecret",
            json!({"SecretId": "s", "RecoveryWindowInDays": 7}),
        ),
        (SECRETS, "ListSecrets", json!({"MaxResults": 1})),
        (
            DATA,
            "ExecuteStatement",
            json!({
                "Sql": "SELECT :a", "Database": "dev", "WorkgroupName": "w", "StatementName": "s",
                "Parameters": [{"name": "a", "value": "1"}],
            }),
        ),
        (
            DATA,
            "ExecuteStatement",
            json!({
                "Sql": "COPY t FROM 's3://b/k' IAM_ROLE default CSV MAXERROR 1", "Database": "dev", "WorkgroupName": "w",
            }),
        ),
        (
            DATA,
            "BatchExecuteStatement",
            json!({"Sqls": ["SELECT 1"], "Database": "dev", "WorkgroupName": "w"}),
        ),
        (
            DATA,
            "GetStatementResult",
            json!({"Id": "x", "NextToken": "1"}),
        ),
        (
            DATA,
            "ListStatements",
            json!({"MaxResults": 1, "Status": "ALL", "NextToken": "x"}),
        ),
    ]
}

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

/// A good value, and each that has something strange at one place.
fn broken(good: &Value) -> Vec<Value> {
    let strange = strange();
    let mut all = vec![good.clone()];
    for place in places(good) {
        for value in &strange {
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
    let mut calls: Vec<(&str, String, Vec<(&str, String)>)> = Vec::new();
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
