//! What owners do: invite, change a role, make a new link, remove.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Form, Path, State};
use axum::http::StatusCode;
use domain::id::UserId;
use domain::secret::SecretHash;
use domain::time::Timestamp;
use domain::user::{Access, TeamRole, User};
use serde::Deserialize;
use serde_json::{Value, json};
use store::audit::{self, Entry};
use store::{Error, Tx, user};

use super::LINK_MS;
use crate::caller::Caller;
use crate::component::Mistakes;
use crate::login;
use crate::page::{self, Answer, Section, Shell};
use crate::refused::Refused;
use crate::site::Site;
use crate::viewer::{Owner, Viewer};

#[derive(Template)]
#[template(path = "account/link.html")]
struct Shown {
    shell: Shell,
    email: String,
    link: String,
    until: String,
}

/// What the invitation's form sends.
#[derive(Debug, Deserialize)]
pub(crate) struct Invitation {
    email: String,
    role: String,
}

/// Adds somebody to the team, and shows their link this once.
pub(crate) async fn invite(
    State(site): State<Arc<Site>>,
    Owner(viewer): Owner,
    caller: Caller,
    Form(given): Form<Invitation>,
) -> Result<Answer, Refused> {
    let role: TeamRole = given.role.parse().map_err(|_| Refused::Absent)?;
    let user = User {
        id: UserId(site.new_id()),
        network: viewer.network.id,
        email: login::email(&given.email),
        access: Access::Partner(viewer.partner.id, role),
    };
    let token = site.secret("sut_");
    let change = json!({ "event": "invited", "partner": viewer.partner.slug, "role": role });
    let entry = entry(&site, &viewer, &user, &change);
    let link = (SecretHash::of(&token), viewer.now.plus_ms(LINK_MS));
    if !is_address(&user.email) || !add(&site, &viewer, user.clone(), link, entry).await? {
        let mut mistakes = Mistakes::default();
        let words = "This address cannot be invited: it is not one, or it has an account here already.";
        mistakes.add("email", words);
        let (status, typed) = (StatusCode::UNPROCESSABLE_ENTITY, (given.email.as_str(), role));
        return super::form(&site, &viewer, status, typed, mistakes, None).await;
    }
    Ok(shown(&viewer, &caller, user.email, &token))
}

/// `false` when the address has an account, or the team is full.
async fn add(
    site: &Site,
    viewer: &Viewer,
    user: User,
    (hash, expires): (SecretHash, Timestamp),
    entry: Entry,
) -> Result<bool, Error> {
    let (network, partner) = (viewer.network.id, viewer.partner.id);
    let write = move |tx: &mut Tx<'_>| {
        let team = user::lock_team(tx, network, partner)?;
        if user::by_email(tx, network, &user.email)?.is_some() || is_full(&team) {
            return Ok(false);
        }
        user::insert(tx, &user)?;
        user::invite(tx, user.id, hash, expires)?;
        audit::record(tx, &entry).map(|()| true)
    };
    site.app.db.write(write).await
}

/// Whether nobody more can be listed.
fn is_full(team: &[(UserId, TeamRole)]) -> bool {
    i64::try_from(team.len()).unwrap_or(i64::MAX) >= user::MAX_LISTED
}

/// Whether it looks like an address; whether somebody reads it only mail would tell.
fn is_address(text: &str) -> bool {
    let Some((name, host)) = text.rsplit_once('@') else { return false };
    !name.is_empty() && host.contains('.') && !text.contains(char::is_whitespace) && text.len() <= 320
}

fn shown(viewer: &Viewer, caller: &Caller, email: String, token: &str) -> Answer {
    let shell = Shell::new(viewer, Section::Team, "One-time link", &email).below("/team", "Team");
    let link = format!("{}/invitation/{token}", caller.base());
    let until = viewer.format.time(viewer.now.plus_ms(LINK_MS));
    page::html(StatusCode::OK, &Shown { shell, email, link, until })
}

/// Makes a new link for somebody, and shows it this once. Their old password works until they follow it.
pub(crate) async fn link(
    State(site): State<Arc<Site>>,
    Owner(viewer): Owner,
    caller: Caller,
    Path(given): Path<String>,
) -> Result<Answer, Refused> {
    let other = mate(&site, &viewer, &given).await?;
    let token = site.secret("sut_");
    let (hash, expires) = (SecretHash::of(&token), viewer.now.plus_ms(LINK_MS));
    let entry = entry(&site, &viewer, &other, &json!({ "event": "new one-time link" }));
    let id = other.id;
    let made = move |tx: &mut Tx<'_>| {
        user::invite(tx, id, hash, expires)?;
        audit::record(tx, &entry)
    };
    site.app.db.write(made).await?;
    Ok(shown(&viewer, &caller, other.email, &token))
}

/// What a role's form sends.
#[derive(Debug, Deserialize)]
pub(crate) struct Given {
    role: String,
}

