//! One attempt against endpoints that behave, and against endpoints that hang, drip, reset, redirect, babble
//! or never stop.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use delivery::{
    client::{Client, FailedKind, KEPT_BODY_BYTES, Method, Outcome, Outgoing, Settings},
    guard::{Guard, parse_url},
};
use domain::signature::{ID_HEADER, Received, SIGNATURE_HEADER, Secret, TIMESTAMP_HEADER, sign, verify};
use reqwest::header::{HeaderMap, HeaderValue};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpSocket, TcpStream},
    sync::mpsc,
    time::timeout,
};

use crate::{
    canary::Canary,
    endpoint::{Endpoint, FAR, NOW_MS, attempt, client_for, get, quick, read_request, resolving_to},
};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

fn impatient() -> Settings {
    Settings {
        total_timeout: Duration::from_millis(300),
        connect_timeout: Duration::from_millis(200),
        lookup_timeout: Duration::from_millis(100),
        body_timeout: Duration::from_millis(200),
        ..Settings::default()
    }
}

fn failed(outcome: &Outcome) -> FailedKind {
    match outcome {
        Outcome::Failed { kind, message, .. } => {
            assert!(!message.is_empty() && message.len() <= 200, "{message}");
            *kind
        }
        other => panic!("expected a failure, got {other:?}"),
    }
}

fn status(outcome: &Outcome) -> u16 {
    match outcome {
        Outcome::Answered { status, .. } => *status,
        other => panic!("expected an answer, got {other:?}"),
    }
}

fn body_head(outcome: Outcome) -> Vec<u8> {
    match outcome {
        Outcome::Answered { body_head, .. } => body_head,
        other => panic!("expected an answer, got {other:?}"),
    }
}

/// An endpoint that answers 200 and hands over what it was sent.
async fn recording() -> (Endpoint, mpsc::UnboundedReceiver<String>) {
    let (seen, requests) = mpsc::unbounded_channel();
    let endpoint = Endpoint::start(move |mut stream: TcpStream| {
        let seen = seen.clone();
        async move {
            loop {
                let request = read_request(&mut stream).await;
                if request.is_empty() {
                    return;
                }
                seen.send(request).unwrap();
                stream.write_all(OK).await.unwrap();
            }
        }
    });
    (endpoint.await, requests)
}

fn header<'a>(request: &'a str, name: &str) -> Option<&'a str> {
    request.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

#[tokio::test]
async fn a_get_arrives_as_it_was_signed() {
    let (endpoint, mut requests) = recording().await;
    let client = endpoint.client();
    for path in [
        "/postback?click=a%20b&sub=%C3%A9&amount=1.50",
        "/p?a=b&a=c&empty=&x",
        "/p?",
        "/",
        "",
        "?only=query",
        "/a/../b/./c?x=/../",
        "/p;v=1/%2F?q=%2526#fragment",
        "/p?json={\"a\":[1,2]}&pipe=a|b^`'<>\\",
        "/päth?q=ü",
        "//double//slash",
    ] {
        let outgoing = get(&endpoint.url(path));
        let payload = String::from_utf8(outgoing.signed_payload().to_vec()).unwrap();
        assert_eq!(status(&client.send(outgoing, NOW_MS).await), 200, "{path}");
        let request = requests.recv().await.unwrap();
        assert_eq!(request.lines().next(), Some(format!("GET {payload} HTTP/1.1").as_str()), "{path}");
        assert_eq!(header(&request, "host"), Some(endpoint.address.to_string().as_str()));
        assert!(header(&request, "user-agent").unwrap().starts_with("Pitlane/"));
        for absent in ["referer", "cookie", "authorization", "accept-encoding", "content-type"] {
            assert_eq!(header(&request, absent), None, "{absent}");
        }
    }
}

