//! What a click's decision looks at in the head of its request.
//!
//! Nearly all heads are ordinary: one line each of what is looked at, no body, nothing that a proxy could read in
//! another way. Those are read where they lie ([`Ordinary::read`]). Every other head is made a request first, by hyper,
//! which knows all there is to know about the others ([`Asked::of`]).

use std::borrow::Cow;
use std::mem::MaybeUninit;
use std::net::IpAddr;

use axum::http::header::{ACCEPT_LANGUAGE, USER_AGENT};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use domain::address;
use httparse::Status;
use ipnet::IpNet;

use crate::head;
use crate::origin;
use crate::redirect::PREFIX;

/// How browsers say that they fetch ahead of a visit that may never come.
const FETCH_AHEAD: [HeaderName; 4] = [
    HeaderName::from_static("sec-purpose"),
    HeaderName::from_static("purpose"),
    HeaderName::from_static("x-moz"),
    HeaderName::from_static("x-purpose"),
];

const MAX_USER_AGENT_BYTES: usize = 512;

/// Header lines of an ordinary head.
const MAX_LINES: usize = 64;

/// One hit, as it was asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Asked<'a> {
    pub(super) path: &'a str,
    pub(super) query: &'a str,
    pub(super) host: &'a str,
    /// The visitor's, by what our own proxies say.
    pub(super) address: IpAddr,
    /// Cut to what is kept.
    pub(super) user_agent: Cow<'a, str>,
    /// The `Accept-Language` header; empty when there is none.
    pub(super) languages: &'a str,
    pub(super) fetches_ahead: bool,
}

impl<'a> Asked<'a> {
    /// What a request asks for.
    pub(super) fn of(head: &'a Parts, peer: IpAddr, proxies: &[IpNet]) -> Self {
        let headers = &head.headers;
        Self {
            path: head.uri.path(),
            query: head.uri.query().unwrap_or_default(),
            host: origin::host(head),
            address: origin::client(peer, headers, proxies),
            user_agent: user_agent(headers.get(USER_AGENT).map_or(b"", HeaderValue::as_bytes)),
            languages: text(headers, &ACCEPT_LANGUAGE),
            fetches_ahead: fetches_ahead(headers),
        }
    }
}

/// The ordinary head of a click.
#[derive(Debug)]
pub(crate) struct Ordinary<'a> {
    pub(crate) asked: Asked<'a>,
    /// The `Accept` header, for an answer that is no redirect.
    pub(crate) accept: &'a [u8],
    /// Nothing follows on this connection.
    pub(crate) last: bool,
    /// Bytes of the head, its empty line included. What follows is the next request.
    pub(crate) length: usize,
}

impl<'a> Ordinary<'a> {
    /// Reads a click's head at the begin of `bytes`; none when that is not whole, not ordinary or not a click's.
    pub(crate) fn read(bytes: &'a [u8], peer: IpAddr, proxies: &[IpNet]) -> Option<Self> {
        let mut lines = [const { MaybeUninit::uninit() }; MAX_LINES];
        let mut request = httparse::Request::new(&mut []);
        let Ok(Status::Complete(length)) = request.parse_with_uninit_headers(bytes, &mut lines) else {
            return None;
        };
        let target = request.path.filter(|path| path.starts_with(PREFIX) && all(path, is_of_a_target))?;
        if request.method != Some("GET") || request.version != Some(1) {
            return None;
        }
        let mut found = Found::default();
        for line in &*request.headers {
            found.take(line.name, line.value)?;
        }
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let host = visible(found.host?)?;
        let hops = found.forwarded.map_or(Some(""), visible)?;
        let address = address::client(peer, Some(hops), proxies);
        let user_agent = user_agent(found.user_agent.unwrap_or_default());
        let languages = found.languages.map_or(Some(""), visible)?;
        let fetches_ahead = found.fetches_ahead;
        let asked = Asked { path, query, host, address, user_agent, languages, fetches_ahead };
        Some(Self { asked, accept: found.accept.unwrap_or_default(), last: found.last, length })
    }
}

/// The lines of a head that matter, each at most once.
#[derive(Default)]
struct Found<'a> {
    host: Option<&'a [u8]>,
    user_agent: Option<&'a [u8]>,
    accept: Option<&'a [u8]>,
    languages: Option<&'a [u8]>,
    forwarded: Option<&'a [u8]>,
    fetches_ahead: bool,
    last: bool,
}

