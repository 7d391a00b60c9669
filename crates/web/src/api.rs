//! The JSON API, wire contract §5: who asks, and what programs may ask.

mod link_check;
mod principal;

use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderValue, Response, StatusCode, header};
use axum::routing::post;
use bytes::Bytes;
use domain::ambient::Ambient;
use http_body_util::Full;
use serde_json::Value;

use crate::envelope::Envelope;
use crate::error;
use crate::router::{Site, only};

/// Every address of the API.
pub(crate) fn routes() -> Router<Arc<Site>> {
    Router::new().route("/api/v1/link-check", post(link_check::check).fallback(only("POST")))
}

/// Why there is no answer to what was asked.
#[derive(Debug)]
pub(crate) enum Refused {
    /// No token, or none that is live and of this host's network.
    NotAuthorized,
    /// The body or one of its values cannot be read; this is to be mended.
    Malformed(String),
    /// The body was not taken in whole.
    Unread(StatusCode, String),
    /// The record cannot be read now.
    Unavailable(store::Error),
}

impl From<store::Error> for Refused {
    fn from(error: store::Error) -> Self {
        Self::Unavailable(error)
    }
}

impl Refused {
    fn answer(&self, ambient: &Ambient) -> Response<Full<Bytes>> {
        let (status, code, message) = match self {
            Self::NotAuthorized => {
                let message = "send a live token of this network: `Authorization: ApiToken <token>`";
                (StatusCode::UNAUTHORIZED, "not_authorized", message)
            }
            Self::Malformed(message) => (StatusCode::BAD_REQUEST, "parameter_malformed", message.as_str()),
            Self::Unread(status, message) => (*status, "parameter_malformed", message.as_str()),
            Self::Unavailable(_) => {
                let message = "The answer could not be looked up; try again in a moment";
                (StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
            }
        };
        let mut answer = envelope(ambient, status, code, message, None);
        match self {
            Self::NotAuthorized => {
                let scheme = HeaderValue::from_static("ApiToken");
                answer.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
            }
            Self::Unavailable(error) => {
                tracing::warn!(%error, "an API request cannot be answered");
                error::retry_later(answer.headers_mut());
            }
            Self::Malformed(_) | Self::Unread(..) => {}
        }
        answer
    }
}

/// The answer to what was asked, in the API's spelling.
fn answer(ambient: &Ambient, asked: Result<Value, Refused>) -> Response<Full<Bytes>> {
    match asked {
        Ok(data) => envelope(ambient, StatusCode::OK, "ok", "", Some(camel(data))),
        Err(refused) => refused.answer(ambient),
    }
}

fn envelope(
    ambient: &Ambient,
    status: StatusCode,
    code: &str,
    message: &str,
    data: Option<Value>,
) -> Response<Full<Bytes>> {
    let id = ambient.new_id(ambient.now());
    Envelope::new(id, status, code, message, data).answer(status)
}

/// The same value with its keys as the platform spells them: `http_status` is `httpStatus`. Whatever the command line
/// writes, the API answers.
fn camel(value: Value) -> Value {
    match value {
        Value::Object(entries) => {
            Value::Object(entries.into_iter().map(|(key, value)| (camel_key(&key), camel(value))).collect())
        }
        Value::Array(values) => Value::Array(values.into_iter().map(camel).collect()),
        plain => plain,
    }
}

fn camel_key(key: &str) -> String {
    let mut words = key.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |mut text, word| {
        let mut letters = word.chars();
        text.extend(letters.next().map(|letter| letter.to_ascii_uppercase()));
        text.push_str(letters.as_str());
        text
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_are_spelled_as_the_platform_does_and_values_are_left_alone() {
        let value = json!({ "http_status": 1, "a": [{ "example_click_id": "x_y" }], "at": null });
        let spelled = json!({ "httpStatus": 1, "a": [{ "exampleClickId": "x_y" }], "at": null });
        assert_eq!(camel(value), spelled);
    }
}