#[tokio::test]
async fn a_post_arrives_with_its_type_and_a_signature_that_holds() {
    let (endpoint, mut requests) = recording().await;
    let client = endpoint.client();
    let form = Bytes::from_static(b"click=a+b&status=Success");
    let json = Bytes::from_static("{\"click\":\"ä\"}".as_bytes());
    let secret = Secret::from_bytes(&[3; 32]).unwrap();
    let now_s = NOW_MS / 1000;
    for (method, content_type, body) in [
        (Method::PostForm(form.clone()), "application/x-www-form-urlencoded", form),
        (Method::PostJson(json.clone()), "application/json", json),
    ] {
        let url = parse_url(&endpoint.url("/hook?x=1")).unwrap();
        let mut outgoing = Outgoing { method, url, headers: HeaderMap::new() };
        let signature = sign(std::slice::from_ref(&secret), "msg_1", now_s, outgoing.signed_payload());
        outgoing.headers.insert(ID_HEADER, HeaderValue::from_static("msg_1"));
        outgoing.headers.insert(TIMESTAMP_HEADER, HeaderValue::from(now_s));
        outgoing.headers.insert(SIGNATURE_HEADER, signature.parse().unwrap());
        assert_eq!(status(&client.send(outgoing, NOW_MS).await), 200);

        let request = requests.recv().await.unwrap();
        let (head, arrived) = request.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("POST /hook?x=1 HTTP/1.1\r\n"), "{head}");
        assert_eq!(header(head, "content-type"), Some(content_type));
        assert_eq!(arrived.as_bytes(), body);
        let received = Received {
            id: header(head, ID_HEADER).unwrap(),
            timestamp: header(head, TIMESTAMP_HEADER).unwrap(),
            signature: header(head, SIGNATURE_HEADER).unwrap(),
        };
        assert_eq!(verify(std::slice::from_ref(&secret), received, arrived.as_bytes(), now_s), Ok(()));
    }
}

