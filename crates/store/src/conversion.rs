//! Conversions: recorded once, changed with a history.

pub mod list;

use domain::conversion::{Change, Conversion, Existing, Known, Reason, Status, Wait};
use domain::id::{ClickId, ConversionId, EventId, LinkId, NetworkId, OfferId, PartnerId};
use domain::link::Link;
use domain::money::Money;
use domain::time::Timestamp;

use crate::{Error, Row, Statement, Tx, Value, erase};

pub(crate) const ALL: &[&Statement] = &[
    &INSERT,
    &KNOWN,
    &BY_KEY,
    &BY_CLICK_AND_EVENT,
    &HOLDER,
    &HELD,
    &FIND,
    &BY_CLICK,
    &UPDATE,
    &WAITED,
    &ADD_CHANGE,
    &CHANGES,
    &PLACES_SINCE,
];

static INSERT: Statement = Statement::new(
    "conversion.insert",
    "insert into conversion (conversion_id, network_id, offer_id, event_id, partner_id, link_id, click_id,
         pub_click_id, pub_member_id, idempotency_key, advertiser_key, event_code, status, reason, winner_id,
         holds_place, revenue_micros, payout_micros, currency, amount_micros, amount_currency, address, kept,
         received_ms, changed_ms, version, wait_until_ms, wait_for, test, completed_ms)
     values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22,
         ?23, ?24, ?25, ?26, ?27, ?28, ?29, ?30)
     on conflict do nothing",
);

/// What a postback may be a copy of, or lose to, in one look. Each part is one step of an index: a list of names, or an
/// order of its own, would make SQLite open a table for it.
static KNOWN: Statement = Statement::new(
    "conversion.known",
    "select 'key' as found_by, conversion_id, click_id, status, reason, winner_id, amount_micros, amount_currency,
         version
     from conversion where network_id = ?1 and offer_id = ?2 and event_id = ?3 and idempotency_key = ?4
     union all
     select 'click', f.*
     from (select conversion_id, click_id, status, reason, winner_id, amount_micros, amount_currency, version
           from conversion
           where click_id = ?5 and event_id = ?3 and coalesce(reason, '') <> 'ip_not_allowed'
           order by conversion_id limit 1) f
     union all
     select 'place', conversion_id, click_id, status, reason, winner_id, amount_micros, amount_currency, version
     from conversion
     where network_id = ?1 and offer_id = ?2 and event_id = ?3 and partner_id = ?6 and pub_member_id = ?7
         and holds_place = 1
     union all
     select 'place', conversion_id, click_id, status, reason, winner_id, amount_micros, amount_currency, version
     from conversion
     where network_id = ?1 and offer_id = ?2 and event_id = ?3 and partner_id = ?6 and pub_member_id = ?8
         and ?8 <> ?7 and holds_place = 1",
);

static BY_KEY: Statement = Statement::new(
    "conversion.by_key",
    "select * from conversion where network_id = ?1 and offer_id = ?2 and event_id = ?3 and idempotency_key = ?4",
);

static BY_CLICK_AND_EVENT: Statement = Statement::new(
    "conversion.by_click_and_event",
    "select * from conversion where click_id = ?1 and event_id = ?2 and coalesce(reason, '') <> 'ip_not_allowed'
     order by conversion_id limit 1",
);

static HOLDER: Statement = Statement::new(
    "conversion.holder",
    "select conversion_id from conversion
     where network_id = ?1 and offer_id = ?2 and event_id = ?3 and partner_id = ?4 and pub_member_id in (?5, ?6)
         and holds_place = 1",
);

static HELD: Statement = Statement::new(
    "conversion.held",
    "select count(*) as held from conversion
     where network_id = ?1 and offer_id = ?2 and event_id = ?3 and partner_id = ?4 and pub_member_id in (?5, ?7)
         and holds_place = 1 and received_ms < ?6",
);

