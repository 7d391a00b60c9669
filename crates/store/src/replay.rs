//! The recorded clicks of an offer, with what a replay needs to decide about them again, page by page in their order.

use domain::cap::Taken;
use domain::click::Click;
use domain::id::{ClickId, EventId, PartnerId};
use domain::link::Link;
use domain::offer::Offer;
use domain::replay::{Counted, Place};
use domain::time::Timestamp;
use std::collections::HashMap;
use std::sync::Arc;
use uuid::Uuid;

use crate::{Error, Row, Statement, Tx, Value, click, tally};

pub(crate) const ALL: &[&Statement] = &[&END, &CLICKS, &CONVERSIONS, &PLACES];

/// Where a page ends: clicks of every offer lie in between, so it is their number that bounds the work.
static END: Statement = Statement::new(
    "replay.end",
    "select click_id from click where click_id > ?1 and click_id < ?2 order by click_id limit 1 offset ?3",
);

static CLICKS: Statement = Statement::new(
    "replay.clicks",
    concat!(
        "select ",
        click::columns!(),
        " from click k join link l on l.link_id = k.link_id
         where k.click_id > ?1 and k.click_id <= ?2 and l.offer_id = ?3 order by k.click_id limit ?4"
    ),
);

static CONVERSIONS: Statement = Statement::new(
    "replay.conversions",
    "select event_id, received_ms, revenue_micros, currency from conversion
     where network_id = ?1 and offer_id = ?2 and event_id = ?3 and received_ms >= ?4 and received_ms < ?5
         and status <> 'Rejected' and test = 0
     order by received_ms limit ?6",
);

static PLACES: Statement = Statement::new(
    "replay.places",
    "select event_id, received_ms from conversion
     where network_id = ?1 and offer_id = ?2 and event_id = ?3 and partner_id = ?4 and pub_member_id = ?5
         and holds_place = 1",
);

/// Clicks looked through for a page.
const PAGE: i64 = 5_000;

/// The most conversions of an event in the time of one page.
const MAX_CONVERSIONS: i64 = 100_000;

/// The clicks of an offer in a stretch of time.
#[derive(Debug, Default)]
pub struct Page {
    /// The clicks, oldest first, with the places that the member of each holds.
    pub clicks: Vec<(Click, Vec<Place>)>,
    /// The conversions of the offer in the same time, oldest first.
    pub conversions: Vec<Counted>,
    /// Where the next page begins; none at the end.
    pub next: Option<ClickId>,
}

/// The position before every click since a time.
pub fn from(at: Timestamp) -> ClickId {
    let ms = u64::try_from(at.ms()).unwrap_or(0);
    ClickId(Uuid::from_u128(u128::from(ms) << 80))
}

/// What the limited results of an offer had taken before a time.
pub fn taken(tx: &mut Tx<'_>, offer: &Offer, at: Timestamp) -> Result<HashMap<EventId, Taken>, Error> {
    tally::counted_before(tx, offer, at)
}

/// The clicks behind a position and before a time, with `events` of the offer.
pub fn page(
    tx: &mut Tx<'_>,
    offer: &Offer,
    links: &HashMap<domain::id::LinkId, Arc<Link>>,
    events: &[EventId],
    (after, until): (ClickId, Timestamp),
) -> Result<Page, Error> {
    let last = from(until);
    let found = tx.query_one(&END, &[after.uuid().into(), last.uuid().into(), PAGE.into()])?;
    let next = found.map(|row| row.uuid("click_id").map(ClickId)).transpose()?;
    let end = next.unwrap_or(last);
    let params = [after.uuid().into(), end.uuid().into(), offer.id.uuid().into(), (PAGE + 1).into()];
    let mut page = Page { next, ..Page::default() };
    for row in tx.query(&CLICKS, &params)? {
        let click = click::read(&row)?;
        let partner = links.get(&click.link).map(|link| link.partner.id);
        let places = match (partner, click.pub_member_id.as_deref()) {
            (Some(partner), Some(member)) => places(tx, offer, events, (partner, member))?,
            _ => Vec::new(),
        };
        page.clicks.push((click, places));
    }
    let stop = next.map_or(until, ClickId::at);
    for event in events {
        page.conversions.extend(conversions(tx, offer, *event, (after.at(), stop))?);
    }
    page.conversions.sort_by_key(|conversion| conversion.at);
    Ok(page)
}

fn places(
    tx: &mut Tx<'_>,
    offer: &Offer,
    events: &[EventId],
    (partner, member): (PartnerId, &str),
) -> Result<Vec<Place>, Error> {
    let mut held = Vec::new();
    for event in events {
        let params: [Value; 5] = [
            offer.network.id.uuid().into(),
            offer.id.uuid().into(),
            event.uuid().into(),
            partner.uuid().into(),
            member.into(),
        ];
        for row in tx.query(&PLACES, &params)? {
            held.push((*event, Timestamp::from_ms(row.int("received_ms")?)));
        }
    }
    Ok(held)
}

fn conversions(
    tx: &mut Tx<'_>,
    offer: &Offer,
    event: EventId,
    (since, until): (Timestamp, Timestamp),
) -> Result<Vec<Counted>, Error> {
    let params: [Value; 6] = [
        offer.network.id.uuid().into(),
        offer.id.uuid().into(),
        event.uuid().into(),
        since.ms().into(),
        until.ms().into(),
        MAX_CONVERSIONS.into(),
    ];
    let counted = |row: &Row| {
        let same_currency = row.text("currency")? == offer.currency.code();
        let revenue_micros = if same_currency { row.int("revenue_micros")? } else { 0 };
        Ok(Counted { event, at: Timestamp::from_ms(row.int("received_ms")?), revenue_micros })
    };
    tx.query(&CONVERSIONS, &params)?.iter().map(counted).collect()
}
