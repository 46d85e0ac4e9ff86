//! Who may speak at the ports, and what may be asked of the machine behind them.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};
use stepfleet_local::door::Token;

use crate::aws::{self, Aws, send};
use crate::program::Program;

const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";
const PODS: &str = "/api/v1/namespaces/default/pods";

/// Where the Kubernetes API is, and the token for it.
fn cluster(aws: &Aws) -> (String, String) {
    let text = fs::read_to_string(&aws.local.kubeconfig).unwrap();
    let config: Value = serde_json::from_str(&text).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (
        text(&config["clusters"][0]["cluster"]["server"]),
        text(&config["users"][0]["user"]["token"]),
    )
}

fn deployment(spec: &Value) -> Value {
    let labels = json!({"app": "mine"});
    json!({
        "metadata": {"name": "mine"},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    })
}

#[tokio::test]
async fn nobody_speaks_to_the_cluster_without_its_token() {
    let aws = aws::start(|_| {}).await;
    let (url, token) = cluster(&aws);
    let shown = [
        (None, 401),
        (Some("Bearer ".to_owned()), 401),
        (Some(format!("Bearer {token}0")), 401),
        (Some(format!("Basic {token}")), 401),
        (Some(format!("Bearer {token}")), 200),
    ];
    for (shown, want) in shown {
        for path in ["/version", "/apis", DEPLOYMENTS, PODS] {
            let mut request = http::Request::get(format!("{url}{path}"));
            if let Some(shown) = &shown {
                request = request.header("authorization", shown);
            }
            let (status, said) = send(request.body(String::new()).unwrap()).await;
            assert_eq!(status, want, "{path} with {shown:?}: {said}");
            if want == 401 {
                let said: Value = serde_json::from_str(&said).unwrap();
                assert_eq!(said["reason"], "Unauthorized");
            }
        }
    }
    // Nothing of a write without it is done.
    let body = deployment(&json!({"containers": [{"command": ["true"]}]}));
    let request = http::Request::post(format!("{url}{DEPLOYMENTS}")).body(body.to_string());
    assert_eq!(send(request.unwrap()).await.0, 401);
    assert_eq!(aws.local.cluster.replicas("mine"), None);
}

#[tokio::test]
async fn what_the_catalogue_does_not_run_is_refused_even_with_the_token() {
    let aws = aws::start(|_| {}).await;
    let (url, token) = cluster(&aws);
    let file = aws.local.context.dir.join("taken");
    let container =
        json!({"name": "a", "command": ["/bin/sh", "-c", format!("id > {}", file.display())]});
    let spec = json!({"containers": [container]});
    let pod = json!({"metadata": {"name": "mine"}, "spec": spec});
    let apply = "application/apply-patch+yaml";
    let table = [
        (
            "POST",
            DEPLOYMENTS.to_owned(),
            deployment(&spec),
            "application/json",
        ),
        ("POST", PODS.to_owned(), pod, "application/json"),
        (
            "PATCH",
            format!("{DEPLOYMENTS}/mine?fieldManager=me"),
            deployment(&spec),
            apply,
        ),
    ];
    for (method, path, body, kind) in table {
        let request = http::Request::builder()
            .method(method)
            .uri(format!("{url}{path}"))
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", kind)
            .body(body.to_string());
        let (status, said) = send(request.unwrap()).await;
        assert_eq!(status, 403, "{method} {path}: {said}");
        assert!(
            said.contains("/bin/sh") && said.contains("catalogue"),
            "{said}"
        );
    }
    assert!(aws.local.cluster.pods().is_empty());
    assert!(!file.exists());
}