#[tokio::test]
async fn every_status_is_an_answer() {
    for code in [200, 201, 204, 299, 300, 304, 400, 401, 404, 410, 418, 429, 500, 503, 599, 999] {
        let endpoint = Endpoint::answering(format!("HTTP/1.1 {code} X\r\nContent-Length: 0\r\n\r\n")).await;
        assert_eq!(status(&attempt(&endpoint.client(), &endpoint.url("/")).await), code);
    }
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_nobody_goes_there() {
    let canary = Canary::everywhere();
    for code in [301, 302, 303, 307, 308] {
        for target in
            ["http://127.0.0.1:{p}/", "//127.0.0.2:{p}/", "http://[::1]:{p}/", "https://localhost:{p}/"]
        {
            let target = target.replace("{p}", &canary.port.to_string());
            let answer = format!("HTTP/1.1 {code} X\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n");
            let endpoint = Endpoint::answering(answer).await;
            // All of loopback is allowed: what keeps us away is that a redirect is not followed, not the
            // guard.
            let client = client_for(&["127.0.0.0/8", "::1"], quick());
            let outcome = attempt(&client, &endpoint.url("/")).await;
            assert_eq!(status(&outcome), code);
            assert_eq!(canary.connections(), 0, "{code} to {target}");
            assert_eq!(endpoint.connections(), 1);
        }
    }
}

#[tokio::test]
async fn retry_after_is_read_as_seconds_from_now() {
    for (value, expected) in [
        ("0", Some(0)),
        ("120", Some(120)),
        (" 120 ", Some(120)),
        ("86400", Some(86_400)),
        ("86401", Some(86_400)),
        ("99999999999999999999999999", Some(86_400)),
        ("Sun, 22 Nov 2026 00:02:00 GMT", Some(120)),
        ("Sunday, 22-Nov-26 00:02:00 GMT", Some(120)),
        ("Sun Nov 22 00:02:00 2026", Some(120)),
        ("Sat, 21 Nov 2026 23:59:59 GMT", Some(0)),
        ("Mon, 22 Nov 2027 00:00:00 GMT", Some(86_400)),
        ("", None),
        ("-1", None),
        ("+5", None),
        ("1.5", None),
        ("soon", None),
        ("2026-11-22T00:02:00Z", None),
    ] {
        let answer = format!("HTTP/1.1 429 X\r\nRetry-After: {value}\r\nContent-Length: 0\r\n\r\n");
        let endpoint = Endpoint::answering(answer).await;
        match attempt(&endpoint.client(), &endpoint.url("/")).await {
            Outcome::Answered { status: 429, retry_after_s, .. } => {
                assert_eq!(retry_after_s, expected, "{value:?}");
            }
            other => panic!("{value:?}: {other:?}"),
        }
    }
    let endpoint = Endpoint::answering(OK).await;
    let outcome = attempt(&endpoint.client(), &endpoint.url("/")).await;
    assert!(matches!(outcome, Outcome::Answered { retry_after_s: None, .. }));
}

#[tokio::test]
async fn a_date_in_retry_after_never_comes_out_early() {
    let answer = "HTTP/1.1 503 X\r\nRetry-After: Sun, 22 Nov 2026 00:00:02 GMT\r\nContent-Length: 0\r\n\r\n";
    let endpoint = Endpoint::answering(answer).await;
    let outcome = endpoint.client().send(get(&endpoint.url("/")), NOW_MS + 1).await;
    assert!(matches!(outcome, Outcome::Answered { retry_after_s: Some(2), .. }), "{outcome:?}");
}

#[tokio::test]
async fn the_first_four_kibibytes_of_the_body_are_kept() {
    for bytes in [0, 1, KEPT_BODY_BYTES - 1, KEPT_BODY_BYTES, KEPT_BODY_BYTES + 1, 60_000, 1_000_000] {
        let body: Vec<u8> = (0..bytes).map(|at| u8::try_from(at % 251).unwrap()).collect();
        let mut answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {bytes}\r\n\r\n").into_bytes();
        answer.extend_from_slice(&body);
        let endpoint = Endpoint::answering(answer).await;
        let head = body_head(attempt(&endpoint.client(), &endpoint.url("/")).await);
        assert!(head == body[..bytes.min(KEPT_BODY_BYTES)], "{bytes} bytes: {} kept", head.len());
    }
}

#[tokio::test]
async fn a_chunked_body_is_kept_like_any_other() {
    let mut answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned();
    for _ in 0..1000 {
        answer.push_str("5\r\nabcde\r\n");
    }
    answer.push_str("0\r\n\r\n");
    let endpoint = Endpoint::answering(answer).await;
    let head = body_head(attempt(&endpoint.client(), &endpoint.url("/")).await);
    assert_eq!(head, "abcde".repeat(1000).as_bytes()[..KEPT_BODY_BYTES]);
}

#[tokio::test]
async fn a_connection_is_used_again_when_its_body_was_short() {
    for (body, expected) in [(0, 1), (50_000, 1), (10_000_000, 3)] {
        let mut answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {body}\r\n\r\n").into_bytes();
        answer.resize(answer.len() + body, b'x');
        let endpoint = Endpoint::answering(answer).await;
        let client = endpoint.client();
        for _ in 0..3 {
            assert_eq!(status(&attempt(&client, &endpoint.url("/")).await), 200);
        }
        assert_eq!(endpoint.connections(), expected, "{body} bytes");
    }
}

#[tokio::test]
async fn ten_gigabytes_are_cut() {
    let (done, mut sent) = mpsc::unbounded_channel();
    let endpoint = Endpoint::start(move |mut stream: TcpStream| {
        let done = done.clone();
        async move {
            read_request(&mut stream).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n").await.unwrap();
            let chunk = vec![b'x'; 64 * 1024];
            let mut bytes = 0_usize;
            while bytes < 10_000_000_000 && stream.write_all(&chunk).await.is_ok() {
                bytes += chunk.len();
            }
            done.send(bytes).unwrap();
        }
    })
    .await;
    let client = client_for(&[&endpoint.address.to_string()], Settings { body_timeout: FAR, ..quick() });
    let head = body_head(attempt(&client, &endpoint.url("/")).await);
    assert_eq!(head, vec![b'x'; KEPT_BODY_BYTES]);
    let sent = timeout(FAR, sent.recv()).await.expect("the connection is closed").unwrap();
    // What the sockets' buffers swallowed; the program itself took 64 KiB.
    assert!(sent < 64 * 1024 * 1024, "{sent} bytes were taken");
}

/// The partner has said 200; that its body never ends is no reason to send the conversion again.
#[tokio::test]
async fn a_dripping_body_does_not_undo_the_status() {
    let endpoint = Endpoint::start(|mut stream: TcpStream| async move {
        read_request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nfirst").await.unwrap();
        let mut drip = tokio::time::interval(Duration::from_millis(20));
        while stream.write_all(b".").await.is_ok() {
            drip.tick().await;
        }
    })
    .await;
    let client = client_for(
        &[&endpoint.address.to_string()],
        Settings { body_timeout: Duration::from_millis(200), ..quick() },
    );
    let outcome = attempt(&client, &endpoint.url("/")).await;
    assert_eq!(status(&outcome), 200);
    assert!(body_head(outcome).starts_with(b"first"));
}

#[tokio::test]
async fn a_body_that_breaks_does_not_undo_the_status() {
    let endpoint = Endpoint::start(|mut stream: TcpStream| async move {
        read_request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 202 OK\r\nContent-Length: 100\r\n\r\nhalf").await.unwrap();
    })
    .await;
    let outcome = attempt(&endpoint.client(), &endpoint.url("/")).await;
    assert_eq!((status(&outcome), body_head(outcome)), (202, b"half".to_vec()));
}

#[tokio::test]
async fn an_endpoint_that_hangs_times_out() {
    // Accepts (the kernel does) and never says a word.
    let silent = Canary::on(&["127.0.0.1"]);
    let client = client_for(&[&format!("127.0.0.1:{}", silent.port)], impatient());
    let url = format!("http://127.0.0.1:{}/", silent.port);
    let outcome = attempt(&client, &url).await;
    assert_eq!(failed(&outcome), FailedKind::Timeout);
    assert_eq!(silent.connections(), 1);
}

#[tokio::test]
async fn headers_that_drip_time_out() {
    for drip in ["x", "HTTP/1.1 103 Early Hints\r\n\r\n"] {
        let endpoint = Endpoint::start(move |mut stream: TcpStream| async move {
            read_request(&mut stream).await;
            if drip == "x" {
                stream.write_all(b"HTTP/1.1 200 OK\r\nA: ").await.unwrap();
            }
            let mut pause = tokio::time::interval(Duration::from_millis(20));
            while stream.write_all(drip.as_bytes()).await.is_ok() {
                pause.tick().await;
            }
        })
        .await;
        let client = client_for(&[&endpoint.address.to_string()], impatient());
        let outcome = attempt(&client, &endpoint.url("/")).await;
        assert_eq!(failed(&outcome), FailedKind::Timeout, "{drip}");
    }
}

#[tokio::test]
async fn a_tls_handshake_that_hangs_times_out() {
    let silent = Canary::on(&["127.0.0.1"]);
    let client = client_for(&[&format!("127.0.0.1:{}", silent.port)], impatient());
    let url = format!("https://127.0.0.1:{}/", silent.port);
    let outcome = attempt(&client, &url).await;
    assert_eq!(failed(&outcome), FailedKind::Timeout);
}

#[tokio::test]
async fn a_connection_that_ends_too_early_is_a_reset() {
    for (said, abruptly) in
        [("", false), ("", true), ("HTTP/1.1 200 O", false), ("HTTP/1.1 200 OK\r\nA: b\r\n", true)]
    {
        let endpoint = Endpoint::start(move |mut stream: TcpStream| async move {
            read_request(&mut stream).await;
            stream.write_all(said.as_bytes()).await.unwrap();
            if abruptly {
                stream.set_zero_linger().unwrap();
            }
        })
        .await;
        let outcome = attempt(&endpoint.client(), &endpoint.url("/")).await;
        assert_eq!(failed(&outcome), FailedKind::Reset, "{said:?} {outcome:?}");
    }
}

#[tokio::test]
async fn nobody_listening_is_a_failure_to_connect() {
    // Bound and not listening: the port is ours, and the kernel refuses every connection.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap().to_string();
    for scheme in ["http", "https"] {
        let outcome =
            attempt(&client_for(&[&address], quick()), &format!("{scheme}://{address}/secret?t=1")).await;
        assert_eq!(failed(&outcome), FailedKind::Connect, "{outcome:?}");
        assert!(!format!("{outcome:?}").contains("secret"), "the URL is not repeated: {outcome:?}");
    }
}

#[tokio::test]
async fn what_is_not_http_is_a_failure() {
    let flood = format!("HTTP/1.1 200 OK\r\nA: {}\r\n\r\n", "x".repeat(4_000_000));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(10_000));
    for answer in [
        "SSH-2.0-OpenSSH_9.2\r\n",
        "\0\0\0\0",
        "HTTP/9.9 200 OK\r\n\r\n",
        "HTTP/1.1 2x0 OK\r\n\r\n",
        &flood,
        &many,
    ] {
        let endpoint = Endpoint::answering(answer.to_owned()).await;
        let outcome = attempt(&endpoint.client(), &endpoint.url("/")).await;
        assert_eq!(failed(&outcome), FailedKind::Other, "{answer:.30}: {outcome:?}");
    }
}

