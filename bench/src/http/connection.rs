//! One HTTP/1.1 connection that is kept, as cheap as a load generator must be: requests are bytes, answers are read
//! whole, and only what frames them is parsed.

use anyhow::{Context, Result, bail, ensure};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The longest answer that is read.
const ANSWER_MAX: usize = 1 << 20;

/// See the module.
pub(crate) struct Connection {
    stream: TcpStream,
    answer: Vec<u8>,
}

/// An answer, as it stands in the connection's buffer.
pub(crate) struct Answer<'a> {
    pub(crate) status: u16,
    /// The status line and the headers.
    pub(crate) head: &'a [u8],
    pub(crate) body: &'a [u8],
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await.with_context(|| format!("connecting to {address}"))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, answer: Vec::with_capacity(4_096) })
    }

    /// Sends a request and reads the answer to its end.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> Result<Answer<'_>> {
        self.stream.write_all(request).await?;
        self.answer.clear();
        let head = loop {
            let seen = self.answer.len().saturating_sub(3);
            self.fill().await?;
            if let Some(at) = self.answer[seen..].windows(4).position(|window| window == b"\r\n\r\n") {
                break seen + at + 4;
            }
        };
        let status = std::str::from_utf8(self.answer.get(9..12).unwrap_or_default())?.parse()?;
        let length = content_length(&self.answer[..head])?;
        while self.answer.len() < head + length {
            self.fill().await?;
        }
        ensure!(self.answer.len() == head + length, "more came than the answer");
        let (head, body) = self.answer.split_at(head);
        Ok(Answer { status, head, body })
    }

    async fn fill(&mut self) -> Result<()> {
        ensure!(self.answer.len() < ANSWER_MAX, "the answer is too long");
        ensure!(self.stream.read_buf(&mut self.answer).await? > 0, "the connection was closed");
        Ok(())
    }
}

impl Answer<'_> {
    pub(crate) fn expect(&self, status: u16) -> Result<()> {
        if self.status != status {
            bail!("expected {status}, got {}", String::from_utf8_lossy(&[self.head, self.body].concat()));
        }
        Ok(())
    }

    /// The headers, in order.
    pub(crate) fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        let lines = std::str::from_utf8(self.head).unwrap_or_default().split("\r\n").skip(1);
        lines.filter_map(|line| line.split_once(": "))
    }
}

fn content_length(head: &[u8]) -> Result<usize> {
    const NAME: &[u8] = b"content-length:";
    let mut lines = head.split(|byte| *byte == b'\n');
    let line = lines.find(|line| line.len() > NAME.len() && line[..NAME.len()].eq_ignore_ascii_case(NAME));
    let line = line.with_context(|| format!("no length in {}", String::from_utf8_lossy(head)))?;
    Ok(std::str::from_utf8(&line[NAME.len()..])?.trim().parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    /// Answers one request with these pieces, each sent by itself.
    async fn answered(pieces: &'static [&'static [u8]]) -> Result<(u16, Vec<u8>)> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            for piece in pieces {
                stream.write_all(piece).await.unwrap();
                tokio::task::yield_now().await;
            }
        });
        let mut connection = Connection::open(address).await?;
        let answer = connection.exchange(b"GET / HTTP/1.1\r\n\r\n").await?;
        Ok((answer.status, answer.body.to_vec()))
    }

    #[tokio::test]
    async fn an_answer_is_read_to_its_end_however_it_comes() {
        let whole = answered(&[b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"]).await.unwrap();
        let pieces = answered(&[b"HTTP/1.1 200 OK\r\nContent-Length: 3\r", b"\n\r", b"\nab", b"c"]).await.unwrap();
        assert_eq!((whole.clone(), whole), (pieces, (200, b"abc".to_vec())));
    }

    #[tokio::test]
    async fn an_answer_that_is_cut_short_or_has_no_length_is_an_error() {
        assert!(answered(&[b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nab"]).await.is_err());
        assert!(answered(&[b"HTTP/1.1 200 OK\r\n\r\nab"]).await.is_err());
    }
}
