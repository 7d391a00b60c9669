//! Where a request comes from, and which host it asks for.

use std::net::IpAddr;

use axum::http::header::HOST;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName};
use domain::address;
use ipnet::IpNet;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The address at the other end of the connection.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub IpAddr);

/// The host that a request names, or nothing. Two `Host` headers name none: proxies disagree on which one counts.
pub fn host(head: &Parts) -> &str {
    if let Some(authority) = head.uri.authority() {
        return authority.as_str();
    }
    let mut hosts = head.headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().unwrap_or_default(),
        _ => "",
    }
}

/// The address that a request counts for: the peer's, or what our own proxies say.
pub fn client(peer: IpAddr, headers: &HeaderMap, proxies: &[IpNet]) -> IpAddr {
    if proxies.is_empty() {
        return peer.to_canonical();
    }
    // Several lines are one list. A line that is no text stops the walk where it stands, as any unreadable hop does.
    let lines: Vec<&str> =
        headers.get_all(FORWARDED_FOR).iter().map(|line| line.to_str().unwrap_or("?")).collect();
    address::client(peer, Some(&lines.join(",")), proxies)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(target: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = http::Request::builder().uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn the_host_is_the_target_s_own_or_the_only_header() {
        assert_eq!(host(&head("/", &[("host", "api.acme.test:8080")])), "api.acme.test:8080");
        assert_eq!(host(&head("http://api.acme.test/", &[("host", "other.test")])), "api.acme.test");
        assert_eq!(host(&head("/", &[("host", "a.test"), ("host", "b.test")])), "");
        assert_eq!(host(&head("/", &[])), "");
    }

    #[test]
    fn only_proxies_are_believed_and_lines_are_one_list() {
        let peer: IpAddr = "10.0.0.1".parse().unwrap();
        let proxies: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap()];
        let lines = head("/", &[("x-forwarded-for", "6.6.6.6, 192.0.2.7"), ("x-forwarded-for", "10.0.0.2")]);
        let client = |proxies: &[IpNet]| client(peer, &lines.headers, proxies).to_string();
        assert_eq!(client(&[]), "10.0.0.1");
        assert_eq!(client(&proxies), "192.0.2.7");
    }
}
