//! Serves a port: lets in whom it should, and no more at once than it can.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use http::{Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt;

use super::Hosts;
use crate::server::{Line, Wire};

/// How many connections a port has at once; more wait. A thousand open polls of
/// a large fleet are far from it.
const MOST: usize = 8_192;
/// How long the head of a request may take, the wait for it too: longer than
/// clients keep a connection that they do not use.
const HEAD_WITHIN: Duration = Duration::from_secs(100);

/// Answers what comes to a port, until it is dropped; its connections go with it.
pub(crate) async fn serve(listener: TcpListener, router: Router, hosts: Hosts) {
    let hosts = Arc::new(hosts);
    stepfleet_ports::serve_each(listener, MOST, |stream, peer| {
        let door = Door {
            router: router.clone(),
            hosts: Arc::clone(&hosts),
        };
        door.answer(stream, peer)
    })
    .await;
}

/// What one connection needs.
struct Door {
    router: Router,
    hosts: Arc<Hosts>,
}

// === impl Door ===

impl Door {
    async fn answer(self, stream: TcpStream, peer: SocketAddr) {
        let (line, wire) = Line::new(stream, peer);
        let service = service_fn(|request| self.one(request, wire.clone()));
        let served = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_WITHIN)
            .serve_connection(TokioIo::new(line), service)
            .await;
        if let Err(error) = served {
            tracing::trace!(%error, %peer, "a connection broke");
        }
    }

    async fn one(
        &self,
        request: Request<Incoming>,
        wire: Wire,
    ) -> Result<Response<Body>, Infallible> {
        let asked = (request.uri(), request.headers());
        if let Err(why) = self.hosts.admit(asked, wire.local.ip()) {
            tracing::debug!(peer = %wire.peer, why, "a request is turned away");
            return Ok(refusal(&why));
        }
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(wire));
        self.router.clone().oneshot(request).await
    }
}

fn refusal(why: &str) -> Response<Body> {
    let mut response = Response::new(Body::from(format!("stepfleet-local: {why}\n")));
    *response.status_mut() = StatusCode::FORBIDDEN;
    let kind = http::HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::time::Instant;

    use super::*;

    /// Where a port is served by which only `/` is there.
    async fn port() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/", get(async || "in\n"));
        tokio::spawn(serve(listener, router, Hosts::default()));
        address
    }

    async fn said(address: SocketAddr, head: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).await.unwrap();
        said
    }

    #[tokio::test]
    async fn nothing_is_asked_of_who_is_turned_away() {
        let address = port().await;
        let get = |host: &str| format!("GET / HTTP/1.1\r\n{host}Connection: close\r\n\r\n");
        let table = [
            ("Host: localhost\r\n", "200"),
            ("Host: evil.example\r\n", "403"),
            ("", "403"),
        ];
        for (host, status) in table {
            let said = said(address, &get(host)).await;
            assert!(
                said.starts_with(&format!("HTTP/1.1 {status}")),
                "{host}: {said}"
            );
        }
    }

    /// A head that never ends, and one that never begins.
    #[tokio::test(start_paused = true)]
    async fn who_says_nothing_is_hung_up_on() {
        let address = port().await;
        for head in ["", "GET / HTTP/1.1\r\nHost: localhost\r\nX-"] {
            let began = Instant::now();
            said(address, head).await;
            assert!(began.elapsed() >= HEAD_WITHIN, "{head:?}");
            assert!(began.elapsed() < 2 * HEAD_WITHIN, "{head:?}");
        }
    }
}
