//! A partner's server, as bad as the test wants it: plain sockets and a script, no HTTP library that would be
//! polite.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use delivery::{
    client::{Client, Lookup, Method, Outcome, Outgoing, Settings},
    guard::{AllowRule, Guard, parse_url},
};
use reqwest::header::HeaderMap;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// Longer than any attempt may take; only a test that fails gets there.
pub(crate) const FAR: Duration = Duration::from_secs(20);

/// 2026-11-22 00:00:00 UTC.
pub(crate) const NOW_MS: i64 = 1_795_305_600_000;

/// Runs a script for every connection, until dropped.
pub(crate) struct Endpoint {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
    accepting: JoinHandle<()>,
}

impl Endpoint {
    pub(crate) async fn start<F>(script: impl Fn(TcpStream) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self::on(TcpListener::bind("127.0.0.1:0").await.unwrap(), script)
    }

    pub(crate) fn on<F>(listener: TcpListener, script: impl Fn(TcpStream) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&connections);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counter.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(script(stream));
            }
        });
        Self { address, connections, accepting }
    }

    /// Reads each request of each connection and answers all of them with these bytes.
    pub(crate) async fn answering(answer: impl Into<Bytes>) -> Self {
        let answer = answer.into();
        Self::start(move |stream| answer_all(stream, answer.clone())).await
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// A client that may call this endpoint and nothing else.
    pub(crate) fn client(&self) -> Client {
        client_for(&[&self.address.to_string()], quick())
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn answer_all(mut stream: TcpStream, answer: Bytes) {
    while !read_request(&mut stream).await.is_empty() {
        if stream.write_all(&answer).await.is_err() {
            return;
        }
    }
}

/// One whole request as text, or nothing if the client has gone.
pub(crate) async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut request = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&request).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n")
            && body.len() >= content_length(head)
        {
            return text;
        }
        if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
            return String::new();
        }
    }
}

fn content_length(head: &str) -> usize {
    let length = |line: &str| line.to_lowercase().strip_prefix("content-length:")?.trim().parse().ok();
    head.lines().find_map(length).unwrap_or(0)
}

/// Times that a test can wait for, and that a loaded machine does not reach by accident.
pub(crate) fn quick() -> Settings {
    Settings {
        total_timeout: Duration::from_secs(10),
        connect_timeout: Duration::from_secs(5),
        lookup_timeout: Duration::from_secs(2),
        ..Settings::default()
    }
}

pub(crate) fn client_for(allow: &[&str], settings: Settings) -> Client {
    Client::new(Guard::public().allowing(rules(allow)), settings).unwrap()
}

/// The operator's allow-list.
pub(crate) fn rules(entries: &[&str]) -> Vec<AllowRule> {
    entries.iter().map(|entry| entry.parse().unwrap()).collect()
}

/// A name server that gives the same answer to every name.
pub(crate) fn resolving_to(addresses: &[&str]) -> Lookup {
    let found: Vec<SocketAddr> =
        addresses.iter().map(|address| SocketAddr::new(address.parse().unwrap(), 0)).collect();
    Arc::new(move |_| {
        let found = found.clone();
        Box::pin(async move { Ok(found) })
    })
}

pub(crate) fn get(url: &str) -> Outgoing {
    Outgoing { method: Method::Get, url: parse_url(url).unwrap(), headers: HeaderMap::new() }
}

/// What a worker does with a URL from a template: read it, send it.
pub(crate) async fn attempt(client: &Client, url: &str) -> Outcome {
    let url = match parse_url(url) {
        Ok(url) => url,
        Err(refused) => return Outcome::Refused(refused),
    };
    let outgoing = Outgoing { method: Method::Get, url, headers: HeaderMap::new() };
    tokio::time::timeout(FAR, client.send(outgoing, NOW_MS)).await.expect("an attempt ends")
}
