//! One postback from the advertiser to Pitlane: what was sent, and what came back.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use crate::clock;
use crate::page::ShownUrl;
use crate::query::{self, Pair};

const TIMEOUT: Duration = Duration::from_secs(15);
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// A postback that was sent.
#[derive(Clone, Debug)]
pub struct Postback {
    /// Counts from 1 over the life of the advertiser.
    pub number: u64,
    /// When it was sent, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// The offer's slug.
    pub offer: String,
    /// The query string with which the visitor arrived at the landing page.
    pub landing_query: String,
    /// Where it was sent, without parameters.
    pub base: String,
    /// Every parameter in order, decoded; the token is not among them.
    pub parameters: Vec<(String, String)>,
    /// The number of the postback that this one repeats.
    pub repeats: Option<u64>,
    /// What came back.
    pub answer: Answer,
}

/// What came back for a postback.
#[derive(Clone, Debug)]
pub enum Answer {
    /// An HTTP answer.
    Received {
        /// The HTTP status.
        status: u16,
        /// The body's first 64 KiB, as text.
        body: String,
        /// From the first byte sent to the last byte received, in milliseconds.
        took_ms: u128,
    },
    /// No answer at all, and why.
    Failed(String),
}

impl Postback {
    /// The value of the first parameter of that name, empty when absent.
    pub fn parameter(&self, name: &str) -> &str {
        query::first(&self.parameters, name)
    }

    pub(super) fn shown_at(&self) -> String {
        clock::show(self.at_ms)
    }

    /// The request as it was sent, the token masked.
    pub(super) fn shown_url(&self) -> ShownUrl {
        let mut pairs = self.parameters.clone();
        pairs.insert(pairs.len().min(1), ("token".to_owned(), String::new()));
        ShownUrl::new(&self.base, &pairs, |name| match name {
            "token" => "secret",
            "gk_click_id" => "required",
            _ => "optional",
        })
    }
}

impl Answer {
    pub(super) fn is_good(&self) -> bool {
        matches!(self, Self::Received { status: 200..=299, .. })
    }

    /// `200`, or `no answer`.
    pub(super) fn status(&self) -> String {
        match self {
            Self::Received { status, .. } => status.to_string(),
            Self::Failed(_) => "no answer".to_owned(),
        }
    }

    /// The `code` of Pitlane's envelope, empty when there is none.
    pub(super) fn code(&self) -> String {
        let Self::Received { body, .. } = self else { return String::new() };
        let json: Option<serde_json::Value> = serde_json::from_str(body).ok();
        json.as_ref().and_then(|at| at.get("code")?.as_str()).unwrap_or_default().to_owned()
    }

    pub(super) fn took(&self) -> String {
        match self {
            Self::Received { took_ms, .. } => format!("{took_ms} ms"),
            Self::Failed(_) => String::new(),
        }
    }

    /// The body, indented when it is JSON; or why there is none.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Received { body, .. } => serde_json::from_str::<serde_json::Value>(body)
                .and_then(|json| serde_json::to_string_pretty(&json))
                .unwrap_or_else(|_| body.clone()),
            Self::Failed(why) => why.clone(),
        }
    }
}

/// A client for a server on the same machine: no proxy, no redirects, plain HTTP. It trusts no certificate at
/// all, because a demo needs none and a machine without root certificates must still be able to run it.
pub(super) fn client() -> Result<reqwest::Client, String> {
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .timeout(TIMEOUT)
        .user_agent("pitlane-simulator")
        .build()
        .map_err(reason)
}

/// Sends the parameters, with the token after the click id, as one GET.
pub(super) async fn send(client: &reqwest::Client, base: &str, token: &str, parameters: &[Pair]) -> Answer {
    let mut pairs = parameters.to_vec();
    pairs.insert(pairs.len().min(1), ("token".to_owned(), token.to_owned()));
    let began = Instant::now();
    match exchange(client, &query::append(base, &query::encode(&pairs))).await {
        Ok((status, body)) => Answer::Received { status, body, took_ms: began.elapsed().as_millis() },
        Err(error) => Answer::Failed(reason(error)),
    }
}

async fn exchange(client: &reqwest::Client, url: &str) -> Result<(u16, String), reqwest::Error> {
    let mut response = client.get(url).header("accept", "application/json").send().await?;
    let status = response.status().as_u16();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        body.extend_from_slice(&chunk);
        if body.len() >= MAX_ANSWER_BYTES {
            body.truncate(MAX_ANSWER_BYTES);
            break;
        }
    }
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}

/// The error with its causes, without the URL: the token is in it.
fn reason(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(at) = cause {
        // Writing to a string does not fail.
        let _ = write!(text, ": {at}");
        cause = at.source();
    }
    text
}
