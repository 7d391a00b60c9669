//! Whoever opens a page, known or not: from where, with which browser, on which network's host, with which cookie.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::header::{COOKIE, ORIGIN, USER_AGENT};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use domain::network::Network;
use domain::secret::SecretHash;
use web::origin::{self, Peer};

use crate::page::{self, Answer};
use crate::site::Site;
use crate::theme::Theme;

/// The session's cookie. The prefix makes the browser keep it to this host, to https and to the whole of it.
const COOKIE_NAME: &str = "__Host-pitlane";
/// Its name on this machine without TLS, where browsers refuse the prefix.
const PLAIN_NAME: &str = "pitlane";
/// How much is kept of what a browser says that it is, in characters.
const AGENT: usize = 200;

const FORWARDED: [HeaderName; 3] = [
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-proto"),
    HeaderName::from_static("forwarded"),
];

/// Whoever opens a page.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// The network of the host that was asked for.
    pub(crate) network: Arc<Network>,
    /// Where the request comes from.
    pub(crate) address: IpAddr,
    /// What the browser says that it is, one line.
    pub(crate) agent: String,
    /// Light or dark.
    pub(crate) theme: Theme,
    /// The hash of the token in the session's cookie.
    pub(crate) token: Option<SecretHash>,
    /// The host and port that were asked for.
    host: String,
    /// Asked on this machine without TLS.
    plain: bool,
    /// Asked from elsewhere without TLS, as far as the browser says.
    exposed: bool,
}

impl Caller {
    /// Reads it off a request; none for a host that belongs to no network.
    pub(crate) fn of(head: &Parts, site: &Site) -> Option<Self> {
        let host = origin::host(head);
        let network = Arc::clone(site.app.live.catalog.load().network_of_host(host)?);
        let peer = head.extensions.get::<Peer>()?.0;
        let address = origin::client(peer, &head.headers, &site.app.settings.proxies);
        let agent = head.headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
        let proxied = FORWARDED.iter().any(|name| head.headers.contains_key(name));
        let plain = is_this_machine(host) && peer.to_canonical().is_loopback() && !proxied;
        let from = head.headers.get(ORIGIN).and_then(|origin| origin.to_str().ok()).unwrap_or_default();
        Some(Self {
            network,
            address,
            agent: agent.chars().filter(|char| !char.is_control()).take(AGENT).collect(),
            theme: Theme::of(&head.headers),
            token: token(&head.headers, if plain { PLAIN_NAME } else { COOKIE_NAME }),
            host: host.to_owned(),
            plain,
            exposed: !plain && from.starts_with("http://"),
        })
    }

    /// Whether the browser would not keep the session: the page came without TLS from elsewhere.
    pub(crate) fn is_exposed(&self) -> bool {
        self.exposed
    }

    /// Scheme, host and port, as they stand before an absolute path in the browser's address bar.
    pub(crate) fn base(&self) -> String {
        let scheme = if self.plain || self.exposed { "http" } else { "https" };
        format!("{scheme}://{}", self.host)
    }

    /// The cookie that gives the browser this token; it lasts until the browser ends, or the session does.
    pub(crate) fn cookie(&self, token: &str) -> Option<HeaderValue> {
        let (name, secure) = if self.plain { (PLAIN_NAME, "") } else { (COOKIE_NAME, "; Secure") };
        let gone = if token.is_empty() { "; Max-Age=0" } else { "" };
        HeaderValue::try_from(format!("{name}={token}; Path=/; HttpOnly; SameSite=Lax{secure}{gone}")).ok()
    }
}

impl FromRequestParts<Arc<Site>> for Caller {
    type Rejection = Answer;

    async fn from_request_parts(head: &mut Parts, site: &Arc<Site>) -> Result<Self, Answer> {
        Self::of(head, site).ok_or_else(page::absent)
    }
}

/// The token's hash, when there is exactly one.
fn token(headers: &HeaderMap, name: &str) -> Option<SecretHash> {
    let texts = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = texts.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let mut own = pairs.filter(|(own, _)| *own == name).map(|(_, value)| value);
    let (token, None) = (own.next()?, own.next()) else { return None };
    Some(SecretHash::of(token))
}

/// Whether a host, with its port, is a name of this machine that no other one has.
fn is_this_machine(host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, port)| {
        if port.bytes().all(|byte| byte.is_ascii_digit()) { name } else { host }
    });
    let name = name.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    name == "localhost"
        || name.ends_with(".localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_do_without_tls() {
        for own in
            ["localhost", "LOCALHOST:8080", "app.acme.localhost:1", "127.0.0.1:80", "[::1]:80", "127.1.2.3"]
        {
            assert!(is_this_machine(own), "{own}");
        }
        for other in
            ["localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.1:80", "", "app.acme.example"]
        {
            assert!(!is_this_machine(other), "{other}");
        }
    }

    #[test]
    fn one_token_counts_and_two_do_not() {
        let given = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(COOKIE, HeaderValue::from_static(value));
            }
            token(&headers, PLAIN_NAME)
        };
        assert_eq!(given(&["a=b; pitlane=x"]), Some(SecretHash::of("x")));
        for none in [&[][..], &["pitlane=x; pitlane=y"], &["pitlane=x", "pitlane=x"], &["__Host-pitlane=x"]] {
            assert_eq!(given(none), None, "{none:?}");
        }
    }
}
