//! Links: one offer for one partner.

use std::collections::HashMap;
use std::sync::Arc;

use domain::id::{LinkId, OfferId, PartnerId};
use domain::link::Link;
use domain::offer::Offer;
use domain::partner::Partner;

use crate::catalog::{Dangling, each_row};
use crate::{Error, Statement, Tx};

pub(crate) const ALL: &[&Statement] = &[&EVERY, &INSERT, &UPDATE];

static EVERY: Statement = Statement::new(
    "link.all",
    "select link_id, offer_id, partner_id, approval from link where link_id > ?1 order by link_id limit ?2",
);

static INSERT: Statement = Statement::new(
    "link.insert",
    "insert into link (link_id, network_id, offer_id, partner_id, approval) values (?1, ?2, ?3, ?4, ?5)",
);

static UPDATE: Statement = Statement::new("link.update", "update link set approval = ?2 where link_id = ?1");

/// Every link, with its offer and partner out of those given.
pub fn all(
    tx: &mut Tx<'_>,
    offers: &HashMap<OfferId, Arc<Offer>>,
    partners: &HashMap<PartnerId, Arc<Partner>>,
) -> Result<HashMap<LinkId, Arc<Link>>, Error> {
    let mut all = HashMap::new();
    each_row(tx, &EVERY, "link_id", |row| {
        let id = LinkId(row.uuid("link_id")?);
        let (offer, partner) = (row.uuid("offer_id")?, row.uuid("partner_id")?);
        let dangling = |what, id| Error::bug(EVERY.name, Dangling { what, id });
        let link = Link {
            id,
            offer: offers.get(&OfferId(offer)).cloned().ok_or_else(|| dangling("offer", offer))?,
            partner: partners
                .get(&PartnerId(partner))
                .cloned()
                .ok_or_else(|| dangling("partner", partner))?,
            approval: row.code("approval")?,
        };
        all.insert(id, Arc::new(link));
        Ok(())
    })?;
    Ok(all)
}

/// Adds a link. [`Error::Conflict`] when the partner already has one for the offer.
pub fn insert(tx: &mut Tx<'_>, link: &Link) -> Result<(), Error> {
    let params = [
        link.id.uuid().into(),
        link.partner.network.uuid().into(),
        link.offer.id.uuid().into(),
        link.partner.id.uuid().into(),
        link.approval.code().into(),
    ];
    tx.execute(&INSERT, &params).map(drop)
}

/// Changes whether the partner may run it.
pub fn update(tx: &mut Tx<'_>, link: &Link) -> Result<(), Error> {
    tx.execute(&UPDATE, &[link.id.uuid().into(), link.approval.code().into()]).map(drop)
}
