//! Calls to a scripted API server.

use kube::client::Body;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::*;
use crate::decision::Why;

type Request = http::Request<Body>;
type Handle = tower_test::mock::Handle<Request, http::Response<Body>>;

fn cluster() -> (Kubernetes, Handle) {
    let (service, handle) = tower_test::mock::pair();
    let client = Client::new(service, "prod");
    (Kubernetes::new(client, "prod"), handle)
}

/// The script and the caller, side by side. One call too many or too few would
/// leave one of them waiting for ever.
async fn play(calls: impl Future<Output = ()>, acts: impl Future<Output = ()>) {
    // Time is paused: it passes at once where both wait.
    let both = async { tokio::join!(calls, acts) };
    let ended = timeout(Duration::from_secs(60), both).await;
    ended.expect("as many calls as there are answers");
}

/// Answers one call, and says what was asked.
async fn answer(handle: &mut Handle, status: u16, body: Value) -> (String, Value) {
    let (request, send) = handle.next_request().await.expect("a call");
    let asked = format!("{} {}", request.method(), request.uri());
    let bytes = request.into_body().collect_bytes().await.expect("a body");
    let response = http::Response::builder().status(status);
    send.send_response(
        response
            .body(Body::from(body.to_string().into_bytes()))
            .expect("one"),
    );
    (asked, serde_json::from_slice(&bytes).unwrap_or_default())
}

fn refused(code: u16) -> Value {
    json!({"kind": "Status", "status": "Failure", "message": "no", "reason": "X", "code": code})
}

#[tokio::test(start_paused = true)]
async fn the_scale_is_replaced_with_the_version_that_was_read() {
    let (cluster, mut handle) = cluster();
    let calls = async {
        let scale = json!({"kind": "Scale", "apiVersion": "autoscaling/v1",
            "metadata": {"name": "d", "resourceVersion": "7"}, "spec": {"replicas": 3}});
        let (asked, _) = answer(&mut handle, 200, scale).await;
        assert_eq!(
            asked,
            "GET /apis/apps/v1/namespaces/prod/deployments/d/scale"
        );
        let (asked, body) = answer(&mut handle, 409, refused(409)).await;
        assert!(
            asked.starts_with("PUT /apis/apps/v1/namespaces/prod/deployments/d/scale"),
            "{asked}"
        );
        assert_eq!(body["metadata"]["resourceVersion"], "7");
        assert_eq!(body["spec"]["replicas"], 5);
    };
    let acts = async {
        let scale = cluster.scale("d").await.expect("read");
        assert_eq!((scale.value, scale.version.as_str()), (3, "7"));
        let set = cluster
            .set_scale("d", Versioned { value: 5, ..scale })
            .await;
        assert!(matches!(set, Err(ClusterError::Conflict)), "{set:?}");
    };
    play(calls, acts).await;
}

#[tokio::test(start_paused = true)]
async fn a_record_is_created_once_and_then_replaced_over_its_version() {
    let (cluster, mut handle) = cluster();
    let calls = async {
        let (asked, _) = answer(&mut handle, 404, refused(404)).await;
        assert_eq!(asked, "GET /api/v1/namespaces/prod/configmaps/d-scaling");
        let map = json!({"metadata": {"resourceVersion": "1"}});
        let (asked, body) = answer(&mut handle, 201, map).await;
        assert!(asked.starts_with("POST "), "{asked}");
        assert_eq!(body["data"]["record"], "{}");
        let kept = json!({"helm.sh/resource-policy": "keep"});
        let map = json!({"metadata": {"resourceVersion": "1", "annotations": kept}});
        let (asked, _) = answer(&mut handle, 200, map.clone()).await;
        assert!(asked.starts_with("GET "), "{asked}");
        let written = json!({"metadata": {"resourceVersion": "2"}});
        let (asked, body) = answer(&mut handle, 200, written).await;
        assert!(asked.starts_with("PUT "), "{asked}");
        assert_eq!(body["metadata"], map["metadata"]);
        // Somebody has written since: nothing is put over it.
        let later = json!({"metadata": {"resourceVersion": "3"}});
        answer(&mut handle, 200, later).await;
    };
    let acts = async {
        assert_eq!(cluster.record("d").await.expect("read"), None);
        let first = cluster
            .put_record("d", "{}".into(), None)
            .await
            .expect("created");
        let second = cluster.put_record("d", "{}".into(), Some(first)).await;
        let second = second.expect("replaced");
        assert_eq!(second, "2");
        let third = cluster.put_record("d", "{}".into(), Some(second)).await;
        assert!(matches!(third, Err(ClusterError::Conflict)), "{third:?}");
    };
    play(calls, acts).await;
}

