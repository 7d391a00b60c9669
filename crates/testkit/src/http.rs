//! HTTP from outside: a client that follows no redirect, and plain TCP for what no client would send.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::LazyLock;
use std::time::Duration;

pub use reqwest::RequestBuilder;
use reqwest::header::HeaderMap;
use reqwest::redirect::Policy;

use crate::block_on;

/// The most that one answer may take before the test is called broken.
const AT_MOST: Duration = Duration::from_mins(1);
/// The most of an answer that is read.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

/// An answer, read to its end.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body as text.
    pub body: String,
}

impl Answer {
    /// A header's value; empty when absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("a header in ASCII"))
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    /// The wire contract's code of the answer.
    #[track_caller]
    pub fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_else(|| panic!("no code in {self:?}")).to_owned()
    }
}

static CLIENT: LazyLock<reqwest::Client> = LazyLock::new(|| {
    // Fails only when somebody installed a provider before, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().redirect(Policy::none()).no_proxy().timeout(AT_MOST);
    client.build().expect("an HTTP client")
});

/// The client itself, for concurrent requests inside [`block_on`]; follows no redirects, uses no proxy.
pub fn client() -> reqwest::Client {
    CLIENT.clone()
}

/// Sends a request made with [`client`] and reads its answer; the error is the transport's.
pub async fn send(request: reqwest::RequestBuilder) -> Result<Answer, reqwest::Error> {
    let response = request.send().await?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Ok(Answer { status, headers, body: response.text().await? })
}

/// Sends a request made with [`client`], waits for its answer, and panics without one.
#[track_caller]
pub fn answer(request: reqwest::RequestBuilder) -> Answer {
    block_on(send(request)).unwrap_or_else(|error| panic!("no answer: {error:?}"))
}

/// `GET` with `Accept: */*` and nothing else, as most trackers send it.
#[track_caller]
pub fn get(url: &str) -> Answer {
    answer(client().get(url))
}

/// Writes bytes to `address` as they are and returns everything that comes back until the other side closes, or
/// until nothing came for `quiet`.
pub fn raw(address: &str, bytes: &[u8], quiet: Duration) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap_or_else(|error| panic!("{address}: {error}"));
    stream.set_read_timeout(Some(quiet)).expect("a timeout");
    stream.set_write_timeout(Some(AT_MOST)).expect("a timeout");
    // A server that refuses early closes before it has read everything; what it said is still read.
    let _ = stream.write_all(bytes);
    let mut back = Vec::new();
    let _ = stream.take(MAX_BYTES).read_to_end(&mut back);
    back
}

/// The status of a raw answer; 0 when nothing that looks like HTTP came.
pub fn raw_status(back: &[u8]) -> u16 {
    let line =
        String::from_utf8_lossy(back.split(|byte| *byte == b'\r').next().unwrap_or_default()).into_owned();
    let status = line.strip_prefix("HTTP/1.").and_then(|rest| rest.split(' ').nth(1)?.parse().ok());
    status.unwrap_or(0)
}
