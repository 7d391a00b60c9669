//! The viewer's team: who else works here, and with which role. Owners invite, change and remove.

pub(crate) mod change;

use std::sync::Arc;

use askama::Template;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use domain::id::UserId;
use domain::time::{DAY_MS, Timestamp};
use domain::user::TeamRole;
use serde::Deserialize;
use store::user::{self, Account};

use crate::component::{Choice, Mistakes};
use crate::page::{self, Answer, Section, Shell};
use crate::refused::Refused;
use crate::site::Site;
use crate::viewer::Viewer;

/// How long a one-time link works.
pub(crate) const LINK_MS: i64 = 7 * DAY_MS;

#[derive(Template)]
#[template(path = "account/team.html")]
struct Page {
    shell: Shell,
    owner: bool,
    rows: Vec<Row>,
    /// What was typed into the form.
    email: String,
    roles: Vec<Choice>,
    mistakes: Mistakes,
}

/// Somebody as they are shown.
struct Row {
    id: UserId,
    own: bool,
    email: String,
    role: &'static str,
    roles: Vec<Choice>,
    /// Kind and words of the pill.
    state: (&'static str, String),
    second: bool,
}

/// A role in words.
pub(crate) fn word(role: TeamRole) -> &'static str {
    match role {
        TeamRole::Owner => "Owner",
        TeamRole::Member => "Member",
        TeamRole::ReadOnly => "Read-only",
    }
}

fn choices(chosen: TeamRole) -> Vec<Choice> {
    let all = [
        (TeamRole::Owner, "Owner: everything, also the team"),
        (TeamRole::Member, "Member: everything but the team"),
        (TeamRole::ReadOnly, "Read-only: looks, changes nothing"),
    ];
    all.iter().map(|(role, words)| Choice::new(role.code(), *words, *role == chosen)).collect()
}

/// What the page is asked with.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Asked {
    said: String,
}

/// Everybody of the team.
pub(crate) async fn show(
    State(site): State<Arc<Site>>,
    viewer: Viewer,
    Query(asked): Query<Asked>,
) -> Result<Answer, Refused> {
    let told = match asked.said.as_str() {
        "role" => Some(("good", "The role is changed; it holds from the next page on.")),
        "removed" => Some(("good", "They are removed, and logged out everywhere.")),
        "last" => Some(("bad", "A team needs an owner. Make somebody else one first.")),
        _ => None,
    };
    form(&site, &viewer, StatusCode::OK, ("", TeamRole::Member), Mistakes::default(), told).await
}

/// The page, with the form as it was filled in.
async fn form(
    site: &Site,
    viewer: &Viewer,
    status: StatusCode,
    (email, role): (&str, TeamRole),
    mistakes: Mistakes,
    told: Option<(&'static str, &'static str)>,
) -> Result<Answer, Refused> {
    let (network, partner) = (viewer.network.id, viewer.partner.id);
    let all = site.app.db.read(move |tx| user::of_partner(tx, network, partner)).await?;
    let subtitle = match all.len() {
        1 => "1 person".to_owned(),
        many => format!("{many} people"),
    };
    let shell = Shell::new(viewer, Section::Team, "Team", &subtitle);
    let page = Page {
        shell: told.map_or_else(|| shell.clone(), |(kind, words)| shell.clone().noting(kind, words)),
        owner: viewer.is_owner(),
        rows: all.iter().map(|account| row(viewer, account)).collect(),
        email: email.to_owned(),
        roles: choices(role),
        mistakes,
    };
    Ok(page::html(status, &page))
}

fn row(viewer: &Viewer, account: &Account) -> Row {
    let role = account.user.access.team().unwrap_or(TeamRole::ReadOnly);
    Row {
        id: account.user.id,
        own: account.user.id == viewer.user.id,
        email: account.user.email.clone(),
        role: word(role),
        roles: choices(role),
        state: state(account, viewer.now, |at| viewer.format.time(at)),
        second: account.totp.is_some(),
    }
}

/// How far somebody is with logging in: a pill's kind and words.
fn state(account: &Account, now: Timestamp, time: impl Fn(Timestamp) -> String) -> (&'static str, String) {
    let link = account.invite_expires.map(|expires| (expires > now, time(expires)));
    match (&account.password, account.forgot, link) {
        (Some(_), Some(since), _) => ("attention", format!("waits for a new link since {}", time(since))),
        (Some(_), None, Some((true, until))) => ("info", format!("has a new link until {until}")),
        (Some(_), None, _) => ("good", "active".to_owned()),
        (None, _, Some((true, until))) => ("info", format!("invited, the link works until {until}")),
        (None, _, _) => ("attention", "invited, the link is too old".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn owners_get_forms_and_others_do_not() {
        for owner in [true, false] {
            let row = Row {
                id: UserId(Uuid::nil()),
                own: false,
                email: "<script>@app.example".to_owned(),
                role: "Member",
                roles: choices(TeamRole::Member),
                state: ("good", "active".to_owned()),
                second: true,
            };
            let page = Page {
                shell: Shell::sample(Section::Team, "Team"),
                owner,
                rows: vec![row],
                email: "\"><script>".to_owned(),
                roles: choices(TeamRole::Owner),
                mistakes: Mistakes::default(),
            };
            let text = page.render().unwrap();
            assert!(!text.contains("<script>"));
            assert_eq!(text.contains("action=\"/team/invite\""), owner);
            assert_eq!(text.contains("/remove"), owner);
        }
    }
}
