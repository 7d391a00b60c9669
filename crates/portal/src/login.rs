//! Logging in and out.

pub(crate) mod code;

use std::sync::Arc;

use askama::Template;
use axum::extract::{Form, Query, State};
use axum::http::StatusCode;
use domain::id::UserId;
use serde::Deserialize;
use store::session::Stage;
use store::user::Account;
use store::{session as sessions, user};
use uuid::Uuid;

use crate::caller::Caller;
use crate::page::{self, Answer};
use crate::refused::Refused;
use crate::session;
use crate::site::Site;
use crate::theme::Theme;
use crate::viewer;

/// The longest e-mail address, in characters.
const LONGEST: usize = 320;

/// Where somebody goes who asked for no page.
const START: &str = "/home";

/// The same for an address that nobody has, a password that is wrong and one that was never set.
const WRONG: &str = "E-mail or password is wrong.";
const TOO_OFTEN: &str = "Too many attempts. Wait a few minutes, or ask for a new link below.";
const EXPOSED: &str = "This page came without encryption, so the browser will not keep you logged in. \
                       Open it by https.";

#[derive(Template)]
#[template(path = "account/login.html")]
struct Page<'a> {
    title: &'static str,
    theme: Theme,
    network: &'a str,
    notice_kind: &'static str,
    notice: &'a str,
    email: &'a str,
    next: &'a str,
}

impl<'a> Page<'a> {
    fn of(caller: &'a Caller) -> Self {
        let network = caller.network.name.as_str();
        Self {
            title: "Log in",
            theme: caller.theme,
            network,
            notice_kind: "bad",
            notice: "",
            email: "",
            next: "",
        }
    }
}

/// What the page is asked with.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Asked {
    next: String,
    said: String,
}

/// What somebody is told on the way here.
fn told(word: &str) -> &'static str {
    match word {
        "bye" => "You are logged out.",
        "everywhere" => "You are logged out everywhere.",
        "password" => "Your password is set. Log in with it.",
        "late" => "That took too long. Log in again.",
        _ => "",
    }
}

/// The form; somebody who is logged in already goes on.
pub(crate) async fn show(
    State(site): State<Arc<Site>>,
    caller: Caller,
    Query(asked): Query<Asked>,
) -> Result<Answer, Refused> {
    let held = viewer::held(&site, &caller, site.app.ambient.now()).await?;
    if held.is_some_and(|held| held.session.stage == Stage::Open) {
        return Ok(page::see_other(inside(&asked.next)));
    }
    let page = Page {
        notice_kind: "info",
        notice: told(&asked.said),
        next: inside(&asked.next),
        ..Page::of(&caller)
    };
    Ok(page::html(StatusCode::OK, &page))
}

/// What the form sends.
#[derive(Debug, Deserialize)]
pub(crate) struct Given {
    email: String,
    password: String,
    #[serde(default)]
    next: String,
}

/// Opens a session, if that is the password.
pub(crate) async fn enter(
    State(site): State<Arc<Site>>,
    caller: Caller,
    Form(given): Form<Given>,
) -> Result<Answer, Refused> {
    let email = email(&given.email);
    let next = inside(&given.next);
    let refuse =
        |status, notice| page::html(status, &Page { notice, email: &given.email, next, ..Page::of(&caller) });
    if caller.is_exposed() {
        return Ok(refuse(StatusCode::BAD_REQUEST, EXPOSED));
    }
    if given.password.len() > crate::password::LONGEST {
        return Ok(refuse(StatusCode::OK, WRONG));
    }
    if !site.throttle.allows_address(caller.address) {
        return Ok(refuse(StatusCode::TOO_MANY_REQUESTS, TOO_OFTEN));
    }
    let (account, known) = account(&site, &caller, email.clone()).await?;
    if !known && !site.throttle.allows_account(caller.network.id, &email) {
        return Ok(refuse(StatusCode::TOO_MANY_REQUESTS, TOO_OFTEN));
    }
    let stored = account.as_ref().and_then(|account| account.password.clone());
    let right = site.passwords.is_right(given.password.clone(), stored).await?;
    let Some(account) = account.filter(|_| right) else { return Ok(refuse(StatusCode::OK, WRONG)) };
    let (stage, to) = if account.totp.is_some() {
        (Stage::Code, format!("/totp?{}", query("next", next)))
    } else {
        (Stage::Open, next.to_owned())
    };
    Ok(session::open(&site, &caller, &account.user, stage, page::see_other(&to)).await?)
}

/// The account of an address, and whether it was used from where the caller is; the same work without one.
async fn account(
    site: &Site,
    caller: &Caller,
    email: String,
) -> Result<(Option<Account>, bool), store::Error> {
    let (network, address) = (caller.network.id, caller.address.to_string());
    site.app
        .db
        .read(move |tx| {
            let account = user::by_email(tx, network, &email)?;
            let id = account.as_ref().map_or(UserId(Uuid::nil()), |account| account.user.id);
            let known = sessions::is_known(tx, id, &address)?;
            Ok((account, known))
        })
        .await
}

/// Ends the session.
pub(crate) async fn leave(State(site): State<Arc<Site>>, caller: Caller) -> Result<Answer, Refused> {
    Ok(session::end(&site, &caller, page::see_other("/login?said=bye")).await?)
}

/// An address as it is kept.
pub(crate) fn email(given: &str) -> String {
    given.trim().chars().filter(|char| !char.is_control()).take(LONGEST).collect::<String>().to_lowercase()
}

/// A query of one value.
pub(crate) fn query(name: &str, value: &str) -> String {
    url::form_urlencoded::Serializer::new(String::new()).append_pair(name, value).finish()
}

/// A page of ours that somebody asked for before they logged in, or the start: never another site's.
pub(crate) fn inside(next: &str) -> &str {
    let path = next.strip_prefix('/').filter(|rest| !rest.starts_with(['/', '\\']));
    let fine = path.is_some() && next.len() <= 1_000 && !next.contains(|char: char| !char.is_ascii_graphic());
    if fine { next } else { START }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_on_never_leaves_the_site() {
        for own in ["/offers", "/offers?sort=name&page=%2F", "/"] {
            assert_eq!(inside(own), own);
        }
        for other in
            ["", "offers", "//evil.example", "/\\evil.example", "https://evil.example", "/\t/evil.example"]
        {
            assert_eq!(inside(other), START, "{other}");
        }
    }

    #[test]
    fn what_was_typed_cannot_become_markup() {
        let canary = "\"><script>alert(1)</script>";
        let page = Page {
            title: "Log in",
            theme: Theme::System,
            network: canary,
            notice_kind: "bad",
            notice: WRONG,
            email: canary,
            next: canary,
        };
        let text = page.render().unwrap();
        assert!(!text.contains("<script>alert") && text.contains(WRONG));
    }
}
