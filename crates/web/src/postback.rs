//! An advertiser's postback, wire contract §3: read strictly, recorded whole, answered with the truth.
//!
//! Whatever arrives is kept in the inbound log, sound or not, with its secrets masked.

pub(crate) mod body;
mod reading;
mod redact;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use bytes::Bytes;
use domain::catalog::Catalog;
use domain::conversion::{Reason, Status};
use domain::id::{ConversionId, InboundId};
use domain::inbound::{Answer, Credentials, Outcome, Postback, Refusal, authenticate};
use domain::signature::{self, ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER};
use http_body_util::Full;
use serde::Serialize;
use store::inbound::Received;

use crate::app::App;
use crate::envelope::Envelope;
use crate::error;
use crate::origin::{self, Peer};
use crate::router::Site;

use self::body::Unread;
use self::reading::Reading;

/// Where a postback's path carries its token.
const TOKEN_PATH: &str = "/api/v1/postback/";

/// Answers one postback, however it was sent.
pub(crate) async fn receive(
    State(site): State<Arc<Site>>,
    Extension(Peer(peer)): Extension<Peer>,
    request: Request,
) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    // A GET says everything in its target; what hangs on behind it is nobody's.
    let body =
        if head.method == Method::GET { Ok(Bytes::new()) } else { body::read(body, &site.limits).await };
    let catalog = site.app.live.catalog.load_full();
    let received = take_in(&site.app, &catalog, peer, &head, body.as_ref());
    let (id, at) = (received.id, received.at);
    let asked = Instant::now();
    match record(&site.app, catalog, received).await {
        Ok(outcome) => {
            site.meter.postback(&outcome.code, asked.elapsed());
            let status = body.err().map_or_else(|| status(outcome.answer), Unread::status);
            answer(id, status, &outcome)
        }
        Err(error) => {
            site.meter.not_recorded("postback", &error, at);
            site.meter.postback(Answer::NotRecorded.code(), asked.elapsed());
            not_recorded(id)
        }
    }
}

/// Everything about the request that is recorded and decided on.
fn take_in(
    app: &App,
    catalog: &Catalog,
    peer: IpAddr,
    head: &Parts,
    body: Result<&Bytes, &Unread>,
) -> Received {
    let at = app.ambient.now();
    let address = origin::client(peer, &head.headers, &app.settings.proxies);
    let network = catalog.network_of_host(origin::host(head)).map(|network| network.id);
    let reading = read(head, body);
    let target = target(head);
    let whole = body.map(Bytes::as_ref).unwrap_or_default();
    let credentials = Credentials {
        token: reading.token(),
        signature: signature(&head.headers),
        payload: if head.method == Method::GET { target.as_bytes() } else { whole },
        address,
    };
    let proven = network.map(|network| authenticate(catalog, network, &credentials, at)).unwrap_or_default();
    Received {
        id: InboundId(app.ambient.new_id(at)),
        network,
        proven,
        at,
        address,
        method: head.method.to_string(),
        target: redact::target(target, path_token(head), reading.secrets()),
        body: redact::body(whole, reading.secrets()),
        postback: postback(&reading),
    }
}

/// The postback as it reads. What a refusal says of a value is recorded, and the value may be a token in a wrong
/// place.
fn postback(reading: &Reading) -> Result<Postback, Refusal> {
    reading.postback().map_err(|refusal| {
        let message = redact::body(refusal.message.as_bytes(), reading.secrets());
        Refusal { message, ..refusal }
    })
}

/// Reads every parameter, wherever it stands.
fn read(head: &Parts, body: Result<&Bytes, &Unread>) -> Reading {
    let mut reading = Reading::default();
    if let Some(token) = path_token(head) {
        reading.path_token(token);
    }
    reading.query(head.uri.query().unwrap_or_default());
    match body {
        Ok(body) => reading.body(head.headers.get(CONTENT_TYPE), body),
        Err(unread) => reading.refuse(unread.message()),
    }
    reading
}

/// The request target as it was sent: path and query.
fn target(head: &Parts) -> &str {
    head.uri.path_and_query().map_or("/", |target| target.as_str())
}

/// The token in the path, as it was sent.
fn path_token(head: &Parts) -> Option<&str> {
    head.uri.path().strip_prefix(TOKEN_PATH)
}