static FIND: Statement =
    Statement::new("conversion.find", "select * from conversion where conversion_id = ?1");

static BY_CLICK: Statement = Statement::new(
    "conversion.by_click",
    "select * from conversion where click_id = ?1 order by conversion_id limit 1000",
);

/// The version in the condition makes a change that somebody else overtook change nothing.
static UPDATE: Statement = Statement::new(
    "conversion.update",
    "update conversion set status = ?1, reason = ?2, holds_place = ?3, changed_ms = ?4, version = version + 1,
         wait_until_ms = ?7, wait_for = ?8
     where conversion_id = ?5 and version = ?6",
);

/// Pending conversions whose waiting is over.
static WAITED: Statement = Statement::new(
    "conversion.waited",
    "select conversion_id from conversion where wait_until_ms <= ?1 order by wait_until_ms, conversion_id limit ?2",
);

static ADD_CHANGE: Statement = Statement::new(
    "conversion.add_change",
    "insert into conversion_change (conversion_id, version, network_id, status, reason, actor, at_ms)
     values (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
);

static CHANGES: Statement = Statement::new(
    "conversion.changes",
    "select version, status, reason, actor, note, at_ms from conversion_change
     where conversion_id = ?1 order by version",
);

/// Places that conversions took, freed or lost since a time, oldest first, for the set of completed members. Whether
/// a place is taken is asked of the place: a conversion that lost it holds nothing, and somebody else does.
static PLACES_SINCE: Statement = Statement::new(
    "conversion.places_since",
    "select c.conversion_id, c.offer_id, c.event_id, c.partner_id, c.pub_member_id, c.changed_ms,
         cast(case when c.holds_place = 1 or exists (
             select 1 from conversion h
             where h.network_id = c.network_id and h.offer_id = c.offer_id and h.event_id = c.event_id
                 and h.partner_id = c.partner_id and h.pub_member_id = c.pub_member_id and h.holds_place = 1)
             then 1 else 0 end as bigint) as taken
     from conversion c where c.changed_ms >= ?1 and (c.changed_ms > ?1 or c.conversion_id > ?2)
     order by c.changed_ms, c.conversion_id limit ?3",
);

/// One status that a conversion had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// 0 for the first.
    pub version: i64,
    /// The status.
    pub status: Status,
    /// Why it is rejected.
    pub reason: Option<Reason>,
    /// Who changed it.
    pub actor: String,
    /// What they said about it; mostly nothing.
    pub note: String,
    /// When.
    pub at: Timestamp,
}

/// A member's place on an offer and event, taken or free.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The offer.
    pub offer: OfferId,
    /// The event.
    pub event: EventId,
    /// The partner.
    pub partner: PartnerId,
    /// The member.
    pub member: String,
    /// Whether a conversion holds it now.
    pub taken: bool,
    /// The conversion that took or freed it.
    pub conversion: ConversionId,
    /// When.
    pub changed: Timestamp,
}

/// Records a conversion with the first line of its history. `false` when a unique key was there first: look
/// again.
pub(crate) fn insert(tx: &mut Tx<'_>, conversion: &Conversion, actor: &str) -> Result<bool, Error> {
    let kept = serde_json::to_string(&conversion.kept).map_err(|why| Error::bug("conversion.insert", why))?;
    let late = conversion.completed != conversion.received;
    let completed = late.then(|| conversion.completed.ms());
    let inserted = tx.execute(
        &INSERT,
        &[
            conversion.id.uuid().into(),
            conversion.network.uuid().into(),
            conversion.offer.uuid().into(),
            conversion.event.uuid().into(),
            conversion.partner.uuid().into(),
            conversion.link.uuid().into(),
            conversion.click.uuid().into(),
            conversion.pub_click_id.as_str().into(),
            conversion.pub_member_id.as_str().into(),
            conversion.idempotency_key.as_str().into(),
            conversion.advertiser_key.as_deref().into(),
            conversion.event_code.as_str().into(),
            conversion.status.code().into(),
            conversion.reason.map(Reason::code).into(),
            conversion.winner.map(ConversionId::uuid).into(),
            conversion.holds_place.into(),
            conversion.revenue.micros.into(),
            conversion.payout.micros.into(),
            conversion.payout.currency.code().into(),
            conversion.amount.map(|amount| amount.micros).into(),
            conversion.amount.map(|amount| amount.currency.code().to_owned()).into(),
            conversion.address.as_str().into(),
            kept.into(),
            conversion.received.ms().into(),
            conversion.changed.ms().into(),
            conversion.version.into(),
            conversion.waits.map(|wait| wait.until.ms()).into(),
            conversion.waits.map(|wait| wait.what.code()).into(),
            conversion.test.into(),
            completed.into(),
        ],
    )?;
    if inserted == 0 {
        return Ok(false);
    }
    add_change(tx, conversion, actor)?;
    Ok(true)
}

