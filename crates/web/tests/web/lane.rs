//! Clicks and other requests on the same connection, in every order: a click is answered where its bytes lie,
//! everything else by hyper, and nobody outside can tell.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::site::{AT_MOST, Answer, LINK, Site, UNAPPROVED, rest};

const PAGE: &str = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
const POST: &str =
    "POST /postback HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";

fn click(lines: &str) -> String {
    let query = "pub_click_id=c1&pub_member_id=m1";
    format!("GET /api/v1/offer-link/redirect/{LINK}?{query} HTTP/1.1\r\nHost: x\r\n{lines}\r\n")
}

/// Reads one answer, and not a byte of the next.
async fn next(stream: &mut TcpStream) -> Answer {
    tokio::time::timeout(AT_MOST, read(stream)).await.expect("an answer")
}

async fn read(stream: &mut TcpStream) -> Answer {
    let mut back = Vec::new();
    while !back.ends_with(b"\r\n\r\n") {
        back.push(stream.read_u8().await.unwrap());
    }
    // The answer to a HEAD has none.
    let length = Answer::read(&back).header("content-length").parse().unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    Answer::read(&[back, body].concat())
}

#[tokio::test]
async fn clicks_and_other_requests_share_a_connection() {
    let site = Site::start().await;
    let (click, head) = (click(""), click("").replacen("GET", "HEAD", 1));
    let odd = click.replace("GET /", "GET http://x/");
    let long = self::click(&format!("Cookie: {}\r\n", "c".repeat(9_000)));
    let longest = self::click(&format!("Cookie: {}\r\n", "c".repeat(30_000)));
    let requests = [
        (&*click, 302),
        (PAGE, 200),
        (&*click, 302),
        (&*long, 302),
        (PAGE, 200),
        (PAGE, 200),
        (&*head, 302),
        (&*odd, 302),
        (&*click, 302),
        (&*longest, 302),
        (&*click, 302),
        (POST, 401),
        (&*click, 302),
        (PAGE, 200),
        (&*click, 302),
    ];
    let mut stream = site.connect().await;
    for (request, status) in requests {
        stream.write_all(request.as_bytes()).await.unwrap();
        assert_eq!(next(&mut stream).await.status, status, "{request:.60}");
    }
    // All at once, and the parts of it cut anywhere.
    let all: String = requests.iter().map(|(request, _)| *request).collect();
    for cut in [all.len(), 700, 61, 13] {
        let mut stream = site.connect().await;
        let (mut reading, mut writing) = stream.split();
        let send = async {
            for part in all.as_bytes().chunks(cut) {
                writing.write_all(part).await.unwrap();
                tokio::task::yield_now().await;
            }
        };
        let mut back = Vec::new();
        let answers = requests.len();
        let receive = async {
            while String::from_utf8_lossy(&back).matches("HTTP/1.1 ").count() < answers
                || !back.ends_with(b"\r\n\r\n")
            {
                reading.read_buf(&mut back).await.unwrap();
            }
        };
        tokio::time::timeout(AT_MOST, async { tokio::join!(send, receive) }).await.expect("all answers");
        let back = String::from_utf8(back).unwrap();
        let statuses: Vec<&str> = back.split("HTTP/1.1 ").skip(1).map(|answer| &answer[..3]).collect();
        let expected: Vec<String> = requests.iter().map(|(_, status)| status.to_string()).collect();
        assert_eq!(statuses, expected, "cut into {cut}");
    }
    // A HEAD makes no click.
    let made = requests.iter().filter(|(_, status)| *status == 302).count() - 1;
    assert_eq!(site.clicks().await.len(), made * 5);
}

#[tokio::test]
async fn a_refused_click_is_told_why_on_a_connection_that_goes_on() {
    let site = Site::start().await;
    let mut stream = site.connect().await;
    let refused = click("").replace("m1", "");
    stream.write_all(refused.as_bytes()).await.unwrap();
    let answer = next(&mut stream).await;
    assert_eq!((answer.status, answer.code().as_str()), (400, "pub_member_id_empty"));
    assert_eq!(answer.header("x-click-verdict"), "pub_member_id_empty");
    let people = click("Accept: text/html\r\n").replace(&LINK.to_string(), &UNAPPROVED.to_string());
    stream.write_all(people.as_bytes()).await.unwrap();
    let page = next(&mut stream).await;
    assert!(page.header("content-type").starts_with("text/html"), "{page:?}");
    assert!(page.header("content-security-policy").contains("default-src"), "{page:?}");
    stream.write_all(click("").as_bytes()).await.unwrap();
    assert_eq!(next(&mut stream).await.status, 302);
}

#[tokio::test]
async fn what_proxies_read_in_more_than_one_way_is_refused_wherever_it_comes() {
    let site = Site::start().await;
    for (lines, body, status) in [
        ("Host: y\r\n", "", 400),
        ("Content-Length: 3\r\nContent-Length: 4\r\n", "abc", 400),
        ("Content-Length: 3\r\nTransfer-Encoding: gzip\r\n", "abc", 400),
        ("Content-Length : 3\r\n", "abc", 400),
        ("Content-Length: +3\r\n", "abc", 400),
    ] {
        for before in ["", &click(""), PAGE, &format!("{}{PAGE}", click(""))] {
            let mut stream = site.connect().await;
            stream.write_all(format!("{before}{}{body}", click(lines)).as_bytes()).await.unwrap();
            for _ in 0..before.matches("GET ").count() {
                assert!(next(&mut stream).await.status < 400, "{before}{lines}");
            }
            assert_eq!(next(&mut stream).await.status, status, "{before}{lines}");
        }
    }
    // A body's bytes are never a request.
    let inner = click("");
    let outer = click(&format!("Connection: close\r\nContent-Length: {}\r\n", inner.len()));
    let before = site.clicks().await.len();
    let mut stream = site.connect().await;
    stream.write_all(format!("{outer}{inner}").as_bytes()).await.unwrap();
    let back = String::from_utf8(rest(&mut stream).await).unwrap();
    assert_eq!(back.matches("HTTP/1.1 ").count(), 1, "{back}");
    assert_eq!(site.clicks().await.len(), before + 1);
}

#[tokio::test]
async fn a_connection_ends_when_either_side_says_so() {
    let site = Site::start().await;
    let mut stream = site.connect().await;
    stream.write_all(format!("{}{}", click("Connection: close\r\n"), click("")).as_bytes()).await.unwrap();
    let back = String::from_utf8(rest(&mut stream).await).unwrap();
    assert_eq!(back.matches("HTTP/1.1 302").count(), 1, "{back}");
    assert!(back.contains("connection: close\r\n"), "{back}");
    // Idle after a click, after a page, and after both.
    let mut idle = Vec::new();
    for requests in [vec![click("")], vec![PAGE.to_owned()], vec![click(""), PAGE.to_owned(), click("")]] {
        let mut stream = site.connect().await;
        for request in requests {
            stream.write_all(request.as_bytes()).await.unwrap();
            next(&mut stream).await;
        }
        idle.push(stream);
    }
    site.stop().await;
    for mut stream in idle {
        assert_eq!(rest(&mut stream).await, b"");
    }
}
