//! One attempt: one bounded HTTP request to an address that the [`Guard`] allows, and what came of it.
//!
//! Every attempt ends within [`Settings::total_timeout`] in exactly one [`Outcome`]; nothing here retries,
//! follows a redirect, uses a proxy, keeps a cookie, unpacks a body or reads more than 64 KiB of it.
//!
//! # How the guard cannot be walked around
//!
//! - The URL is checked before anything else, addresses written in it included: the HTTP client connects to
//!   those without asking its resolver.
//! - A name is looked up inside the client's connector, once per connection, and only addresses that the
//!   guard allows for this request's port come back from there. So the address that was checked is the
//!   address that is connected to; DNS that answers differently the next time (rebinding) is checked the next
//!   time.
//! - A pooled connection is used again only for the same scheme, host and port that it was opened and checked
//!   for.
//! - A redirect is an answer like any other that is not 2xx. Its `Location` is never read.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use rustls::{ClientConfig, RootCertStore, pki_types::CertificateDer};
use tokio::time::Instant;
use url::{Position, Url};

pub use crate::answer::{KEPT_BODY_BYTES, READ_BODY_BYTES};
pub use crate::resolve::{Lookup, system_lookup};
use crate::{
    answer::{NoAnswer, read_body_head, retry_after_s, why_no_answer},
    guard::{Guard, Refused},
    resolve::{GuardedResolver, PORT},
};

/// The bounds of an attempt. [`Settings::default`] is what the product promises; tests use smaller times.
#[derive(Debug, Clone)]
pub struct Settings {
    /// From the start of the attempt to the answer's status and headers. Default 15 s.
    pub total_timeout: Duration,
    /// For look-up, TCP and TLS together. Default 10 s.
    pub connect_timeout: Duration,
    /// For one DNS look-up. Default 5 s.
    pub lookup_timeout: Duration,
    /// For the answer's body, after its headers; [`Settings::total_timeout`] still holds. Default 2 s.
    pub body_timeout: Duration,
    /// Idle connections kept per scheme, host and port, each for 30 s. Default 512, as many as may be under way: the
    /// partners of one tracker share its host, and a connection that is not kept is opened anew for every message.
    pub idle_per_host: usize,
    /// Certificate authorities to trust besides the machine's own. Default none.
    pub extra_roots: Vec<CertificateDer<'static>>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            total_timeout: Duration::from_secs(15),
            connect_timeout: Duration::from_secs(10),
            lookup_timeout: Duration::from_secs(5),
            body_timeout: Duration::from_secs(2),
            idle_per_host: 512,
            extra_roots: Vec::new(),
        }
    }
}

/// How a request is made, and what it carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Method {
    /// GET; everything is in the URL.
    Get,
    /// POST of an `application/x-www-form-urlencoded` body.
    PostForm(Bytes),
    /// POST of an `application/json` body.
    PostJson(Bytes),
}

/// One request, ready to be sent.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// How, and with which body.
    pub method: Method,
    /// Where to; see [`crate::guard::parse_url`]. A fragment is not sent.
    pub url: Url,
    /// Headers besides the content type, which follows from the method.
    pub headers: HeaderMap,
}

impl Outgoing {
    /// The bytes that a signature covers: the body of a POST, and for GET, which has none, the path and query
    /// exactly as they stand in the request line (`/postback?click=1`). Scheme and host are left out because
    /// a receiver behind a proxy does not see the ones we used.
    pub fn signed_payload(&self) -> &[u8] {
        match &self.method {
            Method::Get => self.url[Position::BeforePath..Position::AfterQuery].as_bytes(),
            Method::PostForm(body) | Method::PostJson(body) => body,
        }
    }
}

/// What came of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The endpoint answered, with whatever status. The status counts even if the body behind it drips,
    /// breaks or never ends: a partner that said 200 has heard us.
    Answered {
        /// The HTTP status.
        status: u16,
        /// Its `Retry-After` in seconds from now, never negative, at most
        /// [`MAX_RETRY_AFTER_MS`](domain::delivery::MAX_RETRY_AFTER_MS).
        retry_after_s: Option<i64>,
        /// The first bytes of the body, at most [`KEPT_BODY_BYTES`], as they came.
        body_head: Vec<u8>,
        /// How long the whole attempt took, reading the body included.
        elapsed_ms: u64,
    },
    /// Nothing was sent: the guard refused the URL or every address behind it.
    Refused(Refused),
    /// No answer came. The request may have arrived nevertheless.
    Failed {
        /// What kind of failure.
        kind: FailedKind,
        /// The cause in words, at most 200 characters. Never contains the URL.
        message: String,
        /// How long the whole attempt took.
        elapsed_ms: u64,
    },
}

/// Why no answer came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailedKind {
    /// Too slow: to connect, or to answer.
    Timeout,
    /// No connection.
    Connect,
    /// The name has no address, or DNS did not say in time.
    Dns,
    /// The TLS handshake failed: most often the certificate.
    Tls,
    /// The connection ended before the answer's headers did.
    Reset,
    /// Anything else, such as an answer that is not HTTP.
    Other,
}

impl FailedKind {
    /// A stable word for logs and metrics.
    pub fn code(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Connect => "connect",
            Self::Dns => "dns",
            Self::Tls => "tls",
            Self::Reset => "reset",
            Self::Other => "other",
        }
    }
}

