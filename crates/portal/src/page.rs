//! What all pages share: the frame around them, and answers that are not a page.

use askama::Template;
use axum::http::{HeaderValue, Response, StatusCode, header};
use bytes::Bytes;
use http_body_util::Full;

/// An answer.
pub(crate) type Answer = Response<Full<Bytes>>;

/// A rendered template.
pub(crate) fn html(status: StatusCode, template: &impl Template) -> Answer {
    let (status, text) = match template.render() {
        Ok(text) => (status, text),
        Err(error) => {
            tracing::error!(%error, "a page did not render");
            (StatusCode::INTERNAL_SERVER_ERROR, "The page could not be made.\n".to_owned())
        }
    };
    let mut answer = Response::new(Full::new(Bytes::from(text)));
    *answer.status_mut() = status;
    let kind = HeaderValue::from_static("text/html; charset=utf-8");
    answer.headers_mut().insert(header::CONTENT_TYPE, kind);
    answer
}
