//! Rehearsals: a dry run works on a scratch database that holds what its rows touch, by the same code as the real run.
//! Nothing of it is ever written to the record.

use std::sync::Arc;

use domain::catalog::Catalog;
use domain::click::Click;
use domain::conversion::{self as rule, Conversion};
use domain::id::{ClickId, EventId, NetworkId};
use domain::offer::Offer;
use domain::time::Timestamp;

use crate::ruling::Order;
use crate::tally::Written;
use crate::upload::{Step, Work};
use crate::{Db, Error, Tx, catalog, click, conversion, erase, ruling, tally, upload};

/// What some rows touch.
#[derive(Debug, Clone, Default)]
struct Touched {
    clicks: Vec<Click>,
    conversions: Vec<Conversion>,
    tallies: Vec<(NetworkId, Written)>,
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
                let order = Order {
                    network: step.file.network,
                    named: named.clone(),
                    to: *to,
                    actor: String::new(),
                    note: String::new(),
                };
                if let ruling::Named::Click(click, _) = named {
                    touched.click(tx, *click)?;
                }
                if let Ok(found) = ruling::find(tx, &order)? {
                    touched.click(tx, found.click)?;
                    if let Some(offer) = catalog.offers.get(&found.offer) {
                        touched.place(tx, offer, &found, now)?;
                    }
                }
            }
            Ok(Work::Record { postback, completed }) => {
                touched.click(tx, postback.click)?;
                let Ok(case) = upload::case(tx, catalog, step, postback, *completed, now)? else { continue };
                let (offer, event) = (&case.link.offer, case.target.event);
                let key = rule::idempotency_key(postback, &case.arrival, "");
                let same = conversion::by_key(tx, offer.network.id, offer.id, event, &key)?;
                touched.conversions.extend(same);
                let member = case.click.pub_member_id.as_deref().unwrap_or_default();
                let place = (offer.id, event, case.link.partner.id);
                let names = erase::names(tx, case.link, member)?;
                let names = [names.recorded.as_str(), names.other.as_str()];
                if let Some(id) = conversion::holder_by_names(tx, offer.network.id, place, names)? {
                    // The scratch database knows nothing of erased members: there it stands under its plain name.
                    let named = |own| Conversion { pub_member_id: member.to_owned(), ..own };
                    touched.conversions.extend(conversion::find(tx, id)?.map(named));
                }
                touched.tally(tx, offer, event, now)?;
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

    fn place(
        &mut self,
        tx: &mut Tx<'_>,
        offer: &Offer,
        own: &Conversion,
        now: Timestamp,
    ) -> Result<(), Error> {
        let place = (own.offer, own.event, own.partner);
        if let Some(id) = conversion::holder(tx, own.network, place, &own.pub_member_id)? {
            self.conversions.extend(conversion::find(tx, id)?);
        }
        self.conversions.push(own.clone());
        self.tally(tx, offer, own.event, now)
    }

    fn tally(&mut self, tx: &mut Tx<'_>, offer: &Offer, event: EventId, now: Timestamp) -> Result<(), Error> {
        let known = |own: &Written| own.offer == offer.id && own.event == event;
        if self.tallies.iter().any(|(_, own)| known(own)) {
            return Ok(());
        }
        let kept = tally::as_kept(tx, offer, event, now)?;
        self.tallies.extend(kept.into_iter().map(|own| (offer.network.id, own)));
        Ok(())
    }
}

fn write(tx: &mut Tx<'_>, touched: &Touched) -> Result<(), Error> {
    for own in &touched.clicks {
        if click::find(tx, own.id)?.is_none() {
            click::append_many(tx, std::slice::from_ref(own))?;
        }
    }
    for own in &touched.conversions {
        conversion::insert(tx, own, "")?;
    }
    touched.tallies.iter().try_for_each(|(network, own)| tally::keep(tx, *network, own))
}
