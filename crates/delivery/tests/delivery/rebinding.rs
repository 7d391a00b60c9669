//! DNS that changes its mind. 127.0.0.2 plays the public server here, 127.0.0.1 on the same port is the
//! service that nobody may reach.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use delivery::{
    client::{Client, FailedKind, Lookup, Outcome},
    guard::{Guard, Refused},
};
use tokio::io::AsyncWriteExt;

use crate::{
    canary::{Canary, listen_on_one_port},
    endpoint::{Endpoint, NOW_MS, attempt, get, quick, read_request, resolving_to, rules},
};

const OPEN: &str = "127.0.0.2";
const CLOSED: &str = "127.0.0.1";
const CLOSES: &[u8] = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
const STAYS: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/// The open server and the closed one, on the same port.
fn open_and_closed(answer: &'static [u8]) -> (Endpoint, std::net::TcpListener) {
    let mut listeners = listen_on_one_port(&[OPEN, CLOSED]);
    let closed = listeners.pop().unwrap();
    let open = listeners.pop().unwrap();
    for listener in [&open, &closed] {
        listener.set_nonblocking(true).unwrap();
    }
    let script = move |mut stream: tokio::net::TcpStream| async move {
        while !read_request(&mut stream).await.is_empty() {
            if stream.write_all(answer).await.is_err() {
                return;
            }
        }
    };
    (Endpoint::on(tokio::net::TcpListener::from_std(open).unwrap(), script), closed)
}

fn nobody_came(listener: &std::net::TcpListener) -> bool {
    listener.accept().is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
}

/// Answers each look-up with the next of these addresses, round and round, and counts.
fn alternating(addresses: &'static [&'static str]) -> (Lookup, Arc<AtomicUsize>) {
    let lookups = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&lookups);
    let lookup: Lookup = Arc::new(move |_| {
        let turn = counter.fetch_add(1, Ordering::SeqCst);
        let address = SocketAddr::new(addresses[turn % addresses.len()].parse().unwrap(), 0);
        Box::pin(async move { Ok(vec![address]) })
    });
    (lookup, lookups)
}

fn client(port: u16, lookup: Lookup) -> Client {
    let guard = Guard::public().allowing(rules(&[&format!("{OPEN}:{port}")]));
    Client::with_lookup(guard, quick(), lookup).unwrap()
}

#[tokio::test]
async fn the_checked_address_is_the_connected_address() {
    let (open, closed) = open_and_closed(CLOSES);
    let (lookup, lookups) = alternating(&[OPEN, CLOSED]);
    let client = client(open.address.port(), lookup);
    let url = format!("http://rebinding.example:{}/", open.address.port());
    for turn in 0..20 {
        match attempt(&client, &url).await {
            Outcome::Answered { status: 200, .. } => {
                assert_eq!(turn % 2, 0, "answered though DNS said {CLOSED}");
            }
            Outcome::Refused(Refused::Address { address, .. }) => {
                assert_eq!(turn % 2, 1, "refused though DNS said {OPEN}");
                assert_eq!(address, SocketAddr::new(CLOSED.parse().unwrap(), open.address.port()));
            }
            other => panic!("turn {turn}: {other:?}"),
        }
    }
    assert!(nobody_came(&closed));
    assert_eq!(lookups.load(Ordering::SeqCst), 20, "one look-up serves both the check and the connection");
    assert_eq!(open.connections(), 10);
}

#[tokio::test]
async fn a_kept_connection_stays_where_it_was_checked() {
    let (open, closed) = open_and_closed(STAYS);
    let (lookup, lookups) = alternating(&[OPEN, CLOSED]);
    let client = client(open.address.port(), lookup);
    let url = format!("http://rebinding.example:{}/", open.address.port());
    for _ in 0..5 {
        assert!(matches!(attempt(&client, &url).await, Outcome::Answered { status: 200, .. }));
    }
    assert!(nobody_came(&closed));
    assert_eq!((open.connections(), lookups.load(Ordering::SeqCst)), (1, 1));
}

#[tokio::test]
async fn bad_addresses_among_good_ones_are_dropped() {
    for answers in [[OPEN, CLOSED], [CLOSED, OPEN]] {
        let (open, closed) = open_and_closed(CLOSES);
        let client = client(open.address.port(), resolving_to(&answers));
        for _ in 0..5 {
            let outcome = attempt(&client, &format!("http://mixed.example:{}/", open.address.port())).await;
            assert!(matches!(outcome, Outcome::Answered { status: 200, .. }), "{outcome:?}");
        }
        assert!(nobody_came(&closed));
    }
}

/// The good address does not answer, so the connector moves on to the next one. There must be no next one.
#[tokio::test]
async fn a_dead_good_address_does_not_make_a_bad_one_good() {
    let canary = Canary::on(&[CLOSED]);
    let client = client(canary.port, resolving_to(&[OPEN, CLOSED, "::1"]));
    let outcome = attempt(&client, &format!("http://mixed.example:{}/", canary.port)).await;
    assert!(matches!(outcome, Outcome::Failed { kind: FailedKind::Connect, .. }), "{outcome:?}");
    assert_eq!(canary.connections(), 0);
}

/// The resolver is told a name and no port, and the same name may be asked for twice at once.
#[tokio::test]
async fn an_opened_port_opens_no_other_port_of_the_same_address() {
    let open = Endpoint::answering(Bytes::from_static(CLOSES)).await;
    let canary = Canary::on(&[CLOSED]);
    let guard = Guard::public().on_ports([80, canary.port]).allowing(rules(&[&open.address.to_string()]));
    let client = Client::with_lookup(guard, quick(), resolving_to(&[CLOSED])).unwrap();
    let to = |port: u16| client.send(get(&format!("http://same.example:{port}/")), NOW_MS);
    for _ in 0..10 {
        let (allowed, refused) = tokio::join!(to(open.address.port()), to(canary.port));
        assert!(matches!(allowed, Outcome::Answered { status: 200, .. }), "{allowed:?}");
        assert!(matches!(refused, Outcome::Refused(Refused::Address { .. })), "{refused:?}");
    }
    assert_eq!(canary.connections(), 0);
}

/// The port comes from the scheme when the URL has none.
#[tokio::test]
async fn the_default_port_is_checked_like_a_written_one() {
    let guard = Guard::public().allowing(rules(&["127.0.0.1:443"]));
    let client = Client::with_lookup(guard, quick(), resolving_to(&[CLOSED])).unwrap();
    let outcome = attempt(&client, "http://plain.example/").await;
    let address = "127.0.0.1:80".parse().unwrap();
    assert_eq!(outcome, Outcome::Refused(Refused::Address { address, range: "loopback (127.0.0.0/8)" }));
}
