//! How the partner answers a postback: well, or in one of the ways in which real endpoints go wrong.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;

use crate::serve::Cut;

const DRIP_EVERY: Duration = Duration::from_millis(100);
const FLOOD_CHUNK: Bytes = Bytes::from_static(&[b'x'; 16 * 1024]);

/// How every postback is answered until told otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Behaviour {
    /// `200` and `ok`.
    #[default]
    Ok,
    /// This status and an empty body.
    Status(u16),
    /// This status with `Retry-After`.
    RetryAfter {
        /// The HTTP status, such as 429 or 503.
        status: u16,
        /// The header's value.
        seconds: u64,
    },
    /// Never answers; the connection stays open.
    Hang,
    /// `302` to this URL.
    Redirect(String),
    /// A TCP reset instead of an answer.
    Reset,
    /// `200` at once, and a body of one byte every 100 ms that never ends.
    Drip,
    /// `200` at once, and a body without end, as fast as it is read.
    Flood,
}

impl Behaviour {
    /// What the page says was answered.
    pub(super) fn word(&self) -> String {
        match self {
            Self::Ok => "200 ok".to_owned(),
            Self::Status(status) => status.to_string(),
            Self::RetryAfter { status, seconds } => format!("{status}, retry after {seconds} s"),
            Self::Hang => "none, hangs".to_owned(),
            Self::Redirect(url) => format!("302 to {url}"),
            Self::Reset => "connection reset".to_owned(),
            Self::Drip => "200, drips".to_owned(),
            Self::Flood => "200, floods".to_owned(),
        }
    }

    /// Whether a sender should count this as delivered.
    pub(super) fn is_good(&self) -> bool {
        matches!(self, Self::Ok | Self::Status(200..=299) | Self::RetryAfter { status: 200..=299, .. })
    }

    pub(super) async fn answer(self, cut: Cut) -> Response {
        match self {
            Self::Ok => "ok".into_response(),
            Self::Status(code) => status(code).into_response(),
            Self::RetryAfter { status: code, seconds } => {
                (status(code), [(header::RETRY_AFTER, seconds.to_string())]).into_response()
            }
            Self::Hang => std::future::pending().await,
            Self::Redirect(url) => (StatusCode::FOUND, [(header::LOCATION, url)]).into_response(),
            Self::Reset => {
                cut.now();
                StatusCode::OK.into_response()
            }
            Self::Drip => endless(DRIP_EVERY, Bytes::from_static(b".")),
            Self::Flood => endless(Duration::ZERO, FLOOD_CHUNK),
        }
    }
}

fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// A body that ends only with its connection.
fn endless(pause: Duration, chunk: Bytes) -> Response {
    let chunks = stream::unfold(chunk, move |chunk| async move {
        tokio::time::sleep(pause).await;
        Some((Ok::<_, Infallible>(chunk.clone()), chunk))
    });
    Body::from_stream(chunks).into_response()
}
