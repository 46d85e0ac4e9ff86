//! A proxy of PostgreSQL's protocol that counts the round trips through it and
//! holds one of them: the server sees a client that says no more, or the client
//! a server that does not answer.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::gate::{Call, Gate, When};

/// What a client says first if it would have TLS; there is none here.
const SSL_REQUEST: [u8; 4] = 80_877_103_u32.to_be_bytes();
const NO: u8 = b'N';

/// What passes through to one server.
pub(crate) struct Wire {
    pub(crate) address: String,
    gate: Arc<Gate>,
    _server: JoinSet<()>,
}

impl Wire {
    /// Passes everything on to `upstream`, until the call comes that is to be
    /// held. When it is dropped all its connections are cut.
    pub(crate) async fn start(upstream: &str, hold: Option<(Call, When)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let gate = Arc::new(Gate::new(hold));
        let mut server = JoinSet::new();
        let (upstream, shared) = (upstream.to_owned(), Arc::clone(&gate));
        server.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&upstream).await.expect("PostgreSQL");
                connections.spawn(carry(client, server, Arc::clone(&shared)));
            }
        });
        Self {
            address,
            gate,
            _server: server,
        }
    }

    /// The round trips so far.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.gate.calls()
    }

    /// Waits until the call is held; gives its name.
    pub(crate) async fn held(&self) -> String {
        self.gate.held().await
    }
}

/// One connection, until either side ends it.
async fn carry(mut client: TcpStream, mut server: TcpStream, gate: Arc<Gate>) {
    let Ok(hello) = hello(&mut client, &mut server).await else {
        return;
    };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let link = Link {
        gate,
        asked: AtomicUsize::new(0),
        unheard: Mutex::default(),
    };
    // Which of them ends, and how, is the connection's end.
    tokio::select! {
        _ = link.requests(from_client, to_server, hello) => {}
        _ = link.answers(from_server, to_client) => {}
    }
}

/// The message that begins a session.
async fn hello(client: &mut TcpStream, server: &mut TcpStream) -> io::Result<Vec<u8>> {
    let hello = untyped(client).await?;
    if hello.get(4..8) != Some(&SSL_REQUEST[..]) {
        return Ok(hello);
    }
    server.write_all(&hello).await?;
    let answer = server.read_u8().await?;
    assert_eq!(answer, NO, "a server that has TLS cannot be listened to");
    client.write_u8(answer).await?;
    untyped(client).await
}

struct Link {
    gate: Arc<Gate>,
    /// How many requests the server has to answer.
    asked: AtomicUsize,
    /// The one whose answer is held, and its name.
    unheard: Mutex<Option<(usize, String)>>,
}

impl Link {
    fn unheard(&self) -> MutexGuard<'_, Option<(usize, String)>> {
        self.unheard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn requests(
        &self,
        mut from: OwnedReadHalf,
        mut to: OwnedWriteHalf,
        hello: Vec<u8>,
    ) -> io::Result<()> {
        self.ask(&mut to, ("startup", true), &hello).await?;
        let (mut name, mut statement, mut trip) = (String::new(), String::new(), Vec::new());
        loop {
            let (kind, message) = typed(&mut from).await?;
            let first = trip.is_empty();
            match kind {
                b'Q' => name = verb(&message[5..]),
                b'P' => {
                    // The name that it gets comes first.
                    let sql = message[5..].splitn(2, |byte| *byte == 0).nth(1);
                    statement = verb(sql.unwrap_or_default());
                    name = format!("prepare {statement}");
                }
                b'B' if first => name = format!("execute {statement}"),
                b'd' => "COPY's data".clone_into(&mut name),
                b'c' => "COPY's end".clone_into(&mut name),
                b'C' if first => name.clear(),
                _ => {}
            }
            trip.extend(message);
            match kind {
                // The password, and the end: of no effect on the tables.
                b'p' | b'X' => to.write_all(&trip).await?,
                b'd' => self.ask(&mut to, (&name, false), &trip).await?,
                b'Q' | b'S' => self.ask(&mut to, (&name, true), &trip).await?,
                _ => continue,
            }
            trip.clear();
        }
    }

    /// Passes a round trip's messages on; one without a name has no effect.
    async fn ask(
        &self,
        to: &mut OwnedWriteHalf,
        (name, answered): (&str, bool),
        trip: &[u8],
    ) -> io::Result<()> {
        self.gate.open().await;
        let asked = self
            .asked
            .fetch_add(usize::from(answered), Ordering::Relaxed)
            + 1;
        let counts = !name.is_empty();
        let when = counts.then(|| self.gate.count(name, false)).flatten();
        if when == Some(When::Before) {
            self.gate.hold(name).await;
        }
        if when == Some(When::After) && answered {
            *self.unheard() = Some((asked, name.to_owned()));
        }
        to.write_all(trip).await?;
        if when == Some(When::After) && !answered {
            self.gate.hold(name).await;
        }
        Ok(())
    }

    async fn answers(&self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) -> io::Result<()> {
        let mut answered = 0;
        loop {
            let (kind, message) = typed(&mut from).await?;
            let unheard = self.unheard().clone();
            let unheard = unheard.filter(|(number, _)| *number == answered + 1);
            // Ready for the next, or for COPY's data, which is no answer to its Sync.
            let last = kind == b'Z' || kind == b'G';
            answered += usize::from(last);
            match unheard {
                Some((_, name)) if last => self.gate.hold(&name).await,
                // Without it there would be no session.
                Some(_) if kind != b'R' => {}
                _ => to.write_all(&message).await?,
            }
        }
    }
}

/// A statement's first word.
fn verb(sql: &[u8]) -> String {
    let sql = String::from_utf8_lossy(sql);
    let word = sql.split(|c: char| !c.is_ascii_alphabetic()).next();
    word.unwrap_or_default().to_owned()
}

/// A message with its length and without a kind.
async fn untyped(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let length = from.read_u32().await?;
    let mut message = length.to_be_bytes().to_vec();
    message.resize(usize::try_from(length).expect("a length"), 0);
    from.read_exact(&mut message[4..]).await?;
    Ok(message)
}

/// A message's kind, and all of it.
async fn typed(from: &mut (impl AsyncRead + Unpin)) -> io::Result<(u8, Vec<u8>)> {
    let kind = from.read_u8().await?;
    let mut message = vec![kind];
    message.extend(untyped(from).await?);
    Ok((kind, message))
}
