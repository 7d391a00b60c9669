//! What every page has in common: its style, which travels inside it, and the headers that keep it to itself.

use std::sync::LazyLock;

use askama::Template;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use bytes::Bytes;
use http_body_util::Full;
use sha2::{Digest, Sha256};

/// The style sheet. A page carries it inside, so that one answer is all that a visitor's browser needs, whatever
/// paths a proxy lets through.
pub(crate) const STYLE: &str = include_str!("../templates/style.css");

/// No script, nothing from elsewhere, no frames; of styles only [`STYLE`], by its hash.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let hash = BASE64.encode(Sha256::digest(STYLE));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    // Letters, digits and punctuation only; the fallback forbids the style as well, and nothing more.
    HeaderValue::try_from(policy)
        .unwrap_or(HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"))
});

/// Adds what every answer but a redirect carries, where it does not say otherwise itself.
pub(crate) fn secure(headers: &mut HeaderMap) {
    let fixed: [(HeaderName, &'static str); 3] = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in fixed {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert_with(|| POLICY.clone());
}

/// A template as an answer.
pub(crate) fn html(status: StatusCode, template: &impl Template) -> Response<Full<Bytes>> {
    let (status, kind, text) = match template.render() {
        Ok(text) => (status, "text/html; charset=utf-8", text),
        Err(error) => {
            tracing::error!(%error, "a page did not render");
            (StatusCode::INTERNAL_SERVER_ERROR, "text/plain", "The page could not be made.\n".to_owned())
        }
    };
    let mut answer = Response::new(Full::new(Bytes::from(text)));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    secure(answer.headers_mut());
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_lets_exactly_the_style_through() {
        let hash = BASE64.encode(Sha256::digest(STYLE));
        let policy = POLICY.to_str().unwrap();
        assert!(policy.contains(&format!("style-src 'sha256-{hash}'")));
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
    }

    #[test]
    fn an_answer_s_own_header_stands() {
        let mut headers = HeaderMap::new();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("max-age=60"));
        secure(&mut headers);
        assert_eq!(headers[header::CACHE_CONTROL], "max-age=60");
        assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
    }
}
