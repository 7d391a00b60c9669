//! *Send test*: a made-up conversion to one postback, put into the outbox like any other, so that what the partner sees
//! is what the worker sends.

use std::sync::Arc;

use axum::Form;
use axum::extract::{Path, State};
use domain::conversion::Status;
use domain::link::{Link, LinkApproval};
use domain::postback::{Postback, Scope};
use serde::Deserialize;
use store::delivery::trial::{self, Trial};

use super::own;
use crate::component::{Choice, Mistakes};
use crate::page::{self, Answer};
use crate::query::Query;
use crate::refused::Refused;
use crate::site::Site;
use crate::viewer::{Member, Viewer};

/// The longest id, in bytes: as in a tracking link.
const MOST_BYTES: usize = 255;

/// What the form sends.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Given {
    pub_click_id: String,
    pub_member_id: String,
    pub_sub_1: String,
    status: String,
}

/// The form as it is shown.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    pub(crate) click: String,
    pub(crate) member: String,
    pub(crate) sub: String,
    pub(crate) statuses: Vec<Choice>,
    pub(crate) mistakes: Mistakes,
}

impl Default for Draft {
    fn default() -> Self {
        let text = str::to_owned;
        Self {
            click: text("test-click-1"),
            member: text("test-member-1"),
            sub: String::new(),
            statuses: statuses(Status::Success),
            mistakes: Mistakes::default(),
        }
    }
}

fn statuses(chosen: Status) -> Vec<Choice> {
    Status::ALL.iter().map(|own| Choice::new(own.code(), own.code(), *own == chosen)).collect()
}

/// Puts a test into the outbox, and goes to the page that shows what comes of it.
pub(crate) async fn send(
    State(site): State<Arc<Site>>,
    Member(viewer): Member,
    Path(id): Path<String>,
    Form(given): Form<Given>,
) -> Result<Answer, Refused> {
    let kept = own(&site, &viewer, &id).await?;
    let (told, mut mistakes) = read(&given);
    let link = link(&viewer, kept.postback.scope);
    if !kept.postback.enabled {
        mistakes.add("trial", "The postback is switched off; switch it on first.");
    } else if link.is_none() {
        mistakes.add(
            "trial",
            "A test needs an approved link to one of these offers; ask for one on the offer's page.",
        );
    }
    if let (Some(link), true) = (link, mistakes.is_empty()) {
        let (link, postback, trial) = (Arc::clone(link), kept.postback.clone(), told.clone());
        match put(&site, postback, link, trial).await? {
            Some(delivery) => return Ok(page::see_other(&format!("/deliveries/{delivery}"))),
            None => mistakes.add("trial", "The offer has no event that a test could tell of."),
        }
    }
    let sub = told.subs.into_iter().next().map(|(_, sub)| sub).unwrap_or_default();
    let (click, member) = (told.pub_click_id, told.pub_member_id);
    let draft = Draft { click, member, sub, statuses: statuses(told.status), mistakes };
    super::render(&site, &viewer, &kept, &Query::default(), draft).await
}

async fn put(
    site: &Site,
    postback: Postback,
    link: Arc<Link>,
    told: Trial,
) -> Result<Option<domain::id::DeliveryId>, store::Error> {
    let ambient = site.app.ambient;
    let sent = site.app.db.write(move |tx| trial::send(tx, ambient, &postback, &link, &told)).await;
    site.app.bell.ring();
    sent
}

fn read(given: &Given) -> (Trial, Mistakes) {
    let mut mistakes = Mistakes::default();
    for (field, value, required) in [
        ("pub_click_id", &given.pub_click_id, true),
        ("pub_member_id", &given.pub_member_id, true),
        ("pub_sub_1", &given.pub_sub_1, false),
    ] {
        if required && value.is_empty() {
            mistakes.add(field, format!("{field} cannot be empty."));
        } else if value.len() > MOST_BYTES || value.contains(char::is_control) {
            mistakes.add(field, format!("{field} is to be one line of at most {MOST_BYTES} bytes."));
        }
    }
    let subs = if given.pub_sub_1.is_empty() { Vec::new() } else { vec![(1, given.pub_sub_1.clone())] };
    let told = Trial {
        pub_click_id: given.pub_click_id.clone(),
        pub_member_id: given.pub_member_id.clone(),
        subs,
        status: given.status.parse().unwrap_or(Status::Success),
    };
    (told, mistakes)
}

/// A link in the scope that the partner may run, the first by name.
fn link(viewer: &Viewer, scope: Scope) -> Option<&Arc<Link>> {
    let fits = |link: &&Arc<Link>| match scope {
        Scope::Global => true,
        Scope::Offer(offer) | Scope::Event(offer, _) => link.offer.id == offer,
    };
    let approved = viewer.links().filter(|link| link.approval == LinkApproval::Approved);
    approved.filter(fits).min_by(|a, b| a.offer.name.cmp(&b.offer.name))
}
