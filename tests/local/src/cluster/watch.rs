//! Watches: what changed, as lines of JSON, from a version on.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::Stream;
use http::header;
use serde_json::{Value, json};
use tokio::sync::watch::Receiver;
use tokio::time::Instant;

use super::resource::Resource;
use super::selector::Selector;
use super::status::ApiError;
use super::store::{Change, Store};

/// Which objects a watch is about.
#[derive(Debug, Clone)]
pub(crate) struct Filter {
    pub(crate) resource: &'static Resource,
    /// None for all.
    pub(crate) namespace: Option<String>,
    pub(crate) selector: Selector,
}

/// How a watch begins and ends.
#[derive(Debug, Clone)]
pub(crate) struct Span {
    /// The last version that the watcher knows; none to be told what there is first.
    pub(crate) since: Option<u64>,
    /// Whether the end of what there is, and of the watch, is to be marked.
    pub(crate) bookmarks: bool,
    pub(crate) until: Instant,
}

/// A watch that runs.
struct Watch {
    store: Arc<Store>,
    filter: Filter,
    span: Span,
    newest: Receiver<u64>,
    /// The last version that was looked at.
    seen: u64,
    lines: VecDeque<Bytes>,
    ended: bool,
}

/// Answers a watch.
pub(crate) fn respond(store: Arc<Store>, filter: Filter, span: Span) -> Response {
    let body = Body::from_stream(stream(Watch::new(store, filter, span)));
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

fn stream(watch: Watch) -> impl Stream<Item = Result<Bytes, Infallible>> {
    futures::stream::unfold(watch, |mut watch| async {
        let line = watch.next().await?;
        Some((Ok(line), watch))
    })
}

// === impl Filter ===

impl Filter {
    pub(crate) fn list(&self, store: &Store) -> (u64, Vec<Arc<Value>>) {
        let (version, mut objects) = store.list(self.resource, self.namespace.as_deref());
        objects.retain(|object| self.selector.matches(object));
        (version, objects)
    }

    /// What a change is to a watcher who sees only what the filter lets through.
    fn event(&self, change: &Change) -> Option<(&'static str, Value)> {
        let mine = change.key.resource == self.resource
            && self
                .namespace
                .as_ref()
                .is_none_or(|wanted| *wanted == change.key.namespace);
        if !mine {
            return None;
        }
        let seen = |object: &Option<Arc<Value>>| {
            object
                .clone()
                .filter(|object| self.selector.matches(object))
        };
        match (seen(&change.before), seen(&change.after)) {
            (None, None) => None,
            (None, Some(after)) => Some(("ADDED", Value::clone(&after))),
            (Some(_), Some(after)) => Some(("MODIFIED", Value::clone(&after))),
            (Some(before), None) => {
                let mut last = Value::clone(&before);
                last["metadata"]["resourceVersion"] = json!(change.version.to_string());
                Some(("DELETED", last))
            }
        }
    }
}

// === impl Watch ===

impl Watch {
    fn new(store: Arc<Store>, filter: Filter, span: Span) -> Self {
        let mut newest = store.subscribe();
        newest.mark_changed();
        let mut lines = VecDeque::new();
        let seen = span.since.unwrap_or_else(|| {
            let (version, objects) = filter.list(&store);
            lines.extend(objects.iter().map(|object| line("ADDED", object)));
            if span.bookmarks {
                lines.push_back(bookmark(filter.resource, version));
            }
            version
        });
        Self {
            store,
            filter,
            span,
            newest,
            seen,
            lines,
            ended: false,
        }
    }

    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(line) = self.lines.pop_front() {
                return Some(line);
            }
            if self.ended {
                return None;
            }
            match tokio::time::timeout_at(self.span.until, self.newest.changed()).await {
                Ok(Ok(())) => self.catch_up(),
                Ok(Err(_)) => self.ended = true,
                Err(_) => {
                    self.ended = true;
                    if self.span.bookmarks {
                        return Some(bookmark(self.filter.resource, self.seen));
                    }
                }
            }
        }
    }

    fn catch_up(&mut self) {
        match self.store.changes_since(self.seen) {
            Ok(changes) => {
                for change in &changes {
                    self.seen = change.version;
                    if let Some((kind, object)) = self.filter.event(change) {
                        self.lines.push_back(line(kind, &object));
                    }
                }
            }
            Err(error) => self.fail(&error),
        }
    }

    /// A watch has begun by then, so its end is told in it.
    fn fail(&mut self, error: &ApiError) {
        self.lines.push_back(line("ERROR", &error.to_status()));
        self.ended = true;
    }
}

fn line(kind: &str, object: &Value) -> Bytes {
    let mut text = json!({"type": kind, "object": object}).to_string();
    text.push('\n');
    Bytes::from(text)
}

fn bookmark(resource: &Resource, version: u64) -> Bytes {
    let object = json!({
        "apiVersion": resource.api_version(),
        "kind": resource.kind,
        "metadata": {
            "resourceVersion": version.to_string(),
            "annotations": {"k8s.io/initial-events-end": "true"},
        },
    });
    line("BOOKMARK", &object)
}