/// Changes a stored conversion's status and adds a line to its history; `None` when somebody else was first.
pub(crate) fn update(
    tx: &mut Tx<'_>,
    existing: &Existing,
    change: Change,
    at: Timestamp,
    actor: &str,
) -> Result<Option<Conversion>, Error> {
    let Some(before) = find(tx, existing.id)? else { return Ok(None) };
    let holds_place = before.holds_place && change.to.holds_place();
    let changed = tx.execute(
        &UPDATE,
        &[
            change.to.code().into(),
            change.reason.map(Reason::code).into(),
            holds_place.into(),
            at.ms().into(),
            existing.id.uuid().into(),
            existing.version.into(),
            change.waits.map(|wait| wait.until.ms()).into(),
            change.waits.map(|wait| wait.what.code()).into(),
        ],
    )?;
    if changed == 0 {
        return Ok(None);
    }
    let after = Conversion {
        status: change.to,
        reason: change.reason,
        holds_place,
        changed: at,
        version: existing.version + 1,
        waits: change.waits,
        ..before
    };
    add_change(tx, &after, actor)?;
    Ok(Some(after))
}

fn add_change(tx: &mut Tx<'_>, conversion: &Conversion, actor: &str) -> Result<(), Error> {
    tx.execute(
        &ADD_CHANGE,
        &[
            conversion.id.uuid().into(),
            conversion.version.into(),
            conversion.network.uuid().into(),
            conversion.status.code().into(),
            conversion.reason.map(Reason::code).into(),
            actor.into(),
            conversion.changed.ms().into(),
        ],
    )?;
    Ok(())
}

/// Which conversions a postback may meet.
pub(crate) struct Asked<'a> {
    pub(crate) network: NetworkId,
    pub(crate) place: (OfferId, EventId, PartnerId),
    pub(crate) click: ClickId,
    pub(crate) key: &'a str,
    /// The names that the member may stand under.
    pub(crate) names: [&'a str; 2],
}

/// The conversion under the same key, the first of the same click and event that was not refused for its sender's
/// address, and the one that holds the member's place.
pub(crate) fn known(tx: &mut Tx<'_>, asked: &Asked<'_>) -> Result<Known, Error> {
    let (offer, event, partner) = asked.place;
    let params: [Value; 8] = [
        asked.network.uuid().into(),
        offer.uuid().into(),
        event.uuid().into(),
        asked.key.into(),
        asked.click.uuid().into(),
        partner.uuid().into(),
        asked.names[0].into(),
        asked.names[1].into(),
    ];
    let mut known = Known::default();
    for row in tx.query(&KNOWN, &params)? {
        match row.opt_str("found_by")? {
            Some("key") => known.same_key = Some(existing(&row)?),
            Some("click") => known.same_click = Some(existing(&row)?),
            _ => known.holder = known.holder.or(Some(ConversionId(row.uuid("conversion_id")?))),
        }
    }
    Ok(known)
}

