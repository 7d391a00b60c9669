//! The viewer's second factor: on with a code, off with the password.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Form, Query, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::json;
use store::{Error, audit, user};

use super::{Asked, shell, tabs};
use crate::component::{Mistakes, Tab};
use crate::icon::Svg;
use crate::page::{self, Answer, Shell};
use crate::refused::Refused;
use crate::site::Site;
use crate::totp;
use crate::viewer::Viewer;

#[derive(Template)]
#[template(path = "account/totp.html")]
struct Page {
    shell: Shell,
    tabs: Vec<Tab>,
    /// How many recovery codes are left; none: there is no second factor.
    left: Option<i64>,
    secret: String,
    picture: Svg,
    mistakes: Mistakes,
}

#[derive(Template)]
#[template(path = "account/recovery.html")]
struct Shown {
    shell: Shell,
    codes: Vec<String>,
    all: String,
}

/// What it is, and the form that changes it.
pub(crate) async fn show(
    State(site): State<Arc<Site>>,
    viewer: Viewer,
    Query(asked): Query<Asked>,
) -> Result<Answer, Refused> {
    let secret = totp::fresh(site.app.ambient.random_bytes());
    form(&site, &viewer, StatusCode::OK, secret, Mistakes::default(), &asked.said).await
}

async fn form(
    site: &Site,
    viewer: &Viewer,
    status: StatusCode,
    secret: String,
    mistakes: Mistakes,
    said: &str,
) -> Result<Answer, Refused> {
    let id = viewer.user.id;
    let left = site
        .app
        .db
        .read(move |tx| {
            let on = user::find(tx, id)?.is_some_and(|account| account.totp.is_some());
            if on { user::recovery_left(tx, id).map(Some) } else { Ok::<_, Error>(None) }
        })
        .await?;
    let picture = totp::parse(&secret)
        .and_then(|bytes| totp::url(&bytes, &viewer.network.name, &viewer.user.email))
        .and_then(|url| totp::qr(&url));
    let page = Page {
        shell: shell(viewer, "Second factor", said),
        tabs: tabs("/profile/totp"),
        left,
        secret,
        picture: picture.map_or(Svg::NONE, Svg),
        mistakes,
    };
    Ok(page::html(status, &page))
}

/// What the form sends that switches it on. The secret is the one that the page showed.
#[derive(Debug, Deserialize)]
pub(crate) struct On {
    secret: String,
    code: String,
}

/// Switches it on, and shows the recovery codes this once.
pub(crate) async fn begin(
    State(site): State<Arc<Site>>,
    viewer: Viewer,
    Form(given): Form<On>,
) -> Result<Answer, Refused> {
    let secret = totp::parse(&given.secret);
    let step = secret.as_ref().and_then(|secret| totp::step(secret, &given.code, viewer.now));
    let Some((secret, step)) = secret.zip(step) else {
        let mut mistakes = Mistakes::default();
        mistakes.add("code", "This is not the code of this moment. Is the clock of your phone right?");
        let secret = if totp::parse(&given.secret).is_some() {
            given.secret
        } else {
            totp::fresh(site.app.ambient.random_bytes())
        };
        return form(&site, &viewer, StatusCode::UNPROCESSABLE_ENTITY, secret, mistakes, "").await;
    };
    let codes = totp::recovery(|| site.app.ambient.random_bytes());
    let hashes: Vec<_> = codes.iter().map(|code| totp::recovery_hash(code)).collect();
    let own = &viewer.user;
    let change = json!({ "event": "second factor on" });
    let entry = site.entry(own.network, &own.email, format!("user/{}", own.email), &change);
    let id = own.id;
    let begun = site
        .app
        .db
        .write(move |tx| {
            // Whoever has one must first show that it is theirs to change.
            if user::find(tx, id)?.is_none_or(|account| account.totp.is_some()) {
                return Ok(false);
            }
            user::begin_totp(tx, id, &secret, step, &hashes)?;
            audit::record(tx, &entry).map(|()| true)
        })
        .await?;
    if !begun {
        return Ok(page::see_other("/profile/totp"));
    }
    let shell = shell(&viewer, "Recovery codes", "").below("/profile/totp", "Second factor");
    Ok(page::html(StatusCode::OK, &Shown { shell, all: codes.join("\n"), codes }))
}

/// What the form sends that switches it off.
#[derive(Debug, Deserialize)]
pub(crate) struct Off {
    password: String,
}

/// Switches it off.
pub(crate) async fn end(
    State(site): State<Arc<Site>>,
    viewer: Viewer,
    Form(given): Form<Off>,
) -> Result<Answer, Refused> {
    if !super::password::is_own(&site, &viewer, given.password).await? {
        let mut mistakes = Mistakes::default();
        mistakes.add("password", "This is not your password.");
        let secret = totp::fresh(site.app.ambient.random_bytes());
        return form(&site, &viewer, StatusCode::UNPROCESSABLE_ENTITY, secret, mistakes, "").await;
    }
    let own = &viewer.user;
    let change = json!({ "event": "second factor off" });
    let entry = site.entry(own.network, &own.email, format!("user/{}", own.email), &change);
    let id = own.id;
    let ended = move |tx: &mut store::Tx<'_>| {
        user::end_totp(tx, id)?;
        audit::record(tx, &entry)
    };
    site.app.db.write(ended).await?;
    Ok(page::see_other("/profile/totp?said=factor"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::Section;

    #[test]
    fn every_state_renders_without_a_style_of_its_own() {
        for left in [None, Some(10), Some(1), Some(0)] {
            let page = Page {
                shell: Shell::sample(Section::Account, "Second factor"),
                tabs: tabs("/profile/totp"),
                left,
                secret: "ABC".to_owned(),
                picture: Svg(totp::qr("otpauth://totp/x").unwrap()),
                mistakes: Mistakes::default(),
            };
            let text = page.render().unwrap();
            assert_eq!(text.contains("class=\"qr\""), left.is_none());
            assert!(!text.contains("style="));
        }
        let shell = Shell::sample(Section::Account, "Recovery codes");
        let shown = Shown { shell, codes: vec!["a-b".to_owned()], all: "a-b".to_owned() };
        assert!(shown.render().unwrap().contains("a-b"));
    }
}
