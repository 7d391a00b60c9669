//! The envelope that every JSON answer wears; its names are the platform's and fixed.

use axum::http::{HeaderValue, Response, StatusCode, header};
use bytes::Bytes;
use http_body_util::Full;
use serde::Serialize;
use uuid::Uuid;

/// One answer.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Envelope<'a, D> {
    /// By this id the request can be found again, where it was recorded.
    pub(crate) response_id: Uuid,
    is_successful: bool,
    response_title: &'a str,
    response_type: String,
    messages: Vec<&'a str>,
    code: &'a str,
    data: Option<D>,
}

impl<'a, D: Serialize> Envelope<'a, D> {
    /// An answer with this status; an empty message is none.
    pub(crate) fn new(
        response_id: Uuid,
        status: StatusCode,
        code: &'a str,
        message: &'a str,
        data: Option<D>,
    ) -> Self {
        let title = status.canonical_reason().unwrap_or("Unknown");
        Self {
            response_id,
            is_successful: status.is_success(),
            response_title: title,
            response_type: title.replace(' ', ""),
            messages: if message.is_empty() { Vec::new() } else { vec![message] },
            code,
            data,
        }
    }

    /// The HTTP answer.
    pub(crate) fn answer(&self, status: StatusCode) -> Response<Full<Bytes>> {
        json(status, self)
    }
}

/// Any value as a JSON answer that is not kept by anybody.
pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Response<Full<Bytes>> {
    // Only a map with keys that are no text, or a failing `Serialize`, could fail, and no answer has either.
    let body = serde_json::to_vec(value).unwrap_or_default();
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_envelope_is_the_contract_s() {
        let id = Uuid::from_u128(7);
        let envelope = Envelope::<()>::new(
            id,
            StatusCode::BAD_REQUEST,
            "pub_member_id_empty",
            "PubMemberId cannot be empty",
            None,
        );
        let expected = "{\"responseId\":\"00000000-0000-0000-0000-000000000007\",\"isSuccessful\":false,\
             \"responseTitle\":\"Bad Request\",\"responseType\":\"BadRequest\",\
             \"messages\":[\"PubMemberId cannot be empty\"],\"code\":\"pub_member_id_empty\",\"data\":null}";
        assert_eq!(serde_json::to_string(&envelope).unwrap(), expected);
    }

    #[test]
    fn a_success_without_words_has_no_messages() {
        let envelope = Envelope::new(Uuid::nil(), StatusCode::OK, "recorded", "", Some(1));
        let value = serde_json::to_value(&envelope).unwrap();
        assert_eq!(value["isSuccessful"], true);
        assert_eq!(value["responseType"], "OK");
        assert_eq!(value["messages"], serde_json::json!([]));
        assert_eq!(value["data"], 1);
    }
}
