//! Who looks: the extractors that every page behind the log-in takes. What a page may show hangs on them, never on
//! what was asked for.

use std::sync::Arc;

use domain::catalog::Catalog;
use domain::id::{LinkId, OfferId};
use domain::link::Link;
use domain::network::Network;
use domain::partner::Partner;
use domain::time::Timestamp;
use domain::user::User;
use jiff::tz::TimeZone;

/// Somebody of one partner, logged in, with the catalog as it was when the request came.
pub(crate) struct Viewer {
    /// Who.
    pub(crate) user: User,
    /// Their network.
    pub(crate) network: Arc<Network>,
    /// Their partner.
    pub(crate) partner: Arc<Partner>,
    /// The zone that they read times in.
    pub(crate) zone: TimeZone,
    /// When the request came.
    pub(crate) now: Timestamp,
    catalog: Arc<Catalog>,
}

impl Viewer {
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
}
