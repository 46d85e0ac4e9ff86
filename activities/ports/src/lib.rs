//! Serves ports that strangers reach, status ports above all: small answers to GET,
//! for whoever asks.
//!
//! A process that lives long must not be filled up by who opens connections and
//! says nothing, or says it a byte at a time: there are so many at once, and
//! the head of a request has so long to come.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

/// How many connections there are at once; more wait to be accepted.
const MOST: usize = 256;
/// How long the head of a request may take, the wait for it too.
const HEAD_WITHIN: Duration = Duration::from_secs(30);
/// How long a connection lasts: whoever reads its answers slowly has so long.
const LASTS: Duration = Duration::from_secs(300);
/// When there are no files left for a connection, somebody has to close one first.
const AGAIN: Duration = Duration::from_millis(100);

/// Answers what comes to a status port, until it is dropped; its connections go with
/// it.
pub async fn serve(listener: TcpListener, router: Router) {
    serve_each(listener, MOST, |stream, peer| {
        answer(stream, peer, router.clone())
    })
    .await;
}

/// Gives each connection of a port to `answer`, so many at once, until it is dropped;
/// its connections go with it.
pub async fn serve_each<A>(
    listener: TcpListener,
    most: usize,
    answer: impl Fn(TcpStream, SocketAddr) -> A,
) where
    A: Future<Output = ()> + Send + 'static,
{
    let room = Arc::new(Semaphore::new(most));
    let mut connections = JoinSet::new();
    loop {
        // It is never closed.
        let Ok(place) = Arc::clone(&room).acquire_owned().await else {
            return;
        };
        let (stream, peer) = tokio::select! {
            accepted = accept(&listener) => accepted,
            // Those that have ended need no room either.
            Some(_) = connections.join_next() => continue,
        };
        let answered = answer(stream, peer);
        connections.spawn(async move {
            answered.await;
            drop(place);
        });
    }
}

async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection is not accepted");
                sleep_until(Instant::now() + AGAIN).await;
            }
        }
    }
}

async fn answer(stream: TcpStream, peer: SocketAddr, router: Router) {
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    match timeout(LASTS, served).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::trace!(%error, %peer, "a connection to the status port broke"),
        Err(_) => tracing::trace!(%peer, "a connection to the status port lasted too long"),
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const GET: &str = "GET / HTTP/1.1\r\nHost: any\r\nConnection: close\r\n\r\n";

    async fn port() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let router = Router::new().route("/", get(async || "ok\n"));
        tokio::spawn(serve(listener, router));
        address
    }

    async fn said(address: SocketAddr, asked: &str) -> String {
        let mut stream = TcpStream::connect(address).await.expect("a connection");
        stream.write_all(asked.as_bytes()).await.expect("sent");
        let mut said = String::new();
        stream.read_to_string(&mut said).await.expect("an end");
        said
    }

    #[tokio::test(start_paused = true)]
    async fn who_says_nothing_is_hung_up_on() {
        let address = port().await;
        for head in ["", "GET / HTTP/1.1\r\nX-"] {
            let began = Instant::now();
            let said = said(address, head).await;
            assert!(!said.contains("200"), "{said}");
            let took = began.elapsed();
            assert!(took >= HEAD_WITHIN && took < 2 * HEAD_WITHIN, "{took:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_fills_the_port_up_holds_it_for_a_while_and_no_more_than_so_many() {
        let address = port().await;
        let mut silent = Vec::new();
        for _ in 0..MOST {
            silent.push(TcpStream::connect(address).await.expect("a connection"));
        }
        let began = Instant::now();
        assert!(said(address, GET).await.ends_with("ok\n"));
        let took = began.elapsed();
        assert!(took >= HEAD_WITHIN && took < 2 * HEAD_WITHIN, "{took:?}");
    }
}
