//! Changes of an offer's terms and status: past ones, which decide the money of older clicks, and planned ones.

use std::collections::HashMap;

use domain::id::{EventId, NetworkId, OfferId};
use domain::money::{Percent, Rate};
use domain::offer::{ChangedField, ConversionKind, NewValue, OfferStatus, ScheduledChange};
use domain::time::Timestamp;
use uuid::Uuid;

use crate::catalog::each_row;
use crate::{Error, Row, Statement, Tx};

pub(crate) const ALL: &[&Statement] = &[&EVERY, &INSERT, &PLANNED, &CANCEL];

static EVERY: Statement = Statement::new(
    "offer_change.all",
    "select h.change_id, h.offer_id, h.event_id, h.field, h.value, h.status, h.at_ms, o.conversion_kind
     from offer_change h join offer o on o.offer_id = h.offer_id
     where h.change_id > ?1 order by h.change_id limit ?2",
);

static INSERT: Statement = Statement::new(
    "offer_change.insert",
    "insert into offer_change (change_id, network_id, offer_id, event_id, field, value, status, at_ms, actor,
         created_ms)
     values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
);

static PLANNED: Statement = Statement::new(
    "offer_change.planned",
    "select count(*) as planned from offer_change
     where offer_id = ?1 and event_id = ?2 and field = ?3 and at_ms > ?4",
);

/// Only what has not happened can be taken back; the past decides about money.
static CANCEL: Statement = Statement::new(
    "offer_change.cancel",
    "delete from offer_change where change_id = ?1 and network_id = ?2 and at_ms > ?3",
);

/// Changes of one field that may be planned at once.
pub const MAX_PLANNED: i64 = 5;

/// Every change, by offer, oldest first.
pub(crate) fn by_offer(tx: &mut Tx<'_>) -> Result<HashMap<Uuid, Vec<ScheduledChange>>, Error> {
    let mut all: HashMap<Uuid, Vec<ScheduledChange>> = HashMap::new();
    each_row(tx, &EVERY, "change_id", |row| {
        all.entry(row.uuid("offer_id")?).or_default().push(read(row)?);
        Ok(())
    })?;
    for changes in all.values_mut() {
        // Stable: of two changes of one moment the later made one counts.
        changes.sort_by_key(|change| change.at);
    }
    Ok(all)
}

/// Adds a change, now or ahead.
pub fn insert(
    tx: &mut Tx<'_>,
    id: Uuid,
    owner: (NetworkId, OfferId),
    change: &ScheduledChange,
    actor: &str,
    now: Timestamp,
) -> Result<(), Error> {
    let (value, status) = match change.value {
        NewValue::Rate(Rate::Flat(micros)) => (Some(micros), None),
        NewValue::Rate(Rate::Share(share)) => (Some(share.millionths()), None),
        NewValue::Points(points) => (Some(points), None),
        NewValue::Status(status) => (None, Some(status.code())),
    };
    let params = [
        id.into(),
        owner.0.uuid().into(),
        owner.1.uuid().into(),
        change.event.uuid().into(),
        change.field.code().into(),
        value.into(),
        status.into(),
        change.at.ms().into(),
        actor.into(),
        now.ms().into(),
    ];
    tx.execute(&INSERT, &params).map(drop)
}

/// How many changes of a field lie ahead.
pub fn planned(
    tx: &mut Tx<'_>,
    offer: OfferId,
    event: EventId,
    field: ChangedField,
    now: Timestamp,
) -> Result<i64, Error> {
    let params = [offer.uuid().into(), event.uuid().into(), field.code().into(), now.ms().into()];
    tx.query_one(&PLANNED, &params)?.map_or(Ok(0), |row| row.int("planned"))
}

/// Takes a planned change back. `false` when there is none that still lies ahead.
pub fn cancel(tx: &mut Tx<'_>, network: NetworkId, id: Uuid, now: Timestamp) -> Result<bool, Error> {
    Ok(tx.execute(&CANCEL, &[id.into(), network.uuid().into(), now.ms().into()])? == 1)
}

fn read(row: &Row) -> Result<ScheduledChange, Error> {
    let field: ChangedField = row.code("field")?;
    let value = match field {
        ChangedField::Status => NewValue::Status(row.code::<OfferStatus>("status")?),
        ChangedField::Reward => NewValue::Points(row.int("value")?),
        ChangedField::Revenue | ChangedField::Payout => {
            let stored = row.int("value")?;
            NewValue::Rate(match row.code("conversion_kind")? {
                ConversionKind::FlatRate => Rate::Flat(stored),
                ConversionKind::RevShare => Rate::Share(
                    Percent::from_millionths(stored)
                        .map_err(|_| row.unreadable("value", &stored.to_string()))?,
                ),
            })
        }
    };
    Ok(ScheduledChange {
        at: Timestamp::from_ms(row.int("at_ms")?),
        event: EventId(row.uuid("event_id")?),
        field,
        value,
    })
}
