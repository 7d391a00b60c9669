//! A partner's conversions, newest first, so many looked at for a page.

use domain::click::Click;
use domain::conversion::{Conversion, Status};
use domain::id::{ClickId, ConversionId, EventId, NetworkId, OfferId, PartnerId};
use domain::time::Timestamp;
use uuid::Uuid;

use super::read;
use crate::{Error, Statement, Tx, Value, click};

pub(crate) const ALL: &[&Statement] = &[&OF_PARTNER, &LOWEST, &TESTS, &BY_PUB_CLICK_ID, &BY_PUB_MEMBER_ID];

/// Looks at `?6` conversions below the position `?4`, `?5`. Empty text and zeros stand for any.
static OF_PARTNER: Statement = Statement::new(
    "conversion_list.of_partner",
    "select * from (
         select * from conversion
         where network_id = ?1 and partner_id = ?2 and received_ms >= ?3
             and (received_ms < ?4 or (received_ms = ?4 and conversion_id < ?5))
         order by received_ms desc, conversion_id desc limit ?6) w
     where test = 0 and (status = ?7 or ?7 = '') and (reason = ?8 or ?8 = '') and (offer_id = ?9 or ?9 = ?11)
         and (event_id = ?10 or ?10 = ?11)
     order by received_ms desc, conversion_id desc limit ?12",
);

/// The last one of those that [`OF_PARTNER`] looks at; none when there are fewer.
static LOWEST: Statement = Statement::new(
    "conversion_list.lowest",
    "select received_ms, conversion_id from conversion
     where network_id = ?1 and partner_id = ?2 and received_ms >= ?3
         and (received_ms < ?4 or (received_ms = ?4 and conversion_id < ?5))
     order by received_ms desc, conversion_id desc limit 1 offset ?6",
);

/// Tests are few, and have an index of their own.
static TESTS: Statement = Statement::new(
    "conversion_list.tests",
    "select * from (select * from conversion where test = 1 order by link_id, conversion_id limit 10000) w
     where network_id = ?1 and partner_id = ?2 and received_ms >= ?3
     order by received_ms desc, conversion_id desc limit ?4",
);

/// Found by the id first: in order of time it would be every conversion of the partner.
static BY_PUB_CLICK_ID: Statement = Statement::new(
    "conversion_list.by_pub_click_id",
    "select * from (select * from conversion where network_id = ?1 and pub_click_id = ?2 limit ?4) w
     where partner_id = ?3 order by received_ms desc, conversion_id desc",
);

static BY_PUB_MEMBER_ID: Statement = Statement::new(
    "conversion_list.by_pub_member_id",
    "select * from (select * from conversion where network_id = ?1 and pub_member_id = ?2 limit ?4) w
     where partner_id = ?3 order by received_ms desc, conversion_id desc",
);

/// Conversions of the partner that are looked at in one go, and for one page.
const AT_ONCE: i64 = 1_000;
const MAX_LOOKED_AT: i64 = 10_000;
/// Conversions with one id, or tests, that are looked at.
const MAX_FEW: i64 = 1_000;

/// A place in the list: what is older stands behind it.
pub type Position = (Timestamp, ConversionId);

/// Which conversions.
#[derive(Debug, Clone)]
pub struct Ask {
    /// Of this network.
    pub network: NetworkId,
    /// Of this partner.
    pub partner: PartnerId,
    /// Of this offer; none: of any.
    pub offer: Option<OfferId>,
    /// Of this event; none: of any.
    pub event: Option<EventId>,
    /// Received from this moment on.
    pub from: Timestamp,
    /// Received before this moment.
    pub until: Timestamp,
    /// Behind this place.
    pub before: Option<Position>,
    /// In this status; none: in any.
    pub status: Option<Status>,
    /// Rejected for this reason, by its code; empty: for any.
    pub reason: String,
    /// From a click of this country, by its code; empty: of any.
    pub country: String,
    /// From a click with this device, by its code; empty: with any.
    pub device: String,
    /// The conversions of test clicks, which are in no other list.
    pub test: bool,
    /// Only those with this id: our id of it or of its click, or one of the partner's; empty: all.
    pub id: String,
    /// At most so many.
    pub limit: usize,
}

/// A conversion with its click; none when that is no longer kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The conversion.
    pub conversion: Conversion,
    /// Its click.
    pub click: Option<Click>,
}

/// Some conversions, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// The conversions.
    pub conversions: Vec<Listed>,
    /// Where the next page begins. With fewer conversions than were asked for, as many as a page may look at were
    /// looked at.
    pub next: Option<Position>,
}

/// The conversions that are asked for.
pub fn of_partner(tx: &mut Tx<'_>, ask: &Ask) -> Result<Page, Error> {
    let few = if !ask.id.is_empty() {
        Some(with_id(tx, ask)?)
    } else if ask.test {
        let params: [Value; 4] =
            [ask.network.uuid().into(), ask.partner.uuid().into(), ask.from.ms().into(), MAX_FEW.into()];
        Some(tx.query(&TESTS, &params)?.iter().map(read).collect::<Result<_, _>>()?)
    } else {
        None
    };
    let mut found = Vec::new();
    let mut reached = None;
    match few {
        Some(few) => take(tx, ask, few, &mut found)?,
        None => reached = walk(tx, ask, &mut found)?,
    }
    let full = found.len() > ask.limit;
    found.truncate(ask.limit);
    let place = |last: &Listed| (last.conversion.received, last.conversion.id);
    let next = if full { found.last().map(place) } else { reached };
    Ok(Page { conversions: found, next })
}

