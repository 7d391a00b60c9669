//! Links: one offer for one partner.

use std::collections::HashMap;
use std::sync::Arc;

use domain::ambient::Ambient;
use domain::id::{LinkId, OfferId, PartnerId};
use domain::link::{Link, LinkApproval};
use domain::offer::Offer;
use domain::partner::Partner;

use crate::catalog::{Dangling, each_row};
use crate::{Error, Statement, Tx, Value, audit, catalog};

pub(crate) const ALL: &[&Statement] = &[&EVERY, &OF_OFFER, &INSERT, &REQUEST, &UPDATE];

static EVERY: Statement = Statement::new(
    "link.all",
    "select link_id, offer_id, partner_id, approval from link where link_id > ?1 order by link_id limit ?2",
);

static INSERT: Statement = Statement::new(
    "link.insert",
    "insert into link (link_id, network_id, offer_id, partner_id, approval) values (?1, ?2, ?3, ?4, ?5)",
);

static OF_OFFER: Statement = Statement::new(
    "link.of_offer",
    "select link_id, approval from link where network_id = ?1 and offer_id = ?2 and partner_id = ?3",
);

/// Two who ask at once get one link.
static REQUEST: Statement = Statement::new(
    "link.request",
    "insert into link (link_id, network_id, offer_id, partner_id, approval) values (?1, ?2, ?3, ?4, ?5)
     on conflict (network_id, offer_id, partner_id) do nothing",
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

/// A partner's link on an offer, as it is stored now: the catalog in memory learns of a new one a moment later.
pub fn of_offer(
    tx: &mut Tx<'_>,
    partner: &Partner,
    offer: OfferId,
) -> Result<Option<(LinkId, LinkApproval)>, Error> {
    let params = [partner.network.uuid().into(), offer.uuid().into(), partner.id.uuid().into()];
    let row = tx.query_one(&OF_OFFER, &params)?;
    row.map(|row| Ok((LinkId(row.uuid("link_id")?), row.code("approval")?))).transpose()
}

/// Adds the link that a partner asks for, with its line in the audit log. `false` when it has one already; then nothing
/// changes.
pub fn request(tx: &mut Tx<'_>, ambient: Ambient, link: &Link, actor: &str) -> Result<bool, Error> {
    let Link { offer, partner, .. } = link;
    if tx.execute(&REQUEST, &columns(link))? == 0 {
        return Ok(false);
    }
    catalog::touch(tx)?;
    let at = ambient.now();
    let change = serde_json::json!({
        "result": "created",
        "changes": [{ "field": "approval", "old": null, "new": link.approval.code() }],
    });
    let entry = audit::Entry {
        id: ambient.new_id(at),
        network: partner.network,
        at,
        actor: actor.to_owned(),
        subject: format!("link/{}/{}", offer.slug, partner.slug),
        change: change.to_string(),
    };
    audit::record(tx, &entry)?;
    Ok(true)
}

/// Adds a link. [`Error::Conflict`] when the partner already has one for the offer.
pub fn insert(tx: &mut Tx<'_>, link: &Link) -> Result<(), Error> {
    tx.execute(&INSERT, &columns(link)).map(drop)
}

fn columns(link: &Link) -> [Value; 5] {
    [
        link.id.uuid().into(),
        link.partner.network.uuid().into(),
        link.offer.id.uuid().into(),
        link.partner.id.uuid().into(),
        link.approval.code().into(),
    ]
}

/// Changes whether the partner may run it.
pub fn update(tx: &mut Tx<'_>, link: &Link) -> Result<(), Error> {
    tx.execute(&UPDATE, &[link.id.uuid().into(), link.approval.code().into()]).map(drop)
}
