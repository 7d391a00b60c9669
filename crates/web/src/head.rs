//! Heads of requests as they come on the wire, before there is a request.

use std::mem::MaybeUninit;

use httparse::Status;

/// Header lines of a head that is looked at.
const MAX_LINES: usize = 64;

/// Whether these bytes are one whole head, and nothing else belongs to its request or follows it.
pub(crate) fn is_plain(bytes: &[u8]) -> bool {
    let mut lines = [const { MaybeUninit::uninit() }; MAX_LINES];
    let mut head = httparse::Request::new(&mut []);
    let read = head.parse_with_uninit_headers(bytes, &mut lines);
    read == Ok(Status::Complete(bytes.len()))
        && head.version == Some(1)
        && head.method != Some("CONNECT")
        && head.headers.iter().all(|line| is_plain_line(line.name, line.value))
}

/// Whether this line leaves its request without a body and its connection as it is.
pub(crate) fn is_plain_line(name: &str, value: &[u8]) -> bool {
    let is = |known: &str| name.eq_ignore_ascii_case(known);
    // Comparing lengths first leaves one name to compare, or none.
    match name.len() {
        6 => !is("expect"),
        7 => !is("upgrade"),
        10 => !is("connection") || value.eq_ignore_ascii_case(b"keep-alive"),
        14 => !is("content-length"),
        17 => !is("transfer-encoding"),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_head_that_stands_alone_is_plain() {
        let plain = "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: Keep-Alive\r\n\r\n";
        assert!(is_plain(plain.as_bytes()));
        assert!(is_plain(b"HEAD / HTTP/1.1\r\n\r\n"));
        assert!((0..plain.len()).all(|cut| !is_plain(&plain.as_bytes()[..cut])));
        for line in [
            "Content-Length: 0",
            "transfer-encoding: chunked",
            "Expect: 100-continue",
            "Upgrade: h2c",
            "Connection: close",
            "no header",
        ] {
            assert!(!is_plain(format!("GET / HTTP/1.1\r\nHost: x\r\n{line}\r\n\r\n").as_bytes()), "{line}");
        }
        for bytes in [format!("{plain}G"), plain.replace("1.1", "1.0"), plain.replace("GET", "CONNECT")] {
            assert!(!is_plain(bytes.as_bytes()), "{bytes}");
        }
    }
}
