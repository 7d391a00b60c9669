//! Making and changing a postback, by the rules that a file's `[[postback]]` has.

use std::sync::Arc;

use askama::Template;
use axum::Form;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use domain::id::{NetworkId, OfferId, PartnerId, PostbackId};
use domain::postback::{Method, Postback, PostbackUrl, Scope, Wanted};
use domain::slug;
use serde::Deserialize;
use serde_json::json;
use store::audit::Entry;
use store::postback::{Kept, MOST};
use store::{Error, Tx, audit};

use super::{own, scopes, shell, wanted_boxes};
use crate::component::{Choice, Mistakes};
use crate::page::{self, Answer, Shell};
use crate::query::Query;
use crate::refused::Refused;
use crate::site::Site;
use crate::viewer::{Member, Viewer};

/// What a form sends.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Given {
    pub(crate) name: String,
    pub(crate) url: String,
    pub(crate) method: String,
    pub(crate) scope: String,
    on_success: Option<String>,
    on_pending: Option<String>,
    on_rejected: Option<String>,
    on_changes: Option<String>,
}

impl Given {
    fn wanted(&self) -> Wanted {
        Wanted {
            success: self.on_success.is_some(),
            pending: self.on_pending.is_some(),
            rejected: self.on_rejected.is_some(),
            changes: self.on_changes.is_some(),
        }
    }

    /// A postback as a form shows it.
    fn of(viewer: &Viewer, postback: &Postback) -> Self {
        let on = |wanted: bool| wanted.then(String::new);
        let wanted = postback.wanted;
        Self {
            name: postback.slug.clone(),
            url: postback.url.text().to_owned(),
            method: postback.method.code().to_owned(),
            scope: scope_value(viewer, postback.scope),
            on_success: on(wanted.success),
            on_pending: on(wanted.pending),
            on_rejected: on(wanted.rejected),
            on_changes: on(wanted.changes),
        }
    }

    /// What stands in an address, as the builder leads here.
    fn read(query: &Query) -> Self {
        let text = |name: &str| query.get(name).unwrap_or_default().to_owned();
        Self {
            name: text("name"),
            url: text("url"),
            method: text("method"),
            scope: text("scope"),
            on_success: Some(String::new()),
            ..Self::default()
        }
    }
}

/// A scope as it stands in a form and an address.
pub(crate) fn scope_value(viewer: &Viewer, scope: Scope) -> String {
    match scope {
        Scope::Global => String::new(),
        Scope::Offer(offer) => offer.to_string(),
        Scope::Event(offer, _) => {
            let code = viewer.link_of(offer).and_then(|link| scope.event_code(&link.offer));
            format!("{offer}/{}", code.unwrap_or_default())
        }
    }
}

/// The scope that was chosen: only offers that the viewer runs, and only events that partners are shown.
pub(crate) fn scope_of(viewer: &Viewer, text: &str) -> Result<Scope, String> {
    if text.is_empty() {
        return Ok(Scope::Global);
    }
    let (offer, event) = text.split_once('/').map_or((text, None), |(offer, event)| (offer, Some(event)));
    let link = offer.parse::<OfferId>().ok().and_then(|offer| viewer.link_of(offer));
    let link = link.ok_or("Choose one of the offers that you run.")?;
    let hidden = |code: &str| link.offer.event(code).is_some_and(|event| !event.visible);
    if event.is_some_and(hidden) {
        return Err("Choose one of the offer's events.".to_owned());
    }
    Scope::of(Some(&link.offer), event).map_err(|bad| format!("The event: {bad}."))
}

/// The methods to choose from.
pub(crate) fn methods(chosen: &str) -> Vec<Choice> {
    let all = [
        ("GET", "GET, everything in the URL"),
        ("POST_FORM", "POST with a form"),
        ("POST_JSON", "POST with JSON"),
    ];
    all.map(|(value, word)| Choice::new(value, word, value == chosen)).to_vec()
}

