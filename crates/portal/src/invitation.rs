//! One-time links: whoever has one sets the password of the user that it was made for, once.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Form, Path, State};
use axum::http::StatusCode;
use domain::secret::SecretHash;
use serde::Deserialize;
use store::session::Stage;
use store::user::Account;
use store::{audit, session as sessions, user};

use crate::caller::Caller;
use crate::page::{self, Answer};
use crate::password;
use crate::refused::Refused;
use crate::session;
use crate::site::Site;
use crate::theme::Theme;

#[derive(Template)]
#[template(path = "account/password.html")]
struct Page<'a> {
    title: &'static str,
    theme: Theme,
    words: &'a str,
    email: &'a str,
    help: &'a str,
    error: &'a str,
}

/// The form for a password.
pub(crate) async fn show(
    State(site): State<Arc<Site>>,
    caller: Caller,
    Path(token): Path<String>,
) -> Result<Answer, Refused> {
    let Some(account) = invited(&site, &caller, &token).await? else { return Ok(over()) };
    Ok(form(StatusCode::OK, &caller, &account, ""))
}

fn form(status: StatusCode, caller: &Caller, account: &Account, error: &str) -> Answer {
    let email = account.user.email.as_str();
    let title = if account.password.is_some() { "Set a new password" } else { "Welcome" };
    let words = format!("Choose the password with which you log in as {email} at {}.", caller.network.name);
    let help = format!("At least {} characters. A sentence of four words is good.", password::SHORTEST);
    page::html(status, &Page { title, theme: caller.theme, words: &words, email, help: &help, error })
}

/// A link that does not work: used, too old, or never made; which of them is nobody's business.
fn over() -> Answer {
    let words = "This link was used already, or is too old. Ask whoever gave it to you for a new one.";
    page::notice(StatusCode::NOT_FOUND, "The link does not work", words)
}

async fn invited(site: &Site, caller: &Caller, token: &str) -> Result<Option<Account>, store::Error> {
    let (network, hash, now) = (caller.network.id, SecretHash::of(token), site.app.ambient.now());
    site.app.db.read(move |tx| user::invited(tx, network, hash, now)).await
}

/// What the form sends.
#[derive(Debug, Deserialize)]
pub(crate) struct Given {
    password: String,
}

/// Sets the password, ends every session that there was, and logs in; with a second factor only as far as to it.
pub(crate) async fn accept(
    State(site): State<Arc<Site>>,
    caller: Caller,
    Path(token): Path<String>,
    Form(given): Form<Given>,
) -> Result<Answer, Refused> {
    let Some(account) = invited(&site, &caller, &token).await? else { return Ok(over()) };
    if let Some(fault) = password::fault(&given.password, &account.user.email) {
        return Ok(form(StatusCode::UNPROCESSABLE_ENTITY, &caller, &account, &fault));
    }
    let kept = site.passwords.hash(given.password, site.app.ambient.random_bytes()).await?;
    let own = &account.user;
    let change = serde_json::json!({ "event": "password set by a one-time link", "address": caller.address });
    let entry = site.entry(own.network, &own.email, format!("user/{}", own.email), &change);
    let (id, link) = (own.id, SecretHash::of(&token));
    let set = site
        .app
        .db
        .write(move |tx| {
            if !user::set_password(tx, id, &kept, Some(link))? {
                return Ok(false);
            }
            sessions::end_all(tx, id, None)?;
            audit::record(tx, &entry).map(|()| true)
        })
        .await?;
    if !set {
        return Ok(over());
    }
    let second = account.totp.is_some();
    let (stage, to) = if second { (Stage::Code, "/totp") } else { (Stage::Open, "/home") };
    Ok(session::open(&site, &caller, own, stage, page::see_other(to)).await?)
}
