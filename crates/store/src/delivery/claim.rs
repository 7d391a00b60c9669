//! What is due, taken by a worker under a lease, and given back when it is not sent.

use domain::conversion::Status;
use domain::id::{ConversionId, DeliveryId, PostbackId};
use domain::time::Timestamp;
use uuid::Uuid;

use crate::{Error, Row, Statement, Tx};

pub(super) const ALL: &[&Statement] = &[&DUE_POSTBACKS, &CLAIM, &RELEASE];

/// Every postback behind one that has something due: one index step a postback, however long the queues are.
static DUE_POSTBACKS: Statement = Statement::new(
    "delivery.due_postbacks",
    "with recursive waiting (postback_id) as (
         select (select d.postback_id from delivery d where d.state = 'pending' and d.postback_id > ?3
                 order by d.postback_id limit 1)
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

/// The postbacks behind `after`, or all, that have something due, at most `limit`, in the order of their ids.
pub fn due_postbacks(
    tx: &mut Tx<'_>,
    after: Option<PostbackId>,
    now: Timestamp,
    limit: i64,
) -> Result<Vec<PostbackId>, Error> {
    let after = after.map_or(Uuid::nil(), PostbackId::uuid);
    let rows = tx.query(&DUE_POSTBACKS, &[now.ms().into(), limit.into(), after.into()])?;
    rows.iter().map(|row| row.uuid("postback_id").map(PostbackId)).collect()
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
