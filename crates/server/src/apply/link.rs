//! `[[link]]`

use std::sync::Arc;

use domain::id::LinkId;
use domain::link::{Link, LinkApproval};
use domain::network::Network;

use super::declaration::{Declared, Noun};
use super::fault::Sound;
use super::fields::{At, Fields};
use super::plan::{Effect, Field, Planner, Step, Write};
use super::value;

/// What the file says of a link.
#[derive(Debug)]
pub(crate) struct Body {
    offer: At<String>,
    partner: At<String>,
    approval: Option<LinkApproval>,
}

pub(crate) fn read(mut fields: Fields<'_>) -> Sound<Declared<Body>> {
    let offer = fields.reference("offer", value::slug);
    let partner = fields.reference("partner", value::slug);
    let name = offer.as_ref().map_err(|told| *told).and_then(|offer| {
        let value = format!("{}/{}", offer.value, partner.as_ref().map_err(|told| *told)?.value);
        Ok(At { at: offer.at, value })
    });
    if let Ok(name) = &name {
        fields.named(format!("link \"{}\"", name.value));
    }
    let approval = fields.optional("approval", value::code);
    let body = offer.and_then(|offer| Ok(Body { offer, partner: partner?, approval: approval? }));
    fields.declare(Noun::Link, name, body)
}

pub(crate) fn plan(
    planner: &mut Planner<'_>,
    network: &Arc<Network>,
    name: &At<String>,
    body: &Body,
) -> Sound<()> {
    let subject = format!("link \"{}\"", name.value);
    let offer = planner.find(&planner.offers, network, &subject, &body.offer);
    let partner = planner.find(&planner.partners, network, &subject, &body.partner);
    let (offer, partner) = (offer?, partner?);
    let old = planner.stored.links.get(&(offer.id, partner.id));
    // People change it while the network runs; a file that does not name it leaves it.
    let when_new = || LinkApproval::of_new(offer.rules.link_approval);
    let approval = body.approval.or(old.map(|old| old.approval)).unwrap_or_else(when_new);
    let id = old.map_or_else(|| LinkId(planner.new_id()), |old| old.id);
    let before = old.map(|old| fields(old));
    let link = Arc::new(Link { id, offer, partner, approval });
    let after = fields(&link);
    let mut step = Step::new(
        (Noun::Link, &name.value),
        network,
        id.uuid(),
        (before, after),
        Write::Link(Arc::clone(&link)),
    );
    if !(planner.dry_run && step.effect == Effect::Created) {
        let query = "pub_click_id=PUB_CLICK_ID&pub_member_id=PUB_MEMBER_ID";
        step.address = Some(("tracking_link", format!("/api/v1/offer-link/redirect/{id}?{query}")));
    }
    planner.step(step);
    Ok(())
}

fn fields(link: &Link) -> Vec<Field> {
    vec![Field::new("approval", link.approval)]
}
