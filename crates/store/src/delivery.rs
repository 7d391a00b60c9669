//! Deliveries: the outbox. Written in the conversion's own transaction, claimed by workers with leases.

use domain::ambient::Ambient;
use domain::conversion::{Conversion, Status};
use domain::delivery::{DeliveryState, Origin};
use domain::id::{ConversionId, DeliveryId, NetworkId, PostbackId};
use domain::postback::{News, Postback};
use domain::signature::Secret;
use domain::time::Timestamp;
use domain::visit::Param;
use uuid::Uuid;

use crate::{Error, Row, Statement, Tx, Value, click, conversion, partner, postback};

pub mod log;
mod run;
mod shown;
pub mod trial;

pub use run::{Broken, Run, backfill_all, replay_all};
pub use shown::{Listed, Shown, by_conversion, find, of_partner};

pub(crate) const SHOWN: &[&Statement] = shown::ALL;
pub(crate) const LOGGED: &[&Statement] = log::ALL;

pub(crate) const ALL: &[&Statement] = &[
    &INSERT,
    &DUE_POSTBACKS,
    &CLAIM,
    &NEWS,
    &FINISH,
    &LOCK,
    &LOG_ATTEMPT,
    &BURY,
    &AGAIN,
    &AGAIN_FOR_POSTBACK,
    &BACKFILL,
    &WAITING,
];

static INSERT: Statement = Statement::new(
    "delivery.insert",
    "insert into delivery (delivery_id, network_id, partner_id, postback_id, conversion_id, version, status, origin,
         state, attempts, attempts_ever, next_attempt_ms, lease_until_ms, created_ms, finished_ms)
     values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 'pending', 0, 0, ?9, 0, ?10, null)
     on conflict do nothing",
);

/// Every postback that has something due: one index step a postback, however long the queues are.
static DUE_POSTBACKS: Statement = Statement::new(
    "delivery.due_postbacks",
    "with recursive waiting (postback_id) as (
         select (select d.postback_id from delivery d where d.state = 'pending' order by d.postback_id limit 1)
         union all
         select (select d.postback_id from delivery d where d.state = 'pending' and d.postback_id > w.postback_id
                 order by d.postback_id limit 1)
         from waiting w where w.postback_id is not null)
     select w.postback_id from waiting w
     where w.postback_id is not null and exists (
         select 1 from delivery d
         where d.state = 'pending' and d.postback_id = w.postback_id and d.next_attempt_ms <= ?1
             and d.lease_until_ms <= ?1)
     limit ?2",
);

/// Takes the oldest due deliveries of one postback for one worker; two workers never take the same one.
static CLAIM: Statement = Statement::new(
    "delivery.claim",
    "update delivery set lease_until_ms = ?1
     where delivery_id in (
         select delivery_id from delivery
         where state = 'pending' and postback_id = ?2 and next_attempt_ms <= ?3 and lease_until_ms <= ?3
         order by next_attempt_ms limit ?4 {skip_locked})
     returning delivery_id, conversion_id, version, status, attempts, attempts_ever",
);

/// An event that partners are not shown has no name in what they are told.
static NEWS: Statement = Statement::new(
    "delivery.news",
    "select c.*, k.facts as facts, o.name as offer_name, h.at_ms as told_ms,
         case when e.visible = 0 then '' else c.event_code end as told_event,
         coalesce(k.pub_member_id, '') as click_member, coalesce(k.pub_click_id, '') as click_name
     from conversion c
     join conversion_change h on h.conversion_id = c.conversion_id and h.version = ?2
     join click k on k.click_id = c.click_id
     join offer o on o.offer_id = c.offer_id
     left join offer_event e on e.offer_id = c.offer_id and e.event_id = c.event_id
     where c.conversion_id = ?1",
);

/// The lease in the condition: a worker that overslept its lease changes nothing.
static FINISH: Statement = Statement::new(
    "delivery.finish",
    "update delivery set state = ?1, attempts = attempts + 1, attempts_ever = attempts_ever + 1,
         next_attempt_ms = ?2, lease_until_ms = 0, finished_ms = ?3
     where delivery_id = ?4 and state = 'pending' and lease_until_ms = ?5",
);

static LOCK: Statement =
    Statement::new("delivery.lock", "select delivery_id from delivery where delivery_id = ?1 {for_update}");

/// Only how it ended, when the click was erased after the delivery was claimed: what was sent tells who it was.
static LOG_ATTEMPT: Statement = Statement::new(
    "delivery.log_attempt",
    "insert into delivery_attempt (delivery_id, attempt, network_id, started_ms, elapsed_ms, method, url, body,
         result, http_status, answer)
     select ?1, ?2, ?3, ?4, ?5, ?6, case when same = 1 then ?7 else '' end, case when same = 1 then ?8 else '' end,
         ?9, ?10, case when same = 1 then ?11 else '' end
     from (select count(*) as same from click
           where click_id = ?12 and coalesce(pub_member_id, '') = ?13 and coalesce(pub_click_id, '') = ?14) erased
     where true
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

/// A delivery that this worker holds until `lease`.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// Its id, and the `webhook-id`.
    pub id: DeliveryId,
    /// The attempt that is to be made, 1 for the first of this round.
    pub attempt: i64,
    /// The attempt's number in the log, over all rounds.
    pub attempt_ever: i64,
    /// Until when it is held.
    pub lease: Timestamp,
    /// What to tell.
    pub news: News,
    /// The partner's ids of the member and the click, as the click had them then: erasing it changes one of them.
    pub click_names: [String; 2],
}