#[tokio::test]
async fn a_failed_look_up_is_named() {
    let guard = || Guard::public();
    let missing: delivery::client::Lookup =
        Arc::new(|_| Box::pin(async { Err(std::io::Error::other("no such name")) }));
    let silent: delivery::client::Lookup = Arc::new(|_| Box::pin(std::future::pending()));
    for (lookup, says) in [
        (missing, "no such name"),
        (silent, "DNS did not answer in time"),
        (resolving_to(&[]), "the name has no address"),
    ] {
        let client = Client::with_lookup(guard(), impatient(), lookup).unwrap();
        let outcome = attempt(&client, "http://partner.example/").await;
        assert_eq!(failed(&outcome), FailedKind::Dns);
        assert!(format!("{outcome:?}").contains(says), "{outcome:?}");
    }
}

/// The machine's own resolver, with the one name that every machine knows.
#[tokio::test]
async fn localhost_is_resolved_and_refused_or_allowed_by_its_address() {
    let endpoint = Endpoint::answering(OK).await;
    let url = format!("http://localhost:{}/", endpoint.address.port());
    assert_eq!(status(&attempt(&endpoint.client(), &url).await), 200);

    // The port is open for another address, so the name is asked about; then its address decides.
    let other = client_for(&[&format!("10.0.0.1:{}", endpoint.address.port())], quick());
    match attempt(&other, &url).await {
        Outcome::Refused(refused) => assert_eq!(refused.code(), "address"),
        other => panic!("{other:?}"),
    }
    assert_eq!(endpoint.connections(), 1);
}

#[tokio::test]
async fn a_client_serves_many_at_once_and_a_hung_one_holds_up_nobody() {
    let silent = Canary::on(&["127.0.0.1"]);
    let endpoint = Endpoint::answering(OK).await;
    let hung = format!("127.0.0.1:{}", silent.port);
    let client = Arc::new(client_for(&[&endpoint.address.to_string(), &hung], quick()));
    let to = |url: String| {
        let client = Arc::clone(&client);
        tokio::spawn(async move { attempt(&client, &url).await })
    };
    let hanging: Vec<_> = (0..50).map(|_| to(format!("http://{hung}/"))).collect();
    let answered: Vec<_> = (0..200).map(|_| to(endpoint.url("/"))).collect();
    for outcome in answered {
        assert_eq!(status(&outcome.await.unwrap()), 200);
    }
    for attempt in hanging {
        assert!(!attempt.is_finished());
        attempt.abort();
    }
}
