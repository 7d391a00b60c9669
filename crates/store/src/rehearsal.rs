//! Rehearsals: a dry run works on a scratch database that holds what its rows touch, by the same code as the real run.
//! Nothing of it is ever written to the record.

use std::collections::HashSet;
use std::sync::Arc;

use domain::catalog::Catalog;
use domain::click::Click;
use domain::conversion::{self as rule, Conversion};
use domain::id::{ClickId, EventId, NetworkId, OfferId};
use domain::offer::Offer;
use domain::time::Timestamp;

use crate::inbound::Case;
use crate::live::Texts;
use crate::ruling::{Named, Order};
use crate::tally::Written;
use crate::upload::{Step, Work};
use crate::{Db, Error, Tx, catalog, click, conversion, erase, ruling, tally, upload};

/// What some rows touch.
#[derive(Debug, Clone, Default)]
struct Touched {
    clicks: Vec<Click>,
    conversions: Vec<Conversion>,
    tallies: Vec<(NetworkId, Written)>,
    /// The results whose tallies are among them.
    counted: HashSet<(OfferId, EventId)>,
}

/// Copies what a step touches from `record` into `scratch`. What the rehearsal changed there already stays as it is.
pub async fn prepare(
    record: &Db,
    scratch: &Db,
    catalog: &Arc<Catalog>,
    step: &Step,
    now: Timestamp,
) -> Result<(), Error> {
    let (catalog, step) = (Arc::clone(catalog), step.clone());
    let touched = record.read(move |tx| read(tx, &catalog, &step, now)).await?;
    scratch.write(move |tx| write(tx, &touched)).await
}

fn read(tx: &mut Tx<'_>, catalog: &Catalog, step: &Step, now: Timestamp) -> Result<Touched, Error> {
    if catalog::version(tx)? != catalog.version {
        return Err(Error::Stale);
    }
    let mut touched = Touched::default();
    for entry in step.entries.iter() {
        match &entry.work {
            Err(_) => {}
            Ok(Work::Change { named, to, .. }) => {
                let (network, actor, note) = (step.file.network, String::new(), String::new());
                let order = Order { network, named: named.clone(), to: *to, actor, note };
                touched.change(tx, catalog, &order, now)?;
            }
            Ok(Work::Record { postback, completed }) => {
                touched.click(tx, postback.click)?;
                if let Ok(case) = upload::case(tx, catalog, step, postback, *completed, now)? {
                    touched.report(tx, &case, now)?;
                }
            }
        }
    }
    Ok(touched)
}

impl Touched {
    fn click(&mut self, tx: &mut Tx<'_>, id: ClickId) -> Result<(), Error> {
        self.clicks.extend(click::find(tx, id)?);
        self.conversions.extend(conversion::by_click(tx, id)?);
        Ok(())
    }

    /// What a change of status looks at.
    fn change(
        &mut self,
        tx: &mut Tx<'_>,
        catalog: &Catalog,
        order: &Order,
        now: Timestamp,
    ) -> Result<(), Error> {
        if let Named::Click(click, _) = order.named {
            self.click(tx, click)?;
        }
        let Ok(found) = ruling::find(tx, order)? else { return Ok(()) };
        self.click(tx, found.click)?;
        let Some(offer) = catalog.offers.get(&found.offer) else { return Err(Error::Stale) };
        let place = (found.offer, found.event, found.partner);
        if let Some(id) = conversion::holder(tx, found.network, place, &found.pub_member_id)? {
            self.conversions.extend(conversion::find(tx, id)?);
        }
        self.tally(tx, offer, found.event, now)
    }

    /// What a new conversion looks at.
    fn report(&mut self, tx: &mut Tx<'_>, case: &Case<'_>, now: Timestamp) -> Result<(), Error> {
        let (offer, event) = (&case.link.offer, case.target.event);
        let key = rule::idempotency_key(case.postback, &case.arrival, "");
        self.conversions.extend(conversion::by_key(tx, offer.network.id, offer.id, event, &key)?);
        let member = case.click.pub_member_id.as_deref().unwrap_or_default();
        let place = (offer.id, event, case.link.partner.id);
        let names = erase::names(tx, case.link, member)?;
        let both = [names.recorded.as_str(), names.other.as_str()];
        if let Some(id) = conversion::holder_by_names(tx, offer.network.id, place, both)? {
            // The scratch database knows nothing of erased members: there it stands under its plain name.
            let plain = |own| Conversion { pub_member_id: member.to_owned(), ..own };
            self.conversions.extend(conversion::find(tx, id)?.map(plain));
        }
        self.tally(tx, offer, event, now)
    }

    fn tally(&mut self, tx: &mut Tx<'_>, offer: &Offer, event: EventId, now: Timestamp) -> Result<(), Error> {
        if self.counted.insert((offer.id, event)) {
            let kept = tally::as_kept(tx, offer, event, now)?;
            self.tallies.extend(kept.into_iter().map(|own| (offer.network.id, own)));
        }
        Ok(())
    }
}

fn write(tx: &mut Tx<'_>, touched: &Touched) -> Result<(), Error> {
    for own in &touched.clicks {
        if click::find(tx, own.id)?.is_none() {
            click::append_many(tx, &Texts::default(), std::slice::from_ref(own))?;
        }
    }
    for own in &touched.conversions {
        conversion::insert(tx, own, "")?;
    }
    touched.tallies.iter().try_for_each(|(network, own)| tally::keep(tx, *network, own))
}
