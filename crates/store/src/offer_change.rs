//! Changes of an offer's terms and status: past ones, which decide the money of older clicks, and planned ones.

use std::collections::HashMap;

use domain::id::{EventId, NetworkId, OfferId};
use domain::money::{Money, Percent, Rate};
use domain::offer::{ChangedField, ConversionKind, NewValue, OfferStatus, ScheduledChange};
use domain::time::Timestamp;
use serde_json::json;
use uuid::Uuid;

use crate::audit::{self, Entry};
use crate::catalog::each_row;
use crate::{Db, Error, Row, Statement, Tx};

pub(crate) const ALL: &[&Statement] = &[&EVERY, &INSERT, &WITHDRAW, &DUE, &TELL];

static EVERY: Statement = Statement::new(
    "offer_change.all",
    "select h.change_id, h.offer_id, h.event_id, h.field, h.value, h.status, h.at_ms, o.conversion_kind
     from offer_change h join offer o on o.offer_id = h.offer_id
     where h.change_id > ?1 order by h.change_id limit ?2",
);

static INSERT: Statement = Statement::new(
    "offer_change.insert",
    "insert into offer_change (change_id, network_id, offer_id, event_id, field, value, status, at_ms, actor,
         created_ms, told_ms)
     values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
);

/// Only what has not happened can be taken back; the past decides about money.
static WITHDRAW: Statement = Statement::new(
    "offer_change.withdraw",
    "delete from offer_change
     where offer_id = ?1 and event_id = ?2 and field = ?3 and at_ms = ?4 and at_ms > ?5",
);

static DUE: Statement = Statement::new(
    "offer_change.due",
    "select h.change_id, h.network_id, h.event_id, h.field, h.value, h.status, h.at_ms, h.actor,
         o.slug, o.currency, o.conversion_kind, e.code
     from offer_change h
         join offer o on o.offer_id = h.offer_id
         left join offer_event e on e.offer_id = h.offer_id and e.event_id = h.event_id
     where h.told_ms is null and h.at_ms <= ?1
     order by h.at_ms limit ?2",
);

static TELL: Statement = Statement::new(
    "offer_change.tell",
    "update offer_change set told_ms = ?2 where change_id = ?1 and told_ms is null",
);

/// Changes of one field that may be planned at once.
pub const MAX_PLANNED: i64 = 5;

/// The most effects that one [`effect`] writes.
const STEP: i64 = 500;

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
        // What changes at once is told by whoever makes it.
        (change.at <= now).then(|| now.ms()).into(),
    ];
    tx.execute(&INSERT, &params).map(drop)
}

/// Takes a planned change back. `false` when there is none that still lies ahead.
pub fn withdraw(
    tx: &mut Tx<'_>,
    offer: OfferId,
    change: &ScheduledChange,
    now: Timestamp,
) -> Result<bool, Error> {
    let params = [
        offer.uuid().into(),
        change.event.uuid().into(),
        change.field.code().into(),
        change.at.ms().into(),
        now.ms().into(),
    ];
    Ok(tx.execute(&WITHDRAW, &params)? == 1)
}

/// Writes to the audit log which planned changes have taken effect, each once whoever else does the same. Nothing
/// depends on it: [`domain::offer::Offer`] reads its changes by their time. Returns how many there were; call it
/// until there are none.
pub async fn effect(db: &Db, now: Timestamp) -> Result<usize, Error> {
    db.write(move |tx| {
        let due = tx.query(&DUE, &[now.ms().into(), STEP.into()])?;
        for row in &due {
            let id = row.uuid("change_id")?;
            if tx.execute(&TELL, &[id.into(), now.ms().into()])? == 1 {
                audit::record(tx, &told(row, id)?)?;
            }
        }
        Ok(due.len())
    })
    .await
}

/// The entry of a change that took effect. It has the change's id: there is one for each.
fn told(row: &Row, id: Uuid) -> Result<Entry, Error> {
    let change = read(row)?;
    let new = match change.value {
        NewValue::Rate(Rate::Flat(micros)) => Money { micros, currency: row.code("currency")? }.plain(),
        NewValue::Rate(Rate::Share(share)) => share.to_string().replace(' ', ""),
        NewValue::Points(points) => points.to_string(),
        NewValue::Status(status) => status.to_string(),
    };
    let event = row.opt_text("code")?.filter(|code| !code.is_empty());
    let event = event.map(|code| format!("event.{code}.")).unwrap_or_default();
    let field = match change.field {
        ChangedField::Reward => "reward_points",
        other => other.code(),
    };
    let field = format!("{event}{field}");
    Ok(Entry {
        id,
        network: NetworkId(row.uuid("network_id")?),
        at: change.at,
        actor: row.text("actor")?,
        subject: format!("offer/{}", row.text("slug")?),
        change: json!({ "result": "took effect", "changes": [{ "field": field, "new": new }] }).to_string(),
    })
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
