//! The partner's API tokens: made and shown once, listed by their first characters, revoked.

use std::sync::Arc;

use askama::Template;
use axum::Form;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use domain::api_token::{ApiToken, Authority, Fresh};
use serde::Deserialize;
use serde_json::json;
use store::{Error, api_token, audit};

use crate::component::Mistakes;
use crate::page::{self, Answer, Section, Shell};
use crate::query::Query;
use crate::refused::Refused;
use crate::site::Site;
use crate::viewer::{Owner, Viewer};

/// One token in the list.
struct Line {
    shown: String,
    name: String,
    created: String,
    used: String,
    revoked: String,
}

#[derive(Template)]
#[template(path = "token/index.html")]
struct Page {
    shell: Shell,
    lines: Vec<Line>,
    /// A token that was just made, whole.
    fresh: String,
    /// What was typed as the name of a new one.
    typed: String,
    mistakes: Mistakes,
    may_change: bool,
}

/// What a form sends: the name of a new token, or the first characters of one to be revoked.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Given {
    name: String,
    shown: String,
}

fn line(viewer: &Viewer, token: &ApiToken) -> Line {
    Line {
        shown: format!("{}…", token.shown),
        name: token.name.clone(),
        created: viewer.format.time(token.created),
        // Only the day is kept, and it is one of UTC.
        used: token.used_day.map_or_else(|| "never".to_owned(), |day| viewer.format.in_utc().day(day)),
        revoked: token.revoked.map(|at| viewer.format.time(at)).unwrap_or_default(),
    }
}

async fn page(
    site: &Site,
    viewer: &Viewer,
    said: &str,
    fresh: String,
    (typed, mistakes): (String, Mistakes),
) -> Result<Answer, Refused> {
    let (network, partner) = (viewer.network.id, viewer.partner.id);
    let tokens = site.app.db.read(move |tx| api_token::of_partner(tx, network, partner)).await?;
    let live = tokens.iter().filter(|token| token.revoked.is_none()).count();
    let subtitle = if live == 1 { "one works".to_owned() } else { format!("{live} work") };
    let shell = Shell::new(viewer, Section::Tokens, "API tokens", &subtitle);
    let shell = match said {
        "revoked" => shell.noting("good", "The token no longer works."),
        "gone" => shell.noting("info", "That token had been revoked before."),
        _ => shell,
    };
    let status = if mistakes.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let lines = tokens.iter().map(|token| line(viewer, token)).collect();
    let may_change = viewer.is_owner();
    Ok(page::html(status, &Page { shell, lines, fresh, typed, mistakes, may_change }))
}

/// The list.
pub(crate) async fn index(
    State(site): State<Arc<Site>>,
    viewer: Viewer,
    RawQuery(raw): RawQuery,
) -> Result<Answer, Refused> {
    let query = Query::read(raw.as_deref());
    page(&site, &viewer, query.get("said").unwrap_or_default(), String::new(), Default::default()).await
}

/// What became of a new token.
enum Done {
    Kept,
    NameTaken,
    TooMany,
}

/// Makes a token and shows it, this once. A second one of the same name is refused, so that a form that is sent twice
/// makes one.
pub(crate) async fn create(
    State(site): State<Arc<Site>>,
    Owner(viewer): Owner,
    Form(given): Form<Given>,
) -> Result<Answer, Refused> {
    let mut mistakes = Mistakes::default();
    let (network, partner) = (viewer.network.id, viewer.partner.id);
    let name = given.name.trim().to_owned();
    let fresh = match Fresh::make(site.app.ambient, Authority::Partner(network, partner), &name) {
        Ok(fresh) => fresh,
        Err(bad) => {
            mistakes.add("name", format!("{bad}."));
            return page(&site, &viewer, "", String::new(), (given.name, mistakes)).await;
        }
    };
    let change = json!({ "result": "created", "name": name });
    let entry = site.entry(network, &viewer.user.email, subject(&viewer, &fresh.token.shown), &change);
    let stored = fresh.clone();
    let done = site.app.db.write(move |tx| {
        let own = api_token::of_partner(tx, network, partner)?;
        let mut live = own.iter().filter(|token| token.revoked.is_none());
        if live.any(|token| token.name == stored.token.name) {
            return Ok(Done::NameTaken);
        }
        if own.iter().filter(|token| token.revoked.is_none()).count() >= MOST {
            return Ok(Done::TooMany);
        }
        api_token::insert(tx, stored.hash, &stored.token)?;
        audit::record(tx, &entry)?;
        Ok::<_, Error>(Done::Kept)
    });
    match done.await? {
        Done::Kept => return page(&site, &viewer, "", fresh.secret, Default::default()).await,
        Done::NameTaken => mistakes.add("name", "You have a working token of this name; choose another."),
        Done::TooMany => mistakes.add("name", "You have too many working tokens; revoke one first."),
    }
    page(&site, &viewer, "", String::new(), (name, mistakes)).await
}

/// The most tokens of a partner that work at once.
const MOST: usize = 50;

/// Ends a token at once.
pub(crate) async fn revoke(
    State(site): State<Arc<Site>>,
    Owner(viewer): Owner,
    Form(given): Form<Given>,
) -> Result<Answer, Refused> {
    let (network, partner, now) = (viewer.network.id, viewer.partner.id, viewer.now);
    let shown = given.shown.trim_end_matches('…').to_owned();
    let change = json!({ "result": "revoked" });
    let entry = site.entry(network, &viewer.user.email, subject(&viewer, &shown), &change);
    let revoked = site.app.db.write(move |tx| {
        let revoked = api_token::revoke_own(tx, network, partner, &shown, now)?;
        if revoked {
            audit::record(tx, &entry)?;
        }
        Ok::<_, Error>(revoked)
    });
    let said = if revoked.await? { "revoked" } else { "gone" };
    Ok(page::see_other(&format!("/tokens?said={said}")))
}

fn subject(viewer: &Viewer, shown: &str) -> String {
    format!("api_token/{}/{shown}", viewer.partner.slug)
}
