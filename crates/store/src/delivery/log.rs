//! A postback's deliveries as its partner looks at them: the log page by page, one with its attempts, and how the last
//! ones ended. Whose they are is asked in the statement: another partner's delivery is not there.

use domain::delivery::DeliveryState;
use domain::id::{ConversionId, DeliveryId, NetworkId, OfferId, PartnerId, PostbackId};
use domain::postback::{News, Postback, Scope, Wanted};
use domain::time::Timestamp;
use uuid::Uuid;

use super::shown::{Listed, attempts, listed};
use super::{Attempt, news};
use crate::{Error, Statement, Tx, Value};

pub(super) const ALL: &[&Statement] =
    &[&OF_POSTBACK, &OWN, &ENDED, &LAST, &NEWEST_CONVERSION, &COUNT_REPLAY, &COUNT_BACKFILL];

static OF_POSTBACK: Statement = Statement::new(
    "delivery.of_postback",
    "select d.delivery_id, d.network_id, d.partner_id, d.postback_id, d.conversion_id, d.status, d.origin, d.state,
         d.attempts_ever, d.next_attempt_ms, d.created_ms, coalesce(p.slug, '') as slug,
         coalesce(a.result, '') as result
     from delivery d
     left join postback p on p.postback_id = d.postback_id
     left join delivery_attempt a on a.delivery_id = d.delivery_id and a.attempt = d.attempts_ever
     where d.network_id = ?1 and d.partner_id = ?2 and d.postback_id = ?3 and (?4 = '' or d.state = ?4)
         and d.created_ms >= ?5 and (d.created_ms < ?6 or (d.created_ms = ?6 and d.delivery_id < ?7))
     order by d.created_ms desc, d.delivery_id desc limit ?8",
);

static OWN: Statement = Statement::new(
    "delivery.own",
    "select d.delivery_id, d.network_id, d.partner_id, d.postback_id, d.conversion_id, d.status, d.origin, d.state,
         d.attempts_ever, d.next_attempt_ms, d.created_ms, coalesce(p.slug, '') as slug,
         coalesce(a.result, '') as result
     from delivery d
     left join postback p on p.postback_id = d.postback_id
     left join delivery_attempt a on a.delivery_id = d.delivery_id and a.attempt = d.attempts_ever
     where d.delivery_id = ?1 and d.network_id = ?2 and d.partner_id = ?3",
);

static ENDED: Statement = Statement::new(
    "delivery.ended",
    "select cast(coalesce(sum(case when state = 'delivered' then 1 else 0 end), 0) as bigint) as delivered,
         cast(coalesce(sum(case when state = 'dead' then 1 else 0 end), 0) as bigint) as dead,
         cast(coalesce(sum(case when state = 'pending' then 1 else 0 end), 0) as bigint) as pending
     from (select state from delivery where postback_id = ?1
           order by created_ms desc, delivery_id desc limit ?2) newest",
);

static LAST: Statement = Statement::new(
    "delivery.last",
    "select d.delivery_id, d.network_id, d.partner_id, d.postback_id, d.conversion_id, d.status, d.origin, d.state,
         d.attempts_ever, d.next_attempt_ms, d.created_ms, '' as slug, coalesce(a.result, '') as result
     from delivery d
     left join delivery_attempt a on a.delivery_id = d.delivery_id and a.attempt = d.attempts_ever
     where d.postback_id = ?1 order by d.created_ms desc, d.delivery_id desc limit 1",
);

/// Among so many of the newest: an offer that nobody converted on must not be looked for in all of them.
static NEWEST_CONVERSION: Statement = Statement::new(
    "delivery.newest_conversion",
    "select conversion_id, version from (
         select conversion_id, version, offer_id, event_id, received_ms from conversion
         where network_id = ?1 and partner_id = ?2 and test = 0 and winner_id is null
         order by received_ms desc limit ?5) newest
     where (offer_id = ?3 or ?3 = ?6) and (event_id = ?4 or ?4 = ?6)
     order by received_ms desc limit 1",
);

static COUNT_REPLAY: Statement = Statement::new(
    "delivery.count_replay",
    "select count(*) as deliveries from (
         select 1 as one from delivery
         where network_id = ?1 and partner_id = ?2 and postback_id = ?3 and state = ?4 and created_ms >= ?5
         limit ?6) found",
);

/// What a back-fill would make of so many of the conversions since a time.
static COUNT_BACKFILL: Statement = Statement::new(
    "delivery.count_backfill",
    "select count(*) as looked,
         cast(coalesce(sum(case when c.winner_id is null
             and (c.offer_id = ?4 or ?4 = ?9) and (c.event_id = ?5 or ?5 = ?9)
             and ((c.status = 'Success' and cast(?6 as bigint) = 1) or (c.status = 'Pending' and cast(?7 as bigint) = 1)
                 or (c.status = 'Rejected' and cast(?8 as bigint) = 1))
             and not exists (select 1 from delivery d where d.conversion_id = c.conversion_id
                 and d.postback_id = ?10 and d.version = c.version)
             then 1 else 0 end), 0) as bigint) as deliveries
     from (select conversion_id, version, winner_id, offer_id, event_id, status from conversion
           where network_id = ?1 and partner_id = ?2 and test = 0 and received_ms >= ?3
           order by received_ms, conversion_id limit ?11) c",
);

/// Deliveries of which the share that arrived is told.
pub const NEWEST: i64 = 1_000;
/// Conversions among which one is looked for.
const CONVERSIONS: i64 = 500;
/// The most that a preview counts.
pub const COUNTED: i64 = 20_000;

