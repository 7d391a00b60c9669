//! The secret with which a partner's postbacks are signed: shown once when it is made, two of them live while the
//! partner's server learns the new one.

use std::sync::Arc;

use askama::Template;
use axum::Form;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use domain::signature::Secret;
use serde::Deserialize;
use serde_json::json;
use store::{Error, audit, partner};

use super::shell;
use crate::page::{self, Answer, Shell};
use crate::query::Query;
use crate::refused::Refused;
use crate::site::Site;
use crate::viewer::{Member, Viewer};

/// Characters of a secret by which its owner knows it.
const SHOWN: usize = 10;

#[derive(Template)]
#[template(path = "postback/secret.html")]
struct Page {
    shell: Shell,
    /// The first characters of each live secret, newest first.
    live: Vec<String>,
    /// A secret that was just made, whole.
    fresh: String,
    may_change: bool,
}

/// Which secret the newest one was when the form was made: a form that is sent twice changes nothing twice.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Given {
    newest: String,
}

fn shown(secret: &Secret) -> String {
    secret.reveal().chars().take(SHOWN).collect()
}

fn page(viewer: &Viewer, live: &[Secret], fresh: String, query: &Query) -> Answer {
    let shell = shell(viewer, "Signing secret", "every postback to you is signed", query);
    let shell = shell.below("/postbacks", "Postbacks");
    let shell = match query.get("said") {
        Some("ended") => shell.noting("good", "The old secret no longer signs. The new one does."),
        Some("moved") => {
            shell.noting("info", "The secrets had changed meanwhile, so nothing was done. Look again.")
        }
        _ => shell,
    };
    let live = live.iter().map(shown).collect();
    page::html(StatusCode::OK, &Page { shell, live, fresh, may_change: viewer.may_change() })
}

/// Which secrets are live, without showing them.
pub(crate) async fn show(
    State(site): State<Arc<Site>>,
    viewer: Viewer,
    RawQuery(raw): RawQuery,
) -> Result<Answer, Refused> {
    let id = viewer.partner.id;
    let live = site.app.db.read(move |tx| partner::secrets(tx, id)).await?;
    Ok(page(&viewer, &live, String::new(), &Query::read(raw.as_deref())))
}

/// Makes a new secret and shows it, this once; the one before stays live beside it.
pub(crate) async fn rotate(
    State(site): State<Arc<Site>>,
    Member(viewer): Member,
    Form(given): Form<Given>,
) -> Result<Answer, Refused> {
    let Ok(secret) = Secret::from_bytes(&site.app.ambient.random_bytes()) else {
        return Ok(page::unavailable());
    };
    let fresh = secret.reveal();
    match change(&site, &viewer, given, "rotated", Some(secret)).await? {
        Some(live) => Ok(page(&viewer, &live, fresh, &Query::default())),
        None => Ok(page::see_other("/postbacks/secret?said=moved")),
    }
}

/// Ends the older secret.
pub(crate) async fn end(
    State(site): State<Arc<Site>>,
    Member(viewer): Member,
    Form(given): Form<Given>,
) -> Result<Answer, Refused> {
    let done = change(&site, &viewer, given, "old one ended", None).await?;
    let said = if done.is_some() { "ended" } else { "moved" };
    Ok(page::see_other(&format!("/postbacks/secret?said={said}")))
}

/// Writes a change of the secrets with its entry, and gives those that are live then; none when they were others than
/// the form had seen.
async fn change(
    site: &Site,
    viewer: &Viewer,
    given: Given,
    what: &'static str,
    fresh: Option<Secret>,
) -> Result<Option<Vec<Secret>>, Refused> {
    let id = viewer.partner.id;
    let subject = format!("partner/{}", viewer.partner.slug);
    let changes =
        json!({ "result": "updated", "changes": [{ "field": "signing_secret", "old": null, "new": what }] });
    let entry = site.entry(viewer.network.id, &viewer.user.email, subject, &changes);
    let live = site.app.db.write(move |tx| {
        let live = partner::secrets(tx, id)?;
        if live.first().map(shown).as_deref() != Some(given.newest.as_str()) {
            return Ok(None);
        }
        match &fresh {
            Some(secret) => partner::rotate(tx, id, secret)?,
            None => partner::end_old_signing(tx, id)?,
        }
        audit::record(tx, &entry)?;
        Ok::<_, Error>(Some(partner::secrets(tx, id)?))
    });
    Ok(live.await?)
}
