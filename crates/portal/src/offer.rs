//! Offers as one partner sees them: the list, and each offer's page with its tabs. What the advertiser pays and who
//! that is are in no type that a template of these files is given.

mod detail;
mod list;
mod tabs;
mod words;

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::http::header::HOST;
use domain::id::{LinkId, OfferId};
use domain::link::{Link, LinkApproval};
use domain::offer::{Admission, Offer, OfferKind, OfferStatus};
use domain::partner::PartnerStatus;
use domain::time::Timestamp;
use web::link_check;

use crate::component::Tab;
use crate::page::{Answer, Section, Shell, see_other};
use crate::refused::Refused;
use crate::site::Site;
use crate::viewer::{Member, Viewer};

pub(crate) use self::detail::{customise, show};
pub(crate) use self::list::{file, list};
pub(crate) use self::tabs::{activity, events, postbacks};
pub(crate) use self::words::{Clicked, clicked};

/// A partner's own link on an offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Own {
    /// Its id.
    pub(crate) id: LinkId,
    /// Whether the partner may run it.
    pub(crate) approval: LinkApproval,
}

/// An offer that the viewer may see, with the partner's link on it.
pub(crate) struct Found {
    /// The offer.
    pub(crate) offer: Arc<Offer>,
    /// The link, as it is stored now.
    pub(crate) own: Option<Own>,
}

/// The tabs of an offer's page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Show {
    /// What it is, and the link.
    Details,
    /// What the system has seen of the link.
    Checklist,
    /// Test clicks and conversions.
    Test,
    /// The events of a multi-event offer.
    Events,
    /// Where the partner is told of its conversions.
    Postbacks,
    /// The newest clicks and conversions.
    Activity,
}

/// The offer of an address. One that the viewer may not see is not there: an id of another network, a draft, or no id
/// at all.
pub(crate) async fn find(site: &Site, viewer: &Viewer, id: &str) -> Result<Found, Refused> {
    let id: OfferId = id.parse().map_err(|_| Refused::Absent)?;
    let catalog = site.app.live.catalog.load_full();
    let offer = catalog.offers.get(&id).filter(|offer| offer.network.id == viewer.network.id);
    let offer = Arc::clone(offer.ok_or(Refused::Absent)?);
    let partner = Arc::clone(&viewer.partner);
    let own = site.app.db.read(move |tx| store::link::of_offer(tx, &partner, id)).await?;
    let own = own.map(|(id, approval)| Own { id, approval });
    if own.is_none() && !offer.is_offered(viewer.now) {
        return Err(Refused::Absent);
    }
    Ok(Found { offer, own })
}

impl Found {
    /// The address of the page.
    pub(crate) fn path(&self) -> String {
        format!("/offers/{}", self.offer.id)
    }

    /// The frame around one of its tabs.
    pub(crate) fn shell(&self, viewer: &Viewer) -> Shell {
        let subtitle = words::state(&self.offer, viewer.now, &viewer.format);
        Shell::new(viewer, Section::Offers, &self.offer.name, &subtitle).below("/offers", "Offers")
    }

    /// The row of tabs.
    pub(crate) fn tabs(&self, current: Show) -> Vec<Tab> {
        let path = self.path();
        let tab = |show, end: &str, word| Tab::new(format!("{path}{end}"), word, current == show);
        let events = self.offer.kind() == OfferKind::MultiEvent;
        let all = [
            Some(tab(Show::Details, "", "Offer details")),
            Some(tab(Show::Checklist, "/checklist", "Checklist")),
            Some(tab(Show::Test, "/test", "Test")),
            events.then(|| tab(Show::Events, "/events", "Events")),
            Some(tab(Show::Postbacks, "/postbacks", "Postbacks")),
            Some(tab(Show::Activity, "/activity", "Activity")),
        ];
        all.into_iter().flatten().collect()
    }

    /// Code and name of each event that partners are shown.
    pub(crate) fn events(&self) -> Vec<(String, String)> {
        words::visible(&self.offer).map(|event| (event.code.clone(), event.name.clone())).collect()
    }

    /// What the viewer can do about a link.
    pub(crate) fn ask(&self, viewer: &Viewer) -> Ask {
        let open = self.offer.is_offered(viewer.now)
            && self.offer.stage_at(viewer.now) != OfferStatus::Expired
            && viewer.partner.status == PartnerStatus::Active;
        match self.offer.rules.link_approval {
            _ if self.own.is_some() || !open => Ask::Nothing,
            _ if !viewer.may_change() => Ask::Nothing,
            Admission::Automatic => Ask::Get,
            Admission::OnRequest => Ask::Request,
        }
    }
}

/// What a viewer can do about a link that there is not yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ask {
    /// There is one, or none can be had.
    Nothing,
    /// It works at once.
    Get,
    /// The network decides.
    Request,
}

impl Ask {
    /// The word on the button; empty for none.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Nothing => "",
            Self::Get => "Get link",
            Self::Request => "Request link",
        }
    }
}

/// `POST /offers/{offer}/link`: makes the partner's link, or asks for it.
pub(crate) async fn request(
    State(site): State<Arc<Site>>,
    Member(viewer): Member,
    Path(id): Path<String>,
) -> Result<Answer, Refused> {
    let found = find(&site, &viewer, &id).await?;
    if found.ask(&viewer) != Ask::Nothing {
        let ambient = site.app.ambient;
        let Found { offer, .. } = &found;
        let (offer, partner) = (Arc::clone(offer), Arc::clone(&viewer.partner));
        let approval = LinkApproval::of_new(offer.rules.link_approval);
        let actor = viewer.user.email.clone();
        let made: Result<bool, store::Error> = site
            .app
            .db
            .write(move |tx| {
                let id = LinkId(ambient.new_id(ambient.now()));
                let (offer, partner) = (Arc::clone(&offer), Arc::clone(&partner));
                store::link::request(tx, ambient, &Link { id, offer, partner, approval }, &actor)
            })
            .await;
        made?;
    }
    Ok(see_other(&found.path()))
}

/// Where a link is reached, without parameters.
pub(crate) fn address(site: &Site, viewer: &Viewer, headers: &HeaderMap, link: LinkId) -> String {
    let base = site.app.settings.public_url.as_deref().map_or_else(
        || {
            let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
            let host =
                host.strip_prefix("app.").map_or_else(|| host.to_owned(), |rest| format!("api.{rest}"));
            format!("http://{host}")
        },
        |url| url.trim_end_matches('/').replace("{network}", &viewer.network.label),
    );
    format!("{base}{}{link}", link_check::PATH)
}

/// A link's state as a pill: its kind and word.
pub(crate) fn approval_pill(own: Option<Own>) -> Option<(&'static str, &'static str)> {
    own.map(|own| match own.approval {
        LinkApproval::Approved => ("good", "Approved"),
        LinkApproval::Requested => ("info", "Requested"),
        LinkApproval::Refused => ("bad", "Refused"),
    })
}

/// An offer's state as a pill: its kind and word.
pub(crate) fn stage_pill(offer: &Offer, now: Timestamp) -> (&'static str, &'static str) {
    match offer.stage_at(now) {
        OfferStatus::Active => ("good", "Active"),
        OfferStatus::Paused => ("attention", "Paused"),
        OfferStatus::Expired => ("plain", "Expired"),
        OfferStatus::Pending => ("info", "Not started"),
        OfferStatus::Draft => ("plain", "Withdrawn"),
    }
}
