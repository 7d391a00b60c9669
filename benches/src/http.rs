//! HTTP/1.1 as far as the load needs it: one request at a time over a connection that is kept.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::failure::{During as _, Failure, Result};

/// The most of an answer that is read: no page of the portal may come near it.
const MAX_BYTES: usize = 1024 * 1024;
const CHUNK: usize = 4 * 1024;
/// The most that one answer may take. Longer than any time-out of the product.
const MOST_ANSWER: Duration = Duration::from_secs(70);

/// A connection, and what was read from it.
#[derive(Debug)]
pub(crate) struct Connection {
    address: String,
    stream: TcpStream,
    read: Vec<u8>,
    /// From a request until the first byte of its answer.
    first_byte: Duration,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer<'a> {
    pub(crate) status: u16,
    /// Status line and headers.
    pub(crate) head: &'a str,
    pub(crate) body: &'a str,
}

impl Answer<'_> {
    /// Whether it is the redirect of a click.
    pub(crate) fn is_sent_on(&self) -> bool {
        self.status == 302
            && self.header("location").is_some_and(|to| to.starts_with(crate::network::DESTINATION))
    }

    /// A header's value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        header(self.head, name)
    }
}

impl Connection {
    pub(crate) async fn open(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).await.during("connect")?;
        stream.set_nodelay(true).during("send at once")?;
        Ok(Self {
            address: address.to_owned(),
            stream,
            read: Vec::with_capacity(CHUNK),
            first_byte: Duration::ZERO,
        })
    }

    /// How long the first byte of the last answer took.
    pub(crate) fn first_byte(&self) -> Duration {
        self.first_byte
    }

    /// Sends a request and reads its answer. After a failure the connection is a new one.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> Result<Answer<'_>> {
        let end = tokio::time::timeout(MOST_ANSWER, self.round(request)).await.during("no answer");
        match end.and_then(|end| end) {
            Ok(body_at) => parsed(&self.read, body_at),
            Err(failure) => {
                *self = Self::open(&self.address.clone()).await?;
                Err(failure)
            }
        }
    }

    /// Fills `read` with one answer, and says where its body begins.
    async fn round(&mut self, request: &[u8]) -> Result<usize> {
        self.read.clear();
        let sent = Instant::now();
        self.stream.write_all(request).await.during("send a request")?;
        let mut body_at = None;
        loop {
            if body_at.is_none() {
                body_at = self.read.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4);
            }
            if let Some(at) = body_at
                && self.read.len() >= at + body_length(&self.read, at)?
            {
                return Ok(at);
            }
            let before = self.read.len();
            if before > MAX_BYTES {
                return Err(Failure::new("an answer without end"));
            }
            self.read.reserve(CHUNK);
            if self.stream.read_buf(&mut self.read).await.during("read an answer")? == 0 {
                return Err(Failure::new("the connection was closed before the answer's end"));
            }
            if before == 0 {
                self.first_byte = sent.elapsed();
            }
        }
    }
}

fn parsed(read: &[u8], body_at: usize) -> Result<Answer<'_>> {
    let text = std::str::from_utf8(read).during("an answer in UTF-8")?;
    let (head, body) = text.split_at_checked(body_at).during("an answer's head")?;
    let status =
        head.get(9..12).and_then(|digits| digits.parse().ok()).during("an answer without a status")?;
    Ok(Answer { status, head, body })
}

/// From `Content-Length`; no answer that is measured has another end.
fn body_length(read: &[u8], body_at: usize) -> Result<usize> {
    let head =
        read.get(..body_at).and_then(|head| std::str::from_utf8(head).ok()).during("an answer's head")?;
    header(head, "content-length").map_or(Ok(0), |value| value.parse().during("a Content-Length"))
}

/// A header's value in a head.
pub(crate) fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.split("\r\n").skip(1).find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

#[cfg(test)]
mod tests {
    use super::{body_length, parsed};

    #[test]
    fn an_answer_is_read() {
        let bytes = b"HTTP/1.1 302 Found\r\nLocation: https://shop.example/landing?click=7\r\n\
                      content-length: 2\r\n\r\nok";
        let at = bytes.len() - 2;
        assert_eq!(body_length(bytes, at).unwrap(), 2);
        let answer = parsed(bytes, at).unwrap();
        assert_eq!((answer.status, answer.body, answer.is_sent_on()), (302, "ok", true));
        assert_eq!(answer.header("location"), Some("https://shop.example/landing?click=7"));
        assert!(parsed(b"nonsense\r\n\r\n", 12).is_err());
    }
}