/// The conversion under an idempotency key.
pub(crate) fn by_key(
    tx: &mut Tx<'_>,
    network: NetworkId,
    offer: OfferId,
    event: EventId,
    key: &str,
) -> Result<Option<Conversion>, Error> {
    let params = [network.uuid().into(), offer.uuid().into(), event.uuid().into(), key.into()];
    tx.query_one(&BY_KEY, &params)?.map(|row| read(&row)).transpose()
}

/// The first conversion of a click for an event that was not refused for its sender's address.
pub(crate) fn by_click_and_event(
    tx: &mut Tx<'_>,
    click: ClickId,
    event: EventId,
) -> Result<Option<Conversion>, Error> {
    let params = [click.uuid().into(), event.uuid().into()];
    tx.query_one(&BY_CLICK_AND_EVENT, &params)?.map(|row| read(&row)).transpose()
}

/// The conversion that holds a member's place.
pub(crate) fn holder(
    tx: &mut Tx<'_>,
    network: NetworkId,
    place: (OfferId, EventId, PartnerId),
    member: &str,
) -> Result<Option<ConversionId>, Error> {
    holder_by_names(tx, network, place, [member, member])
}

/// The same, of a member that may stand there under one of two names.
pub(crate) fn holder_by_names(
    tx: &mut Tx<'_>,
    network: NetworkId,
    place: (OfferId, EventId, PartnerId),
    names: [&str; 2],
) -> Result<Option<ConversionId>, Error> {
    let (offer, event, partner) = place;
    let params: [Value; 6] = [
        network.uuid().into(),
        offer.uuid().into(),
        event.uuid().into(),
        partner.uuid().into(),
        names[0].into(),
        names[1].into(),
    ];
    tx.query_one(&HOLDER, &params)?.map(|row| row.uuid("conversion_id").map(ConversionId)).transpose()
}

