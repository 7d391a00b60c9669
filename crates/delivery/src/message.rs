//! A delivery as a request: the filled-in URL, the body and the signature.

use domain::delivery::Attempted;
use domain::postback::{Method, News, Postback};
use domain::signature::{ID_HEADER, SIGNATURE_HEADER, Secret, TIMESTAMP_HEADER, sign};
use domain::time::Timestamp;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use store::delivery::{Attempt, Claimed};
use url::Url;

use crate::client::{self, Outcome, Outgoing};

/// Builds the request of a delivery, signed with every live secret at `now`. `None` when the filled-in URL is
/// not one, which the template's check at saving rules out.
pub fn request(
    postback: &Postback,
    secrets: &[Secret],
    claimed: &Claimed,
    now: Timestamp,
) -> Option<Outgoing> {
    let url = Url::parse(&claimed.news.url(&postback.url)).ok()?;
    let method = match postback.method {
        Method::Get => client::Method::Get,
        Method::Form => client::Method::PostForm(form(&claimed.news).into()),
        Method::Json => client::Method::PostJson(json(&claimed.news).into()),
    };
    let mut outgoing = Outgoing { method, url, headers: HeaderMap::new() };
    let id = claimed.id.to_string();
    let signature = sign(secrets, &id, now.seconds(), outgoing.signed_payload());
    let headers =
        [(ID_HEADER, id), (TIMESTAMP_HEADER, now.seconds().to_string()), (SIGNATURE_HEADER, signature)];
    for (name, value) in headers {
        outgoing.headers.insert(HeaderName::from_static(name), HeaderValue::from_str(&value).ok()?);
    }
    Some(outgoing)
}

fn form(news: &News) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(news.fields()).finish()
}

fn json(news: &News) -> String {
    let fields = news.fields().into_iter().map(|(name, value)| (name.to_owned(), value.into()));
    serde_json::Value::Object(fields.collect()).to_string()
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

/// An attempt as it is logged.
pub fn attempt(outgoing: &Outgoing, outcome: &Outcome, started: Timestamp) -> Attempt {
    let (method, body): (_, &[u8]) = match &outgoing.method {
        client::Method::Get => ("GET", &[]),
        client::Method::PostForm(body) | client::Method::PostJson(body) => ("POST", body),
    };
    let (elapsed_ms, result, http_status, answer) = match outcome {
        Outcome::Answered { status, body_head, elapsed_ms, .. } => {
            (*elapsed_ms, format!("answered {status}"), Some(*status), text(body_head))
        }
        Outcome::Refused(refused) => (0, format!("not sent: {refused}"), None, String::new()),
        Outcome::Failed { kind, message, elapsed_ms } => {
            (*elapsed_ms, format!("{}: {message}", kind.code()), None, String::new())
        }
    };
    Attempt {
        started,
        elapsed_ms: i64::try_from(elapsed_ms).unwrap_or(i64::MAX),
        method: method.to_owned(),
        url: outgoing.url.to_string(),
        body: text(body),
        result,
        http_status,
        answer,
    }
}

/// Bytes of an answer as text that the database can keep: no NUL, nothing that is not UTF-8.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace('\0', "\u{fffd}")
}
