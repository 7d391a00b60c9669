//! Who looks: the extractors that every page behind the log-in takes. What a page may show hangs on them, never on
//! what was asked for.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::Method;
use axum::http::request::Parts;
use domain::catalog::Catalog;
use domain::id::{LinkId, OfferId};
use domain::link::Link;
use domain::network::Network;
use domain::partner::Partner;
use domain::time::{MINUTE_MS, Timestamp};
use domain::user::{TeamRole, User};
use jiff::tz::TimeZone;
use store::session::{self, Held, Stage};
use store::story::Story;
use uuid::Uuid;

use crate::caller::Caller;
use crate::elsewhere;
use crate::format::Format;
use crate::page::{self, Answer};
use crate::router::Rule;
use crate::site::Site;
use crate::theme::Theme;

/// How exactly it is known when a session was last used: not every request is worth a write.
const SEEN_MS: i64 = 5 * MINUTE_MS;

/// What stands in the place of an event that partners are not shown.
pub(crate) const HIDDEN: &str = "(not shown)";

/// Somebody of one partner, logged in, with the catalog as it was when the request came.
#[derive(Clone)]
pub(crate) struct Viewer {
    /// Who.
    pub(crate) user: User,
    /// What they may do at their partner.
    pub(crate) role: TeamRole,
    /// Their network.
    pub(crate) network: Arc<Network>,
    /// Their partner.
    pub(crate) partner: Arc<Partner>,
    /// The zone that they read times in.
    pub(crate) zone: TimeZone,
    /// How numbers, money and times are written for them.
    pub(crate) format: Format,
    /// Light or dark.
    pub(crate) theme: Theme,
    /// When the request came.
    pub(crate) now: Timestamp,
    /// The session that they look in.
    pub(crate) session: Uuid,
    catalog: Arc<Catalog>,
}

impl Viewer {
    /// Whether they may change anything.
    pub(crate) fn may_change(&self) -> bool {
        self.role != TeamRole::ReadOnly
    }

    /// Whether they may say who may do what.
    pub(crate) fn is_owner(&self) -> bool {
        self.role == TeamRole::Owner
    }

    /// The partner's own link on an offer; none for offers it does not run, which look like ones that are not there.
    pub(crate) fn link_of(&self, offer: OfferId) -> Option<&Arc<Link>> {
        self.links().find(|link| link.offer.id == offer)
    }

    /// One of the partner's own links.
    pub(crate) fn link(&self, id: LinkId) -> Option<&Arc<Link>> {
        self.catalog.links.get(&id).filter(|link| link.partner.id == self.partner.id)
    }

    /// The partner's own links.
    pub(crate) fn links(&self) -> impl Iterator<Item = &Arc<Link>> {
        self.catalog.links.values().filter(|link| link.partner.id == self.partner.id)
    }

    /// The code of an event as the viewer may read it: partners are not shown every one.
    pub(crate) fn event_code<'c>(&self, link: LinkId, code: &'c str) -> &'c str {
        let shown = |link: &Arc<Link>| link.offer.event(code).is_some_and(|event| event.visible);
        if code.is_empty() || self.link(link).is_some_and(shown) { code } else { HIDDEN }
    }

    /// The same of a code that stands for the events of several offers.
    pub(crate) fn shows_event(&self, code: &str) -> bool {
        self.links().any(|link| link.offer.event(code).is_some_and(|event| event.visible))
    }

    /// Takes out of a story what partners are not shown.
    pub(crate) fn cover(&self, mut story: Story) -> Story {
        let Some(link) = story.click.as_ref().map(|click| click.link) else { return story };
        for conversion in &mut story.conversions {
            conversion.event = conversion.event.take().map(|code| self.event_code(link, &code).to_owned());
        }
        story
    }

    /// Whether a rule lets them in.
    fn fits(&self, rule: Rule) -> bool {
        match rule {
            Rule::Public | Rule::Partner => true,
            Rule::PartnerMember => self.may_change(),
            Rule::PartnerOwner => self.is_owner(),
        }
    }
}

/// A viewer who may change things.
pub(crate) struct Member(pub(crate) Viewer);