/// A part of a postback's log.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    /// Only those in this state.
    pub state: Option<DeliveryState>,
    /// Only those made since.
    pub since: Timestamp,
    /// Only those behind this one, by time of making; none: from the newest on.
    pub before: Option<(Timestamp, DeliveryId)>,
    /// How many at most.
    pub limit: i64,
}

/// How the newest deliveries of a postback stand.
#[derive(Debug, Clone, Default)]
pub struct Ended {
    /// How many arrived.
    pub delivered: i64,
    /// How many were given up.
    pub dead: i64,
    /// How many wait.
    pub pending: i64,
    /// The newest of all.
    pub last: Option<Listed>,
}

/// The deliveries of a partner's postback, newest first.
pub fn of_postback(
    tx: &mut Tx<'_>,
    (network, partner, postback): (NetworkId, PartnerId, PostbackId),
    page: &Page,
) -> Result<Vec<Listed>, Error> {
    let last = (Timestamp::from_ms(i64::MAX), DeliveryId(Uuid::max()));
    let (at, id) = page.before.unwrap_or(last);
    let params: [Value; 8] = [
        network.uuid().into(),
        partner.uuid().into(),
        postback.uuid().into(),
        page.state.map_or("", DeliveryState::code).into(),
        page.since.ms().into(),
        at.ms().into(),
        id.uuid().into(),
        page.limit.into(),
    ];
    tx.query(&OF_POSTBACK, &params)?.iter().map(listed).collect()
}

/// A partner's delivery with its attempts, oldest first; none when the partner has no such.
pub fn own(
    tx: &mut Tx<'_>,
    network: NetworkId,
    partner: PartnerId,
    id: DeliveryId,
) -> Result<Option<(Listed, Vec<Attempt>)>, Error> {
    let params: [Value; 3] = [id.uuid().into(), network.uuid().into(), partner.uuid().into()];
    let Some(row) = tx.query_one(&OWN, &params)? else { return Ok(None) };
    Ok(Some((listed(&row)?, attempts(tx, id)?)))
}

/// How the newest [`NEWEST`] deliveries of a postback stand.
pub fn ended(tx: &mut Tx<'_>, postback: PostbackId) -> Result<Ended, Error> {
    let row = tx.query_one(&ENDED, &[postback.uuid().into(), NEWEST.into()])?;
    let last = tx.query_one(&LAST, &[postback.uuid().into()])?;
    let last = last.map(|row| listed(&row)).transpose()?;
    let Some(row) = row else { return Ok(Ended { last, ..Ended::default() }) };
    Ok(Ended { delivered: row.int("delivered")?, dead: row.int("dead")?, pending: row.int("pending")?, last })
}

/// What a partner would be told of its newest conversion in this scope; none when the newest ones have no such.
pub fn newest_news(
    tx: &mut Tx<'_>,
    network: NetworkId,
    partner: PartnerId,
    scope: Scope,
) -> Result<Option<News>, Error> {
    let (offer, event) = scope_ids(scope);
    let params: [Value; 6] = [
        network.uuid().into(),
        partner.uuid().into(),
        offer.into(),
        event.into(),
        CONVERSIONS.into(),
        Uuid::nil().into(),
    ];
    let Some(found) = tx.query_one(&NEWEST_CONVERSION, &params)? else { return Ok(None) };
    news::of_conversion(tx, ConversionId(found.uuid("conversion_id")?), found.int("version")?)
}

/// How many deliveries a replay would send again, counted up to [`COUNTED`].
pub fn count_replay(
    tx: &mut Tx<'_>,
    postback: &Postback,
    state: DeliveryState,
    since: Timestamp,
) -> Result<i64, Error> {
    let params: [Value; 6] = [
        postback.network.uuid().into(),
        postback.partner.uuid().into(),
        postback.id.uuid().into(),
        state.code().into(),
        since.ms().into(),
        COUNTED.into(),
    ];
    tx.query_one(&COUNT_REPLAY, &params)?.map_or(Ok(0), |row| row.int("deliveries"))
}

/// How many deliveries a back-fill would make of the first [`COUNTED`] conversions since a time, and whether there are
/// more conversions than those.
pub fn count_backfill(tx: &mut Tx<'_>, postback: &Postback, since: Timestamp) -> Result<(i64, bool), Error> {
    let (offer, event) = scope_ids(postback.scope);
    let Wanted { success, pending, rejected, .. } = postback.wanted;
    let params: [Value; 11] = [
        postback.network.uuid().into(),
        postback.partner.uuid().into(),
        since.ms().into(),
        offer.into(),
        event.into(),
        success.into(),
        pending.into(),
        rejected.into(),
        Uuid::nil().into(),
        postback.id.uuid().into(),
        COUNTED.into(),
    ];
    let Some(row) = tx.query_one(&COUNT_BACKFILL, &params)? else { return Ok((0, false)) };
    Ok((row.int("deliveries")?, row.int("looked")? >= COUNTED))
}

/// The ids of a scope; nil: all.
fn scope_ids(scope: Scope) -> (Uuid, Uuid) {
    match scope {
        Scope::Global => (Uuid::nil(), Uuid::nil()),
        Scope::Offer(offer) => (OfferId::uuid(offer), Uuid::nil()),
        Scope::Event(offer, event) => (offer.uuid(), event.uuid()),
    }
}
