//! `POST /api/v1/link-check`: a dry run of a tracking link.

use std::str::FromStr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::Response;
use bytes::Bytes;
use domain::time::Timestamp;
use http_body_util::Full;
use serde::Deserialize;
use serde_json::Value;

use crate::app::App;
use crate::link_check::{self, Supposed, Target};
use crate::postback::body;
use crate::router::Site;

use super::principal::Principal;
use super::{Refused, answer};

/// What is asked, as it is sent. Absent and `null` are the same: not known.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Sent {
    url: String,
    at: Option<String>,
    country: Option<String>,
    region: Option<String>,
    device: Option<String>,
    os: Option<String>,
    browser: Option<String>,
    address: Option<String>,
    user_agent: Option<String>,
    language: Option<String>,
}

/// What is asked.
struct Asked {
    target: Target,
    supposed: Supposed,
    at: Option<Timestamp>,
}

/// Answers what would happen.
pub(super) async fn check(
    State(site): State<Arc<Site>>,
    principal: Principal,
    body: Body,
) -> Response<Full<Bytes>> {
    let body = body::read(body, &site.limits).await;
    let asked = match body {
        Ok(body) => read(&body),
        Err(unread) => Err(Refused::Unread(unread.status(), unread.message())),
    };
    let checked = match asked {
        Ok(asked) => look(&site.app, principal, asked).await,
        Err(refused) => Err(refused),
    };
    answer(&site.app.ambient, checked)
}

async fn look(app: &App, principal: Principal, asked: Asked) -> Result<Value, Refused> {
    let Principal { authority, catalog } = principal;
    let at = asked.at.unwrap_or_else(|| app.ambient.now());
    let visitors = Arc::clone(&app.visitors);
    let checked = app.db.read(move |tx| {
        let Asked { target, supposed, .. } = &asked;
        link_check::check(tx, &catalog, &visitors, (target, supposed), at, Some(authority))
    });
    let checked = checked.await?;
    serde_json::to_value(&checked).map_err(|why| Refused::Malformed(why.to_string()))
}

fn read(body: &Bytes) -> Result<Asked, Refused> {
    let sent: Sent = serde_json::from_slice(body)
        .map_err(|why| Refused::Malformed(format!("the body is no JSON object of this request: {why}")))?;
    let target =
        Target::read(&sent.url).map_err(|why| Refused::Malformed(format!("url: `{}` {why}", sent.url)))?;
    let supposed = Supposed {
        country: value("country", sent.country)?,
        region: sent.region,
        device: value("device", sent.device)?,
        os: sent.os,
        browser: sent.browser,
        address: value("address", sent.address)?,
        user_agent: sent.user_agent,
        language: sent.language,
    };
    Ok(Asked { target, supposed, at: value("at", sent.at)? })
}

fn value<T: FromStr<Err: std::fmt::Display>>(name: &str, text: Option<String>) -> Result<Option<T>, Refused> {
    let read = |text: String| text.parse().map_err(|why| Refused::Malformed(format!("{name}: {why}")));
    text.map(read).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(body: &'static str) -> String {
        match read(&Bytes::from_static(body.as_bytes())) {
            Err(Refused::Malformed(message)) => message,
            _ => panic!("{body} was taken"),
        }
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let cases = [
            ("", "EOF"),
            ("{}", "missing field `url`"),
            (r#"{"url":7}"#, "invalid type"),
            (r#"{"url":"http://a/","colour":"red"}"#, "unknown field `colour`"),
            (r#"{"url":"http://a/"}"#, "is not a tracking link"),
        ];
        for (body, named) in cases {
            assert!(refused(body).contains(named), "{body}: {}", refused(body));
        }
        let link = r#"{"url":"http://a/api/v1/offer-link/redirect/x","#;
        for (name, wrong) in [("country", "Atlantis"), ("device", "Fridge"), ("address", "x"), ("at", "soon")]
        {
            let body = format!(r#"{link}"{name}":"{wrong}"}}"#);
            let Err(Refused::Malformed(message)) = read(&Bytes::from(body)) else {
                panic!("{name} was taken")
            };
            assert!(message.starts_with(&format!("{name}: ")), "{message}");
        }
    }
}