#[tokio::test(start_paused = true)]
async fn an_object_made_empty_is_written_over_its_version_and_keeps_its_labels() {
    let (cluster, mut handle) = cluster();
    let labels = json!({"app.kubernetes.io/managed-by": "Helm"});
    let made =
        |kind: &str| json!({"kind": kind, "metadata": {"resourceVersion": "5", "labels": labels}});
    let calls = async {
        answer(&mut handle, 200, made("ConfigMap")).await;
        answer(&mut handle, 200, made("ConfigMap")).await;
        let (asked, body) = answer(&mut handle, 200, made("ConfigMap")).await;
        assert!(asked.starts_with("PUT "), "{asked}");
        assert_eq!(body["metadata"]["labels"], labels);
        answer(&mut handle, 200, made("Lease")).await;
        answer(&mut handle, 200, made("Lease")).await;
        let (asked, body) = answer(&mut handle, 200, made("Lease")).await;
        assert!(asked.starts_with("PUT "), "{asked}");
        assert_eq!(body["metadata"]["labels"], labels);
        assert_eq!(body["metadata"]["resourceVersion"], "5");
    };
    let acts = async {
        let record = cluster.record("d").await.expect("read").expect("made");
        assert_eq!((record.value, record.version.as_str()), (None, "5"));
        let put = cluster.put_record("d", "{}".into(), Some(record.version));
        put.await.expect("written");
        let lease = cluster.lease("l").await.expect("read").expect("made");
        assert_eq!(lease.value.holder, None);
        let put = cluster.put_lease("l", lease.value, Some(lease.version));
        put.await.expect("written");
    };
    play(calls, acts).await;
}

#[tokio::test(start_paused = true)]
async fn autoscalers_are_listed_to_the_end_and_events_tell_the_reason() {
    let (cluster, mut handle) = cluster();
    let hpa = |kind: &str, name: &str| json!({"metadata": {}, "spec": {"maxReplicas": 3, "scaleTargetRef": {"kind": kind, "name": name}}});
    let calls = async {
        let page = json!({"metadata": {"continue": "more"}, "items": [hpa("Deployment", "a"), hpa("StatefulSet", "b")]});
        answer(&mut handle, 200, page).await;
        let page = json!({"metadata": {}, "items": [hpa("Deployment", "c")]});
        let (asked, _) = answer(&mut handle, 200, page).await;
        assert!(asked.contains("continue=more"), "{asked}");
        let (asked, body) = answer(
            &mut handle,
            201,
            json!({"metadata": {}, "involvedObject": {}}),
        )
        .await;
        assert!(
            asked.starts_with("POST /api/v1/namespaces/prod/events"),
            "{asked}"
        );
        assert_eq!(body["reason"], "below-min");
        assert_eq!(
            body["message"],
            "1 -> 2 replicas: the count is below the lower bound 2"
        );
        answer(&mut handle, 403, refused(403)).await;
    };
    let acts = async {
        assert_eq!(cluster.autoscaled().await.expect("listed"), ["a", "c"]);
        let action = Action::Scale {
            from: 1,
            to: 2,
            why: Why::BelowMin { min: 2 },
        };
        cluster
            .event("d", &action, Timestamp::UNIX_EPOCH)
            .await
            .expect("told");
        let denied = cluster.autoscaled().await;
        assert!(matches!(denied, Err(ClusterError::Denied(_))), "{denied:?}");
    };
    play(calls, acts).await;
}
