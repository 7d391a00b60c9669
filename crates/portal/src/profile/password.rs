//! Changing the own password.

use std::sync::Arc;

use axum::extract::{Form, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::json;
use store::session::Stage;
use store::{audit, session as sessions, user};

use crate::caller::Caller;
use crate::component::Mistakes;
use crate::page::{self, Answer};
use crate::refused::Refused;
use crate::site::Site;
use crate::viewer::Viewer;
use crate::{password, session};

/// What the form sends.
#[derive(Debug, Deserialize)]
pub(crate) struct Given {
    current: String,
    password: String,
}

/// Changes it, ends every other session, and gives this one a fresh token.
pub(crate) async fn change(
    State(site): State<Arc<Site>>,
    viewer: Viewer,
    caller: Caller,
    Form(given): Form<Given>,
) -> Result<Answer, Refused> {
    let mut mistakes = Mistakes::default();
    if let Some(fault) = password::fault(&given.password, &viewer.user.email) {
        mistakes.add("password", fault);
    } else if !is_own(&site, &viewer, given.current).await? {
        mistakes.add("current", "This is not your password.");
    }
    if !mistakes.is_empty() {
        return super::form(&site, &viewer, StatusCode::UNPROCESSABLE_ENTITY, mistakes, "").await;
    }
    let kept = site.passwords.hash(given.password, site.app.ambient.random_bytes()).await?;
    let own = &viewer.user;
    let change = json!({ "event": "password changed", "address": caller.address });
    let entry = site.entry(own.network, &own.email, format!("user/{}", own.email), &change);
    let id = own.id;
    site.app
        .db
        .write(move |tx| {
            user::set_password(tx, id, &kept, None)?;
            sessions::end_all(tx, id, None)?;
            audit::record(tx, &entry)
        })
        .await?;
    let answer = page::see_other("/profile?said=password");
    Ok(session::open(&site, &caller, own, Stage::Open, answer).await?)
}

/// Whether that is the viewer's password: asked again before what would help somebody who found the browser open.
pub(crate) async fn is_own(site: &Site, viewer: &Viewer, given: String) -> Result<bool, Refused> {
    if given.len() > password::LONGEST || !site.throttle.allows_code(viewer.user.id) {
        return Ok(false);
    }
    let id = viewer.user.id;
    let account = site.app.db.read(move |tx| user::find(tx, id)).await?;
    let stored = account.and_then(|account| account.password);
    Ok(site.passwords.is_right(given, stored).await?)
}