/// Sends requests. Cheap to share by reference; holds the connection pool.
#[derive(Debug)]
pub struct Client {
    http: reqwest::Client,
    guard: Arc<Guard>,
    total_timeout: Duration,
    body_timeout: Duration,
    trusted_roots: usize,
}

impl Client {
    /// A client that resolves names as the machine does and trusts the machine's certificate authorities (on
    /// Linux the `ca-certificates` package, or what `SSL_CERT_FILE` and `SSL_CERT_DIR` name) and
    /// [`Settings::extra_roots`].
    pub fn new(guard: Guard, settings: Settings) -> Result<Self, SetupFailed> {
        Self::with_lookup(guard, settings, system_lookup())
    }

    /// Like [`Client::new`], with another way to look names up.
    pub fn with_lookup(guard: Guard, settings: Settings, lookup: Lookup) -> Result<Self, SetupFailed> {
        let guard = Arc::new(guard);
        let roots = trusted_roots(settings.extra_roots)?;
        let trusted_roots = roots.len();
        let resolver =
            GuardedResolver { guard: Arc::clone(&guard), lookup, timeout: settings.lookup_timeout };
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls_config(roots)?)
            .dns_resolver(resolver)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .retry(reqwest::retry::never())
            .http1_only()
            .connect_timeout(settings.connect_timeout)
            .pool_max_idle_per_host(settings.idle_per_host)
            .pool_idle_timeout(Duration::from_secs(30))
            .user_agent(concat!("Pitlane/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self {
            http,
            guard,
            total_timeout: settings.total_timeout,
            body_timeout: settings.body_timeout,
            trusted_roots,
        })
    }

    /// How many certificate authorities are trusted. With none every https attempt fails with
    /// [`FailedKind::Tls`], so the program warns at its start: the machine needs its `ca-certificates`.
    pub fn trusted_roots(&self) -> usize {
        self.trusted_roots
    }

    /// Makes one attempt. `now_ms` (Unix milliseconds) is what a date in `Retry-After` is compared with.
    ///
    /// Dropping the future abandons the attempt; the request may have arrived nevertheless.
    pub async fn send(&self, request: Outgoing, now_ms: i64) -> Outcome {
        if let Err(refused) = self.guard.check_url(&request.url) {
            return Outcome::Refused(refused);
        }
        let started = Instant::now();
        let deadline = started + self.total_timeout;
        let port = request.url.port_or_known_default().unwrap_or_default();
        let attempt = PORT.scope(port, self.http.execute(into_http(request)));
        let response = match tokio::time::timeout_at(deadline, attempt).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return no_answer(why_no_answer(&error), started),
            Err(_) => {
                let late = NoAnswer::Failed(FailedKind::Timeout, "no answer in time".to_owned());
                return no_answer(late, started);
            }
        };
        let status = response.status().as_u16();
        let retry_after_s = retry_after_s(response.headers(), now_ms);
        let body_deadline = deadline.min(Instant::now() + self.body_timeout);
        let body_head = read_body_head(response, body_deadline).await;
        Outcome::Answered { status, retry_after_s, body_head, elapsed_ms: elapsed_ms(started) }
    }
}

fn into_http(request: Outgoing) -> reqwest::Request {
    let (method, body) = match request.method {
        Method::Get => (reqwest::Method::GET, None),
        Method::PostForm(body) => (reqwest::Method::POST, Some((body, "application/x-www-form-urlencoded"))),
        Method::PostJson(body) => (reqwest::Method::POST, Some((body, "application/json"))),
    };
    let mut http = reqwest::Request::new(method, request.url);
    *http.headers_mut() = request.headers;
    if let Some((body, content_type)) = body {
        http.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        *http.body_mut() = Some(body.into());
    }
    http
}

fn no_answer(why: NoAnswer, started: Instant) -> Outcome {
    match why {
        NoAnswer::Refused(refused) => Outcome::Refused(refused),
        NoAnswer::Failed(kind, message) => Outcome::Failed { kind, message, elapsed_ms: elapsed_ms(started) },
    }
}

fn elapsed_ms(started: Instant) -> u64 {
    u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// The machine's authorities rather than a compiled-in list: the operator's system keeps them current without
/// a new release of this program, and a private authority for a private target is installed where everything
/// else finds it. An authority of the machine that cannot be read is left out; one that the operator named
/// must be readable.
fn trusted_roots(extra: Vec<CertificateDer<'static>>) -> Result<RootCertStore, SetupFailed> {
    let mut roots = RootCertStore::empty();
    let machine = rustls_native_certs::load_native_certs();
    for error in &machine.errors {
        tracing::warn!(%error, "a certificate authority of this machine could not be read");
    }
    roots.add_parsable_certificates(machine.certs);
    for root in extra {
        roots.add(root)?;
    }
    Ok(roots)
}

fn tls_config(roots: RootCertStore) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}

/// The client could not be built. Happens at start, never while sending.
#[derive(Debug, thiserror::Error)]
pub enum SetupFailed {
    /// TLS: most likely one of [`Settings::extra_roots`] is not a certificate.
    #[error("TLS for outgoing requests: {0}")]
    Tls(#[from] rustls::Error),
    /// The HTTP client itself.
    #[error("HTTP client for outgoing requests: {0}")]
    Http(#[from] reqwest::Error),
}
