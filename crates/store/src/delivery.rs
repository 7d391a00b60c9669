//! Deliveries: the outbox. Written in the conversion's own transaction, claimed by workers with leases.

use domain::ambient::Ambient;
use domain::conversion::Conversion;
use domain::delivery::{DeliveryState, Origin};
use domain::id::{ConversionId, DeliveryId, NetworkId, PostbackId};
use domain::postback::Postback;
use domain::time::Timestamp;
use uuid::Uuid;

use crate::{Error, Statement, Tx, conversion, postback};

mod attempt;
mod claim;
pub mod log;
mod news;
mod run;
mod shown;
pub mod trial;

pub use attempt::{Attempt, Fate, finish};
pub use claim::{Held, Looked, claim, due_postbacks, release};
pub use news::{Batch, Claimed, told};
pub use run::{Broken, Run, backfill_all, replay_all};
pub use shown::{Listed, Shown, by_conversion, find, of_partner};

pub(crate) const SHOWN: &[&Statement] = shown::ALL;
pub(crate) const LOGGED: &[&Statement] = log::ALL;
pub(crate) const CLAIMED: &[&Statement] = claim::ALL;
pub(crate) const TOLD: &[&Statement] = news::ALL;
pub(crate) const ATTEMPTED: &[&Statement] = attempt::ALL;

pub(crate) const ALL: &[&Statement] = &[&INSERT, &BURY, &AGAIN, &AGAIN_FOR_POSTBACK, &BACKFILL, &WAITING];

static INSERT: Statement = Statement::new(
    "delivery.insert",
    "insert into delivery (delivery_id, network_id, partner_id, postback_id, conversion_id, version, status, origin,
         state, attempts, attempts_ever, next_attempt_ms, lease_until_ms, created_ms, finished_ms)
     values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 'pending', 0, 0, ?9, 0, ?10, null)
     on conflict do nothing",
);

/// Everything that still waits for a postback that was switched off.
static BURY: Statement = Statement::new(
    "delivery.bury",
    "update delivery set state = 'dead', finished_ms = ?1, lease_until_ms = 0
     where delivery_id in (
         select delivery_id from delivery where postback_id = ?2 and state = 'pending' limit ?3)",
);

static AGAIN: Statement = Statement::new(
    "delivery.again",
    "update delivery set state = 'pending', attempts = 0, next_attempt_ms = ?1, lease_until_ms = 0,
         finished_ms = null
     where delivery_id = ?2 and network_id = ?3",
);

/// A filtered set: the deliveries of one postback in one state behind a position, oldest first.
static AGAIN_FOR_POSTBACK: Statement = Statement::new(
    "delivery.again_for_postback",
    "update delivery set state = 'pending', attempts = 0, next_attempt_ms = ?1, lease_until_ms = 0,
         finished_ms = null
     where delivery_id in (
         select delivery_id from delivery
         where network_id = ?2 and partner_id = ?3 and postback_id = ?4 and state = ?5
             and (created_ms > ?6 or (created_ms = ?6 and delivery_id > ?7))
         order by created_ms, delivery_id limit ?8)
     returning created_ms, delivery_id",
);

/// Conversions of a partner behind a position, for filling in a postback that was added late. Locked: who erases one of
/// them knows its deliveries, or they are claimed afterwards.
static BACKFILL: Statement = Statement::new(
    "delivery.backfill",
    "select * from conversion
     where network_id = ?1 and partner_id = ?2 and test = 0
         and (received_ms > ?3 or (received_ms = ?3 and conversion_id > ?4))
     order by received_ms, conversion_id limit ?5 {for_update}",
);

static WAITING: Statement = Statement::new(
    "delivery.waiting",
    "select count(*) as waiting, coalesce(min(next_attempt_ms), 0) as oldest_ms
     from (select next_attempt_ms from delivery where state = 'pending' limit 100000) due",
);

/// Writes what the partner is to be told about a conversion that came or changed.
pub(crate) fn enqueue(tx: &mut Tx<'_>, ambient: Ambient, conversion: &Conversion) -> Result<(), Error> {
    // What lost the member's place is evidence for the network; the partner hears of the one that stands.
    if conversion.winner.is_some() {
        return Ok(());
    }
    let Conversion { network, partner, offer, event, .. } = *conversion;
    for postback in postback::matching(tx, network, partner, offer, event)? {
        if postback.wanted.wants(conversion.status, conversion.version) {
            insert(tx, ambient, conversion, postback.id, Origin::Live)?;
        }
    }
    Ok(())
}

