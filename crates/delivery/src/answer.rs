//! What comes back, and what is kept of it: the head of an answer and the reason of a failure.

use std::{error::Error, io, time::Duration};

use domain::delivery::MAX_RETRY_AFTER_MS;
use reqwest::{
    Response,
    header::{HeaderMap, RETRY_AFTER},
};
use tokio::time::Instant;

use crate::{client::FailedKind, guard::Refused, resolve::LookupFailed};

/// Bytes of an answer's body that are kept for the log.
pub const KEPT_BODY_BYTES: usize = 4 * 1024;

/// Bytes of an answer's body that are read at most, so that the connection of a chatty but honest endpoint
/// can be used again. After that the connection is closed.
pub const READ_BODY_BYTES: usize = 64 * 1024;

/// No `Retry-After` beyond what the schedule obeys anyway, so that nobody has to reckon with absurd numbers.
const MAX_RETRY_AFTER_S: i64 = MAX_RETRY_AFTER_MS / 1000;

const MAX_MESSAGE_CHARS: usize = 200;

/// Reads the body until it ends, breaks, reaches [`READ_BODY_BYTES`] or `deadline` passes, and returns its
/// first [`KEPT_BODY_BYTES`]. What has come in by then is all that is wanted: the answer's status has decided
/// already.
pub(crate) async fn read_body_head(mut response: Response, deadline: Instant) -> Vec<u8> {
    let mut head = Vec::new();
    let mut read = 0;
    while read < READ_BODY_BYTES {
        let Ok(Ok(Some(chunk))) = tokio::time::timeout_at(deadline, response.chunk()).await else { break };
        read += chunk.len();
        let room = KEPT_BODY_BYTES - head.len();
        head.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
    }
    head
}

/// Seconds to wait as the answer asks for in `Retry-After`, as a number or as a date (any of the three HTTP
/// forms, seen from `now_ms`, Unix milliseconds). A date in the past is 0, more than [`MAX_RETRY_AFTER_S`] is
/// cut to it, and anything unreadable is `None`.
pub(crate) fn retry_after_s(headers: &HeaderMap, now_ms: i64) -> Option<i64> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // Only a number too big for 64 bits fails here.
        return Some(text.parse().unwrap_or(MAX_RETRY_AFTER_S).min(MAX_RETRY_AFTER_S));
    }
    let at = httpdate::parse_http_date(text).ok()?;
    let now = std::time::UNIX_EPOCH + Duration::from_millis(u64::try_from(now_ms).unwrap_or(0));
    let wait = at.duration_since(now).unwrap_or_default();
    let rounded_up = wait.as_millis().div_ceil(1000);
    Some(i64::try_from(rounded_up).unwrap_or(MAX_RETRY_AFTER_S).min(MAX_RETRY_AFTER_S))
}

/// Why a request came back without an answer.
pub(crate) enum NoAnswer {
    /// The guard refused what DNS answered.
    Refused(Refused),
    /// Everything else.
    Failed(FailedKind, String),
}

/// Finds the cause at the bottom of an error of the HTTP client. The client's own texts are not used: they
/// repeat the URL, and a partner's URL may carry a secret.
pub(crate) fn why_no_answer(error: &reqwest::Error) -> NoAnswer {
    let mut deepest: Option<&(dyn Error + 'static)> = None;
    let mut kind = None;
    let mut next = error.source();
    while let Some(cause) = next {
        if let Some(refused) = cause.downcast_ref::<Refused>() {
            return NoAnswer::Refused(refused.clone());
        }
        kind = kind_of(cause).or(kind);
        deepest = Some(cause);
        next = within(cause);
    }
    let kind = match kind {
        _ if error.is_timeout() => FailedKind::Timeout,
        None | Some(FailedKind::Reset) if error.is_connect() => FailedKind::Connect,
        kind => kind.unwrap_or(FailedKind::Other),
    };
    let message = deepest.map_or_else(|| "the request could not be sent".to_owned(), ToString::to_string);
    NoAnswer::Failed(kind, message.chars().take(MAX_MESSAGE_CHARS).collect())
}

/// The next error down. `io::Error::source` jumps over the error it wraps, and that one is often the telling
/// one.
fn within<'a>(cause: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(wrapped) => Some(wrapped),
        None => cause.source(),
    }
}

fn kind_of(cause: &(dyn Error + 'static)) -> Option<FailedKind> {
    if cause.is::<LookupFailed>() {
        return Some(FailedKind::Dns);
    }
    if cause.is::<rustls::Error>() {
        return Some(FailedKind::Tls);
    }
    if let Some(error) = cause.downcast_ref::<hyper::Error>() {
        return (error.is_incomplete_message() || error.is_closed()).then_some(FailedKind::Reset);
    }
    match cause.downcast_ref::<io::Error>()?.kind() {
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::UnexpectedEof => Some(FailedKind::Reset),
        _ => None,
    }
}
