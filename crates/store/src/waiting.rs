//! Pending conversions that wait by themselves: for the end of their pending time, or for the event before them.

use domain::ambient::Ambient;
use domain::catalog::Catalog;
use domain::conversion::{self as rule, Conversion, Wait, Waiting};
use domain::offer::{Offer, Results};

use crate::{Error, Tx, conversion, delivery, tally};

/// Lets the events go on that waited for the one that was just recorded.
pub(crate) fn release(
    tx: &mut Tx<'_>,
    ambient: Ambient,
    offer: &Offer,
    came: &Conversion,
) -> Result<(), Error> {
    let Results::Multi(events) = &offer.results else { return Ok(()) };
    if !came.status.holds_place() {
        return Ok(());
    }
    let followers = events
        .iter()
        .filter(|event| offer.predecessor(&event.terms).is_some_and(|before| before.id == came.event));
    for event in followers {
        let found = conversion::by_click_and_event(tx, came.click, event.id)?;
        let waits = found.as_ref().and_then(|found| found.waits);
        if let (Some(found), Some(wait @ Wait { what: Waiting::Predecessor, .. })) = (found, waits) {
            end(tx, ambient, offer, &found, wait, true)?;
            // Whoever waited for this one in turn goes on as well.
            if let Some(after) = conversion::find(tx, found.id)? {
                release(tx, ambient, offer, &after)?;
            }
        }
    }
    Ok(())
}

/// Ends the waiting of conversions whose time has come, at most `limit`. Returns how many there were.
pub fn pass_time(tx: &mut Tx<'_>, catalog: &Catalog, ambient: Ambient, limit: i64) -> Result<usize, Error> {
    let waited = conversion::waited(tx, ambient.now(), limit)?;
    for found in &waited {
        if let (Some(offer), Some(wait)) = (catalog.offers.get(&found.offer), found.waits) {
            end(tx, ambient, offer, found, wait, false)?;
        }
    }
    Ok(waited.len())
}

fn end(
    tx: &mut Tx<'_>,
    ambient: Ambient,
    offer: &Offer,
    found: &Conversion,
    wait: Wait,
    came: bool,
) -> Result<(), Error> {
    let Some(terms) = offer.terms(found.event) else { return Ok(()) };
    let now = ambient.now();
    let change = rule::waited(wait, came, terms, now);
    if let Some(after) = conversion::update(tx, &found.existing(), change, now, "rule")? {
        tally::changed(tx, offer, found.status, &after)?;
        delivery::enqueue(tx, ambient, &after)?;
    }
    Ok(())
}
