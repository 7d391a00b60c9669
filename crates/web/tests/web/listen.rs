//! What a stranger may take up: connections, bytes and time.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use web::Limits;

use crate::site::{Answer, LINK, Site, rest};

#[tokio::test]
async fn a_head_beyond_its_bounds_is_refused_in_words_that_arrive() {
    let site = Site::start().await;
    let long = "x".repeat(1_000_000);
    let lines = "X: 1\r\n".repeat(10_000);
    for (request, statuses) in [
        (format!("GET /?{long} HTTP/1.1\r\nHost: x\r\n\r\n"), [414, 431]),
        (format!("GET / HTTP/1.1\r\nHost: x\r\nX-Long: {long}\r\n\r\n"), [431, 431]),
        (format!("GET / HTTP/1.1\r\nHost: x\r\n{lines}\r\n"), [431, 431]),
        ("GET / HTTP/1.1\r\nHost: x\r\nX: a\0b\r\n\r\n".to_owned(), [400, 400]),
        ("GET /\r\n\r\n".to_owned(), [400, 400]),
    ] {
        let answer = site.send(request.as_bytes()).await;
        assert!(statuses.contains(&answer.status), "{} for {:.60}", answer.status, request);
    }
    let most = "X: 1\r\n".repeat(98);
    let allowed = format!("GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{most}\r\n");
    assert_eq!(site.send(allowed.as_bytes()).await.status, 200);
}

#[tokio::test]
async fn a_body_without_end_is_refused_in_words_that_arrive() {
    let site = Site::start().await;
    let body = "x".repeat(3_000_000);
    let head = format!("POST /postback HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len());
    assert_eq!(site.send(format!("{head}{body}").as_bytes()).await.status, 413);
}

#[tokio::test]
async fn a_sender_that_never_ends_a_body_is_answered() {
    let site = Site::limited(Limits { body_timeout: Duration::from_millis(50), ..Limits::default() }).await;
    let mut stream = site.connect().await;
    let head = "POST /postback HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 10\r\n\r\nabc";
    stream.write_all(head.as_bytes()).await.unwrap();
    assert_eq!(Answer::read(&rest(&mut stream).await).status, 408);
}

#[tokio::test]
async fn connections_that_take_their_time_are_closed() {
    let (soon, never) = (Duration::from_millis(40), Duration::from_hours(1));
    let patient = Limits { first_byte_timeout: never, idle_timeout: never, ..Limits::default() };
    let ask = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    for (begun, limits) in [
        ("", Limits { first_byte_timeout: soon, ..patient.clone() }),
        ("GET / HT", Limits { head_timeout: soon, ..patient.clone() }),
        (ask, Limits { idle_timeout: soon, head_timeout: soon, ..patient.clone() }),
        (
            &format!("{ask}{ask}GET / HT"),
            Limits { idle_timeout: soon, head_timeout: soon, ..patient.clone() },
        ),
    ] {
        let site = Site::limited(limits).await;
        let mut stream = site.connect().await;
        stream.write_all(begun.as_bytes()).await.unwrap();
        let back = String::from_utf8(rest(&mut stream).await).unwrap();
        assert_eq!(back.matches("200 OK").count(), begun.matches("healthz").count(), "{begun:?}");
    }
}

#[tokio::test]
async fn a_body_that_was_asked_for_has_the_body_s_time() {
    let soon = Duration::from_millis(40);
    let site = Site::limited(Limits { head_timeout: soon, idle_timeout: soon, ..Limits::default() }).await;
    let mut stream = site.connect().await;
    let head = "POST /postback HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    for _ in 0..4 {
        // bounded wait: longer than a head may take, together longer than any watch sleeps.
        tokio::time::sleep(soon).await;
        stream.write_all(b"x").await.unwrap();
    }
    let back = String::from_utf8(rest(&mut stream).await).unwrap();
    assert!(back.contains("HTTP/1.1 401 Unauthorized"), "{back}");
}