/// The deliveries of one postback that a worker holds.
#[derive(Debug, Clone)]
pub struct Batch {
    /// Where and how.
    pub postback: Postback,
    /// The partner's signing secrets, newest first.
    pub secrets: Vec<Secret>,
    /// What.
    pub deliveries: Vec<Claimed>,
}

/// One attempt, as it is logged.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// When it began.
    pub started: Timestamp,
    /// How long it took, in milliseconds.
    pub elapsed_ms: i64,
    /// `GET` or `POST`.
    pub method: String,
    /// The filled-in URL.
    pub url: String,
    /// The body.
    pub body: String,
    /// How it ended, in words.
    pub result: String,
    /// The HTTP status, when there was an answer.
    pub http_status: Option<u16>,
    /// The first 4 KiB of the answer.
    pub answer: String,
}

/// What becomes of a delivery after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Over.
    Ended(DeliveryState),
    /// To be tried again.
    Again(Timestamp),
}

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

/// The postbacks that have something due, at most `limit`.
pub fn due_postbacks(tx: &mut Tx<'_>, now: Timestamp, limit: i64) -> Result<Vec<PostbackId>, Error> {
    let rows = tx.query(&DUE_POSTBACKS, &[now.ms().into(), limit.into()])?;
    rows.iter().map(|row| row.uuid("postback_id").map(PostbackId)).collect()
}

/// Takes up to `limit` due deliveries of a postback until `lease`. `None` when the postback is gone.
pub fn claim(
    tx: &mut Tx<'_>,
    id: PostbackId,
    now: Timestamp,
    lease: Timestamp,
    limit: i64,
) -> Result<Option<Batch>, Error> {
    let Some(postback) = postback::find(tx, id)? else { return Ok(None) };
    let secrets = partner::secrets(tx, postback.partner)?;
    let params = [lease.ms().into(), id.uuid().into(), now.ms().into(), limit.into()];
    let rows = tx.query(&CLAIM, &params)?;
    let deliveries = rows.iter().map(|row| claimed(tx, row, lease)).collect::<Result<Vec<_>, _>>()?;
    Ok(Some(Batch { postback, secrets, deliveries }))
}

fn claimed(tx: &mut Tx<'_>, row: &Row, lease: Timestamp) -> Result<Claimed, Error> {
    let id = ConversionId(row.uuid("conversion_id")?);
    let told: Status = row.code("status")?;
    let found = tx.query_one(&NEWS, &[id.uuid().into(), row.int("version")?.into()])?;
    let found = found.ok_or_else(|| row.unreadable("conversion_id", &id.to_string()))?;
    Ok(Claimed {
        id: DeliveryId(row.uuid("delivery_id")?),
        attempt: row.int("attempts")? + 1,
        attempt_ever: row.int("attempts_ever")? + 1,
        lease,
        news: news(&found, told)?,
        click_names: [found.text("click_member")?, found.text("click_name")?],
    })
}

/// What a delivery tells: the conversion, in the status that the delivery was made for.
fn news(row: &Row, told: Status) -> Result<News, Error> {
    let conversion = Conversion { status: told, ..conversion::read(row)? };
    let facts = click::own_facts(row)?;
    let sub = |n| Some((n, facts.parameter(Param::sub(n)?)?.to_owned()));
    Ok(News {
        payout: conversion.told_payout(),
        click: conversion.click,
        pub_click_id: conversion.pub_click_id,
        pub_member_id: conversion.pub_member_id,
        subs: (1..=15).filter_map(sub).collect(),
        offer: conversion.offer,
        offer_name: row.text("offer_name")?,
        event_code: row.text("told_event")?,
        amount: conversion.amount,
        status: told,
        conversion: conversion.id,
        at: Timestamp::from_ms(row.int("told_ms")?),
        test: conversion.test,
    })
}

/// Writes down an attempt and what becomes of the delivery. `false` when the lease had run out and somebody
/// else may hold it now: then only the attempt is kept. Nothing of what was sent is kept when the click was erased
/// meanwhile.
pub fn finish(
    tx: &mut Tx<'_>,
    network: NetworkId,
    claimed: &Claimed,
    attempt: &Attempt,
    fate: Fate,
    now: Timestamp,
) -> Result<bool, Error> {
    let (state, next, finished) = match fate {
        Fate::Ended(state) => (state, now, Some(now.ms())),
        Fate::Again(next) => (DeliveryState::Pending, next, None),
    };
    let params: [Value; 5] = [
        state.code().into(),
        next.ms().into(),
        finished.into(),
        claimed.id.uuid().into(),
        claimed.lease.ms().into(),
    ];
    let held = tx.execute(&FINISH, &params)? == 1;
    if !held {
        // Either way the row is locked before the click is looked at. Erasing locks it before it clears attempts, so
        // it finds this one, or this one finds the click erased.
        tx.query(&LOCK, &[claimed.id.uuid().into()])?;
    }
    let [member, click] = &claimed.click_names;
    tx.execute(
        &LOG_ATTEMPT,
        &[
            claimed.id.uuid().into(),
            claimed.attempt_ever.into(),
            network.uuid().into(),
            attempt.started.ms().into(),
            attempt.elapsed_ms.into(),
            attempt.method.as_str().into(),
            attempt.url.as_str().into(),
            attempt.body.as_str().into(),
            attempt.result.as_str().into(),
            attempt.http_status.into(),
            attempt.answer.as_str().into(),
            claimed.news.click.uuid().into(),
            member.as_str().into(),
            click.as_str().into(),
        ],
    )?;
    Ok(held)
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
