//! The bytes of a click's answer.

use std::io::Write as _;
use std::time::{Duration, UNIX_EPOCH};

use axum::http::header::ACCEPT;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use domain::time::Timestamp;
use http_body_util::BodyExt as _;
use httpdate::HttpDate;

use crate::redirect::Reply;

/// Writes the answers of one connection, one after the other, into the same memory.
#[derive(Default)]
pub(crate) struct Pen {
    out: Vec<u8>,
    date: Date,
}

impl Pen {
    /// An answer's status and its bytes. `accept` is what the request says of its own answer, and `last` tells the
    /// other side that the connection ends with it.
    pub(crate) async fn write(&mut self, reply: Reply, accept: &[u8], last: bool) -> (StatusCode, &[u8]) {
        if reply.is_redirect() {
            self.redirect(&reply, last);
            return (StatusCode::FOUND, &self.out);
        }
        let mut request = HeaderMap::new();
        request.extend(HeaderValue::from_bytes(accept).ok().map(|accept| (ACCEPT, accept)));
        let at = reply.at;
        let (answer, body) = reply.answer(&request).into_parts();
        let Ok(body) = body.collect().await;
        let body = body.to_bytes();
        let headers = answer.headers.iter().map(|(name, value)| (name, value.as_bytes()));
        self.head(answer.status, headers, body.len(), at, last);
        self.out.extend_from_slice(&body);
        (answer.status, &self.out)
    }

    /// Sends the visitor on.
    pub(crate) fn redirect(&mut self, reply: &Reply, last: bool) -> &[u8] {
        let headers = reply.headers();
        let headers = headers.iter().map(|(name, value)| (name, value.as_bytes()));
        self.head(StatusCode::FOUND, headers, 0, reply.at, last);
        &self.out
    }

    fn head<'h>(
        &mut self,
        status: StatusCode,
        headers: impl Iterator<Item = (&'h HeaderName, &'h [u8])>,
        body_bytes: usize,
        at: Timestamp,
        last: bool,
    ) {
        let out = &mut self.out;
        out.clear();
        let reason = status.canonical_reason().unwrap_or_default();
        for part in [b"HTTP/1.1 ", status.as_str().as_bytes(), b" ", reason.as_bytes(), b"\r\n"] {
            out.extend_from_slice(part);
        }
        for (name, value) in headers {
            for part in [name.as_str().as_bytes(), b": ", value, b"\r\n"] {
                out.extend_from_slice(part);
            }
        }
        out.extend_from_slice(if last { b"connection: close\r\n" } else { b"" });
        // Writing into memory does not fail.
        let _ = write!(out, "content-length: {body_bytes}\r\ndate: ");
        out.extend_from_slice(self.date.at(at));
        out.extend_from_slice(b"\r\n\r\n");
    }
}

/// The text of a `Date` header, made once a second.
#[derive(Default)]
struct Date {
    second: i64,
    text: Vec<u8>,
}

impl Date {
    fn at(&mut self, at: Timestamp) -> &[u8] {
        if self.second != at.seconds() || self.text.is_empty() {
            self.second = at.seconds();
            self.text.clear();
            let time = UNIX_EPOCH + Duration::from_secs(u64::try_from(self.second).unwrap_or_default());
            // Writing into memory does not fail.
            let _ = write!(self.text, "{}", HttpDate::from(time));
        }
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_made_anew_when_the_second_is_over() {
        let mut date = Date::default();
        assert_eq!(date.at(Timestamp::from_ms(784_111_777_999)), b"Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(date.at(Timestamp::from_ms(784_111_778_000)), b"Sun, 06 Nov 1994 08:49:38 GMT");
    }
}
