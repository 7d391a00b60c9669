//! Writes what was planned, in one transaction.

use domain::ambient::Ambient;
use domain::offer::Offer;
use serde_json::json;
use store::audit::Entry;
use store::{
    Error, Tx, advertiser, audit, catalog, link, network, offer, offer_change, partner, postback, tally, user,
};

use super::change::Schedule;
use super::plan::{Effect, Plan, Signing, Step, Write};

/// Who the audit log says it was.
const ACTOR: &str = "apply";

/// Writes a plan; returns the new version of the catalog, or none when somebody changed it since the plan was made.
pub(crate) fn write(tx: &mut Tx<'_>, plan: &Plan, ambient: Ambient) -> Result<Option<i64>, Error> {
    let Some(version) = catalog::touch_from(tx, plan.version)? else { return Ok(None) };
    for step in plan.effective() {
        one(tx, plan, step, ambient)?;
        audit::record(tx, &entry(plan, step, ambient))?;
    }
    Ok(Some(version))
}

fn one(tx: &mut Tx<'_>, plan: &Plan, step: &Step, ambient: Ambient) -> Result<(), Error> {
    let created = step.effect == Effect::Created;
    match &step.write {
        Write::Network(own) if created => network::insert(tx, own),
        Write::Network(own) => network::update(tx, own),
        Write::Offer { record, texts, schedule } => {
            if created { offer::insert(tx, record, texts) } else { offer::update(tx, record, texts) }?;
            tally::open_all(tx, record, plan.at)?;
            changes(tx, plan, record, schedule, ambient)
        }
        Write::Link(own) if created => link::insert(tx, own),
        Write::Link(own) => link::update(tx, own),
        Write::Advertiser { .. } => one_advertiser(tx, plan, step, created),
        Write::Partner { record, secret: Some(secret), .. } if created => partner::insert(tx, record, secret),
        Write::Partner { record, secret, end_old } => {
            partner::update(tx, record)?;
            if let Some(secret) = secret {
                partner::rotate(tx, record.id, secret)?;
            }
            if *end_old { partner::end_old_signing(tx, record.id) } else { Ok(()) }
        }
        Write::Postback { record, .. } if created => postback::insert(tx, record, plan.at),
        Write::Postback { record, switched } => {
            postback::update(tx, record)?;
            match (switched, record.enabled) {
                (false, _) => Ok(()),
                (true, true) => postback::enable(tx, record.id),
                (true, false) => postback::disable(tx, record.id, "switched off by the network"),
            }
        }
        Write::User { record, invite } => {
            if created { user::insert(tx, record) } else { user::update(tx, record) }?;
            invite.map_or(Ok(()), |(hash, expires)| user::invite(tx, record.id, hash, expires))
        }
    }
}

fn changes(
    tx: &mut Tx<'_>,
    plan: &Plan,
    offer: &Offer,
    schedule: &Schedule,
    ambient: Ambient,
) -> Result<(), Error> {
    for change in &schedule.withdrawn {
        offer_change::withdraw(tx, offer.id, change, plan.at)?;
    }
    for change in &schedule.added {
        let id = ambient.new_id(plan.at);
        offer_change::insert(tx, id, (offer.network.id, offer.id), change, ACTOR, plan.at)?;
    }
    Ok(())
}

fn one_advertiser(tx: &mut Tx<'_>, plan: &Plan, step: &Step, created: bool) -> Result<(), Error> {
    let Write::Advertiser { record, signing, tokens, revoked } = &step.write else { return Ok(()) };
    if created { advertiser::insert(tx, record) } else { advertiser::update(tx, record) }?;
    for hash in tokens {
        advertiser::add_token(tx, record.network, record.id, *hash, plan.at)?;
    }
    for hash in revoked {
        advertiser::revoke_token(tx, *hash, plan.at)?;
    }
    signing.iter().try_for_each(|change| match change {
        Signing::New(secret) => advertiser::rotate(tx, record.id, secret),
        Signing::EndOld => advertiser::end_old_signing(tx, record.id),
        Signing::Stop => advertiser::stop_signing(tx, record.id),
    })
}

fn entry(plan: &Plan, step: &Step, ambient: Ambient) -> Entry {
    Entry {
        id: ambient.new_id(plan.at),
        network: step.network.id,
        at: plan.at,
        actor: ACTOR.to_owned(),
        subject: format!("{}/{}", step.noun, step.name),
        change: json!({ "result": step.effect, "changes": step.changes }).to_string(),
    }
}
