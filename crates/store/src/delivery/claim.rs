//! What is due, taken by a worker under a lease, and given back when it is not sent.

use std::collections::HashSet;

use domain::conversion::Status;
use domain::id::{ConversionId, DeliveryId, PostbackId};
use domain::time::Timestamp;
use uuid::Uuid;

use crate::{Error, Row, Statement, Tx};

pub(super) const ALL: &[&Statement] = &[&WAITING_POSTBACKS, &IS_DUE, &CLAIM, &RELEASE];

/// Every postback behind one that something waits for: one index step a postback, however long the queues are.
static WAITING_POSTBACKS: Statement = Statement::new(
    "delivery.waiting_postbacks",
    "with recursive waiting (postback_id) as (
         select (select d.postback_id from delivery d where d.state = 'pending' and d.postback_id > ?1
                 order by d.postback_id limit 1)
         union all
         select (select d.postback_id from delivery d where d.state = 'pending' and d.postback_id > w.postback_id
                 order by d.postback_id limit 1)
         from waiting w where w.postback_id is not null)
     select w.postback_id from waiting w where w.postback_id is not null limit ?2",
);

/// What is held stands in front of it, and is looked at one by one.
static IS_DUE: Statement = Statement::new(
    "delivery.is_due",
    "select 1 as one from delivery
     where state = 'pending' and postback_id = ?1 and next_attempt_ms <= ?2 and lease_until_ms <= ?2 limit 1",
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

/// Only while it is held.
static RELEASE: Statement = Statement::new(
    "delivery.release",
    "update delivery set lease_until_ms = 0 where delivery_id = ?1 and state = 'pending' and lease_until_ms = ?2",
);

/// A delivery that a worker holds until `lease`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// Its id, and the `webhook-id`.
    pub id: DeliveryId,
    /// The attempt that is to be made, 1 for the first of this round.
    pub attempt: i64,
    /// The attempt's number in the log, over all rounds.
    pub attempt_ever: i64,
    /// Until when it is held.
    pub lease: Timestamp,
    /// The conversion that it tells.
    pub(super) conversion: ConversionId,
    /// The status that it tells, and the version in which the conversion had it.
    pub(super) told: (Status, i64),
}

/// What one look at the outbox found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Looked {
    /// Postbacks that have something due.
    pub due: Vec<PostbackId>,
    /// Behind whom the next look goes on; none when this one saw them all.
    pub rest: Option<PostbackId>,
}

/// Looks at the postbacks behind `after`, or from the first one on, that something waits for, at most `limit`; whether
/// it is due is not asked of those that `skip` names.
pub fn due_postbacks(
    tx: &mut Tx<'_>,
    after: Option<PostbackId>,
    skip: &HashSet<PostbackId>,
    now: Timestamp,
    limit: i64,
) -> Result<Looked, Error> {
    let after = after.map_or(Uuid::nil(), PostbackId::uuid);
    let rows = tx.query(&WAITING_POSTBACKS, &[after.into(), limit.into()])?;
    let waiting = rows.iter().map(|row| row.uuid("postback_id").map(PostbackId));
    let waiting = waiting.collect::<Result<Vec<_>, _>>()?;
    let is_full = i64::try_from(waiting.len()).unwrap_or(limit) >= limit;
    let mut looked = Looked { due: Vec::new(), rest: waiting.last().copied().filter(|_| is_full) };
    for id in waiting.into_iter().filter(|id| !skip.contains(id)) {
        if tx.query_one(&IS_DUE, &[id.uuid().into(), now.ms().into()])?.is_some() {
            looked.due.push(id);
        }
    }
    Ok(looked)
}

/// Takes up to `limit` due deliveries of a postback until `lease`; the oldest first, in the order in which they were
/// made.
pub fn claim(
    tx: &mut Tx<'_>,
    id: PostbackId,
    now: Timestamp,
    lease: Timestamp,
    limit: i64,
) -> Result<Vec<Held>, Error> {
    let params = [lease.ms().into(), id.uuid().into(), now.ms().into(), limit.into()];
    let rows = tx.query(&CLAIM, &params)?;
    let mut taken = rows.iter().map(|row| held(row, lease)).collect::<Result<Vec<_>, _>>()?;
    taken.sort_unstable_by_key(|held| held.id.uuid());
    Ok(taken)
}

fn held(row: &Row, lease: Timestamp) -> Result<Held, Error> {
    Ok(Held {
        id: DeliveryId(row.uuid("delivery_id")?),
        attempt: row.int("attempts")? + 1,
        attempt_ever: row.int("attempts_ever")? + 1,
        lease,
        conversion: ConversionId(row.uuid("conversion_id")?),
        told: (row.code("status")?, row.int("version")?),
    })
}

/// Gives a delivery back that was not sent: it is due at once again. Nothing when it is not held any more.
pub fn release(tx: &mut Tx<'_>, held: &Held) -> Result<(), Error> {
    tx.execute(&RELEASE, &[held.id.uuid().into(), held.lease.ms().into()]).map(drop)
}
