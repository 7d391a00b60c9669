//! `[[partner]]`

use std::sync::Arc;

use domain::id::PartnerId;
use domain::network::Network;
use domain::partner::{Partner, PartnerStatus};

use super::declaration::{Declared, Noun};
use super::fault::Sound;
use super::fields::{At, Fields};
use super::plan::{Field, Planner, Step, Write};
use super::value;

/// What the file says of a partner.
#[derive(Debug)]
pub(crate) struct Body {
    name: Option<String>,
    status: Option<PartnerStatus>,
}

pub(crate) fn read(mut fields: Fields<'_>) -> Sound<Declared<Body>> {
    let slug = fields.name(Noun::Partner, "slug", value::slug);
    let name = fields.optional("name", value::name);
    let status = fields.optional("status", value::code);
    let body = name.and_then(|name| Ok(Body { name, status: status? }));
    fields.declare(Noun::Partner, slug, body)
}

pub(crate) fn plan(
    planner: &mut Planner<'_>,
    network: &Arc<Network>,
    name: &At<String>,
    body: Body,
) -> Sound<()> {
    let slug = name.value.as_str();
    let old = planner.partners.get(network.id, slug);
    let partner = Arc::new(Partner {
        id: old.as_ref().map_or_else(|| PartnerId(planner.new_id()), |old| old.id),
        network: network.id,
        slug: slug.to_owned(),
        name: body.name.unwrap_or_else(|| slug.to_owned()),
        // People change it while the network runs; a file that does not name it leaves it.
        status: body.status.or(old.as_ref().map(|old| old.status)).unwrap_or(PartnerStatus::Active),
    });
    planner.partners.put(network.id, slug, Arc::clone(&partner));
    let whose = (Noun::Partner, network.label.as_str(), slug);
    let end_old = planner.ends_old_secrets(whose);
    let fresh = old.is_none() || planner.wants_new_secret(whose);
    let (secret, shown) = fresh.then(|| planner.signing_secret(name.at)).transpose()?.unzip();
    let rotated = secret.is_some() && old.is_some();
    let mut step = Step::new(
        (Noun::Partner, slug),
        network,
        partner.id.uuid(),
        (old.map(|old| fields(&old)), fields(&partner)),
        Write::Partner { record: partner, secret: secret.map(Arc::new), end_old },
    );
    if rotated {
        step.note("signing_secret", "a new one; the one before it still signs as well");
    }
    if end_old {
        step.note("old_signing_secret", "ended");
    }
    step.secrets.extend(shown);
    planner.step(step);
    Ok(())
}

fn fields(partner: &Partner) -> Vec<Field> {
    vec![Field::new("name", &partner.name), Field::new("status", partner.status)]
}