impl<'a> Found<'a> {
    /// Notes a line; none when it makes the head one out of the ordinary.
    fn take(&mut self, name: &str, value: &'a [u8]) -> Option<()> {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        // Comparing lengths first leaves one name to compare, or none.
        let place = match name.len() {
            4 if is("host") => &mut self.host,
            6 if is("accept") => &mut self.accept,
            10 if is("user-agent") => &mut self.user_agent,
            10 if is("connection") && value.eq_ignore_ascii_case(b"close") => {
                self.last = true;
                return Some(());
            }
            15 if is("accept-language") => &mut self.languages,
            15 if is("x-forwarded-for") => &mut self.forwarded,
            5 | 7 | 9 | 11 if FETCH_AHEAD.iter().any(|known| is(known.as_str())) => {
                self.fetches_ahead |= says_ahead(value);
                return Some(());
            }
            _ => return head::is_plain_line(name, value).then_some(()),
        };
        place.replace(value).is_none().then_some(())
    }
}

/// Whether all bytes are such. Looking at every one, also after one that is not, is what can be done many at a time.
fn all(text: &str, such: impl Fn(u8) -> bool) -> bool {
    text.bytes().fold(true, |all, byte| all & such(byte))
}

/// Whether a byte may stand in a path and a query, by everybody's reading.
fn is_of_a_target(byte: u8) -> bool {
    matches!(byte, b'!' | b'$'..=b';' | b'=' | b'?'..=b'~')
}

/// A value of visible characters as text.
fn visible(value: &[u8]) -> Option<&str> {
    let text = str::from_utf8(value).ok()?;
    all(text, |byte| matches!(byte, b' '..=b'~' | b'\t')).then_some(text)
}

/// A header as text; empty when it is not there or is no text.
fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> &'h str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// The user agent as text, cut to what is kept.
fn user_agent(value: &[u8]) -> Cow<'_, str> {
    let text = str::from_utf8(value).map_or_else(|_| String::from_utf8_lossy(value), Cow::Borrowed);
    if text.len() <= MAX_USER_AGENT_BYTES {
        return text;
    }
    let end = text.floor_char_boundary(MAX_USER_AGENT_BYTES);
    Cow::Owned(text[..end].to_owned())
}

fn fetches_ahead(headers: &HeaderMap) -> bool {
    FETCH_AHEAD.iter().any(|name| headers.get_all(name).iter().any(|value| says_ahead(value.as_bytes())))
}