#[derive(Template)]
#[template(path = "postback/form.html")]
struct Page {
    shell: Shell,
    action: String,
    /// The postback that is changed; empty for a new one.
    id: String,
    given: Given,
    methods: Vec<Choice>,
    scopes: Vec<Choice>,
    boxes: [(&'static str, &'static str, bool, &'static str); 4],
    mistakes: Mistakes,
    button: &'static str,
}

fn page(viewer: &Viewer, kept: Option<&Kept>, given: Given, mistakes: Mistakes) -> Answer {
    let (title, action, id, button) = match kept {
        Some(kept) => {
            let id = kept.postback.id.to_string();
            (format!("Change {}", kept.postback.slug), format!("/postbacks/{id}"), id, "Keep the change")
        }
        None => ("New postback".to_owned(), "/postbacks".to_owned(), String::new(), "Make the postback"),
    };
    let status = if mistakes.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let shell = shell(viewer, &title, "", &Query::default()).below("/postbacks", "Postbacks");
    let page = Page {
        shell,
        action,
        id,
        methods: methods(if given.method.is_empty() { Method::Get.code() } else { &given.method }),
        scopes: scopes(viewer, &given.scope),
        boxes: wanted_boxes(given.wanted()),
        given,
        mistakes,
        button,
    };
    page::html(status, &page)
}

/// The empty form, or what the builder made of a URL.
pub(crate) async fn new(Member(viewer): Member, RawQuery(raw): RawQuery) -> Answer {
    page(&viewer, None, Given::read(&Query::read(raw.as_deref())), Mistakes::default())
}

/// The form of one postback; a URL in the address takes the place of the kept one.
pub(crate) async fn edit(
    State(site): State<Arc<Site>>,
    Member(viewer): Member,
    Path(id): Path<String>,
    RawQuery(raw): RawQuery,
) -> Result<Answer, Refused> {
    let kept = own(&site, &viewer, &id).await?;
    let mut given = Given::of(&viewer, &kept.postback);
    if let Some(url) = Query::read(raw.as_deref()).get("url") {
        url.clone_into(&mut given.url);
    }
    Ok(page(&viewer, Some(&kept), given, Mistakes::default()))
}

/// The postback that a form describes, or everything that is wrong with it.
fn checked(
    viewer: &Viewer,
    given: &Given,
    old: Option<&Postback>,
    id: PostbackId,
) -> Result<Postback, Mistakes> {
    let mut wrong = Mistakes::default();
    let name = given.name.trim();
    if let Err(bad) = slug::check(name) {
        wrong.add("name", format!("The name {bad}."));
    }
    let url =
        PostbackUrl::parse(given.url.trim()).map_err(|bad| wrong.add("url", format!("The URL: {bad}."))).ok();
    let method: Option<Method> = given.method.parse().ok();
    if method.is_none() {
        wrong.add("method", "Choose how the request is sent.");
    }
    let kept = old.filter(|old| scope_value(viewer, old.scope) == given.scope).map(|old| Ok(old.scope));
    let scope = kept.unwrap_or_else(|| scope_of(viewer, &given.scope));
    let scope = scope.map_err(|bad| wrong.add("scope", bad)).ok();
    let wanted = given.wanted();
    if wanted.names().is_empty() {
        wrong.add("on_success-1", "Choose at least one thing to be told of, or switch the postback off.");
    }
    match (url, method, scope) {
        (Some(url), Some(method), Some(scope)) if wrong.is_empty() => Ok(Postback {
            id,
            network: viewer.network.id,
            partner: viewer.partner.id,
            slug: name.to_owned(),
            scope,
            method,
            url,
            wanted,
            enabled: old.is_none_or(|old| old.enabled),
        }),
        _ => Err(wrong),
    }
}

/// What a change of the record came to.
enum Done {
    Kept,
    NameTaken,
    TooMany,
}

/// Makes a postback.
pub(crate) async fn create(
    State(site): State<Arc<Site>>,
    Member(viewer): Member,
    Form(given): Form<Given>,
) -> Result<Answer, Refused> {
    let made = match checked(&viewer, &given, None, PostbackId(site.new_id())) {
        Ok(made) => made,
        Err(wrong) => return Ok(page(&viewer, None, given, wrong)),
    };
    let entry = entry(&site, &viewer, &made.slug, "created", &changes(None, Some(&made)));
    let (stored, at) = (made.clone(), viewer.now);
    let done = site.app.db.write(move |tx| {
        let all = store::postback::of_partner(tx, stored.network, stored.partner)?;
        if all.iter().any(|own| own.postback.slug == stored.slug) {
            return Ok(Done::NameTaken);
        }
        if all.len() >= MOST {
            return Ok(Done::TooMany);
        }
        store::postback::insert(tx, &stored, at)?;
        audit::record(tx, &entry)?;
        Ok::<_, Error>(Done::Kept)
    });
    let mut wrong = Mistakes::default();
    match done.await? {
        Done::Kept => return Ok(page::see_other(&format!("/postbacks/{}?said=created", made.id))),
        Done::NameTaken => wrong.add("name", "You have a postback of this name; choose another."),
        Done::TooMany => {
            wrong.add("name", format!("You have {MOST} postbacks, which is the most; remove one first."));
        }
    }
    Ok(page(&viewer, None, given, wrong))
}

/// Changes a postback.
pub(crate) async fn update(
    State(site): State<Arc<Site>>,
    Member(viewer): Member,
    Path(id): Path<String>,
    Form(mut given): Form<Given>,
) -> Result<Answer, Refused> {
    let kept = own(&site, &viewer, &id).await?;
    // The name is by what files and commands know it, so it stays.
    given.name.clone_from(&kept.postback.slug);
    let made = match checked(&viewer, &given, Some(&kept.postback), kept.postback.id) {
        Ok(made) => made,
        Err(wrong) => return Ok(page(&viewer, Some(&kept), given, wrong)),
    };
    let to = format!("/postbacks/{}?said=updated", made.id);
    let changes = changes(Some(&kept.postback), Some(&made));
    let entry = entry(&site, &viewer, &made.slug, "updated", &changes);
    change(&site, made, entry, store::postback::update).await?;
    Ok(page::see_other(&to))
}

/// Switches a postback on or off.
pub(crate) async fn switch(
    State(site): State<Arc<Site>>,
    Member(viewer): Member,
    Path(id): Path<String>,
    Form(given): Form<Switch>,
) -> Result<Answer, Refused> {
    let Kept { postback: old, .. } = own(&site, &viewer, &id).await?;
    let new = Postback { enabled: given.on == "1", ..old.clone() };
    let said = if new.enabled { "on" } else { "off" };
    let to = format!("/postbacks/{}?said={said}", new.id);
    let entry = entry(&site, &viewer, &new.slug, "updated", &changes(Some(&old), Some(&new)));
    let who = format!("switched off by {}", viewer.user.email);
    change(&site, new, entry, move |tx, new| {
        if new.enabled {
            store::postback::enable(tx, new.id)
        } else {
            store::postback::disable(tx, new.id, &who)
        }
    })
    .await?;
    Ok(page::see_other(&to))
}

/// Which way.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Switch {
    on: String,
}

/// Removes a postback whose name was typed.
pub(crate) async fn remove(
    State(site): State<Arc<Site>>,
    Member(viewer): Member,
    Path(id): Path<String>,
    Form(given): Form<Given>,
) -> Result<Answer, Refused> {
    let kept = own(&site, &viewer, &id).await?;
    if given.name.trim() != kept.postback.slug {
        let mut wrong = Mistakes::default();
        wrong.add("remove", "To remove it, type its name exactly.");
        let given = Given::of(&viewer, &kept.postback);
        return Ok(page(&viewer, Some(&kept), given, wrong));
    }
    let entry = entry(&site, &viewer, &kept.postback.slug, "removed", &changes(Some(&kept.postback), None));
    change(&site, kept.postback, entry, |tx, old| store::postback::remove(tx, old.id)).await?;
    Ok(page::see_other("/postbacks?said=removed"))
}

/// Writes a change of a postback that is still the partner's, with its entry; what is due is looked at again.
async fn change(
    site: &Site,
    postback: Postback,
    entry: Entry,
    write: impl Fn(&mut Tx<'_>, &Postback) -> Result<(), Error> + Send + 'static,
) -> Result<(), Refused> {
    let whose: (NetworkId, PartnerId) = (postback.network, postback.partner);
    let done = site.app.db.write(move |tx| {
        if store::postback::own(tx, whose.0, whose.1, postback.id)?.is_none() {
            return Ok(false);
        }
        write(tx, &postback)?;
        audit::record(tx, &entry)?;
        Ok::<_, Error>(true)
    });
    if !done.await? {
        return Err(Refused::Absent);
    }
    site.app.bell.ring();
    Ok(())
}

fn entry(site: &Site, viewer: &Viewer, slug: &str, result: &str, changes: &[serde_json::Value]) -> Entry {
    let subject = format!("postback/{}/{slug}", viewer.partner.slug);
    let change = json!({ "result": result, "changes": changes });
    site.entry(viewer.network.id, &viewer.user.email, subject, &change)
}

/// What is another one now, as the audit log has it.
fn changes(old: Option<&Postback>, new: Option<&Postback>) -> Vec<serde_json::Value> {
    let facts = |postback: &Postback| {
        let (offer, event) = match postback.scope {
            Scope::Global => (String::new(), String::new()),
            Scope::Offer(offer) => (offer.to_string(), String::new()),
            Scope::Event(offer, event) => (offer.to_string(), event.to_string()),
        };
        let told = postback.wanted.names().join(", ");
        let url = postback.url.text().to_owned();
        let method = postback.method.code().to_owned();
        [offer, event, method, url, told, postback.enabled.to_string()]
    };
    let names = ["offer", "event", "method", "url", "on", "enabled"];
    let (old, new) = (old.map(facts), new.map(facts));
    let at = |facts: &Option<[String; 6]>, n: usize| facts.as_ref().map(|facts| facts[n].clone());
    let pairs = names.iter().enumerate().map(|(n, name)| (name, at(&old, n), at(&new, n)));
    pairs
        .filter(|(_, old, new)| old != new)
        .map(|(field, old, new)| json!({ "field": field, "old": old, "new": new }))
        .collect()
}