/// Goes down from the newest until there is one more than was asked for. Gives the place that it came to, when it
/// looked at as many as it may.
fn walk(tx: &mut Tx<'_>, ask: &Ask, found: &mut Vec<Listed>) -> Result<Option<Position>, Error> {
    // No conversion has an id above this one, and none was received at the end of the range.
    let end = (ask.until, ConversionId(Uuid::nil()));
    let mut place = ask.before.filter(|before| *before < end).unwrap_or(end);
    for _ in 0..MAX_LOOKED_AT / AT_ONCE {
        let room = ask.limit + 1 - found.len();
        let rows = some(tx, ask, place, room)?;
        let lowest = rows.last().filter(|_| rows.len() == room).map(|own| (own.received, own.id));
        take(tx, ask, rows, found)?;
        if found.len() > ask.limit {
            return Ok(None);
        }
        let below = match lowest {
            Some(lowest) => Some(lowest),
            None => lowest_of(tx, ask, place)?,
        };
        match below {
            Some(below) => place = below,
            None => return Ok(None),
        }
    }
    Ok(Some(place))
}

fn some(tx: &mut Tx<'_>, ask: &Ask, place: Position, room: usize) -> Result<Vec<Conversion>, Error> {
    let filters: [Value; 6] = [
        ask.status.map_or("", Status::code).into(),
        ask.reason.as_str().into(),
        ask.offer.map_or(Uuid::nil(), OfferId::uuid).into(),
        ask.event.map_or(Uuid::nil(), EventId::uuid).into(),
        Uuid::nil().into(),
        i64::try_from(room).unwrap_or(i64::MAX).into(),
    ];
    let params = [&below(ask, place, AT_ONCE)[..], &filters[..]].concat();
    tx.query(&OF_PARTNER, &params)?.iter().map(read).collect()
}

fn lowest_of(tx: &mut Tx<'_>, ask: &Ask, place: Position) -> Result<Option<Position>, Error> {
    let Some(row) = tx.query_one(&LOWEST, &below(ask, place, AT_ONCE - 1))? else { return Ok(None) };
    Ok(Some((Timestamp::from_ms(row.int("received_ms")?), ConversionId(row.uuid("conversion_id")?))))
}

fn below(ask: &Ask, place: Position, count: i64) -> [Value; 6] {
    [
        ask.network.uuid().into(),
        ask.partner.uuid().into(),
        ask.from.ms().into(),
        place.0.ms().into(),
        place.1.uuid().into(),
        count.into(),
    ]
}

/// Conversions with the asked id, newest first.
fn with_id(tx: &mut Tx<'_>, ask: &Ask) -> Result<Vec<Conversion>, Error> {
    let mut found = Vec::new();
    if let Ok(id) = ask.id.parse::<ClickId>() {
        found.extend(super::find(tx, ConversionId(id.uuid()))?);
        found.extend(super::by_click(tx, id)?);
    }
    for statement in [&BY_PUB_CLICK_ID, &BY_PUB_MEMBER_ID] {
        let params: [Value; 4] =
            [ask.network.uuid().into(), ask.id.as_str().into(), ask.partner.uuid().into(), MAX_FEW.into()];
        let rows = tx.query(statement, &params)?;
        found.extend(rows.iter().map(read).collect::<Result<Vec<_>, _>>()?);
    }
    found.sort_by_key(|own| std::cmp::Reverse((own.received, own.id)));
    found.dedup_by_key(|own| own.id);
    Ok(found)
}

/// Keeps those that are asked for, each with its click.
fn take(
    tx: &mut Tx<'_>,
    ask: &Ask,
    conversions: Vec<Conversion>,
    found: &mut Vec<Listed>,
) -> Result<(), Error> {
    for conversion in conversions {
        if found.len() > ask.limit {
            return Ok(());
        }
        if !ask.holds(&conversion) {
            continue;
        }
        let click = click::find(tx, conversion.click)?;
        if ask.holds_click(click.as_ref()) {
            found.push(Listed { conversion, click });
        }
    }
    Ok(())
}

impl Ask {
    fn holds(&self, own: &Conversion) -> bool {
        let place = (own.received, own.id);
        own.network == self.network
            && own.partner == self.partner
            && self.offer.is_none_or(|offer| offer == own.offer)
            && self.event.is_none_or(|event| event == own.event)
            && (self.from..self.until).contains(&own.received)
            && self.before.is_none_or(|before| place < before)
            && self.status.is_none_or(|status| status == own.status)
            && (self.reason.is_empty() || own.reason.is_some_and(|reason| reason.code() == self.reason))
            && own.test == self.test
    }

    fn holds_click(&self, click: Option<&Click>) -> bool {
        let facts = click.map(|click| &click.facts);
        let country = facts.and_then(|facts| facts.country.as_ref()).map_or("", |own| own.code());
        let device = facts.and_then(|facts| facts.device).map_or("", |own| own.code());
        (self.country.is_empty() || self.country == country)
            && (self.device.is_empty() || self.device == device)
    }
}
