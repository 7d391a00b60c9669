//! Views of the reports that a user keeps by name.

use std::sync::Arc;

use axum::extract::{Form, State};
use axum::http::StatusCode;
use serde::Deserialize;
use store::saved_view::{self, MAX_VIEWS, SavedView};

use crate::page::{self, Answer};
use crate::query::Query;
use crate::report::PATH;
use crate::site::Site;
use crate::viewer::Member;

/// The longest name, in characters.
const MAX_NAME: usize = 60;

/// What the form sends.
#[derive(Debug, Deserialize)]
pub(crate) struct Kept {
    #[serde(default)]
    name: String,
    #[serde(default)]
    query: String,
}

/// Keeps the view under a name, and shows it.
pub(crate) async fn keep(
    State(site): State<Arc<Site>>,
    Member(viewer): Member,
    Form(kept): Form<Kept>,
) -> Answer {
    let query = Query::read(Some(&kept.query)).at_start();
    let name: String = kept.name.trim().chars().filter(|char| !char.is_control()).take(MAX_NAME).collect();
    if name.is_empty() {
        let words = "A view is kept by its name. Go back, and give it one.";
        return page::notice(StatusCode::UNPROCESSABLE_ENTITY, "The view has no name", words);
    }
    let view = SavedView { name, query: query.to_string() };
    let (network, user, now) = (viewer.network.id, viewer.user.id, viewer.now);
    let kept = site.app.db.write(move |tx| saved_view::keep(tx, network, user, PATH, &view, now)).await;
    match kept {
        Ok(true) => page::see_other(&query.url(PATH)),
        Ok(false) => {
            let words =
                format!("You keep {MAX_VIEWS} views of this page. Remove one that you no longer need.");
            page::notice(StatusCode::CONFLICT, "No room for another view", &words)
        }
        Err(error) => failed(&error),
    }
}

/// Removes a view, and shows what it showed.
pub(crate) async fn forget(
    State(site): State<Arc<Site>>,
    Member(viewer): Member,
    Form(kept): Form<Kept>,
) -> Answer {
    let (network, user, name) = (viewer.network.id, viewer.user.id, kept.name.replace('\0', ""));
    let query = Query::read(Some(&kept.query)).at_start();
    let gone = site.app.db.write(move |tx| saved_view::forget(tx, network, user, PATH, &name)).await;
    match gone {
        Ok(()) => page::see_other(&query.url(PATH)),
        Err(error) => failed(&error),
    }
}

fn failed(error: &store::Error) -> Answer {
    tracing::error!(%error, "a view cannot be kept");
    page::unavailable()
}