/// Changes a role; the last owner stays one.
pub(crate) async fn role(
    State(site): State<Arc<Site>>,
    Owner(viewer): Owner,
    Path(given): Path<String>,
    Form(form): Form<Given>,
) -> Result<Answer, Refused> {
    let other = mate(&site, &viewer, &given).await?;
    let role: TeamRole = form.role.parse().map_err(|_| Refused::Absent)?;
    let change = json!({ "event": "role changed", "old": other.access.team(), "new": role });
    let entry = entry(&site, &viewer, &other, &change);
    let changed = User { access: Access::Partner(viewer.partner.id, role), ..other };
    let (network, partner) = (viewer.network.id, viewer.partner.id);
    let write = move |tx: &mut Tx<'_>| {
        let team = user::lock_team(tx, network, partner)?;
        if role != TeamRole::Owner && is_last_owner(&team, changed.id) {
            return Ok(false);
        }
        user::update(tx, &changed)?;
        audit::record(tx, &entry).map(|()| true)
    };
    let done: Result<bool, Error> = site.app.db.write(write).await;
    Ok(page::see_other(if done? { "/team?said=role" } else { "/team?said=last" }))
}

/// What the form sends that removes somebody.
#[derive(Debug, Deserialize)]
pub(crate) struct Confirmed {
    email: String,
}

/// Removes somebody whose address was typed; the last owner stays.
pub(crate) async fn remove(
    State(site): State<Arc<Site>>,
    Owner(viewer): Owner,
    Path(given): Path<String>,
    Form(confirmed): Form<Confirmed>,
) -> Result<Answer, Refused> {
    let other = mate(&site, &viewer, &given).await?;
    if login::email(&confirmed.email) != other.email {
        let mut mistakes = Mistakes::default();
        let words = format!("To remove {}, type exactly that address.", other.email);
        mistakes.add(&format!("remove-{}", other.id), words);
        let (status, empty) = (StatusCode::UNPROCESSABLE_ENTITY, ("", TeamRole::Member));
        return super::form(&site, &viewer, status, empty, mistakes, None).await;
    }
    let entry = entry(&site, &viewer, &other, &json!({ "event": "removed" }));
    let (network, partner, id) = (viewer.network.id, viewer.partner.id, other.id);
    let write = move |tx: &mut Tx<'_>| {
        let team = user::lock_team(tx, network, partner)?;
        if is_last_owner(&team, id) {
            return Ok(false);
        }
        user::remove(tx, id)?;
        audit::record(tx, &entry).map(|()| true)
    };
    let done: Result<bool, Error> = site.app.db.write(write).await;
    let to = match (done?, id == viewer.user.id) {
        (true, true) => "/login",
        (true, false) => "/team?said=removed",
        (false, _) => "/team?said=last",
    };
    Ok(page::see_other(to))
}

fn is_last_owner(team: &[(UserId, TeamRole)], id: UserId) -> bool {
    let mut owners = team.iter().filter(|(_, role)| *role == TeamRole::Owner).map(|(owner, _)| *owner);
    owners.next() == Some(id) && owners.next().is_none()
}

/// Somebody of the viewer's own team.
async fn mate(site: &Site, viewer: &Viewer, given: &str) -> Result<User, Refused> {
    let id: UserId = given.parse().map_err(|_| Refused::Absent)?;
    let found = site.app.db.read(move |tx| user::find(tx, id)).await?;
    let own =
        |user: &User| user.network == viewer.network.id && user.access.partner() == Some(viewer.partner.id);
    found.map(|account| account.user).filter(own).ok_or(Refused::Absent)
}

fn entry(site: &Site, viewer: &Viewer, other: &User, change: &Value) -> Entry {
    site.entry(viewer.network.id, &viewer.user.email, format!("user/{}", other.email), change)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn only_the_one_owner_is_the_last() {
        let id = |number| UserId(Uuid::from_u128(number));
        let mut team = vec![(id(1), TeamRole::Owner), (id(2), TeamRole::Member)];
        assert!(is_last_owner(&team, id(1)) && !is_last_owner(&team, id(2)));
        team.push((id(3), TeamRole::Owner));
        assert!(!is_last_owner(&team, id(1)) && !is_last_owner(&team, id(3)));
    }

    #[test]
    fn an_address_has_a_name_and_a_host() {
        assert!(is_address("ada@app.example") && is_address("a@b@app.example"));
        for wrong in ["", "ada", "@app.example", "ada@app", "a da@app.example"] {
            assert!(!is_address(wrong), "{wrong}");
        }
    }

    #[test]
    fn the_link_is_shown_whole() {
        let shell = Shell::sample(Section::Team, "One-time link");
        let link = "http://127.0.0.1:8080/invitation/sut_x".to_owned();
        let page = Shown { shell, email: "<script>".to_owned(), link: link.clone(), until: String::new() };
        let text = page.render().unwrap();
        assert!(!text.contains("<script>") && text.contains(&link));
    }
}