/// Whether a member had nothing left to do on a link's offer at `at`: every result is taken by a conversion that came
/// before, and none repeats.
pub fn member_completed(tx: &mut Tx<'_>, link: &Link, member: &str, at: Timestamp) -> Result<bool, Error> {
    let offer = &link.offer;
    let mut events = Vec::new();
    let closes = offer.each_place(|event, repeats| {
        events.push(event);
        !repeats
    });
    if !closes {
        return Ok(false);
    }
    let names = erase::names(tx, link, member)?;
    for event in events {
        let params: [Value; 7] = [
            offer.network.id.uuid().into(),
            offer.id.uuid().into(),
            event.uuid().into(),
            link.partner.id.uuid().into(),
            names.recorded.as_str().into(),
            at.ms().into(),
            names.other.as_str().into(),
        ];
        let row = tx.query_one(&HELD, &params)?;
        if row.map_or(Ok(0), |row| row.int("held"))? == 0 {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A conversion by its id, whatever its network: the caller checks whose it is.
pub fn find(tx: &mut Tx<'_>, id: ConversionId) -> Result<Option<Conversion>, Error> {
    tx.query_one(&FIND, &[id.uuid().into()])?.map(|row| read(&row)).transpose()
}

/// Pending conversions whose waiting was over at `now`, at most `limit`.
pub(crate) fn waited(tx: &mut Tx<'_>, now: Timestamp, limit: i64) -> Result<Vec<ConversionId>, Error> {
    let rows = tx.query(&WAITED, &[now.ms().into(), limit.into()])?;
    rows.iter().map(|row| row.uuid("conversion_id").map(ConversionId)).collect()
}

/// Every conversion of a click, oldest first.
pub fn by_click(tx: &mut Tx<'_>, click: ClickId) -> Result<Vec<Conversion>, Error> {
    tx.query(&BY_CLICK, &[click.uuid().into()])?.iter().map(read).collect()
}

/// The history of a conversion, oldest first.
pub fn changes(tx: &mut Tx<'_>, id: ConversionId) -> Result<Vec<Changed>, Error> {
    let rows = tx.query(&CHANGES, &[id.uuid().into()])?;
    rows.iter()
        .map(|row| {
            Ok(Changed {
                version: row.int("version")?,
                status: row.code("status")?,
                reason: row.opt_code("reason")?,
                actor: row.text("actor")?,
                note: row.text("note")?,
                at: Timestamp::from_ms(row.int("at_ms")?),
            })
        })
        .collect()
}

/// Places that changed behind a position, in the order of change, at most `limit`.
pub(crate) fn places_since(
    tx: &mut Tx<'_>,
    position: (Timestamp, ConversionId),
    limit: i64,
) -> Result<Vec<Place>, Error> {
    let rows = tx.query(&PLACES_SINCE, &[position.0.ms().into(), position.1.uuid().into(), limit.into()])?;
    rows.iter()
        .map(|row| {
            Ok(Place {
                offer: OfferId(row.uuid("offer_id")?),
                event: EventId(row.uuid("event_id")?),
                partner: PartnerId(row.uuid("partner_id")?),
                member: row.text("pub_member_id")?,
                taken: row.flag("taken")?,
                conversion: ConversionId(row.uuid("conversion_id")?),
                changed: Timestamp::from_ms(row.int("changed_ms")?),
            })
        })
        .collect()
}

fn existing(row: &Row) -> Result<Existing, Error> {
    Ok(Existing {
        id: ConversionId(row.uuid("conversion_id")?),
        click: ClickId(row.uuid("click_id")?),
        status: row.code("status")?,
        reason: row.opt_code("reason")?,
        winner: row.opt_uuid("winner_id")?.map(ConversionId),
        amount: amount(row)?,
        version: row.int("version")?,
    })
}

fn amount(row: &Row) -> Result<Option<Money>, Error> {
    let amount = row.opt_int("amount_micros")?.zip(row.opt_code("amount_currency")?);
    Ok(amount.map(|(micros, currency)| Money { micros, currency }))
}

pub(crate) fn read(row: &Row) -> Result<Conversion, Error> {
    let currency = row.code("currency")?;
    Ok(Conversion {
        id: ConversionId(row.uuid("conversion_id")?),
        network: NetworkId(row.uuid("network_id")?),
        offer: OfferId(row.uuid("offer_id")?),
        event: EventId(row.uuid("event_id")?),
        event_code: row.text("event_code")?,
        partner: PartnerId(row.uuid("partner_id")?),
        link: LinkId(row.uuid("link_id")?),
        click: ClickId(row.uuid("click_id")?),
        pub_click_id: row.text("pub_click_id")?,
        pub_member_id: row.text("pub_member_id")?,
        idempotency_key: row.text("idempotency_key")?,
        advertiser_key: row.opt_text("advertiser_key")?,
        status: row.code("status")?,
        reason: row.opt_code("reason")?,
        winner: row.opt_uuid("winner_id")?.map(ConversionId),
        holds_place: row.flag("holds_place")?,
        revenue: Money { micros: row.int("revenue_micros")?, currency },
        payout: Money { micros: row.int("payout_micros")?, currency },
        amount: amount(row)?,
        address: row.text("address")?,
        kept: serde_json::from_str(&row.text("kept")?).map_err(|why| Error::bug("conversion.kept", why))?,
        completed: Timestamp::from_ms(row.opt_int("completed_ms")?.unwrap_or(row.int("received_ms")?)),
        received: Timestamp::from_ms(row.int("received_ms")?),
        changed: Timestamp::from_ms(row.int("changed_ms")?),
        version: row.int("version")?,
        waits: match (row.opt_int("wait_until_ms")?, row.opt_code("wait_for")?) {
            (Some(until), Some(what)) => Some(Wait { until: Timestamp::from_ms(until), what }),
            _ => None,
        },
        test: row.flag("test")?,
    })
}
