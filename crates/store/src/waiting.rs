//! Pending conversions that wait by themselves: for the end of their pending time, or for the event before them.

use domain::ambient::Ambient;
use domain::catalog::Catalog;
use domain::conversion::{self as rule, Conversion, Status, Wait, Waiting};
use domain::id::ConversionId;
use domain::offer::{Offer, Results};
use domain::time::Timestamp;

use crate::{Error, Tx, click, conversion, delivery, tally};

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

/// Conversions whose waiting is over, the longest over first, at most `limit`.
pub fn due(tx: &mut Tx<'_>, now: Timestamp, limit: i64) -> Result<Vec<ConversionId>, Error> {
    conversion::waited(tx, now, limit)
}

/// Ends the waiting of one conversion whose time has come. Returns what it became; `None` when something else ended
/// its waiting meanwhile.
pub fn pass_time(
    tx: &mut Tx<'_>,
    catalog: &Catalog,
    ambient: Ambient,
    id: ConversionId,
) -> Result<Option<Status>, Error> {
    let Some(found) = conversion::find(tx, id)? else { return Ok(None) };
    // Whatever else happens to this click waits, or has happened when the conversion is read again.
    click::lock(tx, found.click)?;
    let Some(found) = conversion::find(tx, id)? else { return Ok(None) };
    let Some(wait) = found.waits.filter(|wait| wait.until <= ambient.now()) else { return Ok(None) };
    // An offer that this process does not know yet it will know in a moment.
    let Some(offer) = catalog.offers.get(&found.offer) else { return Err(Error::Stale) };
    end(tx, ambient, offer, &found, wait, false)
}

fn end(
    tx: &mut Tx<'_>,
    ambient: Ambient,
    offer: &Offer,
    found: &Conversion,
    wait: Wait,
    came: bool,
) -> Result<Option<Status>, Error> {
    let Some(terms) = offer.terms(found.event) else { return Err(Error::Stale) };
    let now = ambient.now();
    let change = rule::waited(wait, came, terms, now);
    let Some(after) = conversion::update(tx, &found.existing(), change, now, "rule")? else {
        return Ok(None);
    };
    tally::changed(tx, offer, found.status, &after)?;
    delivery::enqueue(tx, ambient, &after)?;
    Ok(Some(after.status))
}