#[tokio::test]
async fn an_answer_that_does_not_come_in_time_never_comes() {
    let soon = Duration::from_millis(40);
    let site = Site::limited(Limits { answer_timeout: soon, head_timeout: soon, ..Limits::default() }).await;
    let mut stream = site.connect().await;
    stream.write_all(b"POST /postback HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc").await.unwrap();
    assert_eq!(rest(&mut stream).await, b"");
}

#[tokio::test]
async fn one_connection_carries_many_requests() {
    let site = Site::start().await;
    let mut stream = site.connect().await;
    let hit = format!(
        "GET /api/v1/offer-link/redirect/{LINK}?pub_click_id=c1&pub_member_id=m1 HTTP/1.1\r\nHost: x\r\n\r\n"
    );
    let last = "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    stream.write_all(format!("{}{last}", hit.repeat(20)).as_bytes()).await.unwrap();
    let back = String::from_utf8(rest(&mut stream).await).unwrap();
    assert_eq!(back.matches("HTTP/1.1 302").count(), 20);
    assert!(back.ends_with("ok\n"));
    assert_eq!(site.clicks().await.len(), 20);
}

#[tokio::test]
async fn whoever_finds_no_place_is_told_at_once_and_finds_one_later() {
    let site = Site::limited(Limits { max_connections: 2, ..Limits::default() }).await;
    let mut first = site.connect().await;
    let mut second = site.connect().await;
    for stream in [&mut first, &mut second] {
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut byte = [0; 1];
        stream.read_exact(&mut byte).await.unwrap();
    }
    let refused = Answer::read(&rest(&mut site.connect().await).await);
    assert_eq!((refused.status, refused.header("retry-after")), (503, "2"));
    drop(first);
    // The place is free when the server has noticed; until then each try is refused in words.
    let mut tries = 0..100_000;
    loop {
        tries.next().expect("a free place");
        let mut stream = site.connect().await;
        // Whoever is refused may find the connection closed already.
        let _ = stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
        if rest(&mut stream).await.ends_with(b"ok\n") {
            break;
        }
    }
}

#[tokio::test]
async fn a_stop_lets_running_requests_end_and_closes_the_rest() {
    let site = Site::start().await;
    let mut idle = site.connect().await;
    let mut posting = site.connect().await;
    let head =
        "POST /postback HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n";
    // The server asks for the body when it has begun with the request.
    posting.write_all(head.replace("\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n").as_bytes()).await.unwrap();
    let mut going_on = [0; 25];
    posting.read_exact(&mut going_on).await.unwrap();
    assert_eq!(&going_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    let address = site.address;
    let stopping = tokio::spawn(site.stop());
    assert_eq!(rest(&mut idle).await, b"");
    posting.write_all(b"{}").await.unwrap();
    assert_eq!(Answer::read(&rest(&mut posting).await).status, 401);
    stopping.await.unwrap();
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_stop_does_not_wait_for_ever() {
    let site = Site::limited(Limits { drain_timeout: Duration::from_millis(50), ..Limits::default() }).await;
    let mut posting = site.connect().await;
    let head = "POST /postback HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
    posting.write_all(head.as_bytes()).await.unwrap();
    let mut going_on = [0; 25];
    posting.read_exact(&mut going_on).await.unwrap();
    site.stop().await;
    assert_eq!(rest(&mut posting).await, b"");
}

#[tokio::test]
async fn targets_that_are_no_path_are_answered() {
    let site = Site::start().await;
    let asked = [
        ("OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 404),
        ("CONNECT shop.test:443 HTTP/1.1\r\nHost: shop.test:443\r\nConnection: close\r\n\r\n", 404),
        ("GET http://api.acme.test/healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 200),
        ("GET /healthz HTTP/1.0\r\n\r\n", 200),
    ];
    for (request, status) in asked {
        assert_eq!(site.send(request.as_bytes()).await.status, status, "{request}");
    }
}
