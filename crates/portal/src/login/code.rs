//! The second step of a log-in, for those who have a second factor.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Form, Query, State};
use axum::http::StatusCode;
use domain::time::Timestamp;
use serde::Deserialize;
use serde_json::json;
use store::session::{Held, Stage};
use store::{audit, user};

use super::{Asked, inside, query};
use crate::caller::Caller;
use crate::page::{self, Answer};
use crate::refused::Refused;
use crate::site::Site;
use crate::theme::Theme;
use crate::{session, totp, viewer};

/// Digits of an app's code; a recovery code has more characters.
const DIGITS: usize = 6;

#[derive(Template)]
#[template(path = "account/code.html")]
struct Page<'a> {
    title: &'static str,
    theme: Theme,
    next: &'a str,
    error: &'a str,
}

/// The form for a code.
pub(crate) async fn show(
    State(site): State<Arc<Site>>,
    caller: Caller,
    Query(asked): Query<Asked>,
) -> Result<Answer, Refused> {
    match waiting(&site, &caller, site.app.ambient.now()).await? {
        Some(_) => Ok(form(StatusCode::OK, &caller, inside(&asked.next), "")),
        None => Ok(late()),
    }
}

fn form(status: StatusCode, caller: &Caller, next: &str, error: &str) -> Answer {
    page::html(status, &Page { title: "Your code", theme: caller.theme, next, error })
}

fn late() -> Answer {
    page::see_other(&format!("/login?{}", query("said", "late")))
}

/// Somebody whose password was right.
async fn waiting(site: &Site, caller: &Caller, now: Timestamp) -> Result<Option<Held>, store::Error> {
    let held = viewer::held(site, caller, now).await?;
    Ok(held.filter(|held| held.session.stage == Stage::Code))
}

/// What the form sends.
#[derive(Debug, Deserialize)]
pub(crate) struct Given {
    code: String,
    #[serde(default)]
    next: String,
}

/// Logs in, if that is the code of now, or a recovery code that was not used.
pub(crate) async fn enter(
    State(site): State<Arc<Site>>,
    caller: Caller,
    Form(given): Form<Given>,
) -> Result<Answer, Refused> {
    let now = site.app.ambient.now();
    let Some(held) = waiting(&site, &caller, now).await? else { return Ok(late()) };
    let next = inside(&given.next);
    if !site.throttle.allows_code(held.user.id) {
        let words = "Too many codes. Wait a few minutes.";
        return Ok(form(StatusCode::TOO_MANY_REQUESTS, &caller, next, words));
    }
    if !takes(&site, &held, &given.code, now).await? {
        let words = "This is not the code of this moment, or it was used already.";
        return Ok(form(StatusCode::UNPROCESSABLE_ENTITY, &caller, next, words));
    }
    Ok(session::open(&site, &caller, &held.user, Stage::Open, page::see_other(next)).await?)
}

/// Takes a code, once.
async fn takes(site: &Site, held: &Held, code: &str, now: Timestamp) -> Result<bool, store::Error> {
    let code = code.trim().to_owned();
    let (id, email) = (held.user.id, held.user.email.as_str());
    let change = json!({ "event": "recovery code used" });
    let entry = site.entry(held.user.network, email, format!("user/{email}"), &change);
    site.app
        .db
        .write(move |tx| {
            let secret = user::find(tx, id)?.and_then(|account| account.totp);
            let Some(secret) = secret else { return Ok(false) };
            if let Some(step) = totp::step(&secret, &code, now) {
                return user::take_step(tx, id, step);
            }
            let taken = code.len() > DIGITS && user::take_recovery(tx, id, totp::recovery_hash(&code))?;
            if taken {
                audit::record(tx, &entry)?;
            }
            Ok(taken)
        })
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_renders_with_whatever_was_asked() {
        let canary = "\"><script>alert(1)</script>";
        let page = Page { title: "Your code", theme: Theme::Dark, next: canary, error: canary };
        let text = page.render().unwrap();
        assert!(!text.contains("<script>alert") && text.contains("one-time-code"));
    }
}
