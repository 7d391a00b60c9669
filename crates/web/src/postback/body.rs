//! Reads a body whole, within its bounds.

use axum::body::Body;
use axum::http::StatusCode;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;

use crate::listen::Limits;

/// A body that is too large is read on up to so many times its limit, so that the sender, still sending, comes to
/// read the answer.
const TOLERATED_TIMES: usize = 16;

/// Why there is no whole body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unread {
    /// Larger than this many bytes.
    TooLarge(usize),
    /// It did not arrive in time.
    TooSlow,
    /// The connection broke, or the framing was wrong.
    Broken,
}

impl Unread {
    /// The HTTP status of the answer.
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Broken => StatusCode::BAD_REQUEST,
        }
    }

    /// What to mend.
    pub(crate) fn message(self) -> String {
        match self {
            Self::TooLarge(limit) => format!("the body is larger than {limit} bytes"),
            Self::TooSlow => "the body did not arrive in time".to_owned(),
            Self::Broken => "the body did not arrive whole".to_owned(),
        }
    }
}

/// The whole body.
pub(crate) async fn read(body: Body, limits: &Limits) -> Result<Bytes, Unread> {
    let limit = limits.max_body_bytes;
    tokio::time::timeout(limits.body_timeout, gather(body, limit)).await.unwrap_or(Err(Unread::TooSlow))
}

async fn gather(mut body: Body, limit: usize) -> Result<Bytes, Unread> {
    let mut whole = BytesMut::new();
    let mut seen = 0_usize;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Unread::Broken)?.into_data() else { continue };
        seen = seen.saturating_add(data.len());
        if seen <= limit {
            whole.extend_from_slice(&data);
        } else if seen > limit.saturating_mul(TOLERATED_TIMES) {
            break;
        }
    }
    if seen <= limit { Ok(whole.freeze()) } else { Err(Unread::TooLarge(limit)) }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Poll};
    use std::time::Duration;

    use axum::body::HttpBody;
    use hyper::body::Frame;

    use super::*;

    fn limits(max_body_bytes: usize) -> Limits {
        Limits { max_body_bytes, ..Limits::default() }
    }

    #[tokio::test]
    async fn a_body_is_read_up_to_its_limit() {
        let whole = read(Body::from("12345678"), &limits(8)).await;
        assert_eq!(whole, Ok(Bytes::from("12345678")));
        assert_eq!(read(Body::empty(), &limits(8)).await, Ok(Bytes::new()));
        assert_eq!(read(Body::from("123456789"), &limits(8)).await, Err(Unread::TooLarge(8)));
        assert_eq!(read(Body::from(vec![b'x'; 1_000]), &limits(8)).await, Err(Unread::TooLarge(8)));
    }

    #[tokio::test]
    async fn a_body_that_never_ends_is_given_up() {
        let impatient = Limits { body_timeout: Duration::ZERO, ..limits(8) };
        assert_eq!(read(Body::new(Endless), &impatient).await, Err(Unread::TooSlow));
    }

    /// A body that promises more and never sends it.
    struct Endless;

    impl HttpBody for Endless {
        type Data = Bytes;
        type Error = std::convert::Infallible;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            Poll::Pending
        }
    }
}