/// The three Standard Webhooks headers, when all are there.
fn signature(headers: &HeaderMap) -> Option<signature::Received<'_>> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    Some(signature::Received {
        id: text(ID_HEADER)?,
        timestamp: text(TIMESTAMP_HEADER)?,
        signature: text(SIGNATURE_HEADER)?,
    })
}

/// Records the request and what follows from it, in one transaction; returns when it is durable.
async fn record(app: &App, catalog: Arc<Catalog>, received: Received) -> Result<Outcome, store::Error> {
    let ambient = app.ambient;
    let outcome = app.db.write(move |tx| store::inbound::receive(tx, &catalog, ambient, &received)).await?;
    // What changed nothing makes no deliveries.
    if matches!(outcome.answer, Answer::Recorded | Answer::Updated | Answer::Rejected) {
        app.bell.ring();
    }
    Ok(outcome)
}

/// The conversion that an answer names.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Named {
    conversion_id: ConversionId,
    status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Reason>,
    #[serde(skip_serializing_if = "Option::is_none")]
    winner_id: Option<ConversionId>,
}

fn answer(id: InboundId, status: StatusCode, outcome: &Outcome) -> Response<Full<Bytes>> {
    let named = outcome.conversion.as_ref().map(|named| Named {
        conversion_id: named.id,
        status: named.status,
        reason: named.reason,
        winner_id: named.winner,
    });
    let envelope = Envelope::new(id.uuid(), status, &outcome.code, &outcome.message, named);
    let mut answer = envelope.answer(status);
    if status == StatusCode::UNAUTHORIZED {
        let scheme = HeaderValue::from_static("PostbackToken");
        answer.headers_mut().insert(WWW_AUTHENTICATE, scheme);
    }
    answer
}

fn not_recorded(id: InboundId) -> Response<Full<Bytes>> {
    let message = "The postback could not be recorded; send it again, it is safe";
    let status = status(Answer::NotRecorded);
    let envelope = Envelope::<()>::new(id.uuid(), status, Answer::NotRecorded.code(), message, None);
    let mut answer = envelope.answer(status);
    error::retry_later(answer.headers_mut());
    answer
}

fn status(answer: Answer) -> StatusCode {
    StatusCode::from_u16(answer.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "pbt_5c1f0a9e7d3b4826";

    /// What is kept of a POST.
    fn kept(target: &str, content_type: &str, body: &str) -> (String, String) {
        let request = http::Request::post(target).header(CONTENT_TYPE, content_type).body(()).unwrap();
        let (head, ()) = request.into_parts();
        let body = Bytes::from(body.to_owned());
        let reading = read(&head, Ok(&body));
        let shown = redact::target(super::target(&head), path_token(&head), reading.secrets());
        (shown, redact::body(&body, reading.secrets()))
    }

    #[test]
    fn no_token_is_kept_however_broken_the_request() {
        let (form, json) = ("application/x-www-form-urlencoded", "application/json");
        let cases = [
            (json, format!(r#"{{"token":"{TOKEN}","cnv_amount":null}}"#)),
            (json, format!(r#"{{"\u0074oken":"{TOKEN}","cnv_sub_1":"{TOKEN}"}}"#)),
            (json, format!(r#"{{"token":["{TOKEN}"]}}"#)),
            (json, format!(r#"{{"token":"{TOKEN}","#)),
            (json, format!("token={TOKEN}")),
            (form, format!(r#"{{"token":"{TOKEN}"}}"#)),
            (form, format!("%74oken={TOKEN}&cnv_sub_1=%zz")),
            (form, format!("gk_click_id%3Dx%26token%3D{TOKEN}")),
            (form, format!("token={TOKEN}&token={TOKEN}x&cnv_sub_1={TOKEN}x")),
            ("text/plain", format!("token={TOKEN}")),
            ("multipart/form-data", format!("name=\"token\": {TOKEN}")),
        ];
        for (content_type, body) in cases {
            for target in ["/postback", "/postback?token=x", "/api/v1/postback/x"] {
                let (target, kept) = kept(target, content_type, &body);
                assert!(!kept.contains(TOKEN) && kept.contains("***"), "{kept}");
                assert!(target == "/postback" || target.ends_with("***"), "{target}");
            }
        }
        let (target, _) =
            kept(&format!("/api/v1/postback/{TOKEN}?cnv_sub_1={TOKEN}&%74oken={TOKEN}"), form, "");
        assert_eq!(target, "/api/v1/postback/***?cnv_sub_1=***&%74oken=***");
    }
}
