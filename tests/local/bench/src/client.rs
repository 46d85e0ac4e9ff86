//! The least that speaks AWS JSON: it must not take the core from the server.

use anyhow::{Context as _, bail};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// One connection that is kept.
pub(crate) struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// What a service refused.
#[derive(Debug)]
pub(crate) struct Refused(pub(crate) String);

// === impl Client ===

impl Client {
    pub(crate) async fn connect(address: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address)
            .await
            .with_context(|| format!("{address} takes no connection"))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            buffer: Vec::with_capacity(4096),
        })
    }

    /// Calls an operation that must succeed.
    pub(crate) async fn ok(&mut self, operation: &str, body: &Value) -> anyhow::Result<Value> {
        match self.call(operation, body).await? {
            Ok(answer) => Ok(answer),
            Err(Refused(why)) => bail!("{operation}: {why}"),
        }
    }

    pub(crate) async fn call(
        &mut self,
        operation: &str,
        body: &Value,
    ) -> anyhow::Result<Result<Value, Refused>> {
        let body = body.to_string();
        let request = format!(
            "POST / HTTP/1.1\r\nhost: bench\r\nx-amz-target: AWSStepFunctions.{operation}\r\n\
             content-type: application/x-amz-json-1.0\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        self.stream.write_all(request.as_bytes()).await?;
        self.buffer.clear();
        let head = loop {
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                break end;
            }
            self.more().await?;
        };
        let text = std::str::from_utf8(&self.buffer[..head])?.to_ascii_lowercase();
        let length = text
            .lines()
            .find_map(|line| line.strip_prefix("content-length:"))
            .context("an answer without a length")?;
        let length: usize = length.trim().parse()?;
        let good = text.starts_with("http/1.1 200");
        let start = head + 4;
        while self.buffer.len() < start + length {
            self.more().await?;
        }
        let body = &self.buffer[start..start + length];
        if good {
            return Ok(Ok(serde_json::from_slice(body)?));
        }
        Ok(Err(Refused(String::from_utf8_lossy(body).into_owned())))
    }

    async fn more(&mut self) -> anyhow::Result<()> {
        let read = self.stream.read_buf(&mut self.buffer).await?;
        anyhow::ensure!(read > 0, "the server hung up");
        Ok(())
    }
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}