fn says_ahead(value: &[u8]) -> bool {
    let purpose = String::from_utf8_lossy(value).to_ascii_lowercase();
    purpose.contains("prefetch") || purpose.contains("preview")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));

    fn proxies() -> Vec<IpNet> {
        vec!["10.0.0.0/8".parse().unwrap()]
    }

    fn headers(name: &'static str, value: &[u8]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_bytes(value).unwrap());
        headers
    }

    /// A request of these lines, as hyper would make it.
    fn request(lines: &[u8]) -> Parts {
        let mut space = [httparse::EMPTY_HEADER; 100];
        let mut head = httparse::Request::new(&mut space);
        assert!(head.parse(lines).unwrap().is_complete());
        let mut request = http::Request::builder().method(head.method.unwrap()).uri(head.path.unwrap());
        for line in &*head.headers {
            request = request.header(line.name, line.value);
        }
        request.body(()).unwrap().into_parts().0
    }

    /// The head of a click with these lines after its first, each without its end.
    fn head(query: &str, lines: &[&[u8]]) -> Vec<u8> {
        let mut head = format!("GET {PREFIX}0198f1c2{query} HTTP/1.1\r\n").into_bytes();
        for line in lines {
            head.extend_from_slice(line);
            head.extend_from_slice(b"\r\n");
        }
        head.extend_from_slice(b"\r\n");
        head
    }

    #[test]
    fn an_ordinary_head_says_what_its_request_says() {
        let agent = [b"User-Agent: ", "é".repeat(300).as_bytes()].concat();
        let heads = [
            head("", &[b"Host: api.acme.test"]),
            head("?pub_click_id=a%20b&pub_member_id={member}", &[b"host:x:8080", b"ACCEPT: text/html"]),
            head("?a=1?b", &[b"Host: x", b"User-Agent: curl/8.5", b"Accept-Language: de-CH, en;q=0.5"]),
            head("", &[b"Host: x", b"X-Forwarded-For: 6.6.6.6, 192.0.2.7", b"Connection: keep-alive"]),
            head("", &[b"Host: x", b"X-Forwarded-For: nobody", b"Connection: Close"]),
            head("", &[b"Host: x", b"Sec-Purpose: prefetch;prerender", b"Cookie: a=b"]),
            head("", &[b"Host: x", b"X-Moz: no", b"Purpose: Prefetch"]),
            head("", &[b"Host: x", b"User-Agent: \xff\xfe", b"X-Purpose: \xff preview"]),
            head("", &[b"Host: x", &agent]),
        ];
        for bytes in heads {
            let parts = request(&bytes);
            let text = String::from_utf8_lossy(&bytes).into_owned();
            for proxies in [proxies(), Vec::new()] {
                let read = Ordinary::read(&bytes, PEER, &proxies).expect(&text);
                assert_eq!(read.asked, Asked::of(&parts, PEER, &proxies), "{text}");
                assert_eq!(read.length, bytes.len(), "{text}");
                assert_eq!(read.last, text.contains("Close"), "{text}");
                assert_eq!(read.accept, parts.headers.get("accept").map_or(&b""[..], HeaderValue::as_bytes));
            }
        }
    }

    #[test]
    fn what_is_out_of_the_ordinary_is_left_to_hyper() {
        let lines: [&[u8]; 14] = [
            b"Host: y",
            b"Content-Length: 0",
            b"Transfer-Encoding: chunked",
            b"Expect: 100-continue",
            b"Upgrade: h2c",
            b"Connection: close, upgrade",
            b"Connection: keep-alive, upgrade",
            b"Accept: */*\r\nAccept: text/html",
            b"User-Agent: a\r\nUser-Agent: b",
            b"Accept-Language: \xff",
            b"X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-For: 192.0.2.2",
            b"X-Forwarded-For: \xff",
            b"a b: c",
            b" folded",
        ];
        for line in lines {
            let bytes = head("", &[b"Host: x", line]);
            assert!(
                Ordinary::read(&bytes, PEER, &proxies()).is_none(),
                "{}",
                String::from_utf8_lossy(&bytes)
            );
        }
        let firsts = ["POST {P}x", "HEAD {P}x", "GET http://x{P}x", "GET {P}<", "GET {P}x#y", "GET /healthz"];
        for first in firsts {
            let first = first.replace("{P}", PREFIX);
            for version in ["1.1", "1.0"] {
                let bytes = format!("{first} HTTP/{version}\r\nHost: x\r\n\r\n");
                assert!(Ordinary::read(bytes.as_bytes(), PEER, &[]).is_none(), "{bytes}");
            }
        }
        let whole = head("?a=b", &[b"Host: x"]);
        assert!((0..whole.len()).all(|cut| Ordinary::read(&whole[..cut], PEER, &[]).is_none()));
        assert!(Ordinary::read(&head("", &[]), PEER, &[]).is_none());
        assert!(Ordinary::read(&head("", &[b"Host: x", &b"A: b\r\n".repeat(80)]), PEER, &[]).is_none());
    }

    #[test]
    fn the_next_request_is_not_read() {
        let bytes = [head("", &[b"Host: x"]), b"POST / HTTP/1.1\r\n".to_vec()].concat();
        assert_eq!(Ordinary::read(&bytes, PEER, &[]).unwrap().length, head("", &[b"Host: x"]).len());
    }

    #[test]
    fn fetches_ahead_are_recognised() {
        let ahead: [(&'static str, &[u8]); 5] = [
            ("sec-purpose", b"prefetch;prerender"),
            ("purpose", b"Prefetch"),
            ("x-moz", b"prefetch"),
            ("x-purpose", b"preview"),
            ("x-purpose", b"\xff prefetch"),
        ];
        for (name, value) in ahead {
            assert!(fetches_ahead(&headers(name, value)), "{name}");
        }
        assert!(!fetches_ahead(&headers("purpose", b"visit")));
        assert!(!fetches_ahead(&headers("sec-fetch-mode", b"prefetch")));
        assert!(!fetches_ahead(&HeaderMap::new()));
    }

    #[test]
    fn a_user_agent_is_cut_between_characters() {
        assert_eq!(user_agent(b""), "");
        assert_eq!(user_agent(b"curl/8.5"), "curl/8.5");
        let long = format!("x{}", "é".repeat(300));
        assert_eq!(user_agent(long.as_bytes()).len(), 511);
        // Bytes that are no text grow when they are replaced; the limit holds all the same.
        assert!(user_agent(&[0xff; 512]).len() <= MAX_USER_AGENT_BYTES);
    }
}
