//! Answers that are not what was asked for: the platform's envelope for programs, a small page for people.

mod words;

use askama::Template;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use bytes::Bytes;
use domain::ambient::Ambient;
use domain::click::Verdict;
use domain::time::Timestamp;
use http_body_util::Full;
use uuid::Uuid;

use crate::accept;
use crate::envelope::Envelope;
use crate::page;

use self::words::Words;

/// Seconds after which whatever could not be recorded may be sent again.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("2");

/// One refusal, as it is told.
pub(crate) struct Fault<'a> {
    status: StatusCode,
    code: &'a str,
    message: &'a str,
    /// The parameter to mend, when it is one parameter's fault.
    parameter: Option<&'a str>,
    /// The click's id where one was recorded, so that support can find it; else the answer's own.
    reference: Uuid,
    at: Timestamp,
    words: Words,
}

impl<'a> Fault<'a> {
    /// A hit on a tracking link that was not sent on.
    pub(crate) fn of_click(
        verdict: Verdict,
        message: &'a str,
        parameter: Option<&'a str>,
        reference: Uuid,
        at: Timestamp,
    ) -> Self {
        // A verdict that usually redirects is told only where the network refuses it: then the link is at fault.
        let status = match verdict.status() {
            302 => StatusCode::BAD_REQUEST,
            status => StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        };
        Self { status, code: verdict.code(), message, parameter, reference, at, words: words::of(verdict) }
    }

    /// An address or method that is not served, or another fault of the request itself.
    pub(crate) fn of_request(status: StatusCode, code: &'a str, message: &'a str, ambient: &Ambient) -> Self {
        let at = ambient.now();
        let reference = ambient.new_id(at);
        Self { status, code, message, parameter: None, reference, at, words: words::REQUEST }
    }

    /// The answer, as a page if the client prefers one.
    pub(crate) fn answer(&self, request: &HeaderMap) -> Response<Full<Bytes>> {
        let mut answer = if accept::prefers_html(request) { self.page() } else { self.envelope() };
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            retry_later(answer.headers_mut());
        }
        answer
    }

    fn envelope(&self) -> Response<Full<Bytes>> {
        let envelope = Envelope::<()>::new(self.reference, self.status, self.code, self.message, None);
        let mut answer = envelope.answer(self.status);
        page::secure(answer.headers_mut());
        answer
    }

    fn page(&self) -> Response<Full<Bytes>> {
        let page = Page {
            words: &self.words,
            message: self.message,
            parameter: self.parameter,
            code: self.code,
            reference: self.reference,
            at: self.at,
        };
        page::html(self.status, &page)
    }
}

/// Refuses a method, naming those that are answered.
pub(crate) fn wrong_method(
    allow: &'static str,
    ambient: &Ambient,
    request: &HeaderMap,
) -> Response<Full<Bytes>> {
    let message = format!("This address answers {allow} only");
    let fault = Fault::of_request(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", &message, ambient);
    let mut answer = fault.answer(request);
    answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allow));
    answer
}

/// Tells the client to send the same again.
pub(crate) fn retry_later(headers: &mut HeaderMap) {
    headers.insert(header::RETRY_AFTER, RETRY_AFTER);
}

#[derive(Template)]
#[template(path = "error.html")]
struct Page<'a> {
    words: &'a Words,
    message: &'a str,
    parameter: Option<&'a str>,
    code: &'a str,
    reference: Uuid,
    at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Timestamp = Timestamp::from_ms(1_795_000_000_000);

    fn page(verdict: Verdict, message: &str, parameter: Option<&str>) -> String {
        let fault = Fault::of_click(verdict, message, parameter, Uuid::from_u128(7), AT);
        let words = &fault.words;
        Page { words, message, parameter, code: fault.code, reference: fault.reference, at: AT }
            .render()
            .unwrap()
    }

    #[test]
    fn every_verdict_has_a_page_with_its_code_reference_and_time() {
        for verdict in Verdict::ALL {
            let text = page(*verdict, "what is wrong", None);
            assert!(text.contains(&format!("<code>{verdict}</code>")), "{verdict}");
            assert!(text.contains("00000000-0000-0000-0000-000000000007"));
            assert!(text.contains("2026-11-18T"));
            assert!(text.contains("what is wrong"));
            assert!(!text.contains("Parameter</dt>"));
            assert_eq!(text.matches("<h1>").count(), 1);
        }
    }

    #[test]
    fn values_from_the_link_cannot_become_markup() {
        let canary = "pub_member_id is `{<script>alert(1)</script>\"'&}`, a placeholder";
        let text = page(Verdict::MemberIdMacro, canary, Some("<img src=x onerror=alert(1)>"));
        assert!(!text.contains("<script") && !text.contains("<img"));
        assert!(text.contains("&#60;script&#62;alert(1)") && text.contains("&#60;img src=x"));
    }

    #[test]
    fn programs_get_the_envelope_and_people_the_page() {
        let fault = Fault::of_click(Verdict::LinkUnknown, "No such link", None, Uuid::nil(), AT);
        let mut browser = HeaderMap::new();
        browser.insert(header::ACCEPT, HeaderValue::from_static("text/html,*/*;q=0.8"));
        for (headers, kind) in [(HeaderMap::new(), "application/json"), (browser, "text/html; charset=utf-8")]
        {
            let answer = fault.answer(&headers);
            assert_eq!(answer.status(), StatusCode::NOT_FOUND);
            assert_eq!(answer.headers()[header::CONTENT_TYPE], kind);
            assert_eq!(answer.headers()[header::CACHE_CONTROL], "no-store");
            assert!(answer.headers().contains_key(header::CONTENT_SECURITY_POLICY));
            assert!(!answer.headers().contains_key(header::RETRY_AFTER));
        }
        let lost = Fault::of_click(Verdict::NotRecorded, "", None, Uuid::nil(), AT).answer(&HeaderMap::new());
        assert_eq!(lost.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(lost.headers()[header::RETRY_AFTER], "2");
    }
}
