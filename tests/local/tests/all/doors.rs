//! Who may speak at the ports, and what may be asked of the machine behind them.

use std::fs;

use serde_json::{Value, json};

use crate::aws::{self, Aws, send};

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