fn insert(
    tx: &mut Tx<'_>,
    ambient: Ambient,
    conversion: &Conversion,
    postback: PostbackId,
    origin: Origin,
) -> Result<Option<DeliveryId>, Error> {
    let now = ambient.now();
    let id = ambient.new_id(now);
    let inserted = tx.execute(
        &INSERT,
        &[
            id.into(),
            conversion.network.uuid().into(),
            conversion.partner.uuid().into(),
            postback.uuid().into(),
            conversion.id.uuid().into(),
            conversion.version.into(),
            conversion.status.code().into(),
            origin.code().into(),
            now.ms().into(),
            now.ms().into(),
        ],
    )?;
    Ok((inserted == 1).then_some(DeliveryId(id)))
}

/// Gives up on what waits for a postback, at most `limit` at once; kept for replay. Returns how many.
pub fn bury(tx: &mut Tx<'_>, postback: PostbackId, now: Timestamp, limit: i64) -> Result<u64, Error> {
    tx.execute(&BURY, &[now.ms().into(), postback.uuid().into(), limit.into()])
}

/// Sends one delivery again, with a schedule that begins anew. `false` when the network has no such delivery.
pub fn send_again(
    tx: &mut Tx<'_>,
    network: NetworkId,
    id: DeliveryId,
    now: Timestamp,
) -> Result<bool, Error> {
    Ok(tx.execute(&AGAIN, &[now.ms().into(), id.uuid().into(), network.uuid().into()])? == 1)
}

/// A position in a postback's deliveries, by time of making.
pub type Replayed = (Timestamp, DeliveryId);

/// The first position of a replay from a time on.
pub fn replay_from(since: Timestamp) -> Replayed {
    (since, DeliveryId(Uuid::nil()))
}

/// Sends the deliveries of a postback in `state` behind `position` again, at most `limit` at once, all due at `due`.
/// Returns how many, and where to go on; `None` at the end. What arrives meanwhile lies behind the position, so a
/// replay ends however fast its deliveries do.
pub fn replay(
    tx: &mut Tx<'_>,
    postback: &Postback,
    state: DeliveryState,
    position: Replayed,
    due: Timestamp,
    limit: i64,
) -> Result<(u64, Option<Replayed>), Error> {
    let rows = tx.query(
        &AGAIN_FOR_POSTBACK,
        &[
            due.ms().into(),
            postback.network.uuid().into(),
            postback.partner.uuid().into(),
            postback.id.uuid().into(),
            state.code().into(),
            position.0.ms().into(),
            position.1.uuid().into(),
            limit.into(),
        ],
    )?;
    let mut last = None;
    for row in &rows {
        let at = (Timestamp::from_ms(row.int("created_ms")?), DeliveryId(row.uuid("delivery_id")?));
        last = last.max(Some(at));
    }
    let full = i64::try_from(rows.len()).unwrap_or(limit) >= limit;
    Ok((rows.len() as u64, last.filter(|_| full)))
}

/// A position in a partner's conversions, by time of receipt.
pub type Position = (Timestamp, ConversionId);

/// Fills in a postback with the conversions behind `position`, at most `limit` looked at. Returns how many
/// deliveries were made, and where to go on; `None` at the end. Repeating it makes nothing twice.
pub fn backfill(
    tx: &mut Tx<'_>,
    ambient: Ambient,
    postback: &Postback,
    position: Position,
    limit: i64,
) -> Result<(u64, Option<Position>), Error> {
    let params = [
        postback.network.uuid().into(),
        postback.partner.uuid().into(),
        position.0.ms().into(),
        position.1.uuid().into(),
        limit.into(),
    ];
    let rows = tx.query(&BACKFILL, &params)?;
    let mut made = 0;
    let mut last = None;
    for row in &rows {
        let conversion = conversion::read(row)?;
        last = Some((conversion.received, conversion.id));
        let wanted = conversion.winner.is_none()
            && postback.scope.holds(conversion.offer, conversion.event)
            && postback.wanted.wants(conversion.status, 0);
        if wanted && insert(tx, ambient, &conversion, postback.id, Origin::Backfill)?.is_some() {
            made += 1;
        }
    }
    let full = i64::try_from(rows.len()).unwrap_or(limit) >= limit;
    Ok((made, last.filter(|_| full)))
}

/// The first position of a back-fill from a time on.
pub fn backfill_from(since: Timestamp) -> Position {
    (since, ConversionId(Uuid::nil()))
}

/// How much waits, counted up to 100 000, and since when the oldest has been due.
pub fn waiting(tx: &mut Tx<'_>) -> Result<(i64, Timestamp), Error> {
    let row = tx.query_one(&WAITING, &[])?;
    let Some(row) = row else { return Ok((0, Timestamp::from_ms(0))) };
    Ok((row.int("waiting")?, Timestamp::from_ms(row.int("oldest_ms")?)))
}
