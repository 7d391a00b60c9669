//! A delivery as a request: the filled-in URL, the body and the signature.

use bytes::Bytes;
use domain::delivery::Attempted;
use domain::postback::{Method, Postback, Request};
use domain::signature::{ID_HEADER, SIGNATURE_HEADER, Secret, TIMESTAMP_HEADER, sign};
use domain::time::Timestamp;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use store::delivery::{Attempt, Claimed};
use url::Url;

use crate::client::{self, Outcome, Outgoing};
use crate::guard::{Refused, parse_url};

/// Tells the partner that a message is of a test click, which nobody is paid for.
const TEST_HEADER: HeaderName = HeaderName::from_static("x-pitlane-test");

/// A delivery's request as it is logged.
pub struct Message {
    /// `GET` or `POST`.
    pub method: &'static str,
    /// The filled-in URL.
    pub url: String,
    /// The body; empty for `GET`.
    pub body: Bytes,
}

/// Builds the message of a delivery, and what the client sends, signed with every live secret at `now`; or why its
/// URL cannot be called.
pub fn build(
    postback: &Postback,
    secrets: &[Secret],
    claimed: &Claimed,
    now: Timestamp,
) -> (Message, Result<Outgoing, Refused>) {
    let Request { method, url, body, .. } = claimed.news.request(postback.method, &postback.url);
    let body = Bytes::from(body);
    let carried = match postback.method {
        Method::Get => client::Method::Get,
        Method::Form => client::Method::PostForm(body.clone()),
        Method::Json => client::Method::PostJson(body.clone()),
    };
    let outgoing = parse_url(&url).map(|url| signed(carried, url, secrets, claimed, now));
    (Message { method, url, body }, outgoing)
}

fn signed(
    method: client::Method,
    url: Url,
    secrets: &[Secret],
    claimed: &Claimed,
    now: Timestamp,
) -> Outgoing {
    let mut outgoing = Outgoing { method, url, headers: HeaderMap::new() };
    let id = claimed.held.id.to_string();
    let timestamp = now.seconds();
    let signature = sign(secrets, &id, timestamp, outgoing.signed_payload());
    let headers = [(ID_HEADER, id), (TIMESTAMP_HEADER, timestamp.to_string()), (SIGNATURE_HEADER, signature)];
    for (name, value) in headers {
        // Ids, numbers and base64 always fit into a header.
        if let Ok(value) = HeaderValue::from_str(&value) {
            outgoing.headers.insert(HeaderName::from_static(name), value);
        }
    }
    if claimed.news.test {
        outgoing.headers.insert(TEST_HEADER, HeaderValue::from_static("1"));
    }
    outgoing
}

/// What the retry schedule needs to know of an outcome.
pub fn attempted(outcome: &Outcome) -> Attempted {
    match outcome {
        Outcome::Answered { status, retry_after_s, .. } => {
            Attempted::Answered { status: *status, retry_after_s: *retry_after_s }
        }
        Outcome::Refused(_) => Attempted::Refused,
        Outcome::Failed { .. } => Attempted::Failed,
    }
}

/// An attempt as it is logged. Its partner reads this, so it never shows what our DNS answered.
pub fn attempt(message: Message, outcome: &Outcome, started: Timestamp) -> Attempt {
    let (elapsed_ms, result, http_status, answer) = match outcome {
        Outcome::Answered { status, body_head, elapsed_ms, .. } => {
            (*elapsed_ms, format!("answered {status}"), Some(*status), text(body_head))
        }
        Outcome::Refused(refused) => (0, format!("not sent: {}", refused.for_partner()), None, String::new()),
        Outcome::Failed { kind, message, elapsed_ms } => {
            (*elapsed_ms, format!("{}: {message}", kind.code()), None, String::new())
        }
    };
    Attempt {
        started,
        elapsed_ms: i64::try_from(elapsed_ms).unwrap_or(i64::MAX),
        method: message.method.to_owned(),
        url: message.url,
        body: text(&message.body),
        result,
        http_status,
        answer,
    }
}

/// Bytes of an answer as text that the database can keep: no NUL, nothing that is not UTF-8.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace('\0', "\u{fffd}")
}
