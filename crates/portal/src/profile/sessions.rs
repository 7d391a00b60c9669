//! Where the viewer is logged in.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde_json::json;
use store::session::{self as sessions, Session};
use store::{Error, audit};
use uuid::Uuid;

use super::{Asked, shell, tabs};
use crate::caller::Caller;
use crate::component::Tab;
use crate::format;
use crate::page::{self, Answer, Shell};
use crate::refused::Refused;
use crate::session;
use crate::site::Site;
use crate::viewer::Viewer;

#[derive(Template)]
#[template(path = "account/sessions.html")]
struct Page {
    shell: Shell,
    tabs: Vec<Tab>,
    rows: Vec<Row>,
}

/// A session as it is shown.
struct Row {
    id: Uuid,
    own: bool,
    agent: String,
    address: String,
    began: String,
    seen: String,
    seen_ago: String,
    ends: String,
}

/// The list.
pub(crate) async fn show(
    State(site): State<Arc<Site>>,
    viewer: Viewer,
    Query(asked): Query<Asked>,
) -> Result<Answer, Refused> {
    let (id, now) = (viewer.user.id, viewer.now);
    let all = site.app.db.read(move |tx| sessions::of_user(tx, id, now)).await?;
    let rows = all.iter().map(|session| row(&viewer, session)).collect();
    let page = Page { shell: shell(&viewer, "Sessions", &asked.said), tabs: tabs("/profile/sessions"), rows };
    Ok(page::html(StatusCode::OK, &page))
}

fn row(viewer: &Viewer, session: &Session) -> Row {
    let agent = if session.agent.is_empty() { "a program without a name" } else { &session.agent };
    Row {
        id: session.id,
        own: session.id == viewer.session,
        agent: agent.to_owned(),
        address: session.address.clone(),
        began: viewer.format.time(session.created),
        seen: viewer.format.time(session.seen),
        seen_ago: format::ago(session.seen, viewer.now),
        ends: viewer.format.time(session.expires),
    }
}

/// Ends one of the viewer's sessions.
pub(crate) async fn end(
    State(site): State<Arc<Site>>,
    viewer: Viewer,
    Path(given): Path<String>,
) -> Result<Answer, Refused> {
    let session = Uuid::try_parse(&given).map_err(|_| Refused::Absent)?;
    let own = &viewer.user;
    let change = json!({ "event": "session ended" });
    let entry = site.entry(own.network, &own.email, format!("user/{}", own.email), &change);
    let id = own.id;
    let ended = site
        .app
        .db
        .write(move |tx| {
            let ended = sessions::end_one(tx, id, session)?;
            if ended {
                audit::record(tx, &entry)?;
            }
            Ok::<_, Error>(ended)
        })
        .await?;
    if ended { Ok(page::see_other("/profile/sessions?said=ended")) } else { Err(Refused::Absent) }
}

/// Logs out everywhere, here too.
pub(crate) async fn end_all(
    State(site): State<Arc<Site>>,
    viewer: Viewer,
    caller: Caller,
) -> Result<Answer, Refused> {
    let own = &viewer.user;
    let change = json!({ "event": "logged out everywhere" });
    let entry = site.entry(own.network, &own.email, format!("user/{}", own.email), &change);
    let id = own.id;
    let ended = move |tx: &mut store::Tx<'_>| {
        sessions::end_all(tx, id, None)?;
        audit::record(tx, &entry)
    };
    site.app.db.write(ended).await?;
    Ok(session::end(&site, &caller, page::see_other("/login?said=everywhere")).await?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::Section;

    #[test]
    fn what_a_browser_says_of_itself_cannot_become_markup() {
        let row = Row {
            id: Uuid::nil(),
            own: true,
            agent: "<script>alert(1)</script>".to_owned(),
            address: "192.0.2.1".to_owned(),
            began: String::new(),
            seen: String::new(),
            seen_ago: String::new(),
            ends: String::new(),
        };
        let shell = Shell::sample(Section::Account, "Sessions");
        let text = Page { shell, tabs: tabs("/profile/sessions"), rows: vec![row] }.render().unwrap();
        assert!(!text.contains("<script>alert") && text.contains("this one"));
    }
}