/// A viewer who may say who may do what.
pub(crate) struct Owner(pub(crate) Viewer);

impl FromRequestParts<Arc<Site>> for Viewer {
    type Rejection = Answer;

    async fn from_request_parts(head: &mut Parts, site: &Arc<Site>) -> Result<Self, Answer> {
        admit(head, site, Rule::Partner).await
    }
}

impl FromRequestParts<Arc<Site>> for Member {
    type Rejection = Answer;

    async fn from_request_parts(head: &mut Parts, site: &Arc<Site>) -> Result<Self, Answer> {
        admit(head, site, Rule::PartnerMember).await.map(Self)
    }
}

impl FromRequestParts<Arc<Site>> for Owner {
    type Rejection = Answer;

    async fn from_request_parts(head: &mut Parts, site: &Arc<Site>) -> Result<Self, Answer> {
        admit(head, site, Rule::PartnerOwner).await.map(Self)
    }
}

/// Lets somebody in by a rule, or says what they get instead. The router asks before every handler; what it found is
/// kept with the request, so that the handler's own question costs nothing.
pub(crate) async fn admit(head: &mut Parts, site: &Arc<Site>, rule: Rule) -> Result<Viewer, Answer> {
    let viewer = match head.extensions.get::<Viewer>() {
        Some(viewer) => viewer.clone(),
        None => look_up(head, site).await?,
    };
    if !viewer.fits(rule) {
        return Err(page::forbidden());
    }
    head.extensions.insert(viewer.clone());
    Ok(viewer)
}

async fn look_up(head: &Parts, site: &Arc<Site>) -> Result<Viewer, Answer> {
    let caller = Caller::of(head, site).ok_or_else(page::absent)?;
    let now = site.app.ambient.now();
    let known = held(site, &caller, now).await.map_err(|error| {
        tracing::warn!(%error, "a session cannot be looked up");
        page::unavailable()
    })?;
    let known = known.filter(|known| known.session.stage == Stage::Open).ok_or_else(|| to_log_in(head))?;
    touch(site, &caller, &known, now).await;
    let catalog = site.app.live.catalog.load_full();
    let own = known.user.access.partner().zip(known.user.access.team());
    let own = own.and_then(|(partner, role)| Some((catalog.partners.get(&partner)?, role)));
    let (partner, role) = own.ok_or_else(|| elsewhere::page(&caller, &known.user))?;
    let partner = Arc::clone(partner);
    let zone = known.reading.zone.as_deref().unwrap_or(&caller.network.zone);
    let zone = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
    let format = Format::new(zone.clone(), known.reading.style);
    let (network, theme, session) = (caller.network, caller.theme, known.session.id);
    Ok(Viewer { user: known.user, role, network, partner, zone, format, theme, now, session, catalog })
}

/// The session of a caller's cookie; one of another network is none.
pub(crate) async fn held(site: &Site, caller: &Caller, now: Timestamp) -> Result<Option<Held>, store::Error> {
    let Some(token) = caller.token else { return Ok(None) };
    let held = site.app.db.read(move |tx| session::live(tx, token, now)).await?;
    Ok(held.filter(|held| held.user.network == caller.network.id))
}

async fn touch(site: &Site, caller: &Caller, held: &Held, now: Timestamp) {
    let address = caller.address.to_string();
    let seen = &held.session;
    if seen.seen.plus_ms(SEEN_MS) > now && seen.address == address {
        return;
    }
    let id = seen.id;
    let noted: Result<(), store::Error> =
        site.app.db.write(move |tx| session::touch(tx, id, &address, now)).await;
    if let Err(error) = noted {
        // Only for the list of sessions: that it cannot be written is no reason to refuse.
        tracing::warn!(%error, "cannot note that a session was used");
    }
}

/// The way to the log-in, and from there back to the page that was asked for.
fn to_log_in(head: &Parts) -> Answer {
    let page = head.uri.path_and_query().map_or("/", |page| page.as_str());
    if head.method != Method::GET || page.len() > 1_000 {
        return page::see_other("/login");
    }
    let next: String = url::form_urlencoded::byte_serialize(page.as_bytes()).collect();
    page::see_other(&format!("/login?next={next}"))
}