/// What is no object, and numbers that no clock can take.
#[tokio::test]
async fn no_request_of_a_strange_form_breaks_the_cluster() {
    let aws = aws::start(|_| {}).await;
    let (url, token) = cluster(&aws);
    let most = u64::MAX;
    let apply = "application/apply-patch+yaml";
    let merge = "application/merge-patch+json";
    let one = format!("{DEPLOYMENTS}/mine?fieldManager=me");
    let map = "/api/v1/namespaces/default/configmaps";
    let table = [
        ("POST", DEPLOYMENTS, "[]".to_owned(), "", 400),
        ("POST", PODS, "7".to_owned(), "", 400),
        ("PATCH", &one, "[1]".to_owned(), apply, 400),
        ("PATCH", &one, r#"{"metadata": "x"}"#.to_owned(), apply, 422),
        ("POST", map, r#"{"metadata": []}"#.to_owned(), "", 422),
        (
            "POST",
            map,
            r#"{"metadata": {"name": "m"}}"#.to_owned(),
            "",
            201,
        ),
        (
            "PATCH",
            &format!("{map}/m"),
            r#"{"metadata": 1}"#.to_owned(),
            merge,
            422,
        ),
        (
            "PATCH",
            &format!("{map}/m"),
            r#"{"metadata": {"labels": 1}}"#.to_owned(),
            merge,
            422,
        ),
        (
            "POST",
            DEPLOYMENTS,
            format!(r#"{{"metadata": {{"name": "mine"}}, "spec": {{"replicas": {most}}}}}"#),
            "",
            422,
        ),
        (
            "GET",
            &format!("{PODS}?watch=1&timeoutSeconds={most}&resourceVersion=9999999"),
            String::new(),
            "",
            200,
        ),
        ("POST", map, "[".repeat(100_000), "", 400),
    ];
    for (method, path, body, kind, want) in table {
        let request = http::Request::builder()
            .method(method)
            .uri(format!("{url}{path}"))
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", kind)
            .body(body.clone());
        let what = format!("{method} {path} {}", &body[..body.len().min(80)]);
        if path.contains("watch") {
            // It lasts: that it begins is enough.
            let began = tokio::time::timeout(
                std::time::Duration::from_millis(300),
                send(request.unwrap()),
            );
            assert!(began.await.is_err(), "{what}");
            continue;
        }
        let (status, said) = send(request.unwrap()).await;
        assert_eq!(status, want, "{what}: {said}");
    }
}

/// Whatever port it opens: one that is not known here fails this.
#[tokio::test]
async fn no_port_is_open_to_a_page_or_to_another_name() {
    let program = Program::start();
    let (own, children) = program.ports();
    let url = program.export("AWS_ENDPOINT_URL");
    let (cluster, token) = program.cluster();
    let port = |url: &str| url.rsplit_once(':').unwrap().1.parse::<u16>().unwrap();
    assert_eq!(own, BTreeSet::from([port(&url), port(&cluster)]));

    let strange = [
        ("host", "rebound.example:4566".to_owned()),
        ("host", "localhost.evil.example".to_owned()),
        ("origin", "http://evil.example".to_owned()),
        ("origin", "null".to_owned()),
        ("origin", "http://localhost:3000".to_owned()),
        ("sec-fetch-site", "cross-site".to_owned()),
        ("sec-fetch-site", "same-site".to_owned()),
    ];
    let calls = [
        ("GET", "/"),
        ("POST", "/"),
        ("GET", "/_stepfleet/"),
        ("GET", "/_stepfleet/status.json"),
        ("GET", "/_stepfleet/clock"),
        ("POST", "/_stepfleet/clock"),
        ("PUT", "/_stepfleet/faults"),
        ("DELETE", "/_stepfleet/faults"),
        ("PUT", "/bucket/key"),
        ("OPTIONS", "/bucket/key"),
        ("POST", DEPLOYMENTS),
        ("GET", "/version"),
    ];
    for at in own {
        let url = format!("http://127.0.0.1:{at}");
        let names = [
            "127.0.0.1",
            "localhost",
            "bucket.localhost",
            "b.s3.localhost",
            "[::1]",
        ];
        for host in names {
            let request = http::Request::get(format!("{url}/version"))
                .header("host", format!("{host}:{at}"))
                .header("origin", format!("http://{host}:{at}"))
                .header("authorization", format!("Bearer {token}"));
            let (status, said) = send(request.body(String::new()).unwrap()).await;
            assert_ne!(status, 403, "{at} as {host}: {said}");
        }
        for (name, value) in &strange {
            for (method, path) in calls {
                let request = http::Request::builder()
                    .method(method)
                    .uri(format!("{url}{path}"))
                    .header(*name, value)
                    .header("authorization", format!("Bearer {token}"));
                let (status, said) = send(request.body(String::new()).unwrap()).await;
                let what = format!("{at} {method} {path} {name}: {value}");
                assert_eq!(status, 403, "{what}: {said}");
                assert!(
                    said.to_lowercase().contains(name) && said.contains(value),
                    "{what}: {said}"
                );
            }
        }
    }
    // PostgreSQL's, which takes a password from everybody.
    assert_eq!(children.len(), 1);
    for at in children {
        for user in ["stepfleet", "stepfleet_user", "postgres"] {
            let url = format!("postgres://{user}:@127.0.0.1:{at}/postgres");
            let refused = tokio_postgres::connect(&url, tokio_postgres::NoTls).await;
            let said = format!("{:?}", refused.err().expect("a refusal"));
            assert!(said.contains("password"), "{said}");
        }
    }
}

#[tokio::test]
async fn others_change_faults_and_clock_with_the_token_alone() {
    const CHOSEN: &str = "chosen-by-somebody";
    let table = [
        (false, None, None),
        (true, None, Some("the file")),
        (false, Some(CHOSEN), Some(CHOSEN)),
        (true, Some(CHOSEN), Some(CHOSEN)),
    ];
    let plan = "seed: 1\nfaults: []\n";
    for (remote, chosen, asked) in table {
        let aws = aws::start(|options| {
            if remote {
                options.listen = "0.0.0.0:0".to_owned();
                options.allow_remote = true;
            }
            options.control_token = chosen.map(|text| Token::chosen(text).unwrap());
        })
        .await;
        let file = aws.local.context.dir.join("control-token");
        assert_eq!(file.exists(), asked.is_some());
        let mut tokens = vec![None, Some("Bearer wrong".to_owned())];
        if asked.is_some() {
            let mode = fs::metadata(&file).unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0, "{mode:o}");
            let known = fs::read_to_string(&file).unwrap();
            assert!(chosen.is_none_or(|chosen| chosen == known.trim()));
            tokens.push(Some(format!("Bearer {}", known.trim())));
        }
        for (at, token) in tokens.iter().enumerate() {
            let calls = [
                ("GET", "/_stepfleet/clock", "", true),
                ("GET", "/_stepfleet/faults", "", true),
                ("GET", "/_stepfleet/", "", true),
                ("POST", "/_stepfleet/clock", r#"{"advance": "1s"}"#, false),
                ("PUT", "/_stepfleet/faults", plan, false),
                ("DELETE", "/_stepfleet/faults", "", false),
            ];
            for (method, path, body, reads) in calls {
                let url = format!("{}{path}", aws.local.context.base_url);
                let mut request = http::Request::builder().method(method).uri(url);
                if let Some(token) = token {
                    request = request.header("authorization", token);
                }
                let (status, said) = send(request.body(body.to_owned()).unwrap()).await;
                let let_in = reads || asked.is_none() || at == 2;
                assert_eq!(status == 401, !let_in, "{method} {path} {token:?}: {said}");
                assert!(!let_in || status < 300, "{method} {path}: {status} {said}");
            }
        }
        // AWS's own is what it is for.
        let sqs = aws_sdk_sqs::Client::new(&aws.config);
        sqs.list_queues().send().await.unwrap();
        aws.local.stop().await;
    }
}
